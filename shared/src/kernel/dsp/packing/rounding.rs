//! The rounding right shift of four channels as the high word of a product: one SMMLAR, zero point included.
//!
//! It owns the proof that ties go away from zero, as [`crate::quant::requantize`] sends them. With
//! `d = 2^(32 − shift)` the high word of `h·d + 2^31` is `h / 2^shift`, rounded, ties upwards: right for `h >= 0`,
//! and for `h < 0` if 1 is taken off it first. With `d + 1` it is the high word of `h·d + 2^31 + h`. As
//! `h·d + 2^31` is a multiple of `d`, an `|h| < d` changes it only where it is a multiple of 2^32, at a tie,
//! and `h < 0`: right without the 1.

use super::{BLOCK, Channel, Reach, bound};
use crate::kernel::dsp::{Portable, Simd};

/// Bytes of code that takes off the 1 of eight values, which [`Rounding::skip`] leaves out.
const TIES_BYTES: u32 = 32;

/// How the high words of four channels become activations.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Rounding {
    /// 0 if 1 is taken off values below 0; else the bytes of code that do so.
    pub skip: u32,
    /// `2^(32 − shift)`, one more with `skip`.
    pub divisor: [i32; BLOCK],
    /// Of the output.
    pub zero_point: i32,
}

impl Rounding {
    /// Of channels of which [`Channel::is_exact`] holds, with `reach`.
    #[inline(always)]
    pub(super) fn of(channels: &[Channel; BLOCK], zero_point: i32, reach: Reach) -> Self {
        let left = channels.map(|channel| 32u32.wrapping_sub(channel.shift.unsigned_abs().into()));
        let divisor = left.map(|left| 1i32.wrapping_shl(left));
        // They are powers of two: the lowest bit of any of them is the least.
        let bits = divisor.iter().fold(0, |bits, &divisor| bits | divisor);
        let least = (bits & bits.wrapping_neg()).cast_unsigned();
        // No high word is farther from 0 than its sum.
        let is_near = bound(channels, reach) < least;
        let more = i32::from(is_near);
        Self {
            skip: if is_near { TIES_BYTES } else { 0 },
            divisor: divisor.map(|divisor| divisor.wrapping_add(more)),
            zero_point,
        }
    }

    /// The activations of the high words of all channels.
    #[inline(always)]
    pub(super) fn round_all<S: Simd>(&self, high: [i32; BLOCK]) -> [i8; BLOCK] {
        let high = match self.skip {
            0 => high.map(|high| high.wrapping_add(high >> 31)),
            _ => high,
        };
        core::array::from_fn(|i| {
            let rounded = S::smmlar(high[i], self.divisor[i], self.zero_point);
            crate::quant::saturate(rounded, crate::Clamp::FULL)
        })
    }

    /// The activation of the high word of channel `lane`.
    #[inline]
    pub(super) fn round(&self, lane: usize, high: i32) -> i8 {
        let high = match self.skip {
            0 => high.wrapping_add(high >> 31),
            _ => high,
        };
        let rounded = Portable::smmlar(high, self.divisor[lane], self.zero_point);
        crate::quant::saturate(rounded, crate::Clamp::FULL)
    }
}
