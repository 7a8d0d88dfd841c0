//! Rows of depthwise convolutions, two output pixels of four channels at a time. It owns this code only
//! and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::packing::Epilogue;

/// What a [`Kernel`] works on; it copies the fields to its stack in this order.
#[repr(C)]
pub(super) struct RowJob {
    pub(super) pixels: *const u32,
    pub(super) pixels_end: *const u32,
    pub(super) weights: *const u32,
    pub(super) epilogue: *const Epilogue,
    pub(super) out: *mut i8,
    pub(super) step: usize,
    pub(super) pitch_bytes: usize,
    /// From the last row of one pair of outputs to the first row of the next, modulo 2^32.
    pub(super) back: usize,
}

pub(super) type Kernel = unsafe extern "C" fn(&RowJob);

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

/// On to the next row of pixels.
macro_rules! down {
    () => {
        "ldr r8, [sp, #24]\n add lr, lr, r8\n"
    };
}

/// A row of outputs, two at a time: `$rows` are the windows' rows with a [`down`] between them.
macro_rules! kernel {
    ($name:ident, $rows:expr) => {
        /// # Safety
        /// For each pair of outputs from `pixels` to `pixels_end`, the window's pixels are readable
        /// with rows `pitch_bytes` apart, `out` takes four bytes at either output, `weights` holds two
        /// words per tap; all but `out` are aligned to 4; there is at least one pair.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(job: &RowJob) {
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

/// `n` pixels of four bytes, `step` bytes apart, as halfwords.
///
/// # Safety
/// `from` is readable at `n` places, `to` takes two words for each and is aligned to 4; `n >= 1`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(from: *const i8, step: usize, to: *mut [u32; 2], n: usize) {
    naked_asm!(
        processor!(),
        "push {{r4-r5}}",
        "1:",
        "ldr r12, [r0]",
        "add r0, r0, r1",
        "sxtb16 r4, r12",
        "sxtb16 r5, r12, ror #8",
        "strd r4, r5, [r2], #8",
        "subs r3, r3, #1",
        "bne 1b",
        "pop {{r4-r5}}",
        "bx lr",
    )
}
