//! Requantization: from a 32-bit accumulator to an 8-bit activation.
//!
//! It owns the rounding and must not know layers or tensors. Bit-exact with the reference kernels of
//! TensorFlow Lite (two roundings: doubling high product, then division by a power of two), from
//! B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference", 2018, section 2.2. Every function is total: no argument panics.
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation)]

use crate::layer::Clamp;

/// Requantization constants of one layer with O output channels, as bytes of the blob or an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requant<'a> {
    /// i32 LE × O, in units of the accumulator.
    pub bias: &'a [u8],
    /// i32 LE × O, Q0.31.
    pub multiplier: &'a [u8],
    /// i8 × O, positive = left.
    pub shift: &'a [u8],
}

impl Requant<'_> {
    /// Bias, multiplier and shift of `channel`; zeros if there is no such channel.
    #[inline]
    pub fn channel(&self, channel: usize) -> (i32, i32, i8) {
        let shift = self.shift.get(channel).map_or(0, |&s| s.cast_signed());
        (
            i32_at(self.bias, channel),
            i32_at(self.multiplier, channel),
            shift,
        )
    }
}

/// The `index`-th little-endian i32 of `bytes`; 0 if there is none.
#[inline]
pub fn i32_at(bytes: &[u8], index: usize) -> i32 {
    let word = bytes.as_chunks::<4>().0.get(index);
    word.map_or(0, |b| i32::from_le_bytes(*b))
}

/// The `index`-th little-endian i16 of `bytes`; 0 if there is none.
#[inline]
pub fn i16_at(bytes: &[u8], index: usize) -> i16 {
    let word = bytes.as_chunks::<2>().0.get(index);
    word.map_or(0, |b| i16::from_le_bytes(*b))
}

/// `floor((a·b + 2^30) / 2^31)`, limited to i32 (only `i32::MIN²` exceeds it).
#[inline]
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    let product = (i64::from(a) * i64::from(b) + (1 << 30)) >> 31;
    i32::try_from(product).unwrap_or(i32::MAX)
}

/// `x / 2^exponent`, to nearest, ties away from zero; `exponent` is limited to 31.
#[inline]
pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    if exponent == 0 {
        return x;
    }
    // A negative tie rounds down once it is one less. Halves are added behind the shift, where
    // nothing can overflow; `i32::MIN` has no tie, so that it may stay.
    let toward = x.saturating_add(x >> 31);
    ((toward >> (exponent.min(31) - 1)) + 1) >> 1
}

/// `x · multiplier / 2^31 · 2^shift` with TensorFlow Lite's two roundings. A left shift that leaves
/// 32 bits wraps; `Model::parse` refuses constants for which that could happen, and negative
/// multipliers, for which the high product of two `i32::MIN` wraps.
#[inline]
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i8) -> i32 {
    let left = u32::from(shift.max(0).unsigned_abs()).min(31);
    let right = u32::from(shift.min(0).unsigned_abs());
    rounding_divide_by_pot(high_product(x.wrapping_shl(left), multiplier), right)
}

/// `floor((a·b + 2^30) / 2^31)` modulo 2^32: for `b >= 0` the number itself, which lies between
/// `-a` and `a`.
#[inline]
pub(crate) fn high_product(a: i32, b: i32) -> i32 {
    // |a·b| <= 2^62, so that the sum cannot overflow.
    let product = (i64::from(a) * i64::from(b)).wrapping_add(1 << 30) >> 31;
    #[expect(clippy::cast_possible_truncation, reason = "the modulus is meant")]
    {
        product as i32
    }
}

/// `floor((a·b + 2^30) / 2^31)` for `|a| < 2^23` and `b >= 0` from products of 32 bits, for processors that
/// have no longer ones: of `a = 2^12·h + l`, `|l| <= 2^11`, and `b = 2^16·m + n` it is
/// `floor((2^16·h·m + h·n + floor(l·b / 2^12) + 2^18) / 2^19)`. Other arguments give another number.
#[inline]
pub fn high_product_by_parts(a: i32, b: i32) -> i32 {
    let l = a << 20 >> 20;
    let h = a.wrapping_sub(l) >> 12;
    let (m, n) = (b >> 16, b & 0xFFFF);
    let high = h.wrapping_mul(m);
    let low = (l.wrapping_mul(m) << 4).wrapping_add(l.wrapping_mul(n) >> 12);
    // Less than 2^27 and 2^30 from 0.
    let rest = h.wrapping_mul(n).wrapping_add(low);
    let rest = rest.wrapping_add((high & 7) << 16).wrapping_add(1 << 18);
    (high >> 3).wrapping_add(rest >> 19)
}

/// `x` limited to `clamp`: the one place where 32 bits become 8.
#[inline]
pub fn saturate(x: i32, clamp: Clamp) -> i8 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both limits are i8, so the limited value is"
    )]
    {
        x.max(i32::from(clamp.min)).min(i32::from(clamp.max)) as i8
    }
}

/// `saturate(MultiplyByQuantizedMultiplier(acc, multiplier, shift) + zero_point)`.
///
/// ```
/// use aplysia_shared::{Clamp, quant::requantize};
/// // 100 · 0.75 · 2^-1 = 37.5, which rounds away from zero; zero point 3.
/// assert_eq!(requantize(100, (3 << 29, -1), 3, Clamp::FULL), 41);
/// ```
#[inline]
pub fn requantize(acc: i32, (multiplier, shift): (i32, i8), zero_point: i32, clamp: Clamp) -> i8 {
    let scaled = multiply_by_quantized_multiplier(acc, multiplier, shift);
    saturate(scaled.saturating_add(zero_point), clamp)
}
