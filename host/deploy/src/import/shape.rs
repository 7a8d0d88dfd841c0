//! Shapes that a graph computes: RESHAPE, and what leads to its target.
//!
//! Owns the integers that are known when a model is converted: constants, and SHAPE, STRIDED_SLICE and PACK
//! of them, which an export with an open batch has in front of every RESHAPE. The batch is 1. It must not
//! know activations. Sources: TensorFlow's `shape.cc`, `strided_slice_logic.h`, `pack.cc`, `reshape.cc`.

use super::operator::Lowered;
use super::schema::{INT32, Operator};
use super::weights::{check_length, check_type};
use super::{Fault, Located, Lowering, fixed};
use aplysia_shared::Tensor;

/// `BuiltinOperator` of SHAPE.
pub(super) const SHAPE: i32 = 77;

impl Lowering<'_> {
    /// The integers of `tensor`: a constant, or computed.
    pub(super) fn integers(&self, tensor: i32) -> Result<Vec<i32>, Located> {
        if let Some(known) = self.known.get(&tensor) {
            return Ok(known.clone());
        }
        let t = self.found(tensor)?;
        let located = |fault| (tensor, fault);
        check_type(t, INT32, "INT32").map_err(located)?;
        if t.data.is_empty() {
            return Err(located(Fault::NotComputed));
        }
        check_length(t, 4).map_err(located)?;
        let words = t.data.as_chunks::<4>().0;
        Ok(words.iter().map(|w| i32::from_le_bytes(*w)).collect())
    }

    /// Whether `tensor` holds 32-bit integers, as shapes do.
    pub(super) fn is_shape(&self, tensor: i32) -> bool {
        self.at(tensor).is_some_and(|t| t.kind == INT32)
    }

    /// SHAPE: the sizes of a tensor.
    pub(super) fn shape(&mut self, input: i32, output: i32) -> Result<(), Located> {
        let t = self.found(input)?;
        fixed(t).map_err(|fault| (input, fault))?;
        let sizes = t.shape.clone();
        self.know(output, sizes)
    }

    /// STRIDED_SLICE of a list: from a first element to the one before another one.
    pub(super) fn strided_slice(&mut self, operator: &Operator<'_>, output: i32) -> Lowered<()> {
        let mut masks = [0; 5];
        for (slot, mask) in masks.iter_mut().enumerate() {
            *mask = operator.option(slot, 0)?;
        }
        Ok(self.sliced(&operator.inputs, output, masks))
    }

    /// Masks: begin, end, ellipsis, new axis, shrink axis.
    fn sliced(
        &mut self,
        inputs: &[i32],
        output: i32,
        [begin_mask, end_mask, ellipsis, new_axis, shrink]: [i32; 5],
    ) -> Result<(), Located> {
        let &[input, begin, end, stride] = inputs else {
            return Err((output, Fault::Missing));
        };
        let list = self.integers(input)?;
        let [begin, end, stride] = [begin, end, stride].map(|tensor| self.integers(tensor));
        let (&[begin], &[end], &[1]) = (&begin?[..], &end?[..], &stride?[..]) else {
            return Err((output, Fault::Arithmetic));
        };
        if (ellipsis, new_axis) != (0, 0) || self.found(input)?.shape.len() != 1 {
            return Err((output, Fault::Arithmetic));
        }
        let n = i64::try_from(list.len()).unwrap_or(i64::MAX);
        // From the end if negative.
        let place = |at: i32| match i64::from(at) {
            at @ ..0 => (at + n).clamp(0, n),
            at => at.min(n),
        };
        let first = if begin_mask & 1 == 1 { 0 } else { place(begin) };
        let last = match (shrink & 1 == 1, end_mask & 1 == 1) {
            (true, _) => first + 1,
            (_, true) => n,
            _ => place(end),
        };
        let [first, last] = [first, last].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        let part = list.get(first..last).map(<[i32]>::to_vec);
        self.know(output, part.ok_or((output, Fault::Arithmetic))?)
    }

    /// PACK of single numbers.
    pub(super) fn pack(&mut self, operator: &Operator<'_>, output: i32) -> Lowered<()> {
        let axis: i32 = operator.option(1, 0)?;
        let numbers = operator.inputs.iter().map(|&input| {
            let number = self.integers(input)?;
            match (number.as_slice(), self.found(input)?.shape.as_slice()) {
                (&[number], &[]) if axis == 0 => Ok(number),
                _ => Err((input, Fault::Arithmetic)),
            }
        });
        let numbers: Result<Vec<i32>, Located> = numbers.collect();
        Ok(numbers.and_then(|numbers| self.know(output, numbers)))
    }

    fn know(&mut self, tensor: i32, numbers: Vec<i32>) -> Result<(), Located> {
        let t = self.found(tensor)?;
        check_type(t, INT32, "INT32").map_err(|fault| (tensor, fault))?;
        self.known.insert(tensor, numbers);
        Ok(())
    }

    /// RESHAPE: the target, if there is one, is the output's shape; one of its sizes may be −1.
    pub(super) fn target(&self, operator: &Operator<'_>, output: i32) -> Result<(), Located> {
        let Some(&target) = operator.inputs.get(1).filter(|&&t| t >= 0) else {
            return Ok(());
        };
        let want = self.integers(target)?;
        let got = &self.found(output)?.shape;
        let is_open = |&(got, want): &(&i32, &i32)| got != want && *want == -1;
        let others = got.iter().zip(&want).filter(|pair| !is_open(pair));
        let open = want.len() - others.clone().count().min(want.len());
        if got.len() == want.len() && open <= 1 && others.clone().all(|(got, want)| got == want) {
            return Ok(());
        }
        let got = got.clone();
        Err((output, Fault::Target { got, want }))
    }

    /// The same bytes in another shape. An input that nothing has read yet takes the new shape.
    pub(super) fn reshape(&mut self, input: i32, output: i32) -> Result<(), Located> {
        let shape = |t: &Tensor| (t.h, t.w, t.c);
        let new = self.activation(output)?;
        if let Some(padding) = self.pads.get(&input).copied() {
            let old = self.activation(input)?;
            if shape(&old) == shape(&new) && same_scale(&old, &new) {
                self.pads.insert(output, padding);
                let place = self.place(input)?;
                self.alias(output, place);
                return Ok(());
            }
        }
        let place = self.stored(input)?;
        let old = self.tensors[usize::from(place)];
        if !same_scale(&old, &new) || old.len() != new.len() {
            let want = "the input's size and scale";
            return Err((output, self.misfit(output, want, &old, &new)));
        }
        if self.is_fresh_input(place) {
            self.tensors[usize::from(place)] = new;
        }
        self.alias(output, place);
        Ok(())
    }

    /// Whether `place` is the network's input, read by one operator after another that each move nothing,
    /// of which the present one is the last.
    fn is_fresh_input(&self, place: u8) -> bool {
        let known = |&(_, &p): &(usize, &Option<u8>)| p == Some(place);
        let mut names = self.places.iter().enumerate().filter(known);
        let readers = |tensor: usize| {
            let reads = |&&i: &&i32| usize::try_from(i) == Ok(tensor);
            // SHAPE reads no data.
            let operators = self.graph.operators.iter().filter(|o| o.code != SHAPE);
            let inputs = operators.flat_map(|o| &o.inputs);
            inputs.filter(reads).count()
        };
        let input = usize::try_from(self.graph.input).unwrap_or(usize::MAX);
        let is_input = self.places.get(input).is_some_and(|&p| p == Some(place));
        is_input && names.all(|(tensor, _)| readers(tensor) == 1)
    }
}

/// Whether both have one scale and zero point.
pub(super) fn same_scale(a: &Tensor, b: &Tensor) -> bool {
    (a.scale.to_bits(), a.zero_point) == (b.scale.to_bits(), b.zero_point)
}
