//! Sums of packed weights with columns that go on from one part of the depths to the next. It owns this code only
//! and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::Sums;
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::parts::fit;

/// What [`accumulate`] and [`accumulate_one`] work on; they copy the fields to their stack in this order.
#[repr(C)]
pub(super) struct Part {
    columns: *const u32,
    columns_end: *const u32,
    weights: *const u8,
    sums: *mut i32,
    sums_end: *mut i32,
    /// Bytes from behind the weights of a block to those of the next.
    next: usize,
    /// Where the code of the first turn begins, from that of a whole one on.
    entry: usize,
    /// Where a column with half a group goes on behind that.
    behind: usize,
}

/// Bytes of code of four depths of two pixels, and of eight of one.
const FOUR_BYTES: usize = 96;
const EIGHT_BYTES: usize = 108;
/// Bytes of code in front of the first turn of [`accumulate_one`]: four depths and the way on.
const HALF_BYTES: usize = 60;

/// Bytes of code that the first turn leaves out: a loop takes `turn` groups of so many `bytes` a turn.
const fn skipped(groups: usize, turn: usize, bytes: usize) -> usize {
    match groups {
        0 => turn * bytes,
        _ => groups.wrapping_neg() % turn * bytes,
    }
}

impl Part {
    /// For columns of so many `depths`, if they fit.
    #[inline]
    fn new<T>(
        columns: &[u32],
        (depths, [entry, behind]): (usize, [usize; 2]),
        weights: &[u8],
        pitch: usize,
        sums: &mut [T],
    ) -> Option<Self> {
        let fits = fit(depths, weights, pitch, sums.len());
        let (columns, sums) = (columns.as_ptr_range(), sums.as_mut_ptr_range());
        fits.then(|| Self {
            columns: columns.start,
            columns_end: columns.end,
            weights: weights.as_ptr(),
            sums: sums.start.cast(),
            sums_end: sums.end.cast(),
            next: pitch - BLOCK * depths,
            entry,
            behind,
        })
    }

    /// For [`accumulate`], if it stays inside all of the slices.
    #[inline]
    pub(super) fn two(
        columns: &[u32],
        weights: &[u8],
        pitch: usize,
        sums: &mut [Sums],
    ) -> Option<Self> {
        let skip = skipped(columns.len() / 4, 8, FOUR_BYTES);
        Self::new(columns, (columns.len(), [skip; 2]), weights, pitch, sums)
    }

    /// For [`accumulate_one`], if it stays inside all of the slices.
    #[inline]
    pub(super) fn one(
        column: &[[u32; 2]],
        weights: &[u8],
        pitch: usize,
        sums: &mut [[i32; BLOCK]],
    ) -> Option<Self> {
        let depths = 4 * column.len();
        let behind = skipped(depths / 8, 4, EIGHT_BYTES);
        let entry = match column.len() % 2 {
            0 => behind,
            _ => HALF_BYTES.wrapping_neg(),
        };
        let code = (depths, [entry, behind]);
        Self::new(column.as_flattened(), code, weights, pitch, sums)
    }
}

/// Adds the sums of blocks of four channels and two pixels. Accumulators: r0, r2, r4, r6 of the first pixel.
///
/// # Safety
/// `columns` to `columns_end` are words in fours, at least four: whole turns of 32 less `entry / 24`; `weights` holds
/// as many words for each block, `next` bytes apart; `sums` to `sums_end` are eight words for each block, at least one.
/// All are aligned to 4.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn accumulate(job: &Part) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r7}}",
        "adr r8, 2f",
        "add r7, r7, r8",
        "orr r7, r7, #1",
        "push {{r1-r7}}",
        "mov r12, r3",
        "1:",
        "movs r0, #0\n movs r1, #0\n movs r2, #0\n movs r3, #0",
        "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0",
        "ldr lr, [sp]",
        "ldr pc, [sp, #24]",
        ".p2align 2",
        "2:",
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        "ldr r8, [sp, #4]",
        "cmp lr, r8",
        "bne 2b",
        carry_two!(),
        "add sp, sp, #28",
        "pop {{r4-r11, pc}}",
    )
}

/// Eight depths of four channels and one pixel: 32 products. Exactly [`EIGHT_BYTES`] of code.
macro_rules! eight {
    () => {
        concat!("ldm lr!, {{r4-r7}}\n", four!("r4", "r5"), four!("r6", "r7"))
    };
}

/// Adds the sums of blocks of four channels and one pixel; r0 to r3 accumulate.
///
/// # Safety
/// As [`accumulate`], with words of columns in twos, at least two, as many as `entry` and `behind` say: entry at `2`,
/// less [`HALF_BYTES`] for half a group of eight depths, then whole turns of 16 words less [`EIGHT_BYTES`] for each
/// group missing; twice as many words of weights, and four of sums for each block.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn accumulate_one(job: &Part) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r8}}",
        "adr r9, 2f",
        "orr r9, r9, #1",
        "add r7, r7, r9",
        "add r8, r8, r9",
        "push {{r1-r8}}",
        "mov r12, r3",
        "1:",
        "movs r0, #0\n movs r1, #0\n movs r2, #0\n movs r3, #0",
        "ldr lr, [sp]",
        "ldr pc, [sp, #24]",
        // Half a group in front of the first turn: 15 instructions of four bytes each.
        ".p2align 2",
        "ldrd r4, r5, [lr], #8",
        four!("r4", "r5"),
        "ldr.w pc, [sp, #28]",
        "2:",
        eight!(),
        eight!(),
        eight!(),
        eight!(),
        "ldr r8, [sp, #4]",
        "cmp lr, r8",
        "bne 2b",
        carry_one!(),
        "add sp, sp, #32",
        "pop {{r4-r11, pc}}",
    )
}
