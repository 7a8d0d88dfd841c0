//! Depthwise convolution. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, Weighted, axes};
use crate::layer::Window;

/// Channels summed at a time: accumulators that fit in registers or close by on the stack.
const BLOCK: usize = 16;

/// Depthwise 2-D convolution (multiplier 1) with per-channel requantization.
///
/// `raw[y][x][c] = Σ_{ky,kx} (src[y·s+ky·d−p][x·s+kx·d−p][c] − zp_src) · w[ky][kx][c]`, taps outside
/// the image count 0; `dst = requantize(raw + bias[c])`.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][ch]` | i8 |
/// | `dst` | `[out_h][out_w][ch]` | i8 |
/// | `constants.weights` | `[kernel_h][kernel_w][ch]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: `out_h·out_w·ch·kernel_h·kernel_w` MACs,
/// 64 bytes of stack for 16 accumulators. Bit-exact with TensorFlow Lite's reference
/// `DepthwiseConvPerChannel` (int8, depth multiplier 1).
pub fn depthwise_conv2d_s8(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &Weighted<'_>,
) {
    let (rows, columns) = axes(src, window);
    let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
    let (row_step, column_step) = (
        usize::from(window.dilation_h),
        usize::from(window.dilation_w),
    );
    let to = (dst.zero_point, dst.clamp);
    let weights = constants.weights;
    for (y, x, pixel) in dst.pixels() {
        let (ky, top) = rows.taps(y);
        let (kx, left) = columns.taps(x);
        for (block, outputs) in pixel.chunks_mut(BLOCK).enumerate() {
            let first = block * BLOCK;
            let mut raw = [0i32; BLOCK];
            for (row, k) in ky.clone().enumerate() {
                let line = src.run(top + row * row_step, 0, src.w * c);
                for (column, kx) in kx.clone().enumerate() {
                    let at = (left + column * column_step) * c + first;
                    let from = (k * kernel_w + kx) * c + first;
                    let q = line.get(at..at + outputs.len()).unwrap_or(&[]);
                    let w = weights.get(from..from + outputs.len()).unwrap_or(&[]);
                    accumulate(&mut raw, q, w, src.zero_point);
                }
            }
            for (i, (out, &raw)) in outputs.iter_mut().zip(&raw).enumerate() {
                *out = constants.finish(first + i, raw, to);
            }
        }
    }
}

#[inline]
fn accumulate(raw: &mut [i32; BLOCK], q: &[i8], w: &[u8], zero_point: i32) {
    for ((raw, &q), &w) in raw.iter_mut().zip(q).zip(w) {
        let product = (i32::from(q) - zero_point) * i32::from(w.cast_signed());
        *raw = raw.wrapping_add(product);
    }
}
