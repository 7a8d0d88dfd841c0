//! Rows of depthwise convolutions, two output pixels of four channels at a time. It owns this code only
//! and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::{Filter, Slice, Strip};

/// What a [`Kernel`] works on; it copies the fields to its stack in this order, the last one aside.
#[derive(Clone, Copy)]
#[repr(C)]
struct Job {
    /// From the first output of a pair to the second, 0 for one output.
    step: usize,
    pitch_bytes: usize,
    /// From the last row of one pair of outputs to the first row of the next; this and what follows modulo
    /// 2^32.
    back: usize,
    /// Rows of outputs.
    rows: usize,
    /// Bytes from the end of one row's pairs to the first pair of the next row.
    next: usize,
    /// Bytes from the end of one row's pairs to the end of the next row's.
    row_bytes: usize,
    /// Bytes from the end of one row's outputs to the first output of the next row.
    next_out: usize,
    /// Bytes of a row's pairs.
    pairs_bytes: usize,
}

type Kernel = unsafe extern "C" fn(&Job, *const u32, &Filter, *mut i8);

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
/// Two outputs of a row at a time. Of an odd number the last column is left: two outputs below each other at a
/// time if there is a kernel for that, else each is written over what is computed beside it.
#[derive(Clone, Copy)]
pub struct Rows {
    parts: [Option<Part>; 3],
    /// Words of pixels and outputs that are there at least; more than there can be where no kernel fits.
    least: [usize; 2],
}

impl From<Strip> for Rows {
    fn from(strip: Strip) -> Self {
        let kernels: Option<(Kernel, Option<Kernel>)> = match (strip.kernel, strip.stride) {
            (3, 1) => Some((kernel_3_1, Some(down_3_1))),
            (3, 2) => Some((kernel_3_2, Some(down_3_2))),
            (5, 1) => Some((kernel_5_1, None)),
            (5, 2) => Some((kernel_5_2, None)),
            _ => None,
        };
        let none = Self {
            parts: [None; 3],
            least: [usize::MAX; 2],
        };
        let ([n_rows, n], [line, step]) = (strip.n, strip.step);
        let (Some((kernel, down)), Some(last_row), Some(last)) =
            (kernels, n_rows.checked_sub(1), n.checked_sub(1))
        else {
            return none;
        };
        // Outputs are computed in twos, from pairs of pixels.
        let columns = (last | 1) * strip.stride + strip.kernel;
        let bytes = 4 * strip.pitch;
        let row_bytes = strip.stride * bytes;
        let even = n - n % 2;
        let pairs_bytes = 8 * even * strip.stride;
        let job = Job {
            step,
            pitch_bytes: bytes,
            back: (16 * strip.stride).wrapping_sub((strip.kernel - 1) * bytes),
            rows: n_rows,
            next: row_bytes.wrapping_sub(pairs_bytes),
            row_bytes,
            next_out: line.wrapping_sub(even * step),
            pairs_bytes,
        };
        let part = |kernel, job, row: usize, x: usize| Part {
            kernel,
            job,
            pixels: row * row_bytes + 8 * x * strip.stride,
            out: row * line + x * step,
        };
        let beside = (even > 0).then(|| part(kernel, job, 0, 0));
        let below = match down.filter(|_| n_rows >= 2) {
            _ if n % 2 == 0 => [None; 2],
            None => {
                let job = Job {
                    step: 0,
                    next: row_bytes.wrapping_sub(16 * strip.stride),
                    next_out: line,
                    pairs_bytes: 16 * strip.stride,
                    ..job
                };
                [Some(part(kernel, job, 0, last)), None]
            }
            Some(down) => {
                // One row of pairs below each other.
                let job = |rows: usize| Job {
                    step: line,
                    back: (2 * row_bytes).wrapping_sub((strip.kernel - 1 + strip.stride) * bytes),
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
            parts: [beside, below[0], below[1]],
            least: [
                (last_row * strip.stride + strip.kernel - 1) * strip.pitch
                    + 2 * columns.next_multiple_of(2),
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
        if slice.pixels.len() < self.least[0] || out.len() < self.least[1] {
            return;
        }
        let (pixels, out) = (slice.pixels.as_ptr(), out.as_mut_ptr());
        for part in self.parts.iter().flatten() {
            let pixels = pixels.wrapping_byte_add(part.pixels);
            // SAFETY: `least` covers the windows of all outputs, and these are among them.
            unsafe { (part.kernel)(&part.job, pixels, slice.filter, out.wrapping_add(part.out)) }
        }
    }
}

// Where `kernel` finds the weights.
const _: () = assert!(core::mem::offset_of!(Filter, taps) == 56);

/// Outputs, two at a time, the first one in `$first` on: `$rows` are the windows' rows with a [`down`] between them.
macro_rules! kernel {
    ($name:ident, $rows:expr, [$first:literal, $second:literal]) => {
        /// # Safety
        /// In each of the `rows`, at least one, for each pair of outputs in `pairs_bytes`, at least one, the
        /// pairs of both windows' pixels are readable with rows `pitch_bytes` apart, `out` takes four bytes at
        /// either output, `filter` holds the window's pairs; `pixels` is aligned to 4.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &Job, pixels: *const u32, filter: &Filter, out: *mut i8) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "ldm r0, {{r5-r12}}",
                "mov lr, r1",
                "mov r4, r3",
                "add r3, r1, r12",
                "mov r1, r2",
                "add r0, r2, #56",
                "add r2, r2, #16",
                // Pairs of weights, biases, constants, the end of a row's pixels, outputs, then the job.
                "push {{r0-r11}}",
                "1:",
                "ldrd r12, r8, [sp]",
                "ldm r8, {{r0-r3}}",
                $rows,
                "ldr r8, [sp, #28]",
                "add lr, lr, r8",
                "ldr r12, [sp, #8]",
                requantize!(
                    "r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11",
                    "ldm r12, {{r8-r12}}", "r12"
                ),
                "ldrd r8, r9, [sp, #16]",
                "bfi r4, r5, #8, #8",
                "bfi r0, r1, #8, #8",
                "bfi r4, r6, #16, #8",
                "bfi r0, r2, #16, #8",
                "bfi r4, r7, #24, #8",
                "bfi r0, r3, #24, #8",
                concat!("str ", $second, ", [r8, r9]"),
                concat!("str ", $first, ", [r8]"),
                "add r8, r8, r9, lsl #1",
                "str r8, [sp, #16]",
                "ldr r9, [sp, #12]",
                "cmp lr, r9",
                "bne 1b",
                // The next row.
                "ldrd r10, r11, [sp, #32]",
                "subs r10, r10, #1",
                "beq 2f",
                "str r10, [sp, #32]",
                "add lr, lr, r11",
                "ldrd r10, r11, [sp, #40]",
                "add r9, r9, r10",
                "add r8, r8, r11",
                "strd r9, r8, [sp, #12]",
                "b 1b",
                "2:",
                "add sp, sp, #48",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

kernel!(
    kernel_3_1,
    concat!(
        row_3_1!(begin),
        down!(),
        row_3_1!(second),
        down!(),
        row_3_1!(second)
    ),
    ["r0", "r4"]
);
kernel!(
    kernel_3_2,
    concat!(
        row_3_2!(begin),
        down!(),
        row_3_2!(second),
        down!(),
        row_3_2!(second)
    ),
    ["r4", "r0"]
);
kernel!(
    down_3_1,
    concat!(
        same_biases!(),
        one_row!(first, ["0", "8", "16", "24"]),
        down!(),
        shared_row!(["32", "40", "48", "56"], ["0", "8", "16", "24"]),
        down!(),
        shared_row!(["64", "72", "80", "88"], ["32", "40", "48", "56"]),
        down!(),
        one_row!(second, ["64", "72", "80", "88"]),
    ),
    ["r0", "r4"]
);
kernel!(
    down_3_2,
    concat!(
        same_biases!(),
        one_row!(first, ["0", "8", "16", "24"]),
        down!(),
        one_row!(first, ["32", "40", "48", "56"]),
        down!(),
        shared_row!(["64", "72", "80", "88"], ["0", "8", "16", "24"]),
        down!(),
        one_row!(second, ["32", "40", "48", "56"]),
        down!(),
        one_row!(second, ["64", "72", "80", "88"]),
    ),
    ["r0", "r4"]
);
kernel!(
    kernel_5_1,
    concat!(
        row_5_1!(begin),
        down!(),
        row_5_1!(second),
        down!(),
        row_5_1!(second),
        down!(),
        row_5_1!(second),
        down!(),
        row_5_1!(second)
    ),
    ["r0", "r4"]
);
kernel!(
    kernel_5_2,
    concat!(
        row_5_2!(begin),
        down!(),
        row_5_2!(second),
        down!(),
        row_5_2!(second),
        down!(),
        row_5_2!(second),
        down!(),
        row_5_2!(second)
    ),
    ["r4", "r0"]
);
