//! Rows of pixels of a depthwise convolution as pairs of halfwords, of four channels. It owns this code only and must
//! not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::{Lines, word};

/// [`Lines`] as [`spread`] takes them.
#[derive(Clone, Copy)]
pub struct Spread {
    job: Job,
    /// The first pixel and its words.
    start: usize,
    to: usize,
    /// Values and words behind the last ones; more than there can be where there is nothing to do.
    behind: [usize; 2],
}

/// What [`spread`] works on; it loads the fields in this order.
#[derive(Clone, Copy)]
#[repr(C)]
struct Job {
    /// From one pixel to the next.
    step: usize,
    /// Taken off every pixel, negated, in both halves.
    zero: u32,
    /// Bytes from behind a row of pixels, and of words, to the next one, modulo 2^32.
    skip: usize,
    to_skip: usize,
    /// Bytes of words from the first row's to where those of one more row would be.
    rows_bytes: usize,
    /// Of the loop.
    turns: usize,
    /// Where a row begins, goes on behind what is not a turn, behind a turn and behind the last one, in bytes of code
    /// from the loop on, 1 for Thumb included.
    begin: usize,
    go_on: usize,
    behind_turn: usize,
    end: usize,
}

/// Bytes of code: of two pairs of pixels, of which the loop has [`TURN`]; in front of it those that begin a row with a
/// pixel without a partner, with that and a pair, and with a pair.
const GROUP_BYTES: usize = 72;
const TURN: usize = 4;
const BEGIN_BYTES: [[usize; 2]; 2] = [[0, 44], [156, 116]];
/// Bytes from the loop on to where it is told whether there is another turn, to what ends a row with a pixel without a
/// partner, with a pair, and with neither.
const AGAIN_BYTES: usize = TURN * GROUP_BYTES + 4;
const END_BYTES: [usize; 3] = [AGAIN_BYTES + 12, AGAIN_BYTES + 52, AGAIN_BYTES + 92];

impl From<Lines> for Spread {
    #[inline]
    fn from(lines: Lines) -> Self {
        let [rows, n] = lines.n;
        let (begin, behind) = (lines.left / 2, (lines.left + n).div_ceil(2));
        let fits = rows > 0 && n > 0 && lines.pitch >= BLOCK * behind;
        // Where nothing fits they mean nothing.
        let far = |down: usize, across: usize| {
            let down = rows.wrapping_sub(1).wrapping_mul(down);
            down.wrapping_add(n.wrapping_sub(1).wrapping_mul(across))
        };
        let ends = [
            (lines.start + BLOCK).wrapping_add(far(lines.down, lines.step)),
            (lines.to + BLOCK * behind).wrapping_add(far(lines.pitch, 0)),
        ];
        // Pixels without a partner, in front of the pairs and behind them.
        let first = lines.left % 2;
        let (pairs, last) = (n.wrapping_sub(first) / 2, n.wrapping_sub(first) % 2);
        let groups = pairs / 2;
        let turns = groups.div_ceil(TURN);
        // A pair without another one is taken at the end, or at the beginning if a pixel is.
        let (begin_bytes, end) = match (first, pairs % 2, last) {
            (0, 1, 0) => (0, END_BYTES[1]),
            (_, odd, 0) => (BEGIN_BYTES[first][odd], END_BYTES[2]),
            (_, odd, _) => (BEGIN_BYTES[first][odd], END_BYTES[0]),
        };
        let go_on = match groups {
            0 => end,
            _ => GROUP_BYTES * (TURN * turns - groups),
        };
        let zero = 0i32.wrapping_sub(lines.zero_point);
        Self {
            job: Job {
                step: lines.step,
                zero: word(zero, zero),
                skip: lines.down.wrapping_sub(n * lines.step),
                to_skip: 4 * lines.pitch.wrapping_sub(BLOCK * (behind - begin)),
                rows_bytes: 4 * rows * lines.pitch,
                turns,
                begin: match begin_bytes {
                    0 => go_on | 1,
                    bytes => bytes.wrapping_neg() | 1,
                },
                go_on: go_on | 1,
                behind_turn: 1 | if turns == 1 { end } else { AGAIN_BYTES },
                end: end | 1,
            },
            start: lines.start,
            to: lines.to + BLOCK * begin,
            behind: if fits { ends } else { [usize::MAX; 2] },
        }
    }
}

impl Spread {
    /// Whether so many values and words are enough.
    #[inline(always)]
    pub(super) fn fit(&self, src: usize, to: usize) -> bool {
        src >= self.behind[0] && to >= self.behind[1]
    }

    /// The lines of four channels from `src` on.
    ///
    /// # Safety
    /// What [`Spread::fit`] asks for is readable, and `to` writable and aligned to 4.
    #[inline(always)]
    pub(super) unsafe fn write(&self, src: *const i8, to: *mut u32) {
        // SAFETY: all pixels and their words lie in front of `behind`, and the job is `From<Lines>`'s.
        unsafe {
            spread(
                &self.job,
                src.wrapping_add(self.start),
                to.wrapping_add(self.to),
            );
        }
    }
}

/// The pixels in `$a` and `$b` as four words, in `$a`, `$b`, `$c` and `$d`: 6 instructions.
macro_rules! pair {
    ($a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            "pkhtb ",
            $d,
            ", ",
            $b,
            ", ",
            $a,
            ", asr #16\n",
            "pkhbt ",
            $b,
            ", ",
            $a,
            ", ",
            $b,
            ", lsl #16\n",
            "sxtab16 ",
            $c,
            ", r3, ",
            $d,
            "\n",
            "sxtab16 ",
            $d,
            ", r3, ",
            $d,
            ", ror #8\n",
            "sxtab16 ",
            $a,
            ", r3, ",
            $b,
            "\n",
            "sxtab16 ",
            $b,
            ", r3, ",
            $b,
            ", ror #8\n",
        )
    };
}

/// Two pairs: 18 instructions of four bytes each, on which [`spread`] counts.
macro_rules! group {
    () => {
        concat!(
            "ldr.w r4, [r0]\n ldr.w r5, [r0, r1]\n ldr.w r8, [r0, r1, lsl #1]\n ldr.w r9, [r0, r12]\n",
            "add.w r0, r0, r1, lsl #2\n",
            pair!("r4" "r5" "r6" "r7"),
            pair!("r8" "r9" "r10" "r11"),
            "stm.w r2!, {{r4-r11}}\n",
        )
    };
}

/// One pixel without a partner, at r0, whose words go to `$a` to `$d`: 7 instructions.
macro_rules! first {
    ($a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            "ldr.w ",
            $d,
            ", [r0]\n",
            "sxtab16 ",
            $c,
            ", r3, ",
            $d,
            "\n sxtab16 ",
            $d,
            ", r3, ",
            $d,
            ", ror #8\n",
            "lsl.w ",
            $a,
            ", ",
            $c,
            ", #16\n lsl.w ",
            $b,
            ", ",
            $d,
            ", #16\n",
            // The upper halves.
            "bfc ",
            $c,
            ", #0, #16\n bfc ",
            $d,
            ", #0, #16\n",
        )
    };
}

/// Rows of pixels of four channels as pairs, the partner of a lone one 0.
///
/// # Safety
/// `job` is `From<Lines>`'s; `from` is readable for four bytes at all pixels of its rows, `to` takes four words for
/// each pair and each lone pixel of them and is aligned to 4.
#[unsafe(naked)]
unsafe extern "C" fn spread(job: &Job, from: *const i8, to: *mut u32) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "mov lr, r1",
        "ldm r0!, {{r1, r3}}",
        "ldm r0, {{r4-r9, r11, r12}}",
        "mov r0, lr",
        "add r6, r6, r2",
        "mov lr, r7",
        "adr.w r10, 4f",
        "add r8, r8, r10",
        "add r9, r9, r10",
        "add r11, r11, r10",
        "add r12, r12, r10",
        // From row to row, its end, turns, where it begins and goes on.
        "push {{r4-r9, r11, r12}}",
        "add r12, r1, r1, lsl #1",
        "bx r8",
        ".p2align 2",
        // A row that begins with a pixel without a partner: 10 instructions of four bytes.
        first!("r4" "r5" "r6" "r7"),
        "add.w r0, r0, r1",
        "stm.w r2!, {{r4-r7}}",
        "ldr.w pc, [sp, #20]",
        // With that and a pair: 18.
        first!("r4" "r5" "r6" "r7"),
        "ldr.w r8, [r0, r1]",
        "ldr.w r9, [r0, r1, lsl #1]",
        "add.w r0, r0, r12",
        pair!("r8" "r9" "r10" "r11"),
        "stm.w r2!, {{r4-r11}}",
        "ldr.w pc, [sp, #20]",
        // With a pair: 11.
        "ldr.w r4, [r0]",
        "ldr.w r5, [r0, r1]",
        "add.w r0, r0, r1, lsl #1",
        pair!("r4" "r5" "r6" "r7"),
        "stm.w r2!, {{r4-r7}}",
        "ldr.w pc, [sp, #20]",
        "4:",
        group!(),
        group!(),
        group!(),
        group!(),
        "ldr.w pc, [sp, #24]",
        "subs.w lr, lr, #1",
        "bne.w 4b",
        "ldr.w pc, [sp, #28]",
        // A last pixel without a partner: 10 instructions of four bytes.
        "ldr.w r7, [r0]",
        "add.w r0, r0, r1",
        "sxtab16 r6, r3, r7",
        "sxtab16 r7, r3, r7, ror #8",
        "uxth.w r4, r6",
        "uxth.w r5, r7",
        "lsr.w r6, r6, #16",
        "lsr.w r7, r7, #16",
        "stm.w r2!, {{r4-r7}}",
        "b.w 5f",
        // A last pair: 10.
        "ldr.w r4, [r0]",
        "ldr.w r5, [r0, r1]",
        "add.w r0, r0, r1, lsl #1",
        pair!("r4" "r5" "r6" "r7"),
        "stm.w r2!, {{r4-r7}}",
        "5:",
        "ldm sp, {{r4-r6, lr}}",
        "add r0, r0, r4",
        "add r2, r2, r5",
        "cmp r2, r6",
        "it ne",
        "ldrne pc, [sp, #16]",
        "add sp, sp, #32",
        "pop {{r4-r11, pc}}",
    )
}
