//! Dense convolution. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, Taps, Weighted, axes, dot};
use crate::layer::Window;

/// Dense 2-D convolution with per-channel requantization.
///
/// `raw[y][x][o] = Σ_{ky,kx,i} (src[y·s+ky·d−p][x·s+kx·d−p][i] − zp_src) · w[o][ky][kx][i]`, taps
/// outside the image count 0; `dst = requantize(raw + bias[o])`.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][in_ch]` | i8 |
/// | `dst` | `[out_h][out_w][out_ch]` | i8 |
/// | `constants.weights` | `[out_ch][kernel_h][kernel_w][in_ch]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: `out_h·out_w·out_ch·kernel_h·kernel_w·in_ch`
/// MACs, no scratch. Bit-exact with TensorFlow Lite's reference `ConvPerChannel` (int8).
pub fn conv2d_s8(src: &Src<'_>, dst: &mut Dst<'_>, window: &Window, constants: &Weighted<'_>) {
    let axes = axes(src, window);
    let filter = window.taps() * src.c;
    let to = (dst.zero_point, dst.clamp);
    for (y, x, pixel) in dst.pixels() {
        let taps = Taps::of(&axes, (y, x));
        let filters = constants.weights.chunks_exact(filter.max(1));
        for (o, (out, filter)) in pixel.iter_mut().zip(filters).enumerate() {
            let raw = conv2d_sum(src, window, &taps, filter);
            *out = constants.finish(o, raw, to);
        }
    }
}

/// `raw` of one output, whose weights are `filter`.
#[inline]
pub(crate) fn conv2d_sum(src: &Src<'_>, window: &Window, taps: &Taps, filter: &[u8]) -> i32 {
    let (ky, top) = taps.rows.clone();
    let (kx, left) = &taps.columns;
    let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
    let (down, right) = (
        usize::from(window.dilation_h),
        usize::from(window.dilation_w),
    );
    // Without dilation the taps of a row are one contiguous run of input and of weights.
    let (runs, len) = match right {
        1 => (1, kx.len() * c),
        _ => (kx.len(), c),
    };
    let mut raw = 0i32;
    for (row, k) in ky.enumerate() {
        for run in 0..runs {
            let from = (k * kernel_w + kx.start + run) * c;
            let w = filter.get(from..from + len).unwrap_or(&[]);
            let q = src.run(top + row * down, left + run * right, len);
            raw = raw.wrapping_add(dot(q, w, src.zero_point));
        }
    }
    raw
}
