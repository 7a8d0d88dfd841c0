//! Slices of four channels of a depthwise convolution: pixels and weights as pairs of halfwords. It owns this
//! code only and must not know layers.

use core::arch::naked_asm;

use super::{Armv7em, rows};
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::slices::taps_len;
use crate::kernel::dsp::{Lines, Portable, Slices, Strip, word};

impl Slices for Armv7em {
    #[inline]
    fn taps(weights: &[u8], step: usize, side: usize, to: &mut [u32]) -> [i32; BLOCK] {
        let last = (side * side).saturating_sub(1);
        let fits = weights.len() >= last * step + BLOCK && to.len() >= taps_len(side);
        let (weights, to) = (weights.as_ptr(), to.as_mut_ptr());
        match (side, fits) {
            // SAFETY: `fits` is the contract of either.
            (3, true) => unsafe { taps_3(weights, step, to) },
            // SAFETY: as above.
            (5, true) => unsafe { taps_5(weights, step, to) },
            _ => {}
        }
        [0; BLOCK]
    }

    #[inline]
    fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
        if let Some(job) = Spread::new(src, lines, to) {
            // SAFETY: the contract of `Spread::new` is that of `spread_lines`.
            unsafe { spread_lines(&job) }
        }
    }

    #[inline(always)]
    fn rows(strip: &Strip<'_>, out: &mut [i8]) {
        if !rows::run(strip, out) {
            Portable::rows(strip, out);
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

/// What [`spread_lines`] works on.
#[repr(C)]
struct Spread {
    from: *const i8,
    step: usize,
    to: *mut u32,
    /// Taken off every pixel, negated, in both halves.
    zero: u32,
    rows: usize,
    pairs: usize,
    /// Pixels in front of the pairs and behind them, 0 or 1.
    lone: [usize; 2],
    /// Bytes from behind a row to the next one, modulo 2^32.
    skip: usize,
    to_skip: usize,
}

impl Spread {
    /// For the pixels of `lines`, if they stay inside the slices.
    #[inline]
    fn new(src: &[i8], lines: &Lines, to: &mut [u32]) -> Option<Self> {
        let [rows, n] = lines.n;
        let (last_row, last) = (rows.checked_sub(1)?, n.checked_sub(1)?);
        let (begin, behind) = (lines.left / 2, (lines.left + n).div_ceil(2));
        let fits = lines.start + last_row * lines.down + last * lines.step + BLOCK <= src.len()
            && lines.pitch >= BLOCK * behind
            && lines.to + last_row * lines.pitch + BLOCK * behind <= to.len();
        let first = lines.left % 2;
        let zero = 0i32.wrapping_sub(lines.zero_point);
        fits.then(|| Self {
            from: src.as_ptr().wrapping_add(lines.start),
            step: lines.step,
            to: to.as_mut_ptr().wrapping_add(lines.to + BLOCK * begin),
            zero: word(zero, zero),
            rows,
            pairs: (n - first) / 2,
            lone: [first, (n - first) % 2],
            skip: lines.down.wrapping_sub(n * lines.step),
            to_skip: 4 * (lines.pitch - BLOCK * (behind - begin)),
        })
    }
}

/// One pixel without a partner, into the halves at `$c0` to `$c3`: r8 and r9 hold channels 0 and 2, 1 and 3.
macro_rules! lone {
    ($c0:literal, $c1:literal, $c2:literal, $c3:literal) => {
        concat!(
            "ldr r12, [r0]\n add r0, r0, r1\n",
            "sxtab16 r8, r3, r12\n sxtab16 r9, r3, r12, ror #8\n",
            "strh r8, [r2, #",
            $c0,
            "]\n strh r9, [r2, #",
            $c1,
            "]\n",
            "lsr r8, r8, #16\n lsr r9, r9, #16\n",
            "strh r8, [r2, #",
            $c2,
            "]\n strh r9, [r2, #",
            $c3,
            "]\n",
            "add r2, r2, #16\n",
        )
    };
}

/// Two pixels; leaves the flags.
macro_rules! both {
    () => {
        "ldr r9, [r0, r1]
        ldr r8, [r0]
        add r0, r0, r1, lsl #1
        sxtab16 r10, r3, r8
        sxtab16 r11, r3, r9
        sxtab16 r8, r3, r8, ror #8
        sxtab16 r9, r3, r9, ror #8
        pkhbt r12, r10, r11, lsl #16
        pkhtb r11, r11, r10, asr #16
        pkhbt r10, r8, r9, lsl #16
        pkhtb r9, r9, r8, asr #16
        strd r12, r10, [r2], #8
        strd r11, r9, [r2], #8
        "
    };
}

/// Rows of pixels of four channels as pairs.
///
/// # Safety
/// `from` is readable for four bytes at `lone[0] + 2·pairs + lone[1]` places `step` apart, and again `skip`
/// behind that, `rows` times; `to` takes four words for each pair and each lone pixel, with `to_skip` bytes
/// between rows, and is aligned to 4; `rows` is at least 1.
#[unsafe(naked)]
unsafe extern "C" fn spread_lines(job: &Spread) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldrd r8, r9, [r0, #32]",
        "push {{r8, r9}}",
        "ldm r0, {{r0-r7}}",
        "1:",
        "cbz r6, 2f",
        // The upper halves.
        lone!("2", "6", "10", "14"),
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
        lone!("0", "4", "8", "12"),
        "6:",
        "ldrd r8, r9, [sp]",
        "add r0, r0, r8",
        "add r2, r2, r9",
        "subs r4, r4, #1",
        "bne 1b",
        "add sp, sp, #8",
        "pop {{r4-r11, pc}}",
    )
}
