//! Pools and sums, channel by channel. It owns this code only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::pool::limits;
use crate::kernel::dsp::{Area, Sum};

/// What [`pool`] works on; it moves the places that are read and written.
#[repr(C)]
pub(super) struct Pool {
    pub(super) from: *const i8,
    /// Bytes from one pixel to the next.
    pub(super) step: usize,
    pub(super) columns: usize,
    /// Bytes from behind one row to the next.
    pub(super) skip: isize,
    pub(super) rows: usize,
    /// Sixteen outputs a turn, or with a `reciprocal` of 0 eight words.
    pub(super) out: *mut i8,
    pub(super) reciprocal: i32,
    /// Turns of 16 channels.
    pub(super) n: usize,
}

impl Pool {
    /// For `n` turns from channel `at` on, if they stay inside the image of `area`.
    #[inline]
    pub(super) fn new(
        area: &Area<'_>,
        at: usize,
        n: usize,
        out: *mut i8,
        reciprocal: i32,
    ) -> Option<Self> {
        let (down, right) = (area.rows.checked_sub(1)?, area.columns.checked_sub(1)?);
        let last = area.start + at + down * area.pitch + right * area.step;
        // Signed: pixels may be wider than the distance of rows.
        let skip = area.pitch.wrapping_sub(area.columns * area.step);
        (n > 0 && last + 16 * n <= area.data.len()).then(|| Self {
            from: area.data.as_ptr().wrapping_add(area.start + at),
            step: area.step,
            columns: area.columns,
            skip: skip.cast_signed(),
            rows: area.rows,
            out,
            reciprocal,
            n,
        })
    }
}

/// One word of each pixel: bytes 0 and 2, 1 and 3.
macro_rules! word {
    ($at:literal, $even:literal, $odd:literal) => {
        concat!(
            "ldr r8, [lr, #",
            $at,
            "]\n sxtab16 ",
            $even,
            ", ",
            $even,
            ", r8\n sxtab16 ",
            $odd,
            ", ",
            $odd,
            ", r8, ror #8\n"
        )
    };
}

/// Means of the channels of a word; r8 holds the reciprocal, r9 half of a unit of 2^14.
macro_rules! mean {
    ($at0:literal, $at1:literal, $at2:literal, $at3:literal, $even:literal, $odd:literal) => {
        concat!(
            "smlawb r10, r8, ",
            $even,
            ", r9\n smlawb r11, r8, ",
            $odd,
            ", r9\n",
            "asr r10, r10, #14\n asr r11, r11, #14\n",
            "strb r10, [lr, #",
            $at0,
            "]\n strb r11, [lr, #",
            $at1,
            "]\n",
            "smlawt r10, r8, ",
            $even,
            ", r9\n smlawt r11, r8, ",
            $odd,
            ", r9\n",
            "asr r10, r10, #14\n asr r11, r11, #14\n",
            "strb r10, [lr, #",
            $at2,
            "]\n strb r11, [lr, #",
            $at3,
            "]\n",
        )
    };
}

/// Sums of pixels, 16 channels at a time in r0 to r7, and their means.
///
/// # Safety
/// From `from` on, `16·n` bytes are readable in each of `columns` places `step` apart in each of `rows`
/// rows, all three at least 1; `out` takes 16 bytes for each of `n`, or with a `reciprocal` of 0 eight
/// words, aligned to 4, of one.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pool(job: &mut Pool) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "mov r12, r0",
        "1:",
        "ldr lr, [r12]",
        "mov r0, #0",
        "mov r1, #0",
        "mov r2, #0",
        "mov r3, #0",
        "mov r4, #0",
        "mov r5, #0",
        "mov r6, #0",
        "mov r7, #0",
        "ldr r9, [r12, #4]",
        "ldr r11, [r12, #16]",
        "2:",
        "ldr r10, [r12, #8]",
        "3:",
        word!("0", "r0", "r1"),
        word!("4", "r2", "r3"),
        word!("8", "r4", "r5"),
        word!("12", "r6", "r7"),
        "add lr, lr, r9",
        "subs r10, r10, #1",
        "bne 3b",
        "ldr r10, [r12, #12]",
        "add lr, lr, r10",
        "subs r11, r11, #1",
        "bne 2b",
        "ldrd lr, r8, [r12, #20]",
        "cmp r8, #0",
        "beq 4f",
        "mov r9, #8192",
        mean!("0", "1", "2", "3", "r0", "r1"),
        mean!("4", "5", "6", "7", "r2", "r3"),
        mean!("8", "9", "10", "11", "r4", "r5"),
        mean!("12", "13", "14", "15", "r6", "r7"),
        "add lr, lr, #16",
        "ldr r8, [r12]",
        "add r8, r8, #16",
        "str r8, [r12]",
        "ldr r8, [r12, #28]",
        "str lr, [r12, #20]",
        "subs r8, r8, #1",
        "str r8, [r12, #28]",
        "bne 1b",
        "pop {{r4-r11, pc}}",
        "4:",
        "stm lr, {{r0-r7}}",
        "pop {{r4-r11, pc}}",
    )
}

/// What [`add`] works on; it copies the limits to its stack.
#[repr(C)]
pub(super) struct Add {
    pub(super) lhs: *const i8,
    pub(super) rhs: *const i8,
    pub(super) out: *mut i8,
    pub(super) out_end: *mut i8,
    pub(super) left: *const i32,
    pub(super) right: *const i32,
    pub(super) multiplier: i32,
    pub(super) shift: u32,
    pub(super) zero_point: i32,
    pub(super) limits: [u32; 2],
}

impl Add {
    /// For as many fours as all slices have; none for none.
    #[inline]
    pub(super) fn new(sum: &Sum<'_>, out: &mut [[i8; 4]]) -> Option<Self> {
        let n = out.len().min(sum.lhs.len()).min(sum.rhs.len());
        let out = out.get_mut(..n)?.as_mut_ptr_range();
        (n > 0).then(|| Self {
            lhs: sum.lhs.as_ptr().cast(),
            rhs: sum.rhs.as_ptr().cast(),
            out: out.start.cast(),
            out_end: out.end.cast(),
            left: sum.left.as_ptr(),
            right: sum.right.as_ptr(),
            multiplier: sum.output.multiplier,
            shift: sum.output.shift,
            zero_point: sum.output.zero_point,
            limits: limits(sum.clamp),
        })
    }
}

/// One of four sums into r11.
macro_rules! sum {
    ($byte:literal) => {
        concat!(
            "uxtb r11, r9",
            $byte,
            "\n uxtb r12, r10",
            $byte,
            "\n",
            "ldr r11, [r4, r11, lsl #2]\n ldr r12, [r5, r12, lsl #2]\n",
            "add r11, r11, r12\n smmlar r11, r11, r6, r11\n add r11, r11, r11, asr #31\n",
            "asrs r11, r11, r7\n adc r11, r11, r8\n ssat r11, #8, r11\n",
        )
    };
}

/// Sums of fours of values by tables; the last bit that a right shift puts into the carry rounds.
///
/// # Safety
/// `out` to `out_end` are fours of bytes, at least one; `lhs` and `rhs` are readable for as many; either
/// table has 256 words.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn add(job: &Add) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldrd r1, r2, [r0, #36]",
        "push {{r1, r2}}",
        "ldm r0, {{r0-r8}}",
        "1:",
        "ldr r9, [r0], #4",
        "ldr r10, [r1], #4",
        sum!(""),
        "uxtb lr, r11",
        sum!(", ror #8"),
        "bfi lr, r11, #8, #8",
        sum!(", ror #16"),
        "bfi lr, r11, #16, #8",
        sum!(", ror #24"),
        "bfi lr, r11, #24, #8",
        "ldrd r9, r10, [sp]",
        "ssub8 r11, lr, r9",
        "sel lr, lr, r9",
        "ssub8 r11, lr, r10",
        "sel lr, r10, lr",
        "str lr, [r2], #4",
        "cmp r2, r3",
        "bne 1b",
        "pop {{r1, r2}}",
        "pop {{r4-r11, pc}}",
    )
}
