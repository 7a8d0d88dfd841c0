//! Addition. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Over, Src};
use crate::layer::{AddScales, Clamp, Scaling};
use crate::quant::{multiply_by_quantized_multiplier, requantize};

/// Fractional bits of the common scale of the two inputs.
const LEFT_SHIFT: u32 = 20;

/// Sum of two tensors of one shape, each with its own scale.
///
/// `dst[i] = requantize(m_lhs·((lhs[i] − zp_lhs) << 20) + m_rhs·((rhs[i] − zp_rhs) << 20))`.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `lhs`, `rhs` | `[h][w][c]` | i8 |
/// | `dst` | `[h][w][c]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: no MACs, three requantizations per element,
/// no scratch. Bit-exact with TensorFlow Lite's reference int8 `Add`.
pub fn add_s8(lhs: &Src<'_>, rhs: &Src<'_>, dst: &mut Dst<'_>, scales: &AddScales) {
    let zero_points = [lhs.zero_point, rhs.zero_point, dst.zero_point];
    let sum = |l, r| sum([l, r], zero_points, scales, dst.clamp);
    for ((out, &l), &r) in dst.data.iter_mut().zip(lhs.data).zip(rhs.data) {
        *out = sum(l, r);
    }
}

/// [`add_s8`] where the first input is `image` and the output takes its place.
pub fn add_over_s8(image: &mut Over<'_>, rhs: &Src<'_>, scales: &AddScales) {
    let [lhs, dst] = image.zero_points;
    let sum = |l, r| sum([l, r], [lhs, rhs.zero_point, dst], scales, image.clamp);
    for (out, &r) in image.data.iter_mut().zip(rhs.data) {
        *out = sum(*out, r);
    }
}

#[inline]
fn sum([l, r]: [i8; 2], [lhs, rhs, dst]: [i32; 3], scales: &AddScales, clamp: Clamp) -> i8 {
    let to = (scales.output.multiplier(), scales.output.shift);
    let sum = rescale(l, lhs, scales.lhs).wrapping_add(rescale(r, rhs, scales.rhs));
    requantize(sum, to, dst, clamp)
}

#[inline]
fn rescale(q: i8, zero_point: i32, scaling: Scaling) -> i32 {
    let wide = (i32::from(q) - zero_point) << LEFT_SHIFT;
    multiply_by_quantized_multiplier(wide, scaling.multiplier(), scaling.shift)
}
