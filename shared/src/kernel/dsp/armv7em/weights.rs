//! Weights of four channels of a depthwise convolution as pairs of halfwords. It owns this code only and must not know
//! layers.

use core::arch::naked_asm;

use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::{Lines, Weights};

/// [`Weights`], of [square](crate::kernel::dsp::Windows::square) windows or of others.
#[derive(Clone, Copy)]
pub enum Taps {
    /// Of a row of `k` weights there are `k − 1` pairs of neighbours, `(w[i], w[i + 1])`: first of channels 0
    /// and 1 in turn, then of channels 2 and 3.
    Square {
        /// 3 or 5.
        side: usize,
        /// Bytes from one weight to the next.
        step: usize,
        /// Bytes and words that there are at least.
        least: [usize; 2],
    },
    /// For the first of two outputs and for the second: weights are rows of pixels without a zero point.
    Any([SpreadTaps; 2]),
}

impl From<Weights> for Taps {
    #[inline(never)]
    fn from(Weights { windows, step }: Weights) -> Self {
        if let Some([side, _]) = windows.square() {
            let last = windows.taps().saturating_sub(1);
            let least = [last * step[1] + BLOCK, 4 * side * side.saturating_sub(1)];
            return Self::Square {
                side,
                step: step[1],
                least,
            };
        }
        let row = 2 * BLOCK * windows.pairs;
        Self::Any([0, 1].map(|output| {
            SpreadTaps::new(&Lines {
                start: 0,
                step: step[1],
                down: step[0],
                n: windows.kernel,
                to: BLOCK * output,
                left: output * windows.stride[1],
                pitch: row,
                zero_point: 0,
            })
        }))
    }
}

impl Taps {
    /// Whether so many weights and words are enough.
    #[inline]
    pub(super) fn fit(&self, weights: usize, to: usize) -> bool {
        let fit = |least: &[usize; 2]| weights >= least[0] && to >= least[1];
        match self {
            Self::Square { least, .. } => fit(least),
            Self::Any(outputs) => outputs.iter().all(|spread| fit(&spread.behind)),
        }
    }

    /// The weights of four channels from `weights` on.
    ///
    /// # Safety
    /// What [`Taps::fit`] asks for is readable, and `to` writable and aligned to 4.
    #[inline]
    pub(super) unsafe fn write(&self, weights: *const u8, to: *mut u32) {
        match self {
            // SAFETY: `least` is the contract of either.
            Self::Square { side: 3, step, .. } => unsafe { taps_3(weights, *step, to) },
            // SAFETY: as above.
            Self::Square { step, .. } => unsafe { taps_5(weights, *step, to) },
            Self::Any(outputs) => {
                for spread in outputs {
                    // SAFETY: all weights and their words lie in front of `behind`.
                    unsafe { spread_taps(spread, weights.cast(), to.wrapping_add(spread.to)) }
                }
            }
        }
    }
}

/// One more weight of four channels at r0, in `$even` and `$odd`.
macro_rules! weight {
    ($even:literal, $odd:literal) => {
        concat!(
            "ldr ",
            $even,
            ", [r0]\n add r0, r0, r1\n",
            "sxtb16 ",
            $odd,
            ", ",
            $even,
            ", ror #8\n sxtb16 ",
            $even,
            ", ",
            $even,
            "\n",
        )
    };
}

/// The pairs of two neighbours, the first in `$e0` and `$o0`; those of channels 2 and 3 `$far` bytes behind.
macro_rules! neighbours {
    ($e0:literal, $o0:literal, $e1:literal, $o1:literal, $far:literal) => {
        concat!(
            "pkhbt r8, ",
            $e0,
            ", ",
            $e1,
            ", lsl #16\n",
            "pkhbt r9, ",
            $o0,
            ", ",
            $o1,
            ", lsl #16\n",
            "strd r8, r9, [r2], #8\n",
            "pkhtb r8, ",
            $e1,
            ", ",
            $e0,
            ", asr #16\n",
            "pkhtb r9, ",
            $o1,
            ", ",
            $o0,
            ", asr #16\n",
            "strd r8, r9, [r2, #",
            $far,
            "]\n",
        )
    };
}

/// Two weights and their pairs with the one before; `$far` is 8 less than the pairs of two channels take.
macro_rules! two_weights {
    ($far:literal) => {
        concat!(
            weight!("r6", "r7"),
            neighbours!("r4", "r5", "r6", "r7", $far),
            weight!("r4", "r5"),
            neighbours!("r6", "r7", "r4", "r5", $far),
        )
    };
}

/// Three rows of three weights of four channels as pairs.
///
/// # Safety
/// `weights` is readable for four bytes at 9 places, `step` bytes apart; `to` takes 24 words and is aligned to 4.
#[unsafe(naked)]
unsafe extern "C" fn taps_3(weights: *const u8, step: usize, to: *mut u32) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "add r12, r2, #96",
        "1:",
        "ldr r5, [r0]",
        "ldr r7, [r0, r1]",
        "ldr r3, [r0, r1, lsl #1]",
        "add r0, r0, r1",
        "add r0, r0, r1, lsl #1",
        "sxtb16 r4, r5",
        "sxtb16 r5, r5, ror #8",
        "sxtb16 r6, r7",
        "sxtb16 r7, r7, ror #8",
        "sxtb16 lr, r3",
        "sxtb16 r3, r3, ror #8",
        "pkhtb r8, r6, r4, asr #16",
        "pkhtb r9, r7, r5, asr #16",
        "pkhbt r4, r4, r6, lsl #16",
        "pkhbt r5, r5, r7, lsl #16",
        "pkhtb r10, lr, r6, asr #16",
        "pkhtb r11, r3, r7, asr #16",
        "pkhbt r6, r6, lr, lsl #16",
        "pkhbt r7, r7, r3, lsl #16",
        "stm r2!, {{r4-r11}}",
        "cmp r2, r12",
        "bne 1b",
        "pop {{r4-r11, pc}}",
    )
}

/// Five rows of five, as [`taps_3`].
///
/// # Safety
/// `weights` is readable for four bytes at 25 places, `step` bytes apart; `to` takes 80 words and is aligned to 4.
#[unsafe(naked)]
unsafe extern "C" fn taps_5(weights: *const u8, step: usize, to: *mut u32) {
    naked_asm!(
        processor!(),
        "push {{r4-r9, lr}}",
        "mov r3, #5",
        "1:",
        weight!("r4", "r5"),
        two_weights!("24"),
        two_weights!("24"),
        "add r2, r2, #32",
        "subs r3, r3, #1",
        "bne 1b",
        "pop {{r4-r9, pc}}",
    )
}

/// Weights as [`spread_taps`] takes them: lines without a zero point.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SpreadTaps {
    step: usize,
    /// Added to every weight.
    zero: u32,
    rows: usize,
    pairs: usize,
    /// Pixels in front of the pairs and behind them, 0 or 1.
    lone: [usize; 2],
    /// Bytes from behind a row to the next one, modulo 2^32.
    skip: usize,
    to_skip: usize,
    /// The first pixel and its words.
    start: usize,
    to: usize,
    /// Values and words behind the last ones; more than there can be where there is nothing to do.
    behind: [usize; 2],
}

impl SpreadTaps {
    /// Words from one pair of weights to the next: of two outputs.
    const WORDS: usize = 2 * BLOCK;

    #[inline]
    fn new(lines: &Lines) -> Self {
        let words = Self::WORDS;
        let [rows, n] = lines.n;
        let (begin, behind) = (lines.left / 2, (lines.left + n).div_ceil(2));
        let (last_row, last) = (rows.wrapping_sub(1), n.wrapping_sub(1));
        let first = lines.left % 2;
        let fits = rows > 0 && n > 0 && lines.pitch >= words * behind;
        // Where nothing fits they mean nothing.
        let far = |rows: usize, columns: usize| {
            let rows = last_row.wrapping_mul(rows);
            rows.wrapping_add(last.wrapping_mul(columns))
        };
        let ends = [
            (lines.start + BLOCK).wrapping_add(far(lines.down, lines.step)),
            (lines.to + words * behind)
                .wrapping_add(BLOCK)
                .wrapping_sub(words)
                .wrapping_add(far(lines.pitch, 0)),
        ];
        Self {
            step: lines.step,
            zero: 0,
            rows,
            pairs: n.wrapping_sub(first) / 2,
            lone: [first, n.wrapping_sub(first) % 2],
            skip: lines.down.wrapping_sub(n * lines.step),
            to_skip: 4 * lines.pitch.wrapping_sub(words * (behind - begin)),
            start: lines.start,
            to: lines.to + words * begin,
            behind: if fits { ends } else { [usize::MAX; 2] },
        }
    }
}

/// One weight without a partner, at r0: channels 0 and 2 in r10, 1 and 3 in r11.
macro_rules! lone {
    ($($halves:literal)*) => {
        concat!(
            "ldr r11, [r0]\n add r0, r0, r1\n",
            "sxtab16 r10, r3, r11\n sxtab16 r11, r3, r11, ror #8\n",
            $($halves, "\n",)*
            "stm r2!, {{r8-r11}}\n add r2, r2, #16\n",
        )
    };
}

/// Two weights; leaves the flags.
macro_rules! both {
    () => {
        "ldr r9, [r0, r1]
            ldr r8, [r0]
            add r0, r0, r1, lsl #1
            pkhtb r11, r9, r8, asr #16
            pkhbt r9, r8, r9, lsl #16
            sxtab16 r10, r3, r11
            sxtab16 r11, r3, r11, ror #8
            sxtab16 r8, r3, r9
            sxtab16 r9, r3, r9, ror #8
            stm r2!, {{r8-r11}}
            add r2, r2, #16
            "
    };
}

/// Rows of weights of four channels as pairs, the partner of a lone one 0; the words of the other output lie between.
///
/// # Safety
/// `from` is readable for four bytes at `lone[0] + 2·pairs + lone[1]` places `step` apart, and again `skip`
/// behind that, `rows` times; `to` takes eight words for each pair and each lone weight, but four for the last, with
/// `to_skip` bytes between rows, and is aligned to 4; `rows` is at least 1.
#[unsafe(naked)]
unsafe extern "C" fn spread_taps(lines: &SpreadTaps, from: *const i8, to: *mut u32) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "mov r12, r1",
        "ldm r0, {{r1, r3-r9}}",
        "push {{r9}}",
        "mov r0, r12",
        "mov r12, r8",
        "1:",
        "cbz r6, 2f",
        // The upper halves.
        lone!("lsl r8, r10, #16" "lsl r9, r11, #16" "bfc r10, #0, #16" "bfc r11, #0, #16"),
        "2:",
        // Twos of pairs, behind the odd one.
        "lsrs lr, r5, #1",
        "bcc 3f",
        both!(),
        "3:",
        "beq 5f",
        "4:",
        both!(),
        both!(),
        "subs lr, lr, #1",
        "bne 4b",
        "5:",
        "cbz r7, 6f",
        lone!("uxth r8, r10" "uxth r9, r11" "lsr r10, r10, #16" "lsr r11, r11, #16"),
        "6:",
        "ldr r8, [sp]",
        "add r0, r0, r12",
        "add r2, r2, r8",
        "subs r4, r4, #1",
        "bne 1b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
    )
}
