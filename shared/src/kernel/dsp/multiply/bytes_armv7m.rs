//! Bytes moved and turned into halfwords: Cortex-M3. It owns this code only and must not know layers.

use core::arch::naked_asm;

use super::Gather;

/// Fours of bytes of two places, side by side in 16 bytes.
///
/// # Safety
/// `rows` times, both places `from` are readable for `4·fours` bytes, and again `skip` bytes behind
/// that; `to` takes four words for each of the fours and is aligned to 4; `fours` and `rows` are at
/// least 1.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn gather(job: &Gather) {
    naked_asm!(
        "push {{r4-r6, lr}}",
        "ldm r0, {{r0-r5}}",
        "1:",
        "mov r6, r3",
        "2:",
        "ldr r12, [r0], #4",
        "ldr lr, [r1], #4",
        "strd r12, lr, [r2], #16",
        "subs r6, r6, #1",
        "bne 2b",
        "add r0, r0, r5",
        "add r1, r1, r5",
        "subs r4, r4, #1",
        "bne 1b",
        "pop {{r4-r6, pc}}",
    )
}

/// `n` pixels of four bytes, `step` bytes apart, as halfwords: of bytes 0 and 2, then 1 and 3.
///
/// # Safety
/// `from` is readable at `n` places, `to` takes two words for each and is aligned to 4; `n >= 1`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(from: *const i8, step: usize, to: *mut [u32; 2], n: usize) {
    naked_asm!(
        "push {{r4, r5}}",
        "1:",
        "ldrsb r12, [r0, #1]",
        "ldrsb r4, [r0, #2]",
        "ldrsb r5, [r0, #3]",
        "strh r12, [r2, #4]",
        "ldrsb r12, [r0]",
        "strh r4, [r2, #2]",
        "strh r5, [r2, #6]",
        "strh r12, [r2], #8",
        "add r0, r0, r1",
        "subs r3, r3, #1",
        "bne 1b",
        "pop {{r4, r5}}",
        "bx lr",
    )
}

/// `n` fours of bytes as [pairs](mod@crate::kernel::dsp::paired): bytes 0 and 2, then 1 and 3.
///
/// # Safety
/// `from` is readable for `4·n` bytes, `to` takes four words for each four and is aligned to 4; `n >= 1`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pair_up(from: *const i8, to: *mut [u32; 4], n: usize) {
    naked_asm!(
        "push {{r4-r6, lr}}",
        "mov r12, #0x00800080",
        "mov lr, #0x8000",
        "1:",
        "ldrsb r3, [r0], #4",
        "ldrsb r4, [r0, #-3]",
        "ldrsb r5, [r0, #-2]",
        "ldrsb r6, [r0, #-1]",
        "add r3, r5, r3, lsl #16",
        "add r5, r6, r4, lsl #16",
        "mls r4, r3, r12, lr",
        "mls r6, r5, r12, lr",
        "stm r1!, {{r3-r6}}",
        "subs r2, r2, #1",
        "bne 1b",
        "pop {{r4-r6, pc}}",
    )
}
