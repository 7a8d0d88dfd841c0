//! 1×1 convolution. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, Weighted, dot};

/// 1×1 convolution with stride 1: a matrix product over pixels.
///
/// `raw[p][o] = Σ_i (src[p][i] − zp_src) · w[o][i]`; `dst = requantize(raw + bias[o])`. Computed as
/// `Σ src·w − zp_src·Σ w`, with the second sum taken once per channel.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][in_ch]` | i8 |
/// | `dst` | `[h][w][out_ch]` | i8 |
/// | `constants.weights` | `[out_ch][in_ch]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: `h·w·out_ch·in_ch` MACs, no scratch.
/// Bit-exact with TensorFlow Lite's reference `ConvPerChannel` (int8).
pub fn pointwise_conv2d_s8(src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) {
    let (c, out_ch) = (src.c.max(1), dst.c.max(1));
    let to = (dst.zero_point, dst.clamp);
    for (o, row) in constants.weights.chunks_exact(c).enumerate() {
        let row_sum = row
            .iter()
            .fold(0i32, |sum, w| sum.wrapping_add(i32::from(w.cast_signed())));
        let correction = row_sum.wrapping_mul(src.zero_point);
        let outputs = dst.data.iter_mut().skip(o).step_by(out_ch);
        for (out, q) in outputs.zip(src.data.chunks_exact(c)) {
            let raw = dot(q, row, 0).wrapping_sub(correction);
            *out = constants.finish(o, raw, to);
        }
    }
}
