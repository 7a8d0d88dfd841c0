//! Loops over products with MLA: Cortex-M3. It owns this code only and must not know layers.

use core::arch::naked_asm;

use super::Windows;
use crate::kernel::dsp::packing::Epilogue;

#[macro_use]
mod requantize;
#[macro_use]
mod vector;
#[path = "paired_armv7m.rs"]
mod paired;

pub(super) use paired::paired;
pub(super) use vector::vector;

/// One depth of four channels and two pixels: 8 products. lr points to columns, r12 to weights, 16 bytes
/// a group of four depths.
macro_rules! depth {
    ($x0:literal, $x1:literal, $w01:literal, $w23:literal) => {
        concat!(
            "ldrsb r8, [lr, #",
            $x0,
            "\n ldrsb r9, [lr, #",
            $x1,
            "]\n ldrsh r10, [r12, #",
            $w01,
            "\n",
            "mla r2, r8, r10, r2\n mla r3, r9, r10, r3\n sxtb r10, r10\n",
            "mla r0, r8, r10, r0\n mla r1, r9, r10, r1\n ldrsh r10, [r12, #",
            $w23,
            "]\n",
            "mla r6, r8, r10, r6\n mla r7, r9, r10, r7\n sxtb r10, r10\n",
            "mla r4, r8, r10, r4\n mla r5, r9, r10, r5\n",
        )
    };
}

/// Four depths. Exactly 224 bytes of code, on which [`gemm`] counts.
macro_rules! group {
    () => {
        concat!(
            depth!("16]!", "4", "16]!", "4"),
            depth!("2]", "6", "2]", "6"),
            depth!("1]", "5", "8]", "12"),
            depth!("3]", "7", "10]", "14"),
        )
    };
}

#[path = "parts_armv7m.rs"]
mod parts;

pub(super) use parts::{accumulate, accumulate_one};

/// What [`gemm`] works on; it copies the fields to its stack in this order.
#[repr(C)]
struct Gemm {
    columns: *const u32,
    columns_end: *const u32,
    weights: *const u8,
    epilogue: *const Epilogue,
    epilogue_end: *const Epilogue,
    out: [*mut i8; 2],
    /// Bytes of code that the first turn of the loop leaves out.
    skip: usize,
}

/// Bytes of code of one group of four depths.
const GROUP_BYTES: usize = 224;

/// All blocks for two pixels.
///
/// # Safety
/// `columns` are words in fours, at least four; `weights`, aligned to 4, holds as many for each of the
/// `epilogues`, of which there is at least one; each `out` takes four bytes for each of them.
pub(super) unsafe fn blocks(
    columns: &[u32],
    weights: *const u8,
    epilogues: &[Epilogue],
    out: [*mut i8; 2],
) {
    let (columns, epilogue) = (columns.as_ptr_range(), epilogues.as_ptr_range());
    // Two groups a turn; with an odd number the first turn begins with the second. Pointers are a group
    // behind.
    let odd = (columns.end.addr() - columns.start.addr()) / 16 % 2;
    let job = Gemm {
        columns: columns.start.wrapping_sub(4),
        columns_end: columns.end.wrapping_sub(4),
        weights,
        epilogue: epilogue.start,
        epilogue_end: epilogue.end,
        out,
        skip: odd * GROUP_BYTES,
    };
    // SAFETY: the same contract.
    unsafe { gemm(&job) }
}

/// Blocks of four channels for two pixels. Accumulators: r0, r2, r4, r6 of the first pixel.
///
/// # Safety
/// As [`blocks`], with `skip` for an odd number of groups.
#[unsafe(naked)]
unsafe extern "C" fn gemm(job: &Gemm) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r8}}",
        "adr r9, 2f",
        "add r8, r8, r9",
        "orr r8, r8, #1",
        "push {{r1-r8}}",
        "sub r12, r3, #16",
        "1:",
        "ldr lr, [sp, #12]",
        "ldm lr, {{r0, r2, r4, r6}}",
        "mov r1, r0",
        "mov r3, r2",
        "mov r5, r4",
        "mov r7, r6",
        "ldrd lr, r11, [sp]",
        "ldr pc, [sp, #28]",
        ".p2align 2",
        "2:",
        group!(),
        group!(),
        "cmp lr, r11",
        "bne 2b",
        "str r12, [sp, #8]",
        "ldr r12, [sp, #12]",
        "add r12, r12, #16",
        "sub r2, r2, r0",
        "sub r3, r3, r1",
        "sub r6, r6, r4",
        "sub r7, r7, r5",
        "asr r2, r2, #8",
        "asr r3, r3, #8",
        "asr r6, r6, #8",
        "asr r7, r7, #8",
        requantize!("r8" "r8" "r9" "r9" "r10" "r10" "r11" "r11"),
        "ldrd r8, r9, [sp, #20]",
        "strb r0, [r8], #1",
        "strb r2, [r8], #1",
        "strb r4, [r8], #1",
        "strb r6, [r8], #1",
        "strb r1, [r9], #1",
        "strb r3, [r9], #1",
        "strb r5, [r9], #1",
        "strb r7, [r9], #1",
        "strd r8, r9, [sp, #20]",
        "str r12, [sp, #12]",
        "ldr r8, [sp, #16]",
        "cmp r12, r8",
        "ldr r12, [sp, #8]",
        "bne 1b",
        "add sp, sp, #32",
        "pop {{r4-r11, pc}}",
    )
}

/// One depth of four rows of weights: r8 holds the input.
macro_rules! rows {
    ($x:literal, $w:literal) => {
        concat!(
            "ldrsh r8, [r12, #",
            $x,
            "\n",
            "ldrsb r9, [r4, #",
            $w,
            "\n mla r0, r8, r9, r0\n ldrsb r9, [r5, #",
            $w,
            "\n mla r1, r8, r9, r1\n",
            "ldrsb r9, [r6, #",
            $w,
            "\n mla r2, r8, r9, r2\n ldrsb r9, [r7, #",
            $w,
            "\n mla r3, r8, r9, r3\n",
        )
    };
}

/// `sums[i] = Σ input·rows[i]`.
///
/// # Safety
/// `input` to `end` are words in twos, at least two, aligned to 4; each row is readable for twice as many
/// bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn dot4(
    input: *const u32,
    end: *const u32,
    rows: &[*const u8; 4],
    sums: &mut [i32; 4],
) {
    naked_asm!(
        "push {{r3-r10, lr}}",
        "sub r12, r0, #8",
        "sub lr, r1, #8",
        "ldm r2, {{r4-r7}}",
        "subs r4, r4, #4",
        "subs r5, r5, #4",
        "subs r6, r6, #4",
        "subs r7, r7, #4",
        "movs r0, #0",
        "movs r1, #0",
        "movs r2, #0",
        "movs r3, #0",
        "1:",
        rows!("8]!", "4]!"),
        rows!("4]", "1]"),
        rows!("2]", "2]"),
        rows!("6]", "3]"),
        "cmp r12, lr",
        "bne 1b",
        "pop {{r12}}",
        "stm r12, {{r0-r3}}",
        "pop {{r4-r10, pc}}",
    )
}

/// One channel of a tap of two windows: lr and r10 point to pixels, r12 to weights.
macro_rules! channel {
    ($at:literal, $first:literal, $second:literal) => {
        concat!(
            "ldrsh r8, [r12",
            $at,
            "\n ldrsh r9, [lr",
            $at,
            "\n mla ",
            $first,
            ", r8, r9, ",
            $first,
            "\n ldrsh r9, [r10",
            $at,
            "\n mla ",
            $second,
            ", r8, r9, ",
            $second,
            "\n",
        )
    };
}

/// Two windows of four channels; r0 to r3 and r4 to r7 accumulate, r11 counts taps of a row.
///
/// # Safety
/// Either window's pixels and the weights are readable for two words a tap, all aligned to 4; there is a row
/// and a column at least; each `out` takes four bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn windows(job: &Windows) {
    naked_asm!(
        "push {{r0, r4-r11, lr}}",
        "ldrd lr, r12, [r0]",
        "ldrd r8, r9, [r0, #20]",
        "ldrd r11, r10, [r0, #28]",
        // Bytes to the next row, rows left, taps of a row.
        "push {{r8, r9, r11}}",
        "add r10, r10, lr",
        "ldr r8, [r0, #8]",
        "ldm r8, {{r0-r3}}",
        "mov r4, r0",
        "mov r5, r1",
        "mov r6, r2",
        "mov r7, r3",
        "1:",
        channel!(", #2]", "r2", "r6"),
        channel!(", #4]", "r1", "r5"),
        channel!(", #6]", "r3", "r7"),
        channel!("], #8", "r0", "r4"),
        "subs r11, r11, #1",
        "bne 1b",
        "ldrd r8, r9, [sp]",
        "add lr, lr, r8",
        "add r10, r10, r8",
        "ldr r11, [sp, #8]",
        "subs r9, r9, #1",
        "str r9, [sp, #4]",
        "bne 1b",
        "ldr r12, [sp, #12]",
        "ldr r12, [r12, #8]",
        "add r12, r12, #16",
        requantize!("r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11"),
        "ldr r8, [sp, #12]",
        // Not one LDRD into its base: Arm's Cortex-M3 erratum 602117.
        "ldr r9, [r8, #16]",
        "ldr r8, [r8, #12]",
        "strb r0, [r8, #0]",
        "strb r1, [r8, #1]",
        "strb r2, [r8, #2]",
        "strb r3, [r8, #3]",
        "strb r4, [r9, #0]",
        "strb r5, [r9, #1]",
        "strb r6, [r9, #2]",
        "strb r7, [r9, #3]",
        "add sp, sp, #16",
        "pop {{r4-r11, pc}}",
    )
}
