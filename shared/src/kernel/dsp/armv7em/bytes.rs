//! Bytes moved and turned into halfwords. It owns this code only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::Rows;

/// What [`expand`] works on.
#[repr(C)]
pub(super) struct Gather {
    pub(super) from: [*const i8; 2],
    pub(super) to: *mut u32,
    /// Fours of bytes of a row.
    pub(super) fours: usize,
    pub(super) rows: usize,
    /// Bytes from behind a row to the next one.
    pub(super) skip: usize,
}

impl Gather {
    /// For windows at `starts`, if it stays inside `src` and `to` from there to `last`
    /// bytes behind.
    #[inline]
    pub(super) fn new(
        src: &[i8],
        starts: [usize; 2],
        last: usize,
        rows: Rows,
        to: &mut [u32],
    ) -> Option<Self> {
        let fours = rows.bytes / 4;
        rows.fit(src, starts, last, to).then(|| Self {
            // Inside `src`, as checked.
            from: starts.map(|start| src.as_ptr().wrapping_add(start)),
            to: to.as_mut_ptr(),
            fours,
            rows: rows.n,
            skip: rows.down.wrapping_sub(4 * fours),
        })
    }
}

/// One four of either place.
macro_rules! both {
    () => {
        "ldr r4, [r0], #4
        ldr r5, [r1], #4
        sxtb16 r6, r4
        sxtb16 r7, r5
        strd r6, r7, [r2], #8
        sxtb16 r6, r4, ror #8
        sxtb16 r7, r5, ror #8
        strd r6, r7, [r2], #8
        "
    };
}

/// Fours of bytes of two places as halfwords.
///
/// # Safety
/// `rows` times, both places `from` are readable for `4·fours` bytes, and again `skip` bytes behind
/// that; `to` takes four words for each of the fours and is aligned to 4; `fours` and `rows` are at
/// least 1.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn expand(job: &Gather) {
    naked_asm!(
        processor!(),
        "push {{r4-r8, lr}}",
        "ldm r0, {{r0-r3, r12, lr}}",
        "1:",
        // Twos of fours, behind the odd one.
        "lsrs r8, r3, #1",
        "bcc 2f",
        both!(),
        "beq 3f",
        "2:",
        both!(),
        both!(),
        "subs r8, r8, #1",
        "bne 2b",
        "3:",
        "add r0, r0, lr",
        "add r1, r1, lr",
        "subs r12, r12, #1",
        "bne 1b",
        "pop {{r4-r8, pc}}",
    )
}

/// `n` fours of bytes as halfwords.
///
/// # Safety
/// `from` is readable for `4·n` bytes, `to` takes two words for each four and is aligned to 4; `n >= 1`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(from: *const i8, to: *mut [u32; 2], n: usize) {
    naked_asm!(
        processor!(),
        "1:",
        "ldr r3, [r0], #4",
        "sxtb16 r12, r3",
        "sxtb16 r3, r3, ror #8",
        "strd r12, r3, [r1], #8",
        "subs r2, r2, #1",
        "bne 1b",
        "bx lr",
    )
}

/// `n` bytes from one place to another.
///
/// # Safety
/// `from` is readable and `to` writable for `n` bytes, and they share none.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy(from: *const i8, to: *mut i8, n: usize) {
    naked_asm!(
        processor!(),
        "push {{r4-r6}}",
        "subs r2, r2, #16",
        "blo 2f",
        "1:",
        "ldr r3, [r0], #4",
        "ldr r4, [r0], #4",
        "ldr r5, [r0], #4",
        "ldr r6, [r0], #4",
        "str r3, [r1], #4",
        "str r4, [r1], #4",
        "str r5, [r1], #4",
        "str r6, [r1], #4",
        "subs r2, r2, #16",
        "bhs 1b",
        "2:",
        "adds r2, r2, #16",
        "beq 4f",
        "3:",
        "ldrb r3, [r0], #1",
        "strb r3, [r1], #1",
        "subs r2, r2, #1",
        "bne 3b",
        "4:",
        "pop {{r4-r6}}",
        "bx lr",
    )
}

/// `n` times a word.
///
/// # Safety
/// `to` takes `n` words and is aligned to 4.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn fill(to: *mut u32, n: usize, word: u32) {
    naked_asm!(
        processor!(),
        "push {{r4-r9}}",
        "mov r3, r2",
        "mov r4, r2",
        "mov r5, r2",
        "mov r6, r2",
        "mov r7, r2",
        "mov r8, r2",
        "mov r9, r2",
        "subs r1, r1, #16",
        "blo 2f",
        "1:",
        "stm r0!, {{r2-r9}}",
        "stm r0!, {{r2-r9}}",
        "subs r1, r1, #16",
        "bhs 1b",
        "2:",
        "adds r1, r1, #16",
        "beq 4f",
        "3:",
        "str r2, [r0], #4",
        "subs r1, r1, #1",
        "bne 3b",
        "4:",
        "pop {{r4-r9}}",
        "bx lr",
    )
}
