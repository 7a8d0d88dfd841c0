//! The rounding right shift of four channels as a sum and a shift, for processors without SMMLAR.
//!
//! It owns these constants only and must not know loops.

use super::{BLOCK, Channel, Reach};

/// How the high words of four channels become activations.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Rounding {
    /// `2^(shift − 1) + (zero_point << shift)`.
    pub round: [i32; BLOCK],
    /// Right shift, 2 to 22.
    pub shift: [i32; BLOCK],
}

impl Rounding {
    /// Of channels of which [`Channel::is_exact`] holds.
    #[inline]
    pub(super) fn of(channels: &[Channel; BLOCK], zero_point: i32, _: Reach) -> Self {
        let right = channels.map(|channel| u32::from(channel.shift.unsigned_abs()));
        // Half of the divisor, and the zero point before the shift.
        let round = |right: u32| {
            1i32.wrapping_add(zero_point << 1)
                .wrapping_shl(right.wrapping_sub(1))
        };
        Self {
            round: right.map(round),
            shift: right.map(u32::cast_signed),
        }
    }

    /// The activations of the high words of all channels.
    #[inline]
    pub(super) fn round_all<S>(&self, high: [i32; BLOCK]) -> [i8; BLOCK] {
        core::array::from_fn(|lane| self.round(lane, high[lane]))
    }

    /// The activation of the high word of channel `lane`.
    #[inline]
    pub(super) fn round(&self, lane: usize, high: i32) -> i8 {
        let sum = high.wrapping_add(high >> 31).wrapping_add(self.round[lane]);
        let shift = self.shift[lane].cast_unsigned();
        crate::quant::saturate(sum.wrapping_shr(shift), crate::Clamp::FULL)
    }
}
