//! Four channels of a depthwise convolution, a slice, in the form that an instruction set takes them.
//!
//! It owns that form and must not know strips, nor the order of slices.

use super::packing::BLOCK;
use super::{Lines, Simd, Slice, Strip, halves, word};

/// What a depthwise convolution needs of an instruction set. Unless it has a form of its own:
///
/// - word `4·(x/2) + c` of a row holds pixels `x` and `x + 1` of channel `c`, `x` even, as halfwords, the
///   zero point taken off;
/// - of a window's row of `k` weights, `k − 1` pairs of neighbours, `(w[i], w[i + 1])`: first of channels 0
///   and 1 in turn, then of channels 2 and 3.
///
/// So one SMLAD is two taps, of outputs at even places with pairs from an even weight on, at odd places
/// from an odd one.
pub trait Slices: Simd {
    /// [`Lines`] as [`Slices::spread_lines`] takes them, slice after slice.
    type Spread: From<Lines>;
    /// A [`Strip`] as [`Slices::rows`] takes it, slice after slice.
    type Rows: From<Strip>;

    /// What the padding of an image consists of.
    #[inline]
    fn padding(_zero_point: i32) -> u32 {
        0
    }

    /// Four weights each of `side²` taps, `step` bytes apart, in `4·side·(side − 1)` words. Gives their sums
    /// where the zero point stays in the pixels, so that it has to be taken off the bias.
    #[inline]
    fn taps(weights: &[u8], step: usize, side: usize, to: &mut [u32]) -> [i32; BLOCK] {
        let four = |tap: usize| {
            let bytes = weights.get(tap * step..).and_then(|w| w.first_chunk());
            bytes.unwrap_or(&[0; BLOCK]).map(u8::cast_signed)
        };
        let pairs = side.saturating_sub(1);
        for (row, to) in to.chunks_exact_mut((4 * pairs).max(1)).enumerate() {
            for i in 0..pairs {
                let [first, second] = [i, i + 1].map(|x| four(row * side + x));
                for (c, (first, second)) in first.into_iter().zip(second).enumerate() {
                    if let Some(to) = to.get_mut(pair(c, i, pairs)) {
                        *to = word(first.into(), second.into());
                    }
                }
            }
        }
        [0; BLOCK]
    }

    /// The pixels of `lines`, row by row, between padding. Slices that are too short give a wrong result.
    fn spread_lines(src: &[i8], lines: &Self::Spread, to: &mut [u32]);

    /// Rows of outputs into `out[y·step[0] + x·step[1] + channel]`, limited to i8. Slices that are too short
    /// give a wrong result.
    fn rows(strip: &Self::Rows, slice: &Slice<'_>, out: &mut [i8]);
}

/// [`Slices::spread_lines`] in the form that no instruction set has of its own.
#[inline]
pub(super) fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
    let [rows, n] = lines.n;
    for row in 0..rows {
        let to = to.get_mut(lines.to + row * lines.pitch..);
        let to = to.unwrap_or_default().as_chunks_mut::<BLOCK>().0;
        let src = src.get(lines.start + row * lines.down..);
        let pixels = src.unwrap_or_default().chunks(lines.step.max(1)).take(n);
        for (x, pixel) in (lines.left..).zip(pixels) {
            for (to, &q) in to.get_mut(x / 2).into_iter().flatten().zip(pixel) {
                let [low, high] = halves(*to);
                let q = i32::from(q) - lines.zero_point;
                *to = if x % 2 == 0 {
                    word(q, high)
                } else {
                    word(low, q)
                };
            }
        }
    }
}

/// Words that [`Slices::taps`] writes for a window of `side` rows and columns: those of pairs, which are more
/// than two for each tap.
#[inline]
pub(super) const fn taps_len(side: usize) -> usize {
    4 * side * side.saturating_sub(1)
}

/// Place, in a row of `pairs`, of pair `i` of channel `c`.
#[inline]
pub(super) fn pair(c: usize, i: usize, pairs: usize) -> usize {
    2 * pairs * (c / 2) + 2 * i + c % 2
}
