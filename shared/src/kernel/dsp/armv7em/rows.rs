//! Rows of depthwise convolutions, two output pixels of four channels at a time. It owns this code only
//! and must not know layers.

use core::arch::naked_asm;
use core::num::NonZeroUsize;

use crate::kernel::dsp::packing::{BLOCK, Epilogue};
use crate::kernel::dsp::slices::MAX_PAIRS;
use crate::kernel::dsp::{Slice, Strip, div_ceil};

/// What a [`Kernel`] works on; it loads the fields in this order.
#[derive(Clone, Copy)]
#[repr(C)]
struct Job {
    /// From the first output of a pair to the second, 0 for one output.
    step: usize,
    /// Rows of outputs.
    rows: usize,
    /// Bytes from the end of one row's pairs to the first pair of the next row; this and what follows modulo
    /// 2^32.
    next: usize,
    /// Bytes from the end of one row's pairs to the end of the next row's.
    row_bytes: usize,
    /// Bytes from the end of one row's outputs to the first output of the next row.
    next_out: usize,
    /// Bytes of a row's pairs.
    pairs_bytes: usize,
    /// From one row of pixels to the next; in `kernel_any` from behind a part of a row to the next one.
    pitch_bytes: usize,
    /// For `kernel_any`: bytes from where a part would follow the last one to the next pair of outputs, bytes of code
    /// for pairs of pixels that a part has none for, and bytes of all weights.
    streamed: [usize; 3],
}

type Kernel = unsafe extern "C" fn(&Job, *const u32, &Constants, *mut i8);

/// What is the same for all outputs of a slice.
#[repr(C)]
struct Constants {
    taps: *const u32,
    epilogue: *const Epilogue,
}

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
    parts: [Option<Part>; 3],
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
            parts: [None; 3],
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
        let job = Job {
            step,
            rows: n_rows,
            next: row_bytes.wrapping_sub(pairs_bytes),
            row_bytes,
            next_out: line.wrapping_sub(even * step),
            pairs_bytes,
            pitch_bytes,
            streamed: [
                beside.wrapping_sub(behind),
                skip,
                2 * PAIR_BYTES * rows * pairs,
            ],
        };
        let part = |kernel, job, row: usize, x: usize| Part {
            kernel,
            job,
            pixels: row * row_bytes + x / 2 * beside,
            out: row * line + x * step,
        };
        let two = (even > 0).then(|| part(kernel, job, 0, 0));
        let below = match down.filter(|_| n_rows >= 2) {
            _ if n % 2 == 0 => [None; 2],
            None => {
                let job = Job {
                    step: 0,
                    next: row_bytes.wrapping_sub(beside),
                    next_out: line,
                    pairs_bytes: beside,
                    ..job
                };
                [Some(part(kernel, job, 0, last)), None]
            }
            Some(down) => {
                // One row of pairs below each other.
                let job = |rows: usize| Job {
                    step: line,
                    rows: 1,
                    pairs_bytes: rows * row_bytes,
                    ..job
                };
                let even_rows = n_rows - n_rows % 2;
                let odd = (n_rows % 2 == 1).then(|| part(down, job(2), n_rows - 2, last));
                [Some(part(down, job(even_rows), 0, last)), odd]
            }
        };
        Self {
            parts: [two, below[0], below[1]],
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
    /// All outputs of a slice, if it fits.
    #[inline(always)]
    pub(super) fn run(&self, slice: &Slice<'_>, out: &mut [i8]) {
        if slice.pixels.len() < self.least[0]
            || out.len() < self.least[1]
            || slice.taps.len() < self.taps
        {
            return;
        }
        let (pixels, out) = (slice.pixels.as_ptr(), out.as_mut_ptr());
        let constants = Constants {
            taps: slice.taps.as_ptr(),
            epilogue: slice.epilogue,
        };
        for part in self.parts.iter().flatten() {
            let pixels = pixels.wrapping_byte_add(part.pixels);
            // SAFETY: `least` covers the windows of all outputs, and these are among them. The counts of
            // `kernel_any` are `From<Strip>`'s, of a window that `Cut` gave: at least one row and one pair, and
            // of several rows no more than `MAX_PAIRS`, so that each of them is one part.
            unsafe { (part.kernel)(&part.job, pixels, &constants, out.wrapping_add(part.out)) }
        }
    }
}

/// Bytes of a pair of pixels of four channels.
const PAIR_BYTES: usize = 16;
/// Bytes of code for one, on which [`kernel_any`] counts.
const PAIR_CODE_BYTES: usize = 56;

/// Outputs, two at a time, the first one in `$first` on: `$rows` are the windows' rows with a [`down`] between
/// them, behind which lr points to the next pair of outputs. `$enter`, which may change r4 to r11, leaves the stack
/// `$frame` bytes less 52 deeper; `$walks` is what the rows have in r12.
macro_rules! kernel {
    ($name:ident, $rows:expr, [$first:literal, $second:literal],
        [$enter:expr, $walks:literal, $frame:literal]) => {
        /// # Safety
        /// In each of the `rows`, at least one, for each pair of outputs in `pairs_bytes`, at least one, the
        /// pairs of both windows' pixels are readable with rows `pitch_bytes` apart, `out` takes four bytes at
        /// either output; `constants` are readable, with all of the window's weights; `pixels` is aligned to 4.
        /// In `kernel_any` `pitch_bytes` lie between parts of rows, see [`Job::streamed`]: those are
        /// `PAIR_CODE_BYTES` for each pair fewer than `MAX_PAIRS` that a part has, of at least one, and a
        /// positive multiple of the bytes of a part's weights.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            job: &Job,
            pixels: *const u32,
            constants: &Constants,
            out: *mut i8,
        ) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "mov lr, r1",
                "mov r12, r3",
                "ldrd r1, r2, [r2]",
                $enter,
                // The end of a row's pixels, outputs, then the job.
                "mov r4, r12",
                "ldm r0, {{r5-r11}}",
                "add r3, lr, r10",
                "push {{r3-r9}}",
                // Biases, rows of pixels or weights, constants.
                "ldm r2!, {{r4-r7}}",
                concat!("mov r8, ", $walks),
                "mov r9, r2",
                "push {{r4-r9}}",
                "1:",
                "ldm sp, {{r0-r3, r12}}",
                $rows,
                "ldr r12, [sp, #20]",
                requantize!(
                    "r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11",
                    "ldm r12, {{r8-r12}}", "r12"
                ),
                "ldrd r8, r9, [sp, #28]",
                "bfi r4, r5, #8, #8",
                "bfi r0, r1, #8, #8",
                "bfi r4, r6, #16, #8",
                "bfi r0, r2, #16, #8",
                "bfi r4, r7, #24, #8",
                "bfi r0, r3, #24, #8",
                concat!("str ", $second, ", [r8, r9]"),
                concat!("str ", $first, ", [r8]"),
                "add r8, r8, r9, lsl #1",
                "str r8, [sp, #28]",
                "ldr r9, [sp, #24]",
                "cmp lr, r9",
                "bne 1b",
                // The next row.
                "ldrd r10, r11, [sp, #36]",
                "subs r10, r10, #1",
                "beq 2f",
                "str r10, [sp, #36]",
                "add lr, lr, r11",
                "ldrd r10, r11, [sp, #44]",
                "add r9, r9, r10",
                "add r8, r8, r11",
                "strd r9, r8, [sp, #24]",
                "b 1b",
                "2:",
                concat!("add sp, sp, #", $frame),
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

kernel!(
    kernel_3_1,
    concat!(
        row_3_1!(begin "0"),
        down!(),
        row_3_1!(second "1"),
        down!(),
        row_3_1!(last "2")
    ),
    ["r0", "r4"],
    [enter_square!("3"), "r11", "148"]
);
kernel!(
    kernel_3_2,
    concat!(
        row_3_2!(begin "0"),
        down!(),
        row_3_2!(second "1"),
        down!(),
        row_3_2!(last "2")
    ),
    ["r4", "r0"],
    [enter_square!("3"), "r11", "148"]
);
kernel!(
    down_3_1,
    concat!(
        same_biases!(),
        one_row!(first, "0"),
        down!(),
        shared_row!("1", "0"),
        down!(),
        shared_row!("2", "1"),
        down!(),
        one_row!(second, "2"),
        up!("0"),
    ),
    ["r0", "r4"],
    [enter_square!("3"), "r11", "148"]
);
kernel!(
    down_3_2,
    concat!(
        same_biases!(),
        one_row!(first, "0"),
        down!(),
        one_row!(first, "1"),
        down!(),
        shared_row!("2", "0"),
        down!(),
        one_row!(second, "1"),
        down!(),
        one_row!(second, "2"),
    ),
    ["r0", "r4"],
    [enter_square!("3"), "r11", "148"]
);
kernel!(
    kernel_5_1,
    concat!(
        row_5_1!(begin "0"),
        down!(),
        row_5_1!(second "1"),
        down!(),
        row_5_1!(second "2"),
        down!(),
        row_5_1!(second "3"),
        down!(),
        row_5_1!(last "4")
    ),
    ["r0", "r4"],
    [enter_square!("10"), "r11", "372"]
);
kernel!(
    kernel_5_2,
    concat!(
        row_5_2!(begin "0"),
        down!(),
        row_5_2!(second "1"),
        down!(),
        row_5_2!(second "2"),
        down!(),
        row_5_2!(second "3"),
        down!(),
        row_5_2!(last "4")
    ),
    ["r4", "r0"],
    [enter_square!("10"), "r11", "372"]
);
kernel!(
    kernel_any,
    any_row!(),
    ["r0", "r4"],
    [enter_any!(), "r1", "68"]
);
