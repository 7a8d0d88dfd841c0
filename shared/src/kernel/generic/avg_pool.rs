//! Average pooling. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, axes};
use crate::layer::Window;
use crate::quant::saturate;

/// Channels summed at a time: accumulators that fit in registers or close by on the stack.
const BLOCK: usize = 16;

/// Mean of each window over the taps inside the image; input and output have one scale.
///
/// `dst[y][x][c] = clamp(round(Σ_{ky,kx} src[y·s+ky−p][x·s+kx−p][c] / n))`, `n` the taps inside the
/// image, ties away from zero.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][c]` | i8 |
/// | `dst` | `[out_h][out_w][c]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: no MACs, one addition per tap and channel,
/// one division per output, 64 bytes of stack. Bit-exact with TensorFlow Lite's reference int8
/// `AveragePool`.
pub fn avg_pool_s8(src: &Src<'_>, dst: &mut Dst<'_>, window: &Window) {
    let (rows, columns) = axes(src, window);
    let (c, clamp) = (src.c, dst.clamp);
    for (y, x, pixel) in dst.pixels() {
        let (ky, top) = rows.taps(y);
        let (kx, left) = columns.taps(x);
        let taps = i32::try_from(ky.len() * kx.len()).unwrap_or(1).max(1);
        for (block, outputs) in pixel.chunks_mut(BLOCK).enumerate() {
            let mut sums = [0i32; BLOCK];
            for row in top..top + ky.len() {
                for column in left..left + kx.len() {
                    let pixel = src.run(row, column, c);
                    let q = pixel.get(block * BLOCK..).unwrap_or(&[]);
                    for (sum, &q) in sums.iter_mut().zip(q) {
                        *sum += i32::from(q);
                    }
                }
            }
            for (out, &sum) in outputs.iter_mut().zip(&sums) {
                let half = if sum > 0 { taps / 2 } else { -(taps / 2) };
                *out = saturate((sum + half) / taps, clamp);
            }
        }
    }
}
