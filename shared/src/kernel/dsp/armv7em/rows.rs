//! Rows of depthwise convolutions, two output pixels of four channels at a time. It owns the way over the outputs
//! and must not know layers.

use core::num::NonZeroUsize;

use super::turns::{
    Constants, Job, Kernel, PAIR_BYTES, PAIR_CODE_BYTES, down_3_1, down_3_2, kernel_3_1,
    kernel_3_2, kernel_5_1, kernel_5_2, kernel_any, without, without_third,
};
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::slices::MAX_PAIRS;
use crate::kernel::dsp::{Slice, Strip, div_ceil};

/// Part of a strip: its first pixels, in bytes, and its first output.
#[derive(Clone, Copy)]
struct Part {
    kernel: Kernel,
    job: Job,
    pixels: usize,
    out: usize,
}

/// A [`Strip`] in parts.
///
/// Two outputs of a row at a time. A window without a kernel of its own takes a row of it, or each of equal
/// parts of its only row, in one piece. Of an odd number the last column is left: two outputs below each other at a
/// time if there is a kernel for that, else each is written over what is computed beside it.
#[derive(Clone, Copy)]
pub struct Rows {
    parts: [Option<Part>; 2],
    /// Words of pixels and outputs that are there at least; more than there can be where no kernel fits.
    least: [usize; 2],
    /// Words of weights.
    taps: usize,
}

impl From<Strip> for Rows {
    fn from(strip: Strip) -> Self {
        let (rows, pairs) = (strip.windows.kernel[0], strip.windows.pairs);
        let [stride_down, stride] = strip.windows.stride;
        let bytes = 4 * strip.pitch;
        let (kernel, down, pitch_bytes, behind, skip): (Kernel, Option<Kernel>, _, _, _) =
            match strip.windows.square() {
                Some([3, 1]) => (kernel_3_1, Some(down_3_1), bytes, 0, 0),
                Some([3, _]) => (kernel_3_2, Some(down_3_2), bytes, 0, 0),
                Some([_, 1]) => (kernel_5_1, None, bytes, 0, 0),
                Some(_) => (kernel_5_2, None, bytes, 0, 0),
                None => {
                    // One row is in parts that follow each other.
                    let parts = NonZeroUsize::new(pairs.div_ceil(MAX_PAIRS));
                    let part = parts.map_or(0, |parts| div_ceil(pairs, parts));
                    let ahead = match rows {
                        1 => 0,
                        _ => bytes.wrapping_sub(PAIR_BYTES * pairs),
                    };
                    let behind = rows * PAIR_BYTES * pairs;
                    let behind = behind.wrapping_add(rows.wrapping_mul(ahead));
                    let skip = PAIR_CODE_BYTES * MAX_PAIRS.saturating_sub(part);
                    (kernel_any, None, ahead, behind, skip)
                }
            };
        let none = Self {
            parts: [None; 2],
            least: [usize::MAX; 2],
            taps: strip.windows.taps_len(),
        };
        let ([n_rows, n], [line, step]) = (strip.n, strip.step);
        let (Some(last_row), Some(last)) = (n_rows.checked_sub(1), n.checked_sub(1)) else {
            return none;
        };
        let row_bytes = stride_down * bytes;
        let even = n - n % 2;
        // Bytes from the pixels of one pair of outputs to those of the next.
        let beside = PAIR_BYTES * stride;
        let pairs_bytes = even / 2 * beside;
        let special = match strip.windows.square() {
            Some([3, _]) => without(strip.padding, n_rows, stride),
            _ => [
                beside.wrapping_sub(behind),
                skip,
                2 * PAIR_BYTES * rows * pairs,
            ],
        };
        let job = Job {
            step,
            more_rows: last_row,
            next: row_bytes.wrapping_sub(pairs_bytes),
            row_bytes,
            next_out: line.wrapping_sub(even * step),
            pairs_bytes,
            pitch_bytes,
            special,
        };
        let two = (even > 0).then_some(Part {
            kernel,
            job,
            pixels: 0,
            out: 0,
        });
        let of_last = |kernel, job| Part {
            kernel,
            job,
            pixels: last / 2 * beside,
            out: last * step,
        };
        let below = match down.filter(|_| n_rows >= 2) {
            _ if n % 2 == 0 => None,
            None => {
                let job = Job {
                    step: 0,
                    next: row_bytes.wrapping_sub(beside),
                    next_out: line,
                    pairs_bytes: beside,
                    ..job
                };
                Some(of_last(kernel, job))
            }
            Some(down) => {
                // One row of pairs below each other; of an odd number the last pair, again one, begins a row earlier.
                let job = Job {
                    step: line,
                    more_rows: n_rows % 2,
                    next: row_bytes.wrapping_neg(),
                    next_out: line.wrapping_neg(),
                    pairs_bytes: (n_rows - n_rows % 2) * row_bytes,
                    special: without_third(strip.padding_right, stride),
                    ..job
                };
                Some(of_last(down, job))
            }
        };
        Self {
            parts: [two, below],
            least: [
                (last_row * stride_down + rows.saturating_sub(1)) * strip.pitch
                    + BLOCK * (last / 2 * stride + pairs),
                last_row * line + last * step + BLOCK,
            ],
            ..none
        }
    }
}

impl Rows {
    /// Whether so many words of pixels and of weights, and values, are enough.
    #[inline(always)]
    pub(super) fn fit(&self, pixels: usize, taps: usize, out: usize) -> bool {
        pixels >= self.least[0] && out >= self.least[1] && taps >= self.taps
    }

    /// All outputs of a slice, if it fits.
    #[inline(always)]
    pub(super) fn run(&self, slice: &Slice<'_>, out: &mut [i8]) {
        if self.fit(slice.pixels.len(), slice.taps.len(), out.len()) {
            let constants = Constants {
                taps: slice.taps.as_ptr(),
                epilogue: slice.epilogue,
            };
            // SAFETY: it fits.
            unsafe { self.write(slice.pixels.as_ptr(), &constants, out.as_mut_ptr()) }
        }
    }

    /// All outputs of a slice.
    ///
    /// # Safety
    /// What [`Rows::fit`] asks for is readable, and `out` writable; words are aligned to 4.
    #[inline(always)]
    pub(super) unsafe fn write(&self, pixels: *const u32, constants: &Constants, out: *mut i8) {
        for part in self.parts.iter().flatten() {
            let pixels = pixels.wrapping_byte_add(part.pixels);
            // SAFETY: `least` covers the windows of all outputs, and these are among them. The counts of
            // `kernel_any` are `From<Strip>`'s, of a window that `Cut` gave: at least one row and one pair, and
            // of several rows no more than `MAX_PAIRS`, so that each of them is one part.
            unsafe { (part.kernel)(&part.job, pixels, constants, out.wrapping_add(part.out)) }
        }
    }
}
