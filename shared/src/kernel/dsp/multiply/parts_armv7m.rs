//! Sums that go on from one part of the depths to the next: Cortex-M3. It owns this code only and must not know
//! layers.

use core::arch::naked_asm;

use super::GROUP_BYTES;
use crate::kernel::dsp::Sums;
use crate::kernel::dsp::packing::BLOCK;

/// What the loops work on; they copy the fields to their stack in this order.
#[repr(C)]
struct Part {
    columns: *const u32,
    columns_end: *const u32,
    weights: *const u8,
    sums: *mut i32,
    sums_end: *mut i32,
    /// Bytes from behind the weights of a block to those of the next.
    next: usize,
    /// Bytes of code that the first turn of the loop leaves out.
    skip: usize,
}

/// Adds the sums of two pixels.
///
/// # Safety
/// `columns` are words in fours, at least four; `weights`, aligned to 4, holds as many for each of the `sums`, of which
/// there is at least one, `pitch` bytes from one to the next.
pub(in crate::kernel::dsp::multiply) unsafe fn accumulate(
    columns: &[u32],
    weights: *const u8,
    pitch: usize,
    sums: &mut [Sums],
) {
    let (range, to) = (columns.as_ptr_range(), sums.as_mut_ptr_range());
    // Two groups a turn; with an odd number the first turn begins with the second. Pointers are a group behind.
    let job = Part {
        columns: range.start.wrapping_sub(4),
        columns_end: range.end.wrapping_sub(4),
        weights: weights.wrapping_sub(16),
        sums: to.start.cast(),
        sums_end: to.end.cast(),
        next: pitch - BLOCK * columns.len(),
        skip: columns.len() / 4 % 2 * GROUP_BYTES,
    };
    // SAFETY: the same contract.
    unsafe { two(&job) }
}

/// Adds the sums of one pixel.
///
/// # Safety
/// As [`accumulate`], with words of `column` in twos and twice as many of weights.
pub(in crate::kernel::dsp::multiply) unsafe fn accumulate_one(
    column: &[[u32; 2]],
    weights: *const u8,
    pitch: usize,
    sums: &mut [[i32; BLOCK]],
) {
    let (range, to) = (column.as_ptr_range(), sums.as_mut_ptr_range());
    let job = Part {
        columns: range.start.wrapping_sub(1).cast(),
        columns_end: range.end.wrapping_sub(1).cast(),
        weights: weights.wrapping_sub(16),
        sums: to.start.cast(),
        sums_end: to.end.cast(),
        next: pitch - 4 * BLOCK * column.len(),
        skip: 0,
    };
    // SAFETY: the same contract.
    unsafe { one(&job) }
}

/// Blocks of four channels for two pixels. Accumulators: r0, r2, r4, r6 of the first pixel.
///
/// # Safety
/// As [`accumulate`] makes it.
#[unsafe(naked)]
unsafe extern "C" fn two(job: &Part) {
    naked_asm!(
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
        "ldrd lr, r11, [sp]",
        "ldr pc, [sp, #24]",
        ".p2align 2",
        "2:",
        group!(),
        group!(),
        "cmp lr, r11",
        "bne 2b",
        carry_two!(),
        "add sp, sp, #28",
        "pop {{r4-r11, pc}}",
    )
}

/// Blocks of four channels for one pixel; r0 to r3 accumulate.
///
/// # Safety
/// As [`accumulate_one`] makes it.
#[unsafe(naked)]
unsafe extern "C" fn one(job: &Part) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r7}}",
        "push {{r1-r7}}",
        "mov r12, r3",
        "1:",
        "movs r0, #0\n movs r1, #0\n movs r2, #0\n movs r3, #0",
        "ldrd lr, r4, [sp]",
        // Twos of fours of depths, behind the odd one.
        "sub r5, r4, lr",
        "lsls r5, r5, #28",
        "bmi 3f",
        "2:",
        singles!(),
        "3:",
        singles!(),
        "cmp lr, r4",
        "bne 2b",
        carry_one!(),
        "add sp, sp, #28",
        "pop {{r4-r11, pc}}",
    )
}
