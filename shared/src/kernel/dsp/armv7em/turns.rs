//! Turns of loops over the outputs of depthwise convolutions: two output pixels of four channels each. It owns this
//! code only and must not know strips.

use core::arch::naked_asm;

use crate::kernel::dsp::packing::Epilogue;

/// What a [`Kernel`] works on; it loads the fields in this order.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Job {
    /// From the first output of a pair to the second, 0 for one output.
    pub(super) step: usize,
    /// Rows of outputs behind the first one.
    pub(super) more_rows: usize,
    /// Bytes from the end of one row's pairs to the first pair of the next row; this and what follows modulo
    /// 2^32.
    pub(super) next: usize,
    /// Bytes from the end of one row's pairs to the end of the next row's.
    pub(super) row_bytes: usize,
    /// Bytes from the end of one row's outputs to the first output of the next row.
    pub(super) next_out: usize,
    /// Bytes of the first row's pairs.
    pub(super) pairs_bytes: usize,
    /// From one row of pixels to the next; in `kernel_any` from behind a part of a row to the next one.
    pub(super) pitch_bytes: usize,
    /// For `kernel_any`: bytes from where a part would follow the last one to the next pair of outputs, bytes of code
    /// for pairs of pixels that a part has none for, and bytes of all weights. For other kernels of three rows what
    /// [`without`] and [`without_third`] give.
    pub(super) special: [usize; 3],
}

pub(super) type Kernel = unsafe extern "C" fn(&Job, *const u32, &Constants, *mut i8);

/// What is the same for all outputs of a slice.
#[repr(C)]
pub(super) struct Constants {
    pub(super) taps: *const u32,
    pub(super) epilogue: *const Epilogue,
}

/// Bytes of a pair of pixels of four channels.
pub(super) const PAIR_BYTES: usize = 16;
/// Bytes of code for one, on which [`kernel_any`] counts.
pub(super) const PAIR_CODE_BYTES: usize = 56;

/// Bytes of code in front of a turn that enters it behind the first row of its windows.
const BEHIND_FIRST_BYTES: usize = 16;
/// Bytes of code in front of that for windows without their last row: two rows of 24 instructions or, with stride
/// 2, of 26, and three more.
const BEFORE_LAST_BYTES: [usize; 2] = [204, 220];

/// Where the code for the first and for the last of `rows` rows of outputs begins, from that of a whole turn on: they
/// leave out the first and the last row of their windows, if it is `padding`. For `kernel_3_1` or, with `stride` 2,
/// `kernel_3_2`.
pub(super) fn without(padding: [bool; 2], rows: usize, stride: usize) -> [usize; 3] {
    let [first, last] = padding;
    let bytes = match stride {
        1 => BEFORE_LAST_BYTES[0],
        _ => BEFORE_LAST_BYTES[1],
    };
    let last = if last { BEHIND_FIRST_BYTES + bytes } else { 0 };
    let first = match first {
        true => BEHIND_FIRST_BYTES,
        false if rows == 1 => last,
        false => 0,
    };
    [first, last, 0].map(usize::wrapping_neg)
}

/// [`Job::special`] of `down_3_1` or, with `stride` 2, `down_3_2`: bytes of code for the third pixels of rows, of 49 or
/// 50 instructions, if they are `padding`.
pub(super) fn without_third(padding: bool, stride: usize) -> [usize; 3] {
    let bytes = if stride == 1 { 196 } else { 200 };
    [if padding { bytes } else { 0 }, 0, 0]
}

/// The rows left go to r4, where others' turns begin to r5, from row to row to r6, r7 and r10; to 2 if there is none.
macro_rules! next_row {
    () => {
        "add r4, sp, #36\n ldm r4, {{r4-r7, r10}}\n subs r4, r4, #1\n bmi 2f\n"
    };
}

/// Outputs, two at a time, the first one in `$first` on: `$rows` are the windows' rows with a [`down`] between
/// them, behind which lr points to the next pair of outputs; they begin with the biases in r0 to r3. `$enter`, which
/// may change r4 to r11, leaves the stack `$frame` bytes less 100 deeper; `$walks` is what the rows have in r12.
/// `$begin` finds in r4, r6 and r7 where turns begin, behind `$turn` one follows that is not the row's first, behind
/// `$again` a row, if `$row`, which leaves its way in r6, r7 and r10, does not end the loop.
macro_rules! kernel {
    ($name:ident, $rows:expr, [$first:literal, $second:literal], [$enter:expr, $walks:literal, $frame:literal],
        [$begin:literal, $turn:literal, $row:expr, $again:literal]) => {
        /// # Safety
        /// In the first row and `more_rows` more, for each pair of outputs in `pairs_bytes`, at least one, the
        /// pairs of both windows' pixels are readable with rows `pitch_bytes` apart, `out` takes four bytes at
        /// either output; `constants` are readable, with all of the window's weights; `pixels` is aligned to 4.
        /// In `kernel_any` `pitch_bytes` lie between parts of rows, see [`Job::special`]: those are
        /// `PAIR_CODE_BYTES` for each pair fewer than `MAX_PAIRS` that a part has, of at least one, and a
        /// positive multiple of the bytes of a part's weights. In `kernel_3_1` and `kernel_3_2` it is what [`without`]
        /// gives for their stride, in `down_3_1` and `down_3_2` what [`without_third`] does.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            job: &Job,
            pixels: *const u32,
            constants: &Constants,
            out: *mut i8,
        ) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "mov lr, r1",
                "mov r12, r3",
                "ldrd r1, r2, [r2]",
                $enter,
                // Multipliers, where they are used, divisors, zero point.
                "add r3, r2, #36",
                "ldm r3, {{r4-r8}}",
                "push {{r4-r8}}",
                "add r3, r2, #16",
                "ldm r3, {{r4-r8}}",
                "adr.w r9, 6f",
                "cmp r8, #0",
                "it eq",
                "adreq.w r9, 7f",
                "orr r8, r9, #1",
                "push {{r4-r8}}",
                "ldm r0, {{r3, r5, r8-r11}}",
                $begin,
                // Where the first row's turns begin, rows, where others' do, from row to row, where the last one's do.
                "push {{r7}}",
                "push {{r4-r6, r8-r10}}",
                "ldr r10, [r0, #24]",
                "ldm r2, {{r4-r7}}",
                // Biases, the outputs, the end of a row's pixels, from output to output, rows of pixels or weights.
                "mov r8, r12",
                "add r9, lr, r11",
                concat!("mov r12, ", $walks),
                "mov r10, r3",
                "push {{r4-r10, r12}}",
                "ldm sp, {{r0-r3}}",
                $rows,
                "add r12, sp, #60",
                "ldm r12!, {{r8-r11, pc}}",
                ".p2align 2",
                "6:",
                highs!(["r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11"]),
                "8:",
                "ldm r12, {{r8-r12}}",
                activations!(["r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11"], "r12", "r11"),
                "bfi r4, r5, #8, #8",
                "bfi r11, r1, #8, #8",
                "bfi r4, r6, #16, #8",
                "bfi r11, r2, #16, #8",
                "bfi r4, r7, #24, #8",
                "bfi r11, r3, #24, #8",
                "ldm sp, {{r0-r3, r8-r10, r12}}",
                concat!("str ", $second, ", [r8, r10]"),
                concat!("str ", $first, ", [r8]"),
                "add r8, r8, r10, lsl #1",
                "str r8, [sp, #16]",
                "cmp lr, r9",
                $turn,
                // The next row.
                $row,
                "add lr, lr, r6",
                "add r9, r9, r7",
                "add r8, r8, r10",
                "strd r8, r9, [sp, #16]",
                $again,
                "2:",
                concat!("add sp, sp, #", $frame),
                "pop {{r4-r11, pc}}",
                ".p2align 2",
                "7:",
                highs!(["r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11"]),
                ties!(),
                "b 8b",
            )
        }
    };
    // All turns are alike.
    (alike $name:ident, $rows:expr, $words:tt, $entry:tt) => {
        kernel!(
            $name,
            concat!("1:\n", $rows),
            $words,
            $entry,
            ["", "bne 1b", concat!(next_row!(), "str r4, [sp, #36]"), "b 1b"]
        );
    };
    // Outputs below each other, whose third pixels may be left out: of three rows of windows `$near`, then `$third`.
    (below $name:ident, $near:expr, $third:expr) => {
        kernel!(
            $name,
            concat!("1:\n", $near, "ldr pc, [sp, #32]\n .p2align 2\n 3:\n", $third),
            ["r11", "r4"],
            [enter_square!("3"), "r10", "196"],
            [
                "adr.w r4, 3f\n orr r4, r4, #1\n ldr r6, [r0, #28]\n add r4, r4, r6",
                "bne 1b",
                concat!(next_row!(), "str r4, [sp, #36]"),
                "b 1b"
            ]
        );
    };
    // Windows of three rows, of which the first and the last row of outputs leave one out.
    (square $name:ident, $row:ident, $words:tt) => {
        kernel!(
            $name,
            concat!(
                "ldr pc, [sp, #32]\n .p2align 2\n",
                $row!(begin "0"),
                down!(),
                $row!(last "1"),
                up!("0"),
                "b.w 4f\n",
                same_biases!(),
                down!(),
                "b.w 3f\n",
                "1:\n",
                $row!(begin "0"),
                down!(),
                "3:\n",
                $row!(second "1"),
                down!(),
                $row!(last "2"),
                up!("1"),
                "4:\n",
            ),
            $words,
            [enter_square!("3"), "r10", "196"],
            [
                "adr.w r6, 1f\n orr r6, r6, #1\n ldrd r4, r7, [r0, #28]\n add r4, r4, r6\n add r7, r7, r6",
                "it ne\n ldrne pc, [sp, #32]",
                concat!(next_row!(), "it eq\n ldreq r5, [sp, #56]\n strd r5, r4, [sp, #32]"),
                "bx r5"
            ]
        );
    };
}

kernel!(square kernel_3_1, row_3_1, ["r11", "r4"]);
kernel!(square kernel_3_2, row_3_2, ["r4", "r11"]);
kernel!(below down_3_1,
    concat!(
        same_biases!(),
        one_row!(near first "0"),
        down!(),
        shared_row!(near "1" "0"),
        down!(),
        shared_row!(near "2" "1"),
        down!(),
        one_row!(near second "2"),
        up!("0"),
    ),
    concat!(
        shared_row!(third "2" "1"),
        up!("0"),
        shared_row!(third "1" "0"),
        up!("0"),
        one_row!(third first "0"),
        "add.w lr, lr, r12, lsl #1\n",
        down!(),
        one_row!(third second "2"),
        up!("0"),
    )
);
kernel!(below down_3_2,
    concat!(
        "add r12, lr, r12, lsl #1\n",
        apart_row!(near begin "0"),
        both!("add"),
        apart_row!(near second "1"),
        both!("add"),
        apart_row!(near second "2"),
    ),
    concat!(
        apart_row!(third "2"),
        both!("sub"),
        apart_row!(third "1"),
        both!("sub"),
        apart_row!(third "0"),
        "ldr.w r8, [sp, #28]\n add.w r12, r12, r8, lsl #1\n",
        // Behind the third pixels, if they are taken.
        "mov lr, r12\n",
    )
);
kernel!(alike kernel_5_1,
    concat!(
        row_5_1!(begin "0"),
        down!(),
        row_5_1!(second "1"),
        down!(),
        row_5_1!(second "2"),
        down!(),
        row_5_1!(second "3"),
        down!(),
        row_5_1!(last "4"),
        up!("2"),
    ),
    ["r11", "r4"],
    [enter_square!("10"), "r10", "420"]
);
kernel!(alike kernel_5_2,
    concat!(
        row_5_2!(begin "0"),
        down!(),
        row_5_2!(second "1"),
        down!(),
        row_5_2!(second "2"),
        down!(),
        row_5_2!(second "3"),
        down!(),
        row_5_2!(last "4"),
        up!("2"),
    ),
    ["r4", "r11"],
    [enter_square!("10"), "r10", "420"]
);
kernel!(alike kernel_any,
    any_row!(),
    ["r11", "r4"],
    [enter_any!(), "r1", "116"]
);
