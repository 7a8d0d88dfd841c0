//! Addition. It owns this operator only and must not know the graph around it.

use super::Simd;
use super::pool::limits;
use crate::kernel::{Dst, Over, Src, generic};
use crate::layer::{AddScales, Clamp, Scaling};
use crate::quant::rounding_divide_by_pot;

/// Elements from which on tables pay.
pub(crate) const MIN_ELEMENTS: usize = 128;
/// Fours of values that are copied out before their sums take their place.
const FOURS: usize = 64;
/// Fractional bits of the common scale of the two inputs.
const LEFT_SHIFT: u32 = 20;

/// Sum of two tensors of one shape: bit for bit [`generic::add_s8`], which it calls for fewer than 128
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
    let left = table::<S>(lhs.zero_point, scales.lhs);
    let right = table::<S>(rhs.zero_point, scales.rhs);
    let (fours, tail) = dst.data.as_chunks_mut::<4>();
    let (ls, l_tail) = lhs.data.as_chunks::<4>();
    let (rs, r_tail) = rhs.data.as_chunks::<4>();
    let job = Sum {
        lhs: ls,
        rhs: rs,
        left: &left,
        right: &right,
        output,
        clamp: dst.clamp,
    };
    S::add(&job, fours);
    for ((out, &l), &r) in tail.iter_mut().zip(l_tail).zip(r_tail) {
        *out = job.one::<S>(l, r).max(dst.clamp.min).min(dst.clamp.max);
    }
}

/// [`add_s8`] where the first input is `image` and the output takes its place: bit for bit
/// [`generic::add_over_s8`]. The first values are copied out, 256 at a time.
// Apart, as its tables would lie below the scratch of other layers.
#[inline(never)]
pub fn add_over_s8<S: Simd>(image: &mut Over<'_>, rhs: &Src<'_>, scales: &AddScales) {
    let [lhs_zero, dst_zero] = image.zero_points;
    let output = Output::new(scales, dst_zero);
    let (Some(output), true) = (output, image.data.len() >= MIN_ELEMENTS) else {
        return generic::add_over_s8(image, rhs, scales);
    };
    let left = table::<S>(lhs_zero, scales.lhs);
    let right = table::<S>(rhs.zero_point, scales.rhs);
    let clamp = image.clamp;
    let job = Sum {
        lhs: &[],
        rhs: &[],
        left: &left,
        right: &right,
        output,
        clamp,
    };
    let (fours, tail) = image.data.as_chunks_mut::<4>();
    let (rs, r_tail) = rhs.data.as_chunks::<4>();
    for (out, &r) in tail.iter_mut().zip(r_tail) {
        *out = job.one::<S>(*out, r).max(clamp.min).min(clamp.max);
    }
    for (out, rhs) in fours.chunks_mut(FOURS).zip(rs.chunks(FOURS)) {
        let mut lhs = [[0; 4]; FOURS];
        S::copy(out.as_flattened(), lhs.as_flattened_mut());
        let lhs = lhs.get(..out.len()).unwrap_or_default();
        S::add(&Sum { lhs, rhs, ..job }, out);
    }
}

/// Fours of values of two tensors, and what they are added with.
#[derive(Debug)]
pub struct Sum<'a> {
    /// First values.
    pub lhs: &'a [[i8; 4]],
    /// Second values.
    pub rhs: &'a [[i8; 4]],
    /// First values rescaled, by the bits of `q`.
    pub left: &'a [i32; 256],
    /// Second values rescaled.
    pub right: &'a [i32; 256],
    /// Requantization.
    pub output: Output,
    /// Limits of every sum.
    pub clamp: Clamp,
}

impl Sum<'_> {
    /// The sum of two values, limited to i8.
    #[inline(always)]
    fn one<S: Simd>(&self, l: i8, r: i8) -> i8 {
        let [l, r] = [l, r].map(|q| usize::from(q.cast_unsigned()));
        self.output.requantize::<S>(self.left[l] + self.right[r])
    }

    /// All sums.
    #[inline]
    pub(crate) fn fours<S: Simd>(&self, out: &mut [[i8; 4]]) {
        let [min, max] = limits(self.clamp);
        for ((out, l), r) in out.iter_mut().zip(self.lhs).zip(self.rhs) {
            let sums: [i8; 4] = core::array::from_fn(|i| self.one::<S>(l[i], r[i]));
            let word = u32::from_le_bytes(sums.map(i8::cast_unsigned));
            let word = S::min4(S::max4(word, min), max);
            *out = word.to_le_bytes().map(u8::cast_signed);
        }
    }
}

/// Requantization of sums below 2^29.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// `2M − 2^32`.
    pub multiplier: i32,
    /// The `q` of real 0.
    pub zero_point: i32,
    /// To the right, 1 to 22.
    pub shift: u32,
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
            zero_point,
            shift,
        })
    }

    /// [`crate::quant::requantize`] without a clamp.
    #[inline(always)]
    fn requantize<S: Simd>(&self, sum: i32) -> i8 {
        let product = S::smmlar(sum, self.multiplier, sum);
        // Half of the divisor, and the zero point before the shift.
        let round = (1 << (self.shift - 1)) + (self.zero_point << self.shift);
        let rounded = (product + (product >> 31) + round) >> self.shift;
        #[expect(clippy::cast_possible_truncation, reason = "limited to i8")]
        {
            rounded.clamp(-128, 127) as i8
        }
    }
}

/// Rescaled values, by the bits of `q`; the scaling shifts to the right by 0 to 31.
fn table<S: Simd>(zero_point: i32, scaling: Scaling) -> [i32; 256] {
    let double = scaling.multiplier().wrapping_mul(2);
    let right = u32::from(scaling.shift.unsigned_abs());
    core::array::from_fn(|bits| {
        // At most 255.
        let q = i32::from(u8::try_from(bits).unwrap_or(0).cast_signed());
        let wide = (q - zero_point) << LEFT_SHIFT;
        // A doubled multiplier of 2^31 and more lacks 2^32.
        let high = S::smmlar(wide, double, if double < 0 { wide } else { 0 });
        rounding_divide_by_pot(high, right)
    })
}
