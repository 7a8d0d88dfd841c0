//! Slices of four channels of a depthwise convolution: pixels and weights as pairs of halfwords. It owns this
//! code only and must not know layers.

use core::arch::naked_asm;

use super::Armv7em;
use super::rows::Rows;
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::{Lines, Slice, Slices, Weights, word};

impl Slices for Armv7em {
    type Taps = Taps;
    type Spread = Spread;
    type Rows = Rows;

    #[inline]
    fn taps(weights: &[u8], taps: &Taps, to: &mut [u32]) -> [i32; BLOCK] {
        taps.run(weights, to);
        [0; BLOCK]
    }

    #[inline(always)]
    fn spread_lines(src: &[i8], lines: &Spread, to: &mut [u32]) {
        lines.run(src, to);
    }

    #[inline(always)]
    fn rows(strip: &Rows, slice: &Slice<'_>, out: &mut [i8]) {
        strip.run(slice, out);
    }
}

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
    Any([Spread; 2]),
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
            Spread::new(
                Lines {
                    start: 0,
                    step: step[1],
                    down: step[0],
                    n: windows.kernel,
                    to: BLOCK * output,
                    left: output * windows.stride[1],
                    pitch: row,
                    zero_point: 0,
                },
                2 * BLOCK,
            )
        }))
    }
}

impl Taps {
    /// The weights of four channels from `weights` on, if they stay inside the slices.
    #[inline]
    fn run(&self, weights: &[u8], to: &mut [u32]) {
        match self {
            Self::Square { side, step, least } => {
                if weights.len() < least[0] || to.len() < least[1] {
                    return;
                }
                let (weights, to) = (weights.as_ptr(), to.as_mut_ptr());
                match side {
                    // SAFETY: `least` is the contract of either.
                    3 => unsafe { taps_3(weights, *step, to) },
                    // SAFETY: as above.
                    _ => unsafe { taps_5(weights, *step, to) },
                }
            }
            Self::Any(outputs) => {
                for spread in outputs {
                    if weights.len() >= spread.behind[0] && to.len() >= spread.behind[1] {
                        let from = weights.as_ptr().cast();
                        let to = to.as_mut_ptr().wrapping_add(spread.to);
                        // SAFETY: all weights and their words lie in front of `behind`.
                        unsafe { spread_taps(spread, from, to) }
                    }
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

macro_rules! taps {
    ($name:ident, $side:literal, $weights:expr, $skip:literal) => {
        /// Weights of four channels as pairs.
        ///
        /// # Safety
        /// `weights` is readable for four bytes at `side²` places, `step` bytes apart; `to` takes
        /// `4·side·(side − 1)` words and is aligned to 4.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(weights: *const u8, step: usize, to: *mut u32) {
            naked_asm!(
                processor!(),
                "push {{r4-r9, lr}}",
                concat!("mov r3, #", $side),
                "1:",
                weight!("r4", "r5"),
                $weights,
                concat!("add r2, r2, #", $skip),
                "subs r3, r3, #1",
                "bne 1b",
                "pop {{r4-r9, pc}}",
            )
        }
    };
}

taps!(taps_3, 3, two_weights!("8"), 16);
taps!(
    taps_5,
    5,
    concat!(two_weights!("24"), two_weights!("24")),
    32
);

/// [`Lines`] as [`spread_lines`] takes them.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Spread {
    step: usize,
    /// Taken off every pixel, negated, in both halves.
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

impl From<Lines> for Spread {
    #[inline]
    fn from(lines: Lines) -> Self {
        Self::new(lines, BLOCK)
    }
}

impl Spread {
    /// Of `lines`, `words` from one pair of pixels to the next.
    #[inline]
    fn new(lines: Lines, words: usize) -> Self {
        let [rows, n] = lines.n;
        let (begin, behind) = (lines.left / 2, (lines.left + n).div_ceil(2));
        let (last_row, last) = (rows.wrapping_sub(1), n.wrapping_sub(1));
        let first = lines.left % 2;
        let zero = 0i32.wrapping_sub(lines.zero_point);
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
            zero: word(zero, zero),
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

    /// The lines of four channels from `src` on, if they stay inside the slices.
    #[inline]
    fn run(&self, src: &[i8], to: &mut [u32]) {
        if src.len() >= self.behind[0] && to.len() >= self.behind[1] {
            let from = src.as_ptr().wrapping_add(self.start);
            let to = to.as_mut_ptr().wrapping_add(self.to);
            // SAFETY: all pixels and their words lie in front of `behind`.
            unsafe { spread_lines(self, from, to) }
        }
    }
}

/// One pixel without a partner, at r0: channels 0 and 2 in r10, 1 and 3 in r11. `$more` comes behind its words.
macro_rules! lone {
    ($more:literal $($halves:literal)*) => {
        concat!(
            "ldr r11, [r0]\n add r0, r0, r1\n",
            "sxtab16 r10, r3, r11\n sxtab16 r11, r3, r11, ror #8\n",
            $($halves, "\n",)*
            "stm r2!, {{r8-r11}}\n",
            $more,
        )
    };
}

/// Two pixels; leaves the flags.
macro_rules! both {
    ($more:literal) => {
        concat!(
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
            ",
            $more,
        )
    };
}

macro_rules! spread {
    ($name:ident, $more:literal) => {
/// Rows of pixels of four channels as pairs, the partner of a lone one 0.
///
/// # Safety
/// `from` is readable for four bytes at `lone[0] + 2·pairs + lone[1]` places `step` apart, and again `skip`
/// behind that, `rows` times; `to` takes four words for each pair and each lone pixel, with `to_skip` bytes
/// between rows, and is aligned to 4; `rows` is at least 1.
#[unsafe(naked)]
unsafe extern "C" fn $name(lines: &Spread, from: *const i8, to: *mut u32) {
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
        lone!($more "lsl r8, r10, #16" "lsl r9, r11, #16" "bfc r10, #0, #16" "bfc r11, #0, #16"),
        "2:",
        // Twos of pairs, behind the odd one.
        "lsrs lr, r5, #1",
        "bcc 3f",
        both!($more),
        "3:",
        "beq 5f",
        "4:",
        both!($more),
        both!($more),
        "subs lr, lr, #1",
        "bne 4b",
        "5:",
        "cbz r7, 6f",
        lone!($more "uxth r8, r10" "uxth r9, r11" "lsr r10, r10, #16" "lsr r11, r11, #16"),
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
    };
}

spread!(spread_lines, "");
// The words of the other output lie between.
spread!(spread_taps, "add r2, r2, #16\n");
