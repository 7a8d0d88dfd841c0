//! Dense convolution. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, Weighted, axes, dot};
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
/// | `constants.weights` | `[out_ch][kernel_h][kernel_w][in_ch]` | i8 in `-127..=127` |
///
/// Never panics if `Model::parse` accepted the blob. Cost: `out_h·out_w·out_ch·kernel_h·kernel_w·in_ch`
/// MACs, no scratch. Bit-exact with TensorFlow Lite's reference `ConvPerChannel` (int8).
pub fn conv2d_s8(src: &Src<'_>, dst: &mut Dst<'_>, window: &Window, constants: &mut Weighted<'_>) {
    let (rows, columns) = axes(src, window);
    let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
    let (row_step, column_step) = (
        usize::from(window.dilation_h),
        usize::from(window.dilation_w),
    );
    let filter = window.taps() * c;
    let to = (dst.zero_point, dst.clamp);
    let weights = constants.weights;
    for (y, x, pixel) in dst.pixels() {
        let (ky, top) = rows.taps(y);
        let (kx, left) = columns.taps(x);
        // Without dilation the taps of a row are one contiguous run of input and of weights.
        let (runs, len) = match column_step {
            1 => (1, kx.len() * c),
            _ => (kx.len(), c),
        };
        let filters = weights.chunks_exact(filter.max(1));
        for (o, (out, filter)) in pixel.iter_mut().zip(filters).enumerate() {
            let mut raw = 0i32;
            for (row, k) in ky.clone().enumerate() {
                for run in 0..runs {
                    let from = (k * kernel_w + kx.start + run) * c;
                    let w = filter.get(from..from + len).unwrap_or(&[]);
                    let q = src.run(top + row * row_step, left + run * column_step, len);
                    raw = raw.wrapping_add(dot(q, w, src.zero_point));
                }
            }
            *out = constants.finish(o, raw, to);
        }
    }
}
