//! Depthwise convolution. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, Taps, Weighted, axes};
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
/// | `constants.weights` | `[kernel_h][kernel_w][ch]` | i8 in `-127..=127` |
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
    let axes = axes(src, window);
    let to = (dst.zero_point, dst.clamp);
    for (y, x, pixel) in dst.pixels() {
        let taps = Taps::of(&axes, (y, x));
        for (block, outputs) in pixel.chunks_mut(BLOCK).enumerate() {
            let first = block * BLOCK;
            let raw = depthwise_sums::<BLOCK>(src, window, &taps, constants.weights, first);
            for (i, (out, &raw)) in outputs.iter_mut().zip(&raw).enumerate() {
                *out = constants.finish(first + i, raw, to);
            }
        }
    }
}

/// `raw` of the channels from `first` on at one output pixel; past the last channel nothing of meaning.
// Apart, so that its sums stay in registers.
#[inline(never)]
pub(crate) fn depthwise_sums<const N: usize>(
    src: &Src<'_>,
    window: &Window,
    taps: &Taps,
    weights: &[u8],
    first: usize,
) -> [i32; N] {
    let (ky, top) = taps.rows.clone();
    let (kx, left) = &taps.columns;
    let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
    let (down, right) = (
        usize::from(window.dilation_h),
        usize::from(window.dilation_w),
    );
    let mut raw = [0i32; N];
    for (row, k) in ky.enumerate() {
        let line = src.run(top + row * down, 0, src.w * c);
        let mut at = left * c + first;
        let mut from = (k * kernel_w + kx.start) * c + first;
        for _ in kx.clone() {
            let (q, w) = (lanes::<_, N>(line, at), lanes::<_, N>(weights, from));
            for (raw, (q, w)) in raw.iter_mut().zip(q.into_iter().zip(w)) {
                let product = (i32::from(q) - src.zero_point) * i32::from(w.cast_signed());
                *raw = raw.wrapping_add(product);
            }
            at += right * c;
            from += c;
        }
    }
    raw
}

/// `N` values from `at` on, zeros behind the last.
#[inline(always)]
fn lanes<T: Copy + Default, const N: usize>(values: &[T], at: usize) -> [T; N] {
    let rest = values.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(lanes) => *lanes,
        None => core::array::from_fn(|i| rest.get(i).copied().unwrap_or_default()),
    }
}
