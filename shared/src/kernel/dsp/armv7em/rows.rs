//! Rows of depthwise convolutions, two output pixels of four channels at a time. It owns this code only
//! and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::Strip;
use crate::kernel::dsp::packing::{BLOCK, Epilogue};
use crate::kernel::dsp::slices::taps_len;

/// What a [`Kernel`] works on; it copies the fields to its stack in this order.
#[derive(Clone, Copy)]
#[repr(C)]
struct RowJob {
    pixels: *const u32,
    /// Behind the pairs of the first row.
    pixels_end: *const u32,
    weights: *const u32,
    epilogue: *const Epilogue,
    /// Those of `epilogue` behind the biases.
    constants: *const [i32; BLOCK],
    out: *mut i8,
    /// From the first output of a pair to the second, 0 for one output.
    step: usize,
    pitch_bytes: usize,
    /// From the last row of one pair of outputs to the first row of the next; this and what follows modulo
    /// 2^32.
    back: usize,
    /// Rows of outputs.
    rows: usize,
    /// From behind the pairs of one row to the first pair of the next.
    next: usize,
    /// From `pixels_end` of one row to that of the next.
    row_bytes: usize,
    /// From behind the outputs of one row to the first one of the next.
    next_out: usize,
}

type Kernel = unsafe extern "C" fn(&RowJob);

/// All rows of a strip; false if it does not fit its slices, or no kernel does.
///
/// Two outputs of a row at a time. Of an odd number the last column is left: see [`last_column`].
#[inline(always)]
pub(super) fn run(strip: &Strip<'_>, out: &mut [i8]) -> bool {
    let kernel: Kernel = match (strip.kernel, strip.stride) {
        (3, 1) => kernel_3_1,
        (3, 2) => kernel_3_2,
        (5, 1) => kernel_5_1,
        (5, 2) => kernel_5_2,
        _ => return false,
    };
    let ([n_rows, n], [line, step]) = (strip.n, strip.step);
    let (last_row, last) = (n_rows.wrapping_sub(1), n.wrapping_sub(1));
    // Outputs are computed in twos, from pairs of pixels.
    let columns = (last | 1) * strip.stride + strip.kernel;
    let fits = n_rows >= 1
        && n >= 1
        && strip.pixels.len()
            >= (last_row * strip.stride + strip.kernel - 1) * strip.pitch
                + 2 * columns.next_multiple_of(2)
        && strip.weights.len() >= taps_len(strip.kernel)
        && out.len() >= last_row * line + last * step + BLOCK;
    if !fits {
        return false;
    }
    let bytes = 4 * strip.pitch;
    let epilogue: *const Epilogue = strip.epilogue;
    let row_bytes = strip.stride * bytes;
    let even = n - n % 2;
    let job = RowJob {
        pixels: strip.pixels.as_ptr(),
        pixels_end: strip.pixels.as_ptr().wrapping_add(2 * even * strip.stride),
        weights: strip.weights.as_ptr(),
        epilogue,
        constants: epilogue.cast::<[i32; BLOCK]>().wrapping_add(1),
        out: out.as_mut_ptr(),
        step,
        pitch_bytes: bytes,
        back: (16 * strip.stride).wrapping_sub((strip.kernel - 1) * bytes),
        rows: n_rows,
        next: row_bytes.wrapping_sub(8 * even * strip.stride),
        row_bytes,
        next_out: line.wrapping_sub(even * step),
    };
    if even > 0 {
        // SAFETY: `fits` covers the windows of all outputs, and these are among them.
        unsafe { kernel(&job) }
    }
    if n % 2 == 1 {
        // SAFETY: as above; `fits` covers the pixels of one column more.
        unsafe { last_column(strip, job, kernel) }
    }
    true
}

/// The last of an odd number of columns: two outputs below each other at a time if there is a kernel for that,
/// else each is written over what is computed beside it.
///
/// # Safety
/// `job` holds for `kernel` with one column more.
#[inline(never)]
unsafe fn last_column(strip: &Strip<'_>, job: RowJob, kernel: Kernel) {
    let ([n_rows, n], line) = (strip.n, strip.step[0]);
    let down: Option<Kernel> = match (strip.kernel, strip.stride) {
        (3, 1) => Some(down_3_1),
        (3, _) => Some(down_3_2),
        _ => None,
    };
    let pixels = job.pixels_end;
    let mut job = RowJob {
        pixels,
        out: job.out.wrapping_add((n - 1) * job.step),
        ..job
    };
    let Some(down) = down.filter(|_| n_rows >= 2) else {
        job.pixels_end = pixels.wrapping_add(4 * strip.stride);
        (job.step, job.next_out) = (0, line);
        job.next = job.row_bytes.wrapping_sub(16 * strip.stride);
        // SAFETY: the same contract.
        return unsafe { kernel(&job) };
    };
    let place = |y: usize| pixels.wrapping_byte_add(y * job.row_bytes);
    (job.step, job.rows) = (line, 1);
    // From the last row of one pair of outputs to the first of the next.
    job.back =
        (2 * job.row_bytes).wrapping_sub((strip.kernel - 1 + strip.stride) * job.pitch_bytes);
    job.pixels_end = place(n_rows - n_rows % 2);
    // SAFETY: the same contract, of an even number of rows, at least two.
    unsafe { down(&job) }
    if n_rows % 2 == 1 {
        (job.pixels, job.pixels_end) = (place(n_rows - 2), place(n_rows));
        job.out = job.out.wrapping_add((n_rows - 2) * line);
        // SAFETY: as above.
        unsafe { down(&job) }
    }
}

/// Outputs, two at a time: `$rows` are the windows' rows with a [`down`] between them.
macro_rules! kernel {
    ($name:ident, $rows:expr) => {
        /// # Safety
        /// In each of the `rows`, at least one, for each pair of outputs from `pixels` to `pixels_end`, at
        /// least one, the pairs of both windows' pixels are readable with rows `pitch_bytes` apart, `out` takes four bytes
        /// at either output, `weights` holds the window's pairs; all but `out` are aligned to 4.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &RowJob) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "ldm r0, {{r1-r12, lr}}",
                "push {{r1-r12, lr}}",
                "mov lr, r1",
                "1:",
                "ldrd r12, r8, [sp, #8]",
                "ldm r8, {{r0-r3}}",
                $rows,
                "ldr r8, [sp, #32]",
                "add lr, lr, r8",
                "ldr r12, [sp, #16]",
                requantize!(
                    "r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11",
                    "ldm r12, {{r8-r12}}", "r12"
                ),
                "ldrd r8, r9, [sp, #20]",
                "bfi r4, r5, #8, #8",
                "bfi r0, r1, #8, #8",
                "bfi r4, r6, #16, #8",
                "bfi r0, r2, #16, #8",
                "bfi r4, r7, #24, #8",
                "bfi r0, r3, #24, #8",
                "str r4, [r8, r9]",
                "str r0, [r8]",
                "add r8, r8, r9, lsl #1",
                "str r8, [sp, #20]",
                "ldr r9, [sp, #4]",
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
                "str r9, [sp, #4]",
                "str r8, [sp, #20]",
                "b 1b",
                "2:",
                "add sp, sp, #52",
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
    )
);
kernel!(
    kernel_3_2,
    concat!(
        row_3_2!(begin),
        down!(),
        row_3_2!(second),
        down!(),
        row_3_2!(second)
    )
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
    )
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
    )
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
    )
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
    )
);
