//! A network's input and output in another type than int8.
//!
//! Owns QUANTIZE and DEQUANTIZE. Unsigned bytes are signed ones less 128, scale and all: the caller flips the
//! highest bit. Floating-point numbers are quantized by the caller, to the scale and zero point of the
//! blob's input, and dequantized from those of its output. Everywhere else tensors are int8. Sources:
//! TensorFlow's `requantize.h`, `quantize.h` and `dequantize.h`.

use super::placing::{PLAIN, placing};
use super::shape::same_scale;
use super::{Fault, Located, Lowering, activation, names, schema};
use aplysia_shared::Tensor;
use schema::{FLOAT32, INT8, UINT8};

impl Lowering<'_> {
    fn has_kind(&self, tensor: i32, kind: i8) -> bool {
        self.at(tensor).is_some_and(|t| t.kind == kind)
    }

    /// `tensor` as an activation; unsigned bytes are one at the ends of the network.
    fn bytes(&self, tensor: i32) -> Result<Tensor, Located> {
        let is_end = [self.graph.input, self.graph.output].contains(&tensor);
        if !is_end || !self.has_kind(tensor, UINT8) {
            return self.activation(tensor);
        }
        let mut signed = self.found(tensor)?.clone();
        signed.kind = INT8;
        signed
            .zero_points
            .iter_mut()
            .for_each(|z| *z = z.saturating_sub(128));
        activation(&signed).map_err(|fault| (tensor, fault))
    }

    /// QUANTIZE: another scale, or another type at the ends.
    pub(super) fn quantize(&mut self, input: i32, output: i32) -> Result<(), Located> {
        let dst = self.bytes(output)?;
        let is_input = input == self.graph.input;
        if is_input && self.has_kind(input, FLOAT32) {
            return self.quantized_by_caller(input, output, dst);
        }
        let (place, src) = if is_input && self.has_kind(input, UINT8) {
            let src = self.bytes(input)?;
            let known = self.place(input).ok();
            (known.map_or_else(|| self.define_as(input, src), Ok)?, src)
        } else {
            self.source(input)?
        };
        if (src.h, src.w, src.c) != (dst.h, dst.w, dst.c) {
            return Err((output, self.misfit(output, "the input's shape", &src, &dst)));
        }
        if same_scale(&src, &dst) {
            self.alias(output, place);
            return Ok(());
        }
        let op = placing(f64::from(src.scale) / f64::from(dst.scale), 0);
        let output = self.define_as(output, dst)?;
        self.push(op, [place; 2], output, PLAIN);
        Ok(())
    }

    /// The blob's input is what `input` is quantized to.
    fn quantized_by_caller(&mut self, input: i32, output: i32, dst: Tensor) -> Result<(), Located> {
        let Ok(place) = self.place(input) else {
            let place = self.define_as(output, dst)?;
            self.alias(input, place);
            return Ok(());
        };
        let known = self.tensors[usize::from(place)];
        if !same_scale(&known, &dst) || (known.h, known.w, known.c) != (dst.h, dst.w, dst.c) {
            let fault = Fault::Quantization {
                scales: 1,
                zero_points: vec![dst.zero_point.into()],
                want: "one scale and shape for all that the input is quantized to",
            };
            return Err((output, fault));
        }
        self.alias(output, place);
        Ok(())
    }

    /// DEQUANTIZE: the output as real numbers, which the caller computes.
    pub(super) fn dequantize(&mut self, input: i32, output: i32) -> Result<(), Located> {
        if output != self.graph.output || !self.has_kind(output, FLOAT32) {
            let remedy = names::remedy(6);
            return Err((output, Fault::Unsupported { remedy }));
        }
        let place = self.stored(input)?;
        self.alias(output, place);
        Ok(())
    }

    /// Whether `tensor` is the network's output, or becomes it in another type.
    pub(super) fn is_output(&self, tensor: i32) -> bool {
        let end = self.graph.output;
        let ends = |o: &schema::Operator<'_>| {
            matches!(o.code, 6 | 114) && o.inputs.contains(&tensor) && o.outputs.contains(&end)
        };
        tensor == end || self.graph.operators.iter().any(ends)
    }
}
