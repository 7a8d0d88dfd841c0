//! Inputs of tiles of 3×3 convolutions, transformed. It owns this code only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::winograd::{FOUR_WORDS, PATCH, Patch};

/// What [`transform`] works on; it copies the fields to its stack in this order.
#[repr(C)]
pub(super) struct Transform {
    from: *const i8,
    /// Bytes from one row, and one pixel, to the next.
    line: usize,
    pixel: usize,
    to: *mut u32,
    to_end: *mut u32,
}

impl Transform {
    /// If `src` holds the patch, and `to` whole fours of its channels.
    #[inline]
    pub(super) fn new(src: &[i8], patch: &Patch, to: &mut [u32]) -> Option<Self> {
        let fours = to.len() / FOUR_WORDS;
        let fits = fours > 0
            && to.len() == FOUR_WORDS * fours
            && patch.end(PATCH, 4 * fours)? <= src.len();
        let to = to.as_mut_ptr_range();
        fits.then(|| Self {
            // Inside `src`, as checked.
            from: src.as_ptr().wrapping_add(patch.start),
            line: patch.line,
            pixel: patch.pixel,
            to: to.start,
            to_end: to.end,
        })
    }
}

/// Across a row of inputs, in order of use: of six halfwords in r2, r3, r10, r11, lr and r0 those of both tiles, to
/// `$at` and `$more` bytes from the stack pointer on. r12 is lost.
macro_rules! across {
    ($at:literal, $more:literal) => {
        concat!(
            "ssub16 r2, r2, r10\n ssub16 r0, r11, r0\n ssub16 r12, r10, lr\n",
            "strd r2, r12, [sp, #16+",
            $at,
            "+",
            $more,
            "]\n ssub16 r2, r3, r11\n strd r2, r0, [sp, #24+",
            $at,
            "+",
            $more,
            "]\n sadd16 r2, r3, r10\n sadd16 r12, r11, lr\n strd r2, r12, [sp, #",
            $at,
            "+",
            $more,
            "]\n ssub16 r2, r10, r3\n ssub16 r12, lr, r11\n strd r2, r12, [sp, #8+",
            $at,
            "+",
            $more,
            "]\n",
        )
    };
}

/// A row of six pixels at r1, which goes on by a row, to `$at` bytes from the stack pointer on: bytes 0 and 2, then 1
/// and 3.
macro_rules! row {
    ($at:literal) => {
        concat!(
            "ldr r12, [sp, #8]\n add r2, r12, r12, lsl #1\n add r3, r12, r12, lsl #2\n",
            "ldr r4, [r1]\n ldr r5, [r1, r12]\n ldr r6, [r1, r12, lsl #1]\n",
            "ldr r7, [r1, r2]\n ldr r8, [r1, r12, lsl #2]\n ldr r9, [r1, r3]\n",
            "ldr r12, [sp, #4]\n add r1, r1, r12\n",
            "sxtb16 r2, r4\n sxtb16 r3, r5\n sxtb16 r10, r6\n",
            "sxtb16 r11, r7\n sxtb16 lr, r8\n sxtb16 r0, r9\n",
            across!($at, "0"),
            "sxtb16 r2, r4, ror #8\n sxtb16 r3, r5, ror #8\n sxtb16 r10, r6, ror #8\n",
            "sxtb16 r11, r7, ror #8\n sxtb16 lr, r8, ror #8\n sxtb16 r0, r9, ror #8\n",
            across!($at, "32"),
        )
    };
}

/// Down a column of both tiles, which lies in four rows `$at` bytes from the stack pointer on, to `$to` bytes from r12
/// on.
macro_rules! column {
    ($at:literal, $to:literal) => {
        concat!(
            "ldrd r0, r1, [sp, #24+",
            $at,
            "]\n ldrd r2, r3, [sp, #88+",
            $at,
            "]\n ldrd r4, r5, [sp, #152+",
            $at,
            "]\n ldrd r6, r7, [sp, #216+",
            $at,
            "]\n sadd16 r8, r2, r4\n sadd16 r9, r3, r5\n strd r8, r9, [r12, #",
            $to,
            "]\n ssub16 r8, r4, r2\n ssub16 r9, r5, r3\n strd r8, r9, [r12, #16+",
            $to,
            "]\n ssub16 r0, r0, r4\n ssub16 r1, r1, r5\n strd r0, r1, [r12, #32+",
            $to,
            "]\n ssub16 r2, r2, r6\n ssub16 r3, r3, r7\n strd r2, r3, [r12, #48+",
            $to,
            "]\n",
        )
    };
}

/// The transformed inputs of two tiles, four channels at a time.
///
/// # Safety
/// From `from` on four bytes for each 64 words from `to` to `to_end`, at least one time, are readable at six places
/// `pixel` apart in each of four rows, `line` apart; `to` is aligned to 4.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn transform(job: &Transform) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r5}}",
        // The job, and four rows.
        "sub sp, sp, #280",
        "stm sp, {{r1-r5}}",
        "1:",
        row!("24"),
        row!("88"),
        row!("152"),
        row!("216"),
        "ldr r12, [sp, #12]",
        column!("0", "0"),
        column!("8", "64"),
        column!("16", "128"),
        column!("24", "192"),
        column!("32", "8"),
        column!("40", "72"),
        column!("48", "136"),
        column!("56", "200"),
        "add r12, r12, #256",
        "ldr r1, [sp]",
        "ldr r2, [sp, #16]",
        "add r1, r1, #4",
        "str r1, [sp]",
        "str r12, [sp, #12]",
        "cmp r12, r2",
        "bne.w 1b",
        "add sp, sp, #280",
        "pop {{r4-r11, pc}}",
    )
}
