//! The matrix product of packed weights with one column, constants read where they lie. It owns this code
//! only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::Proved;

/// What [`vector`] works on; it moves the places that are read and written.
#[repr(C)]
pub(super) struct Vector {
    pub(super) columns: *const u32,
    /// Where the code of the first turn begins, from that of a whole one on.
    pub(super) entry: usize,
    pub(super) columns_end: *const u32,
    /// Where a column with half a group goes on behind that.
    pub(super) behind: usize,
    pub(super) bias: *const i32,
    pub(super) sums: *const i32,
    pub(super) multiplier: *const i32,
    pub(super) shift: *const u8,
    pub(super) out: *mut i8,
    pub(super) out_end: *mut i8,
    pub(super) src_zero: i32,
    pub(super) dst_zero: i32,
    pub(super) weights: *const u8,
}

impl Vector {
    /// For all of `out`, if the slices are long enough and aligned.
    #[inline]
    pub(super) fn new(
        column: &[[u32; 2]],
        weights: &[u8],
        constants: &Proved<'_>,
        out: &mut [i8],
    ) -> Option<Self> {
        if !constants.fit(4 * column.len(), weights, out.len()) {
            return None;
        }
        let words = [constants.bias, constants.sums, constants.multiplier];
        let (whole, half) = (4 * column.len() / GROUP, column.len() % 2);
        let turn = TURN / GROUP;
        let missing = match whole {
            0 => turn,
            _ => whole.wrapping_neg() % turn,
        };
        let behind = missing * GROUP_BYTES;
        let [bias, sums, multiplier] = words.map(|w| w.as_ptr().cast());
        let (columns, out) = (column.as_ptr_range(), out.as_mut_ptr_range());
        Some(Self {
            columns: columns.start.cast(),
            entry: match half {
                0 => behind,
                _ => HALF_BYTES.wrapping_neg(),
            },
            columns_end: columns.end.cast(),
            behind,
            bias,
            sums,
            multiplier,
            shift: constants.shift.as_ptr(),
            out: out.start,
            out_end: out.end,
            src_zero: constants.zero_points[0],
            dst_zero: constants.zero_points[1],
            weights: weights.as_ptr(),
        })
    }
}

/// Depths of a turn of the loop, and of one group, and the group's bytes of code.
const TURN: usize = 32;
const GROUP: usize = 8;
const GROUP_BYTES: usize = 108;
/// Bytes of code in front of the first turn: half a group and the way on.
const HALF_BYTES: usize = 64;

/// Four depths of four channels: weights in r8 to r11, the column in `$x0` and `$x1`.
macro_rules! four {
    ($x0:literal, $x1:literal) => {
        concat!(
            "ldm r12!, {{r8-r11}}\n",
            "smlad r1, ",
            $x0,
            ", r8, r1\n sxtb16 r8, r8\n",
            "smlad r3, ",
            $x0,
            ", r9, r3\n sxtb16 r9, r9\n",
            "smlad r0, ",
            $x0,
            ", r8, r0\n smlad r2, ",
            $x0,
            ", r9, r2\n",
            "smlad r1, ",
            $x1,
            ", r10, r1\n sxtb16 r10, r10\n",
            "smlad r3, ",
            $x1,
            ", r11, r3\n sxtb16 r11, r11\n",
            "smlad r0, ",
            $x1,
            ", r10, r0\n smlad r2, ",
            $x1,
            ", r11, r2\n",
        )
    };
}

/// Eight depths of four channels: 32 products. Exactly 108 bytes of code, on which [`vector`] counts.
macro_rules! group {
    () => {
        concat!("ldm lr!, {{r4-r7}}\n", four!("r4", "r5"), four!("r6", "r7"))
    };
}

/// Blocks of four channels for one column; r0 to r3 accumulate, r4 to r11 hold operands. The product
/// `2·acc·M` is taken of doubled sums; the last bit that a right shift puts into the carry rounds.
///
/// # Safety
/// `columns` to `columns_end` are words in twos, at least two, as many as `entry` and `behind` say: entry
/// at `2`, less [`HALF_BYTES`] for half a group, then whole turns of the loop less [`GROUP_BYTES`] for
/// each group missing. `weights` holds twice as many words for each four outputs, of which there are at
/// least four between `out` and `out_end`; there are as many `bias`, `sums`, `multiplier` and `shift`. All
/// but `shift` and `out` are aligned to 4.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn vector(job: &mut Vector) {
    naked_asm!(
        processor!(),
        "ldr r1, [r0, #8]",
        "push {{r0, r1, r4-r11, lr}}",
        "adr r1, 2f",
        "orr r1, r1, #1",
        "ldr r2, [r0, #4]",
        "add r2, r2, r1",
        "str r2, [r0, #4]",
        "ldr r2, [r0, #12]",
        "add r2, r2, r1",
        "str r2, [r0, #12]",
        "ldr r12, [r0, #48]",
        "1:",
        "ldr lr, [sp]",
        "ldrd r4, r5, [lr, #16]",
        "ldr r10, [lr, #40]",
        "ldm r4!, {{r0-r3}}",
        "ldm r5!, {{r6-r9}}",
        "strd r4, r5, [lr, #16]",
        "mls r0, r6, r10, r0",
        "mls r1, r7, r10, r1",
        "mls r2, r8, r10, r2",
        "mls r3, r9, r10, r3",
        "add r1, r0, r1, lsl #8",
        "add r3, r2, r3, lsl #8",
        "ldrd lr, r4, [lr]",
        "bx r4",
        // Half a group in front of the first turn: 14 instructions and two, of four bytes each.
        ".p2align 2",
        "ldrd r4, r5, [lr], #8",
        four!("r4", "r5"),
        "ldr.w r4, [sp]",
        "ldr.w pc, [r4, #12]",
        "2:",
        group!(),
        group!(),
        group!(),
        group!(),
        "ldr r4, [sp, #4]",
        "cmp lr, r4",
        "bne 2b",
        "ldr lr, [sp]",
        "sub r1, r1, r0",
        "sub r3, r3, r2",
        "ldrd r4, r5, [lr, #24]",
        "asr r1, r1, #7",
        "asr r3, r3, #7",
        "lsl r0, r0, #1",
        "lsl r2, r2, #1",
        "ldm r4!, {{r6-r9}}",
        "ldr r10, [r5], #4",
        "strd r4, r5, [lr, #24]",
        "smmulr r0, r0, r6",
        "smmulr r1, r1, r7",
        "smmulr r2, r2, r8",
        "smmulr r3, r3, r9",
        // Four right shifts from four left ones.
        "mov r11, #0",
        "usub8 r10, r11, r10",
        "ldr r11, [lr, #44]",
        "add r0, r0, r0, asr #31",
        "add r1, r1, r1, asr #31",
        "add r2, r2, r2, asr #31",
        "add r3, r3, r3, asr #31",
        "asrs r0, r0, r10",
        "adc r0, r0, r11",
        "lsr r10, r10, #8",
        "asrs r1, r1, r10",
        "adc r1, r1, r11",
        "lsr r10, r10, #8",
        "asrs r2, r2, r10",
        "adc r2, r2, r11",
        "lsr r10, r10, #8",
        "asrs r3, r3, r10",
        "adc r3, r3, r11",
        "ldrd r4, r5, [lr, #32]",
        "ssat r0, #8, r0",
        "ssat r1, #8, r1",
        "ssat r2, #8, r2",
        "ssat r3, #8, r3",
        "strb r0, [r4], #1",
        "strb r1, [r4], #1",
        "strb r2, [r4], #1",
        "strb r3, [r4], #1",
        "str r4, [lr, #32]",
        "cmp r4, r5",
        "bne 1b",
        "pop {{r0, r1, r4-r11, pc}}",
    )
}
