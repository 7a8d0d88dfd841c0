//! Depthwise convolution whose output lies over its input. It owns this operator only and must not know
//! the graph around it.

use crate::kernel::over::KEPT;
use crate::kernel::{Over, Weighted, axes};
use crate::layer::Window;

/// Most channels whose rows are kept at a time.
const BLOCK: usize = 16;

/// [`super::depthwise_conv2d_s8`] of the channels of `image` from `first` on, whose output takes the place of
/// the input and is not larger.
///
/// The rows that a window spans are kept before they are overwritten, a few channels at a time: a row of
/// outputs ends before the first row of inputs that is not kept yet, as windows step by a row at least and
/// rows of outputs are no longer. Never panics if `Model::parse` accepted the blob. Cost: MACs as the other,
/// 4 KiB of stack.
// Apart, as faster kernels call it with scratch of their own on the stack.
#[inline(never)]
pub fn depthwise_conv2d_over_s8(
    image: &mut Over<'_>,
    first: usize,
    window: &Window,
    constants: &Weighted<'_>,
) {
    let [reach, _] = window.reach();
    let row = (reach * image.from[1]).max(1);
    let block = (KEPT / row).min(BLOCK);
    if block == 0 {
        return;
    }
    let mut kept = [0; KEPT];
    let mut channel = first;
    while channel < image.c {
        let n = block.min(image.c - channel);
        channels(image, [channel, n, reach], window, constants, &mut kept);
        channel += n;
    }
}

/// `n` channels from `first` on, of which `reach` rows are kept.
fn channels(
    image: &mut Over<'_>,
    [first, n, reach]: [usize; 3],
    window: &Window,
    constants: &Weighted<'_>,
    kept: &mut [i8; KEPT],
) {
    let (rows, columns) = axes(&image.src(), window);
    let ([h, w], [out_h, out_w], c) = (image.from, image.to, image.c);
    let weights = constants.weights;
    let to = (image.zero_points[1], image.clamp);
    let line = w * n;
    let mut next = 0;
    for y in 0..out_h {
        let (ky, top) = rows.taps(y);
        let end = (y * usize::from(window.stride_h) + reach)
            .saturating_sub(window.pad_top.into())
            .min(h);
        while next < end {
            let slot = kept
                .get_mut(next % reach.max(1) * line..)
                .unwrap_or_default();
            let from = image.data.get(next * w * c + first..).unwrap_or_default();
            for (to, pixel) in slot
                .chunks_exact_mut(n.max(1))
                .take(w)
                .zip(from.chunks(c.max(1)))
            {
                to.iter_mut().zip(pixel).for_each(|(to, &q)| *to = q);
            }
            next += 1;
        }
        for x in 0..out_w {
            let (kx, left) = columns.taps(x);
            for i in 0..n {
                let mut raw = 0i32;
                for (row, ky) in ky.clone().enumerate() {
                    let row = top + row * usize::from(window.dilation_h);
                    let start = row % reach.max(1) * line;
                    for (column, kx) in kx.clone().enumerate() {
                        let column = left + column * usize::from(window.dilation_w);
                        let q = kept.get(start + column * n + i).copied().unwrap_or(0);
                        let tap = ky * usize::from(window.kernel_w) + kx;
                        let weight = weights.get(tap * c + first + i).copied().unwrap_or(0);
                        let q = i32::from(q) - image.zero_points[0];
                        raw = raw.wrapping_add(q * i32::from(weight.cast_signed()));
                    }
                }
                let out = constants.finish(first + i, raw, to);
                if let Some(place) = image.data.get_mut((y * out_w + x) * c + first + i) {
                    *place = out;
                }
            }
        }
    }
}
