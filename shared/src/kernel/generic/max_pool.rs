//! Maximum pooling. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, axes};
use crate::layer::Window;
use crate::quant::saturate;

/// Largest value of each window, taps inside the image only; input and output have one scale.
///
/// `dst[y][x][c] = clamp(max_{ky,kx} src[y·s+ky−p][x·s+kx−p][c])`.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][c]` | i8 |
/// | `dst` | `[out_h][out_w][c]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: no MACs, one comparison per tap and
/// channel, no scratch. Bit-exact with TensorFlow Lite's reference int8 `MaxPool`.
pub fn max_pool_s8(src: &Src<'_>, dst: &mut Dst<'_>, window: &Window) {
    let (rows, columns) = axes(src, window);
    let (c, clamp) = (src.c.max(1), dst.clamp);
    for (y, x, pixel) in dst.pixels() {
        let (ky, top) = rows.taps(y);
        let (kx, left) = columns.taps(x);
        pixel.fill(i8::MIN);
        for row in top..top + ky.len() {
            for q in src.run(row, left, kx.len() * c).chunks_exact(c) {
                for (out, &q) in pixel.iter_mut().zip(q) {
                    *out = q.max(*out);
                }
            }
        }
        for out in pixel {
            *out = saturate(i32::from(*out), clamp);
        }
    }
}
