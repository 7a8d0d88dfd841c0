//! Real factors in integers: a 31-bit mantissa and a power of two.
//!
//! It owns products and quotients of scales, which the learning rules need exactly alike on host and
//! device, with or without a floating-point unit. It must not know what the factors mean.

/// `mantissa · 2^exponent` with the mantissa in `2^30 .. 2^31`, or 0 with mantissa 0. Relative error
/// of each operation: at most `2^-30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    mantissa: u32,
    exponent: i32,
}

impl Scaled {
    /// `value · 2^exponent`, truncated to 31 bits.
    pub(crate) fn new(value: u64, exponent: i32) -> Self {
        let bits = 64 - value.leading_zeros().cast_signed();
        let shift = bits - 31;
        let mantissa = match shift {
            0.. => value >> shift,
            _ if value == 0 => 0,
            _ => value << -shift,
        };
        Self {
            mantissa: u32::try_from(mantissa).unwrap_or(u32::MAX >> 1),
            exponent: if value == 0 {
                0
            } else {
                exponent.saturating_add(shift)
            },
        }
    }

    /// The magnitude of a finite `f32`, exactly.
    pub(crate) fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let fraction = u64::from(bits & 0x7f_ffff);
        let biased = ((bits >> 23) & 0xff).cast_signed();
        match biased {
            0 => Self::new(fraction, -149),
            _ => Self::new(fraction | 0x80_0000, biased - 150),
        }
    }

    /// `multiplier / 2^31 · 2^shift`, the form of requantization constants; 0 if negative.
    pub(crate) fn from_multiplier(multiplier: i32, shift: i8) -> Self {
        Self::new(
            u64::from(multiplier.max(0).unsigned_abs()),
            i32::from(shift) - 31,
        )
    }

    /// `self · rhs`
    pub(crate) fn times(self, rhs: Self) -> Self {
        let product = u64::from(self.mantissa) * u64::from(rhs.mantissa);
        Self::new(product, self.exponent.saturating_add(rhs.exponent))
    }

    /// `self / rhs`; 0 if `rhs` is 0, so that a channel without a scale never learns.
    pub(crate) fn over(self, rhs: Self) -> Self {
        match (u64::from(self.mantissa) << 31).checked_div(u64::from(rhs.mantissa)) {
            Some(quotient) => {
                let exponent = self.exponent.saturating_sub(rhs.exponent);
                Self::new(quotient, exponent.saturating_sub(31))
            }
            None => Self::new(0, 0),
        }
    }

    /// `x · self · 2^fraction_bits` to nearest (ties up), saturating.
    pub(crate) fn apply(self, x: i32, fraction_bits: i32) -> i64 {
        let product = i64::from(x) * i64::from(self.mantissa);
        match self.exponent.saturating_add(fraction_bits) {
            left @ 0.. => product.saturating_mul(1 << left.min(62)),
            right => {
                let right = right.unsigned_abs().min(63);
                (product >> (right - 1)).saturating_add(1) >> 1
            }
        }
    }
}

/// `x / 2^shift` to nearest, ties up.
pub(crate) fn rounding_shift(x: i64, shift: u8) -> i64 {
    match shift {
        0 => x,
        _ => (x >> (shift - 1).min(62)).saturating_add(1) >> 1,
    }
}

/// `num / den` to nearest, ties away from zero; `den` below 1 counts as 1.
pub(crate) fn rounding_div(num: i64, den: i64) -> i64 {
    let den = den.max(1);
    let half = if num < 0 { -(den / 2) } else { den / 2 };
    let num = num.saturating_add(half);
    // One instruction where a word is enough.
    match (i32::try_from(num), i32::try_from(den)) {
        (Ok(num), Ok(den)) => i64::from(num / den),
        _ => num / den,
    }
}

/// `value` limited to i32.
pub(crate) fn saturate_i32(value: i64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "limited to i32 just before"
    )]
    {
        value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }
}
