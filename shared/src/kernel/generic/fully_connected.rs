//! Fully connected layer. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, Weighted, dot};

/// Matrix-vector product with per-channel requantization.
///
/// `raw[o] = Σ_i (src[i] − zp_src) · w[o][i]`; `dst[o] = requantize(raw + bias[o])`.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[in]`, a flattened `[h][w][c]` | i8 |
/// | `dst` | `[out]` | i8 |
/// | `constants.weights` | `[out][in]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: `out·in` MACs, no scratch. Bit-exact with
/// TensorFlow Lite's reference `FullyConnectedPerChannel` (int8).
pub fn fully_connected_s8(src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) {
    let to = (dst.zero_point, dst.clamp);
    let rows = constants.weights.chunks_exact(src.data.len().max(1));
    for (o, (out, row)) in dst.data.iter_mut().zip(rows).enumerate() {
        let raw = dot(src.data, row, src.zero_point);
        *out = constants.finish(o, raw, to);
    }
}
