//! Four channels of a depthwise convolution, a slice, in the form that an instruction set takes them.
//!
//! It owns that form and must not know strips, nor the order of slices.

use core::num::NonZeroUsize;

use super::packing::{BLOCK, Epilogue, Reach, are_exact, block_channels};
use super::{Lines, Shared, Simd, Slice, Strip, Weights, Windows, div_ceil, halves, word};
use crate::quant::Requant;
use heapless::VecView;

/// Most pairs of pixels of a row that an instruction set has to take at a time.
pub(crate) const MAX_PAIRS: usize = 6;
/// Most words of expanded weights in any form that leave the pixels all of their room: of a window of 5×5
/// with stride 2.
pub(super) const TAPS_WORDS: usize = 160;

/// What a depthwise convolution needs of an instruction set. Unless it has a form of its own:
///
/// - word `4·(x/2) + c` of a row holds pixels `x` and `x + 1` of channel `c`, `x` even, as halfwords, the
///   zero point taken off;
/// - two outputs beside each other, the first at an even `x`, are computed from the same pairs of
///   pixels of each row. For each of these there are eight words of weights in the order of
///   use, of four channels for the first output, then for the second: `(w[2j], w[2j + 1])` and, with stride
///   `s`, `(w[2j − s], w[2j − s + 1])`, where weights that there are not count 0.
///
/// So one SMLAD is two taps, whatever the window and its stride.
pub trait Slices: Simd {
    /// [`Weights`] as [`Slices::taps`] takes them, slice after slice.
    type Taps: From<Weights>;
    /// [`Lines`] as [`Slices::spread_lines`] takes them, slice after slice.
    type Spread: From<Lines>;
    /// A [`Strip`] as [`Slices::rows`] takes it, slice after slice.
    type Rows: From<Strip>;

    /// What the padding of an image consists of.
    #[inline]
    fn padding(_zero_point: i32) -> u32 {
        0
    }

    /// Appends a word until there are `len`; false, and nothing done, if there is no room for all.
    #[inline]
    fn lengthen(to: &mut VecView<u32>, len: usize, word: u32) -> bool {
        to.resize(len.max(to.len()), word).is_ok()
    }

    /// Four weights of each tap in at most [`taps_len`](Windows::taps_len) words, which are padding or what
    /// this wrote before. Gives their sums where the zero point stays in the pixels, so that it has to be
    /// taken off the bias.
    fn taps(weights: &[u8], taps: &Self::Taps, to: &mut [u32]) -> [i32; BLOCK];

    /// Bias and requantization of the four channels from the first on, whose weights have these sums, between tensors
    /// of these zero points; none if they are not all there, or the fast kernels would not be exact.
    #[inline(always)]
    fn constants(
        to: &mut Epilogue,
        requant: &Requant<'_>,
        (first, sums): (usize, [i32; BLOCK]),
        [src_zero, dst_zero]: [i32; 2],
        reach: Reach,
    ) -> Option<()> {
        let channels = block_channels(requant, sums, first, src_zero)?;
        if !are_exact(&channels, reach) {
            return None;
        }
        *to = Epilogue {
            // One accumulator per channel here: no pairs.
            bias: channels.map(|channel| channel.bias),
            ..Epilogue::of(&channels, dst_zero, reach)
        };
        Some(())
    }

    /// The pixels of `lines`, row by row, between padding. Slices that are too short give a wrong result.
    fn spread_lines(src: &[i8], lines: &Self::Spread, to: &mut [u32]);

    /// Rows of outputs into `out[y·step[0] + x·step[1] + channel]`, limited to i8. Slices that are too short
    /// give a wrong result.
    fn rows(strip: &Self::Rows, slice: &Slice<'_>, out: &mut [i8]);

    /// All slices of a strip, one after the other: weights, constants, pixels of `src`, or of what they overwrite, and
    /// the outputs of each, to `out`. If the fast kernels would not be exact for one of them, its first channel, with
    /// nothing written for it.
    // One for both ways.
    #[inline(never)]
    fn slices(
        all: &Shared<'_, Self>,
        taps: &mut [u32],
        pixels: &mut [u32],
        src: Option<&[i8]>,
        out: &mut [i8],
    ) -> Option<usize> {
        all.run(taps, pixels, src, out)
    }
}

/// [`Slices::taps`] in the form that no instruction set has of its own.
#[inline]
pub(super) fn taps(weights: &[u8], taps: &Weights, to: &mut [u32]) {
    let Weights { windows, step } = taps;
    let [rows, columns] = windows.kernel;
    let (mut to, pairs) = (to.as_chunks_mut::<BLOCK>().0.iter_mut(), windows.pairs);
    for row in 0..rows {
        let weight = |i: usize, c: usize| match i < columns {
            true => weights
                .get(row * step[0] + i * step[1] + c)
                .map_or(0, |w| w.cast_signed().into()),
            false => 0,
        };
        for at in (0..pairs).flat_map(|j| [2 * j, (2 * j).wrapping_sub(windows.stride[1])]) {
            for (c, to) in to.next().into_iter().flatten().enumerate() {
                *to = word(weight(at, c), weight(at.wrapping_add(1), c));
            }
        }
    }
}

/// [`Slices::spread_lines`] in the form that no instruction set has of its own.
#[inline]
pub(super) fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
    let [rows, n] = lines.n;
    for row in 0..rows {
        let to = to.get_mut(lines.to + row * lines.pitch..);
        let to = to.unwrap_or_default().as_chunks_mut::<BLOCK>().0;
        let first = lines.start + row * lines.down;
        for (x, i) in (lines.left..).zip(0..n) {
            let pixel = src.get(first + i * lines.step..).unwrap_or_default();
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

impl Windows {
    /// Of `kernel` taps and these steps from one to the next.
    pub(crate) fn new(kernel: [usize; 2], stride: [usize; 2]) -> Self {
        let pairs = (kernel[1] + stride[1]).div_ceil(2);
        // Told to be positive, so that no division by it can panic.
        let parts = NonZeroUsize::new(pairs.div_ceil(MAX_PAIRS)).filter(|parts| parts.get() > 1);
        Self {
            kernel,
            stride,
            pairs: parts.map_or(pairs, |parts| div_ceil(pairs, parts) * parts.get()),
        }
    }

    /// Taps.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Side and stride, if they are 3 or 5 and 1 or 2 in both directions: the windows that processors with SMLAD
    /// have kernels for of their own.
    #[inline]
    pub(crate) fn square(&self) -> Option<[usize; 2]> {
        let ([rows, side], [down, stride]) = (self.kernel, self.stride);
        let known = matches!((side, stride), (3 | 5, 1 | 2)) && rows == side && down == stride;
        known.then_some([side, stride])
    }

    /// Words that [`Slices::taps`] writes at most: eight for each pair of pixels.
    #[inline]
    pub(super) fn taps_len(&self) -> usize {
        2 * BLOCK * self.kernel[0] * self.pairs
    }
}
