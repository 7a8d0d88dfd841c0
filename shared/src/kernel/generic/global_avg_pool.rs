//! Global average pooling. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src};
use crate::layer::Scaling;
use crate::quant::requantize;

/// Channels summed at a time: accumulators that fit in registers or close by on the stack.
const BLOCK: usize = 16;

/// Mean over all pixels, rescaled to the output's own scale.
///
/// `dst[c] = requantize(Σ_p (src[p][c] − zp_src))` with the real factor `s_src / (s_dst·h·w)`.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][c]` | i8 |
/// | `dst` | `[1][1][c]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: no MACs, one addition per element, 64 bytes
/// of stack. Bit-exact with TensorFlow Lite's reference int8 `Mean` where that multiplies once.
pub fn global_avg_pool_s8(src: &Src<'_>, dst: &mut Dst<'_>, scaling: Scaling) {
    let factor = (scaling.multiplier(), scaling.shift);
    let (zero_point, clamp) = (dst.zero_point, dst.clamp);
    for (block, outputs) in dst.data.chunks_mut(BLOCK).enumerate() {
        let mut sums = [0i32; BLOCK];
        for pixel in src.data.chunks_exact(src.c.max(1)) {
            let q = pixel.get(block * BLOCK..).unwrap_or(&[]);
            for (sum, &q) in sums.iter_mut().zip(q) {
                *sum = sum.wrapping_add(i32::from(q) - src.zero_point);
            }
        }
        for (out, &sum) in outputs.iter_mut().zip(&sums) {
            *out = requantize(sum, factor, zero_point, clamp);
        }
    }
}
