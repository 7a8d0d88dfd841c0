//! Addition. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src};
use crate::layer::{AddScales, Scaling};
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
    let to = (scales.output.multiplier(), scales.output.shift);
    for ((out, &l), &r) in dst.data.iter_mut().zip(lhs.data).zip(rhs.data) {
        let l = rescale(l, lhs.zero_point, scales.lhs);
        let r = rescale(r, rhs.zero_point, scales.rhs);
        *out = requantize(l.wrapping_add(r), to, dst.zero_point, dst.clamp);
    }
}

#[inline]
fn rescale(q: i8, zero_point: i32, scaling: Scaling) -> i32 {
    let wide = (i32::from(q) - zero_point) << LEFT_SHIFT;
    multiply_by_quantized_multiplier(wide, scaling.multiplier(), scaling.shift)
}
