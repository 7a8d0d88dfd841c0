//! Addition. It owns this operator only and must not know the graph around it.

use super::Simd;
use crate::kernel::{Dst, Over, Src, generic};
use crate::layer::{AddScales, Scaling};
use crate::quant::multiply_by_quantized_multiplier;

/// Elements from which on tables pay.
pub(crate) const MIN_ELEMENTS: usize = 512;
/// Fractional bits of the common scale of the two inputs.
const LEFT_SHIFT: u32 = 20;

/// Sum of two tensors of one shape: bit for bit [`generic::add_s8`], which it calls for fewer than 512
/// elements and for scales outside its proof.
///
/// The 256 values of either input are rescaled once, so that an element costs two look-ups and one
/// requantization. Never panics if `Model::parse` accepted the blob. Cost: 2 KiB of stack; instructions
/// in [`crate::cost`].
pub fn add_s8<S: Simd>(lhs: &Src<'_>, rhs: &Src<'_>, dst: &mut Dst<'_>, scales: &AddScales) {
    let output = Output::new(scales, dst.zero_point);
    let (Some(output), true) = (output, dst.data.len() >= MIN_ELEMENTS) else {
        return generic::add_s8(lhs, rhs, dst, scales);
    };
    let [mut left, mut right] = [[0; 256]; 2];
    fill(&mut left, lhs.zero_point, scales.lhs);
    fill(&mut right, rhs.zero_point, scales.rhs);
    let sum = |l: i8, r: i8| {
        let [l, r] = [l, r].map(|q| usize::from(q.cast_unsigned()));
        output.requantize::<S>(left[l] + right[r])
    };
    let [min, max] =
        [dst.clamp.min, dst.clamp.max].map(|limit| u32::from_le_bytes([limit.cast_unsigned(); 4]));
    let (fours, tail) = dst.data.as_chunks_mut::<4>();
    let (ls, l_tail) = lhs.data.as_chunks::<4>();
    let (rs, r_tail) = rhs.data.as_chunks::<4>();
    for ((out, l), r) in fours.iter_mut().zip(ls).zip(rs) {
        let (&[l0, l1, l2, l3], &[r0, r1, r2, r3]) = (l, r);
        let sums = [sum(l0, r0), sum(l1, r1), sum(l2, r2), sum(l3, r3)];
        let word = u32::from_le_bytes(sums.map(i8::cast_unsigned));
        let word = S::min4(S::max4(word, min), max);
        *out = word.to_le_bytes().map(u8::cast_signed);
    }
    for ((out, &l), &r) in tail.iter_mut().zip(l_tail).zip(r_tail) {
        *out = sum(l, r).max(dst.clamp.min).min(dst.clamp.max);
    }
}

/// [`add_s8`] where the first input is `image` and the output takes its place: bit for bit
/// [`generic::add_over_s8`].
pub fn add_over_s8<S: Simd>(image: &mut Over<'_>, rhs: &Src<'_>, scales: &AddScales) {
    let [lhs_zero, dst_zero] = image.zero_points;
    let output = Output::new(scales, dst_zero);
    let (Some(output), true) = (output, image.data.len() >= MIN_ELEMENTS) else {
        return generic::add_over_s8(image, rhs, scales);
    };
    let [mut left, mut right] = [[0; 256]; 2];
    fill(&mut left, lhs_zero, scales.lhs);
    fill(&mut right, rhs.zero_point, scales.rhs);
    let sum = |l: i8, r: i8| {
        let [l, r] = [l, r].map(|q| usize::from(q.cast_unsigned()));
        output.requantize::<S>(left[l] + right[r])
    };
    let clamp = image.clamp;
    let [min, max] =
        [clamp.min, clamp.max].map(|limit| u32::from_le_bytes([limit.cast_unsigned(); 4]));
    let (fours, tail) = image.data.as_chunks_mut::<4>();
    let (rs, r_tail) = rhs.data.as_chunks::<4>();
    for (out, r) in fours.iter_mut().zip(rs) {
        let (&mut [l0, l1, l2, l3], &[r0, r1, r2, r3]) = (&mut *out, r);
        let sums = [sum(l0, r0), sum(l1, r1), sum(l2, r2), sum(l3, r3)];
        let word = u32::from_le_bytes(sums.map(i8::cast_unsigned));
        let word = S::min4(S::max4(word, min), max);
        *out = word.to_le_bytes().map(u8::cast_signed);
    }
    for (out, &r) in tail.iter_mut().zip(r_tail) {
        *out = sum(*out, r).max(clamp.min).min(clamp.max);
    }
}

/// Requantization of sums below 2^29.
struct Output {
    /// `2M − 2^32`.
    multiplier: i32,
    /// Half of the divisor, and the zero point before the shift.
    round: i32,
    shift: u32,
}

impl Output {
    /// None unless the input's scales shift to the right, so that a rescaled value is below
    /// `256·2^20`, and the output's multiplier is at least `2^30` and shifts by 1 to 22 to the right:
    /// product, half and zero point are then below `2^29 + 2^21 + 2^29` in all.
    fn new(scales: &AddScales, zero_point: i32) -> Option<Self> {
        let (multiplier, shift) = (scales.output.multiplier(), scales.output.shift);
        let fits = scales.lhs.shift <= 0
            && scales.rhs.shift <= 0
            && multiplier >= 1 << 30
            && (-22..=-1).contains(&shift)
            && (-128..=127).contains(&zero_point);
        let shift = u32::from(shift.unsigned_abs());
        fits.then(|| Self {
            multiplier: multiplier.wrapping_mul(2),
            round: (1 << (shift - 1)) + (zero_point << shift),
            shift,
        })
    }

    /// [`crate::quant::requantize`] without a clamp.
    #[inline(always)]
    fn requantize<S: Simd>(&self, sum: i32) -> i8 {
        let product = S::smmlar(sum, self.multiplier, sum);
        let rounded = (product + (product >> 31) + self.round) >> self.shift;
        #[expect(clippy::cast_possible_truncation, reason = "limited to i8")]
        {
            rounded.clamp(-128, 127) as i8
        }
    }
}

/// Rescaled values, by the bits of `q`.
fn fill(values: &mut [i32; 256], zero_point: i32, scaling: Scaling) {
    for (value, q) in values.iter_mut().zip((0..=127).chain(-128..=-1)) {
        let wide = (q - zero_point) << LEFT_SHIFT;
        *value = multiply_by_quantized_multiplier(wide, scaling.multiplier(), scaling.shift);
    }
}
