//! Bytes moved and turned into halfwords: Cortex-M0. It owns this code only and must not know layers.

use core::arch::naked_asm;

use super::Gather;

/// Fours of bytes of two places as halfwords: of either bytes 0 and 2, then 1 and 3 of either.
///
/// # Safety
/// `rows` times, both places `from` are readable for `4·fours` bytes, and again `skip` bytes behind
/// that; `to` takes four words for each of the fours and is aligned to 4; `fours` and `rows` are at
/// least 1.
pub(super) unsafe fn gather(job: &Gather) {
    let [first, second] = job.from;
    let shape = [job.fours, job.rows, job.skip];
    // SAFETY: the same contract, of one place; the second one's words are the next ones.
    unsafe {
        column(first, job.to, &shape);
        column(second, job.to.wrapping_add(1), &shape);
    }
}

/// One place; `shape` is fours of bytes of a row, rows, and the bytes from behind one to the next.
///
/// # Safety
/// As [`gather`], two words of four.
#[unsafe(naked)]
unsafe extern "C" fn column(from: *const i8, to: *mut u32, shape: &[usize; 3]) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "push {{r4-r6}}",
        "ldm r2!, {{r3-r5}}",
        "mov r8, r3",
        "mov r9, r4",
        "mov r10, r5",
        "movs r3, #0",
        "movs r4, #1",
        "movs r5, #2",
        "movs r6, #3",
        "1:",
        "mov r2, r8",
        "2:",
        "ldrsb r7, [r0, r3]",
        "strh r7, [r1]",
        "ldrsb r7, [r0, r4]",
        "strh r7, [r1, #8]",
        "ldrsb r7, [r0, r5]",
        "strh r7, [r1, #2]",
        "ldrsb r7, [r0, r6]",
        "strh r7, [r1, #10]",
        "adds r0, r0, #4",
        "adds r1, #16",
        "subs r2, r2, #1",
        "bne 2b",
        "add r0, r10",
        "mov r7, r9",
        "subs r7, r7, #1",
        "mov r9, r7",
        "bne 1b",
        "pop {{r4-r6}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "pop {{r4-r7, pc}}",
    )
}

/// `n` pixels of four bytes, `step` bytes apart, as halfwords: of bytes 0 and 2, then 1 and 3.
///
/// # Safety
/// `from` is readable at `n` places, `to` takes two words for each and is aligned to 4; `n >= 1`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(from: *const i8, step: usize, to: *mut [u32; 2], n: usize) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "movs r4, #0",
        "movs r5, #1",
        "subs r6, r1, #2",
        "1:",
        "ldrsb r7, [r0, r4]",
        "strh r7, [r2]",
        "ldrsb r7, [r0, r5]",
        "strh r7, [r2, #4]",
        "adds r0, r0, #2",
        "ldrsb r7, [r0, r4]",
        "strh r7, [r2, #2]",
        "ldrsb r7, [r0, r5]",
        "strh r7, [r2, #6]",
        "adds r0, r0, r6",
        "adds r2, #8",
        "subs r3, r3, #1",
        "bne 1b",
        "pop {{r4-r7, pc}}",
    )
}

/// One [pair](mod@crate::kernel::dsp::paired) of the bytes at r0 and 2 behind it; r4 and r5 hold 0 and 2, r6
/// -0x0080_0080, lr 0x8000.
macro_rules! pair {
    () => {
        concat!(
            "ldrsb r2, [r0, r4]\n lsls r2, r2, #16\n ldrsb r3, [r0, r5]\n adds r2, r2, r3\n",
            "movs r3, r6\n muls r3, r2, r3\n add r3, lr\n stm r1!, {{r2, r3}}\n",
        )
    };
}

/// `n` fours of bytes as pairs: bytes 0 and 2, then 1 and 3.
///
/// # Safety
/// `from` is readable for `4·n` bytes, `to` takes four words for each four and is aligned to 4; `n >= 1`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pair_up(from: *const i8, to: *mut [u32; 4], n: usize) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "movs r7, r2",
        "movs r6, #128",
        "lsls r3, r6, #8",
        "mov lr, r3",
        "lsls r3, r6, #16",
        "orrs r6, r3",
        "rsbs r6, r6, #0",
        "movs r4, #0",
        "movs r5, #2",
        "1:",
        pair!(),
        "adds r0, r0, #1",
        pair!(),
        "adds r0, r0, #3",
        "subs r7, r7, #1",
        "bne 1b",
        "pop {{r4-r7, pc}}",
    )
}
