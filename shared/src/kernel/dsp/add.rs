//! Addition. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Src, generic};
use crate::layer::{AddScales, Scaling};
use crate::quant::{multiply_by_quantized_multiplier, requantize};

/// Elements from which on tables pay.
const MIN_ELEMENTS: usize = 1024;
/// Fractional bits of the common scale of the two inputs.
const LEFT_SHIFT: u32 = 20;

/// Sum of two tensors of one shape: bit for bit [`generic::add_s8`].
///
/// The 256 values of either input are rescaled once, so that an element costs two look-ups and one
/// requantization. Never panics if `Model::parse` accepted the blob. Cost: 2 KiB of stack; instructions
/// in [`crate::cost`].
pub fn add_s8(lhs: &Src<'_>, rhs: &Src<'_>, dst: &mut Dst<'_>, scales: &AddScales) {
    if dst.data.len() < MIN_ELEMENTS {
        return generic::add_s8(lhs, rhs, dst, scales);
    }
    let [mut left, mut right] = [[0; 256]; 2];
    fill(&mut left, lhs, scales.lhs);
    fill(&mut right, rhs, scales.rhs);
    let to = (scales.output.multiplier(), scales.output.shift);
    for ((out, &l), &r) in dst.data.iter_mut().zip(lhs.data).zip(rhs.data) {
        let [l, r] = [l, r].map(|q| usize::from(q.cast_unsigned()));
        let sum = left[l].wrapping_add(right[r]);
        *out = requantize(sum, to, dst.zero_point, dst.clamp);
    }
}

/// Rescaled values, by the bits of `q`.
fn fill(values: &mut [i32; 256], src: &Src<'_>, scaling: Scaling) {
    for (value, q) in values.iter_mut().zip((0..=127).chain(-128..=-1)) {
        let wide = (q - src.zero_point) << LEFT_SHIFT;
        *value = multiply_by_quantized_multiplier(wide, scaling.multiplier(), scaling.shift);
    }
}
