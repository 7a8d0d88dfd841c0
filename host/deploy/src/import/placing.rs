//! Operators of TensorFlow Lite that move values → placings.
//!
//! Owns CONCATENATION, RELU and RELU6, and must not know other operators. Sources: TensorFlow's
//! `concatenation.cc`, which asks for one scale and zero point, `activations_common.cc` of TensorFlow Lite
//! Micro, whose RELU rescales and whose RELU6 does not.

use super::operator::{Lowered, RELU6, clamp};
use super::schema::Operator;
use super::shape::same_scale;
use super::{Fault, Located, Lowering, Rest};
use crate::quantize::quantize_multiplier;
use aplysia_shared::{Clamp, Op, Placing, Scaling, Tensor};

pub(super) const PLAIN: Rest = Rest {
    clamp: Clamp::FULL,
    constants: None,
};

impl Lowering<'_> {
    /// The channels of all inputs, one placing each.
    pub(super) fn concatenation(&mut self, operator: &Operator<'_>, output: i32) -> Lowered<()> {
        let (axis, activation): (i32, i8) = (operator.option(0, 0)?, operator.option(1, 0)?);
        Ok(self.channels(&operator.inputs, output, (axis, activation)))
    }

    fn channels(
        &mut self,
        inputs: &[i32],
        output: i32,
        (axis, activation): (i32, i8),
    ) -> Result<(), Located> {
        let option = |name, got, want| (output, Fault::Option { name, got, want });
        let rank = self.found(output)?.shape.len() as i64;
        let axis = i64::from(axis);
        if axis != -1 && axis != rank - 1 {
            return Err(option("axis", axis, "only channels are put together"));
        }
        if activation != 0 {
            let (name, want) = ("fused_activation_function", "only NONE is supported");
            return Err(option(name, activation.into(), want));
        }
        let mut sources = Vec::new();
        for &input in inputs {
            sources.push((input, self.source(input)?));
        }
        let whole = self.define(output)?;
        let dst = self.tensors[usize::from(whole)];
        let mut first = 0u16;
        for (input, (place, src)) in sources {
            let quantization = |t: &Tensor| (t.scale.to_bits(), t.zero_point);
            if quantization(&src) != quantization(&dst) {
                let fault = Fault::Quantization {
                    scales: 1,
                    zero_points: vec![src.zero_point.into()],
                    want: "the output's scale and zero point",
                };
                return Err((input, fault));
            }
            let end = first.checked_add(src.c).filter(|&end| end <= dst.c);
            let (Some(end), true) = (end, (src.h, src.w) == (dst.h, dst.w)) else {
                let want = "rows and columns of the output, and no more channels";
                return Err((input, self.misfit(input, want, &src, &dst)));
            };
            self.push(placing(1.0, first), [place; 2], whole, PLAIN);
            first = end;
        }
        if first != dst.c {
            let want = "the channels of all inputs";
            return Err((output, self.misfit(output, want, &dst, &dst)));
        }
        Ok(())
    }

    /// RELU or RELU6 (`activation` as in a fused one) on its own.
    pub(super) fn relu(&mut self, input: i32, output: i32, activation: i8) -> Result<(), Located> {
        let (place, src) = self.source(input)?;
        let dst = self.activation(output)?;
        if (src.h, src.w, src.c) != (dst.h, dst.w, dst.c) {
            return Err((output, self.misfit(output, "the input's shape", &src, &dst)));
        }
        if activation == RELU6 && !same_scale(&src, &dst) {
            return Err((output, Fault::Relu6));
        }
        let clamp = clamp(activation, &dst).map_err(|fault| (output, fault))?;
        let op = placing(f64::from(src.scale) / f64::from(dst.scale), 0);
        self.layer(op, [place; 2], output, Rest { clamp, ..PLAIN })
    }
}

/// All of a tensor, rescaled, to the channels from `first` on.
pub(super) fn placing(factor: f64, first: u16) -> Op {
    let (multiplier, shift) = quantize_multiplier(factor);
    Op::Place(Placing {
        scaling: Scaling::new(multiplier, shift),
        first,
        stride: 1,
        offset: 0,
    })
}
