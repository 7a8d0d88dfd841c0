//! The matrix product of packed weights with two columns. It owns this code only and must not know layers.

use core::arch::naked_asm;

use super::bytes::{Gather, expand};
use crate::kernel::dsp::packing::{BLOCK, Epilogue};

/// Two pairs of depths of four channels and two pixels: 16 products. r12 points to weights, lr to
/// columns. Exactly 48 bytes of code, on which `gemm` counts.
macro_rules! step {
    () => {
        "ldrd r8, r9, [r12], #8
        ldrd r10, r11, [lr], #8
        smlad r2, r10, r8, r2
        smlad r3, r11, r8, r3
        sxtb16 r8, r8
        smlad r6, r10, r9, r6
        smlad r7, r11, r9, r7
        sxtb16 r9, r9
        smlad r0, r10, r8, r0
        smlad r1, r11, r8, r1
        smlad r4, r10, r9, r4
        smlad r5, r11, r9, r5
        "
    };
}

/// As [`step`], with the biases of the second pixel taken from the first.
macro_rules! first {
    () => {
        "ldrd r8, r9, [r12], #8
        ldrd r10, r11, [lr], #8
        smlad r3, r11, r8, r2
        smlad r2, r10, r8, r2
        sxtb16 r8, r8
        smlad r7, r11, r9, r6
        smlad r6, r10, r9, r6
        sxtb16 r9, r9
        smlad r1, r11, r8, r0
        smlad r0, r10, r8, r0
        smlad r5, r11, r9, r4
        smlad r4, r10, r9, r4
        "
    };
}

/// Groups of columns that one turn of a loop takes, four words each.
const TURN: usize = 8;

/// What [`gemm`] works on; it copies the fields to its stack in this order.
#[repr(C)]
pub(super) struct Gemm {
    pub(super) columns: *const u32,
    pub(super) columns_end: *const u32,
    pub(super) weights: *const u8,
    pub(super) epilogue: *const Epilogue,
    pub(super) epilogue_end: *const Epilogue,
    pub(super) out: [*mut i8; 2],
    /// Bytes of code that the first turn of the loop leaves out.
    pub(super) skip: usize,
}

impl Gemm {
    /// For [`gemm`], or for [`gemv`] where there is a `single` pixel, if it stays inside all of the slices for
    /// outputs at `at` and up to `last` bytes behind.
    #[inline]
    pub(super) fn new(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        (at, last): ([usize; 2], usize),
        single: bool,
    ) -> Option<Self> {
        let n = epilogues.len();
        let groups = columns.len() / 4;
        let fits = columns.len() == 4 * groups
            && groups > 0
            && n > 0
            && weights.len() >= n * 4 * columns.len()
            && weights.as_ptr().addr().is_multiple_of(4)
            && at[0].max(at[1]) + last + n * BLOCK <= out.len();
        // Code of one group of columns; `gemm` has one in front of the first turn.
        let (bytes, left) = match single {
            false => (96, groups.wrapping_sub(1)),
            true => (56, groups),
        };
        let missing = match left {
            0 => TURN,
            _ => left.wrapping_neg() % TURN,
        };
        let (columns, epilogue) = (columns.as_ptr_range(), epilogues.as_ptr_range());
        let out = out.as_mut_ptr();
        fits.then(|| Self {
            columns: columns.start,
            columns_end: columns.end,
            weights: weights.as_ptr(),
            epilogue: epilogue.start,
            epilogue_end: epilogue.end,
            // Inside `out`, as checked.
            out: at.map(|at| out.wrapping_add(at)),
            skip: bytes * missing,
        })
    }
}

/// Blocks of four channels for two pixels. Accumulators: r0, r2, r4, r6 of the first pixel.
///
/// # Safety
/// `columns` to `columns_end` are words in fours, at least four: the first four, then 32 a turn less
/// `skip / 24`; `weights`
/// holds as many words for each epilogue; both are aligned to 4. `epilogue` to `epilogue_end` is at
/// least one; each `out` takes four bytes for each of them.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn gemm(job: &Gemm) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r8}}",
        "adr r9, 2f",
        "add r8, r8, r9",
        "orr r8, r8, #1",
        "push {{r1-r8}}",
        "mov r12, r3",
        "1:",
        "ldrd lr, r8, [sp, #12]",
        "ldm lr, {{r0, r2, r4, r6}}",
        "ldr lr, [sp]",
        first!(),
        step!(),
        "ldr pc, [sp, #28]",
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
        requantize!(
            ["r8" "r8" "r9" "r9" "r10" "r10" "r11" "r11"],
            "ldm r12!, {{r8-r11, lr}}", "lr"
        ),
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

/// What [`pairs`] works on; it moves the places that are read and written.
#[repr(C)]
pub(super) struct Pairs {
    pub(super) gather: Gather,
    pub(super) gemm: Gemm,
    /// Bytes from the windows of one pair of pixels to those of the next.
    pub(super) ahead: usize,
    /// Bytes from the outputs of one pair to those of the next.
    pub(super) out_ahead: usize,
    pub(super) n: usize,
}

/// [`expand`], then [`gemm`], for `n` pairs of pixels.
///
/// # Safety
/// The contracts of both functions hold for every pair; `n` is at least 1.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pairs(job: &mut Pairs) {
    naked_asm!(
        processor!(),
        "push {{r4, lr}}",
        "mov r4, r0",
        "1:",
        "mov r0, r4",
        "bl {expand}",
        "add r0, r4, #24",
        "bl {gemm}",
        "ldrd r0, r1, [r4]",
        "ldrd r2, r3, [r4, #56]",
        "add r0, r0, r2",
        "add r1, r1, r2",
        "strd r0, r1, [r4]",
        "ldrd r0, r1, [r4, #44]",
        "ldr r2, [r4, #64]",
        "add r0, r0, r3",
        "add r1, r1, r3",
        "strd r0, r1, [r4, #44]",
        "subs r2, r2, #1",
        "str r2, [r4, #64]",
        "bne 1b",
        "pop {{r4, pc}}",
        expand = sym expand,
        gemm = sym gemm,
    )
}

/// Four depths of four channels and the first of two pixels: 16 products. Exactly 56 bytes of code, on
/// which [`gemv`] counts.
macro_rules! group {
    () => {
        "ldm lr!, {{r4-r7}}
        ldm r12!, {{r8-r11}}
        smlad r1, r4, r8, r1
        sxtb16 r8, r8
        smlad r3, r4, r9, r3
        sxtb16 r9, r9
        smlad r0, r4, r8, r0
        smlad r2, r4, r9, r2
        smlad r1, r6, r10, r1
        sxtb16 r10, r10
        smlad r3, r6, r11, r3
        sxtb16 r11, r11
        smlad r0, r6, r10, r0
        smlad r2, r6, r11, r2
        "
    };
}

/// Blocks of four channels for the first of two pixels; r0 to r3 accumulate, r4 to r11 hold operands.
///
/// # Safety
/// As [`gemm`], with all words of columns in turns of 32 less `skip / 14`, and the first `out` only.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn gemv(job: &Gemm) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r8}}",
        "adr r9, 2f",
        "add r8, r8, r9",
        "orr r8, r8, #1",
        "push {{r1-r8}}",
        "mov r12, r3",
        "1:",
        "ldr lr, [sp, #12]",
        "ldm lr, {{r0-r3}}",
        "ldr lr, [sp]",
        "ldr pc, [sp, #28]",
        ".p2align 2",
        "2:",
        group!(),
        group!(),
        group!(),
        group!(),
        group!(),
        group!(),
        group!(),
        group!(),
        "ldr r8, [sp, #4]",
        "cmp lr, r8",
        "bne 2b",
        "mov lr, r12",
        "ldr r12, [sp, #12]",
        "add r12, r12, #16",
        "sub r1, r1, r0",
        "sub r3, r3, r2",
        "asr r1, r1, #8",
        "asr r3, r3, #8",
        "ldm r12!, {{r4-r8}}",
        "smmlar r0, r0, r4, r0",
        "smmlar r1, r1, r5, r1",
        "smmlar r2, r2, r6, r2",
        "smmlar r3, r3, r7, r3",
        "add pc, r8",
        "nop",
        // As long as the code for eight.
        "add r0, r0, r0, asr #31",
        "add r1, r1, r1, asr #31",
        "add r2, r2, r2, asr #31",
        "add r3, r3, r3, asr #31",
        "b 3f",
        ".space 14",
        "3:",
        "ldm r12!, {{r4-r8}}",
        "smmlar r0, r0, r4, r8",
        "smmlar r1, r1, r5, r8",
        "smmlar r2, r2, r6, r8",
        "smmlar r3, r3, r7, r8",
        "ssat r0, #8, r0",
        "ssat r1, #8, r1",
        "ssat r2, #8, r2",
        "ssat r3, #8, r3",
        "ldrd r7, r8, [sp, #16]",
        "strb r0, [r8], #1",
        "strb r1, [r8], #1",
        "strb r2, [r8], #1",
        "strb r3, [r8], #1",
        "str r8, [sp, #20]",
        "str r12, [sp, #12]",
        "cmp r12, r7",
        "mov r12, lr",
        "bne 1b",
        "add sp, sp, #32",
        "pop {{r4-r11, pc}}",
    )
}

/// What [`dot4`] works on.
#[repr(C)]
pub(super) struct Dot4 {
    pub(super) rows: [*const u8; 4],
    pub(super) input: *const u32,
    pub(super) input_end: *const u32,
    pub(super) sums: [i32; 4],
}

/// `sums[i] += Σ input·rows[i]`: four bytes of each row with two words of input a turn.
///
/// # Safety
/// `input` to `input_end` are words in twos, at least two, aligned to 4; each row is readable for twice
/// as many bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn dot4(job: &mut Dot4) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "push {{r0}}",
        "ldm r0, {{r4-r7, r12, lr}}",
        "ldrd r2, r3, [r0, #32]",
        "ldrd r0, r1, [r0, #24]",
        "1:",
        "ldrd r8, r9, [r12], #8",
        "ldr r10, [r4], #4",
        "sxtb16 r11, r10, ror #8",
        "sxtb16 r10, r10",
        "smlad r0, r9, r11, r0",
        "smlad r0, r8, r10, r0",
        "ldr r10, [r5], #4",
        "sxtb16 r11, r10, ror #8",
        "sxtb16 r10, r10",
        "smlad r1, r9, r11, r1",
        "smlad r1, r8, r10, r1",
        "ldr r10, [r6], #4",
        "sxtb16 r11, r10, ror #8",
        "sxtb16 r10, r10",
        "smlad r2, r9, r11, r2",
        "smlad r2, r8, r10, r2",
        "ldr r10, [r7], #4",
        "sxtb16 r11, r10, ror #8",
        "sxtb16 r10, r10",
        "smlad r3, r9, r11, r3",
        "smlad r3, r8, r10, r3",
        "cmp r12, lr",
        "bne 1b",
        "pop {{r12}}",
        "strd r0, r1, [r12, #24]",
        "strd r2, r3, [r12, #32]",
        "pop {{r4-r11, pc}}",
    )
}
