//! Rows of depthwise convolutions, two output pixels of four channels at a time. It owns this code only
//! and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::Strip;
use crate::kernel::dsp::packing::{BLOCK, Epilogue};

/// What a [`Kernel`] works on; it copies the fields to its stack in this order.
#[repr(C)]
struct RowJob {
    pixels: *const u32,
    pixels_end: *const u32,
    weights: *const u32,
    epilogue: *const Epilogue,
    out: *mut i8,
    step: usize,
    pitch_bytes: usize,
    /// From the last row of one pair of outputs to the first row of the next, modulo 2^32.
    back: usize,
}

type Kernel = unsafe extern "C" fn(&RowJob);

/// All rows of a strip; false if it does not fit its slices, or no kernel does.
///
/// Two outputs of a row at a time. Of an odd number the last column is left, which goes down two rows at
/// a time if there is a kernel for it; what is alone then is paired with what has been computed before.
#[inline]
pub(super) fn run(strip: &Strip<'_>, out: &mut [i8]) -> bool {
    let kernels: Option<(Kernel, Option<Kernel>)> = match (strip.kernel, strip.stride) {
        (3, 1) => Some((kernel_3_1, Some(down_3_1))),
        (3, 2) => Some((kernel_3_2, Some(down_3_2))),
        (5, 1) => Some((kernel_5_1, None)),
        (5, 2) => Some((kernel_5_2, None)),
        _ => None,
    };
    let ([n_rows, n], [line, step]) = (strip.n, strip.step);
    let (last_row, last) = (n_rows.wrapping_sub(1), n.wrapping_sub(1));
    let fits = n_rows >= 1
        && n >= 1
        && strip.pixels.len()
            >= (last_row * strip.stride + strip.kernel - 1) * strip.pitch
                + 2 * (last * strip.stride + strip.kernel)
        && strip.weights.len() >= 2 * strip.kernel * strip.kernel
        && out.len() >= last_row * line + last * step + BLOCK;
    let (Some((right, down)), true) = (kernels, fits) else {
        return false;
    };
    let down = down.filter(|_| n_rows >= 2 && n % 2 == 1);
    if n == 1 && down.is_none() {
        return false;
    }
    let bytes = 4 * strip.pitch;
    let (pixels, out) = (strip.pixels.as_ptr(), out.as_mut_ptr());
    let mut job = RowJob {
        pixels,
        pixels_end: pixels,
        weights: strip.weights.as_ptr(),
        epilogue: strip.epilogue,
        out,
        step,
        pitch_bytes: bytes,
        back: (16 * strip.stride).wrapping_sub((strip.kernel - 1) * bytes),
    };
    // Words of an even number of outputs, and from one row to the next.
    let even = 2 * (n - n % 2) * strip.stride;
    let next = strip.stride * strip.pitch;
    // The last of an odd number is paired with the one before.
    let pair_last = n % 2 == 1 && down.is_none();
    for y in 0..n_rows {
        let (pixels, row) = (pixels.wrapping_add(y * next), out.wrapping_add(y * line));
        if even > 0 {
            (job.pixels, job.pixels_end, job.out) = (pixels, pixels.wrapping_add(even), row);
            // SAFETY: `fits` covers the windows of all outputs, and these are among them.
            unsafe { right(&job) }
        }
        if pair_last {
            let first = pixels.wrapping_add(2 * (n - 2) * strip.stride);
            job.pixels = first;
            job.pixels_end = first.wrapping_add(4 * strip.stride);
            job.out = row.wrapping_add((n - 2) * step);
            // SAFETY: as above.
            unsafe { right(&job) }
        }
    }
    if let Some(down) = down {
        let (pixels, out) = (
            pixels.wrapping_add(2 * last * strip.stride),
            out.wrapping_add(last * step),
        );
        let place = |y: usize| (pixels.wrapping_add(y * next), out.wrapping_add(y * line));
        job.step = line;
        // From the last row of one pair of outputs to the first of the next.
        job.back = (2 * 4 * next).wrapping_sub((strip.kernel - 1 + strip.stride) * bytes);
        (job.pixels, job.out) = place(0);
        (job.pixels_end, _) = place(n_rows - n_rows % 2);
        // SAFETY: as above, of an even number of rows, at least two.
        unsafe { down(&job) }
        if n_rows % 2 == 1 {
            (job.pixels, job.out) = place(n_rows - 2);
            (job.pixels_end, _) = place(n_rows);
            // SAFETY: as above.
            unsafe { down(&job) }
        }
    }
    true
}

/// One tap of four channels: r8, r9 hold the pixel, r10, r11 the weights.
macro_rules! tap {
    (0) => {
        "smlabb r0, r8, r10, r0\n smlatt r2, r8, r10, r2\n smlabb r1, r9, r11, r1\n smlatt r3, r9, r11, r3\n"
    };
    (1) => {
        "smlabb r4, r8, r10, r4\n smlatt r6, r8, r10, r6\n smlabb r5, r9, r11, r5\n smlatt r7, r9, r11, r7\n"
    };
}

/// One column of a window with step 1: the first output reads what the second one read before.
macro_rules! near {
    ($second:literal) => {
        concat!(
            "ldrd r10, r11, [r12], #8\n",
            tap!(0),
            "ldrd r8, r9, [lr, #",
            $second,
            "]\n",
            tap!(1),
        )
    };
}

/// One column of a window with step 2.
macro_rules! far {
    ($first:literal, $second:literal) => {
        concat!(
            "ldrd r10, r11, [r12], #8\n ldrd r8, r9, [lr, #",
            $first,
            "]\n",
            tap!(0),
            "ldrd r8, r9, [lr, #",
            $second,
            "]\n",
            tap!(1),
        )
    };
}

macro_rules! row_3_1 {
    () => {
        concat!("ldrd r8, r9, [lr]\n", near!("8"), near!("16"), near!("24"))
    };
}
macro_rules! row_5_1 {
    () => {
        concat!(row_3_1!(), near!("32"), near!("40"))
    };
}
macro_rules! row_3_2 {
    () => {
        concat!(far!("0", "16"), far!("8", "24"), far!("16", "32"))
    };
}
macro_rules! row_5_2 {
    () => {
        concat!(row_3_2!(), far!("24", "40"), far!("32", "48"))
    };
}

/// A pixel that only the first of two outputs below each other reads.
macro_rules! upper {
    ($x:literal, $w:literal) => {
        concat!(
            "ldrd r8, r9, [lr, #",
            $x,
            "]\n ldrd r10, r11, [r12, #",
            $w,
            "]\n",
            tap!(0),
        )
    };
}

/// A pixel that only the second reads.
macro_rules! lower {
    ($x:literal, $w:literal) => {
        concat!(
            "ldrd r8, r9, [lr, #",
            $x,
            "]\n ldrd r10, r11, [r12, #",
            $w,
            "]\n",
            tap!(1),
        )
    };
}

/// A pixel that both read.
macro_rules! shared {
    ($x:literal, $first:literal, $second:literal) => {
        concat!(
            upper!($x, $first),
            "ldrd r10, r11, [r12, #",
            $second,
            "]\n",
            tap!(1),
        )
    };
}

/// On to the next row of pixels.
macro_rules! down {
    () => {
        "ldr r8, [sp, #24]\n add lr, lr, r8\n"
    };
}

/// Outputs, two at a time: `$rows` are the windows' rows with a [`down`] between them.
macro_rules! kernel {
    ($name:ident, $rows:expr) => {
        /// # Safety
        /// For each pair of outputs from `pixels` to `pixels_end`, the window's pixels are readable
        /// with rows `pitch_bytes` apart, `out` takes four bytes at either output, `weights` holds two
        /// words per tap; all but `out` are aligned to 4; there is at least one pair.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &RowJob) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "ldm r0, {{r1-r8}}",
                "push {{r1-r8}}",
                "mov lr, r1",
                "1:",
                "ldrd r12, r8, [sp, #8]",
                "ldm r8, {{r0-r3}}",
                "mov r4, r0",
                "mov r5, r1",
                "mov r6, r2",
                "mov r7, r3",
                $rows,
                "ldr r8, [sp, #28]",
                "add lr, lr, r8",
                "ldr r12, [sp, #12]",
                "add r12, r12, #16",
                requantize!("r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11"),
                "ldrd r8, r9, [sp, #16]",
                "add r10, r8, r9",
                "strb r0, [r8]",
                "strb r1, [r8, #1]",
                "strb r2, [r8, #2]",
                "strb r3, [r8, #3]",
                "strb r4, [r10]",
                "strb r5, [r10, #1]",
                "strb r6, [r10, #2]",
                "strb r7, [r10, #3]",
                "add r10, r10, r9",
                "str r10, [sp, #16]",
                "ldr r8, [sp, #4]",
                "cmp lr, r8",
                "bne 1b",
                "add sp, sp, #32",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

kernel!(
    kernel_3_1,
    concat!(row_3_1!(), down!(), row_3_1!(), down!(), row_3_1!())
);
kernel!(
    kernel_3_2,
    concat!(row_3_2!(), down!(), row_3_2!(), down!(), row_3_2!())
);
kernel!(
    down_3_1,
    concat!(
        upper!("0", "0"),
        upper!("8", "8"),
        upper!("16", "16"),
        down!(),
        shared!("0", "24", "0"),
        shared!("8", "32", "8"),
        shared!("16", "40", "16"),
        down!(),
        shared!("0", "48", "24"),
        shared!("8", "56", "32"),
        shared!("16", "64", "40"),
        down!(),
        lower!("0", "48"),
        lower!("8", "56"),
        lower!("16", "64"),
    )
);
kernel!(
    down_3_2,
    concat!(
        upper!("0", "0"),
        upper!("8", "8"),
        upper!("16", "16"),
        down!(),
        upper!("0", "24"),
        upper!("8", "32"),
        upper!("16", "40"),
        down!(),
        shared!("0", "48", "0"),
        shared!("8", "56", "8"),
        shared!("16", "64", "16"),
        down!(),
        lower!("0", "24"),
        lower!("8", "32"),
        lower!("16", "40"),
        down!(),
        lower!("0", "48"),
        lower!("8", "56"),
        lower!("16", "64"),
    )
);
kernel!(
    kernel_5_1,
    concat!(
        row_5_1!(),
        down!(),
        row_5_1!(),
        down!(),
        row_5_1!(),
        down!(),
        row_5_1!(),
        down!(),
        row_5_1!()
    )
);
kernel!(
    kernel_5_2,
    concat!(
        row_5_2!(),
        down!(),
        row_5_2!(),
        down!(),
        row_5_2!(),
        down!(),
        row_5_2!(),
        down!(),
        row_5_2!()
    )
);
