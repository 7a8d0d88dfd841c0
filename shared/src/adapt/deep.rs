//! Learning below the head: a local rule with an error that is broadcast through fixed feedback.
//!
//! It owns which layers can learn so, the feedback, and what is kept of their activity; it must not know
//! how weights move ([`super::delta`] does it) nor where the buffer is. Flow: while a chosen layer runs its
//! activity is pooled; a label makes errors at the head; every chosen layer moves by
//! presynaptic activity × postsynaptic activity × broadcast error.
//!
//! Chosen, by a budget of RAM, are pointwise convolutions and fully connected layers below the head. With `x_i`
//! the mean over the pixels of input `i` (Q7 steps), `a_o` the share of pixels on which output `o` is within
//! its clamp, its local slope (Q15), `e_c` the error of class `c` that the head learns by (Q15, `Σ|e| ≤ 2`),
//! and `b_oc` the feedback, `+1` or `−1`:
//!
//! - `d_o = a_o · Σ_c b_oc·e_c / 2`, in `-1 ..= 1`;
//! - `W_oi += SR(eta · d_o · x_i)`, bias likewise, in the steps of [`super::delta`] with the layer's scales.
//!
//! Feedback is stored nowhere: `Random` is drawn anew from the seed, the layer and the output each time;
//! `Signs` is the sign of the base model's own head at the class and output, for a layer whose outputs reach the
//! head through pooling alone. State: 1 byte a synapse (an i8 copy, packed weights have 2 in flash), 4 a
//! neuron; besides it 2 bytes an input and 2 an output of activity, no image is kept. Information: activity of
//! the two ends and a few numbers broadcast to all. Sources: A. Nøkland, "Direct feedback alignment provides
//! learning in deep neural networks", 2016; Q. Liao et al., "How important is weight symmetry in
//! backpropagation?", 2016 (signs). Differs from them: the two activities are pooled over the pixels before
//! they are multiplied, feedback is one bit, weights are 8 bit with stochastic rounding.

use super::overlay::{head_layer, n_homeostatic};
use super::{Config, Head};
use crate::blob::Model;
use crate::kernel::dsp::packing::{self, Depth};
use crate::layer::{Clamp, Op, Window};
use crate::quant::i16_at;
use crate::rng::XorShift32;
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// Layers that a mask has bits for; none behind them learns.
const WITHIN: usize = u64::BITS as usize;

/// What learns below the head, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deep {
    /// RAM for their weights, biases and activity: as many layers learn as fit, see [`choose`].
    pub ram_bytes: u32,
    /// Learning rate in 1/65536, in real (dequantized) units.
    pub rate: u16,
    /// Where errors come from.
    pub feedback: Feedback,
}

/// Fixed feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Feedback {
    /// Drawn from the seed of the state.
    Random,
    /// Signs of the base model's head; chooses only a layer that reaches it through pooling alone.
    Signs,
}

/// The sizes of a layer that can learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Inputs of a neuron.
    pub(crate) inputs: usize,
    /// Neurons.
    pub(crate) outputs: usize,
}

impl Shape {
    /// Bytes of weights, padded to 4.
    pub(crate) fn weight_bytes(self) -> usize {
        (self.inputs * self.outputs).next_multiple_of(4)
    }

    /// Bytes of weights and biases.
    pub(crate) fn state_bytes(self) -> usize {
        self.weight_bytes() + 4 * self.outputs
    }

    /// Bytes of pooled activity: i16 an input, u16 an output.
    pub(crate) fn activity_bytes(self) -> usize {
        2 * (self.inputs + self.outputs)
    }
}

/// The shape of `layer` if it can learn below the head.
pub(crate) fn shape(model: &Model<'_>, layer: usize) -> Option<Shape> {
    if layer >= head_layer(model) || model.cascade_of(layer).is_some() {
        return None;
    }
    let at = model.layer(layer)?;
    match at.op {
        Op::Conv2d(window) | Op::PackedConv2d(window) if window.is_pointwise() => {}
        Op::FullyConnected => {}
        _ => return None,
    }
    let tensor = |i: u8| model.tensor(i);
    let (inputs, outputs) = (tensor(at.inputs[0])?, tensor(at.output)?);
    let inputs = match at.op {
        Op::FullyConnected => inputs.len(),
        _ => usize::from(inputs.c),
    };
    Some(Shape {
        inputs,
        outputs: outputs.c.into(),
    })
}

/// Whether the outputs of `layer` reach the head, one to one, through pooling alone.
pub(crate) fn reaches_head(model: &Model<'_>, layer: usize) -> bool {
    let head = head_layer(model);
    let Some(mut at) = model.layer(layer).map(|l| l.output) else {
        return false;
    };
    for next in model.layers().take(head).skip(layer + 1) {
        if next.inputs[0] != at || !matches!(next.op, Op::GlobalAvgPool(_)) {
            return false;
        }
        at = next.output;
    }
    let pooled = model.tensor(at);
    layer < head
        && model.layer(head).is_some_and(|l| l.inputs[0] == at)
        && pooled.is_some_and(|t| (t.h, t.w) == (1, 1))
}

/// The layers that learn below the head under `config`, bit `l` for layer `l`: from the last below the head
/// towards the input, each that can learn, that homeostasis does not need, and whose weights, biases and
/// activity fit into what is left of the RAM. 0 without a deep head.
pub fn choose(model: &Model<'_>, config: &Config) -> u64 {
    let Head::Deep { deep, .. } = config.head else {
        return 0;
    };
    let mut layers = 0;
    let mut left = usize::try_from(deep.ram_bytes).unwrap_or(usize::MAX);
    for layer in (0..head_layer(model).min(WITHIN)).rev() {
        let free = config.homeostasis.is_none() || n_homeostatic(model, layer) == 0;
        let near = deep.feedback == Feedback::Random || reaches_head(model, layer);
        let Some(shape) = shape(model, layer).filter(|_| free && near) else {
            continue;
        };
        let need = shape.state_bytes() + shape.activity_bytes();
        if need <= left {
            left -= need;
            layers |= 1 << layer;
        }
    }
    layers
}

/// The layers of `layers`, in order.
pub(crate) fn chosen(model: &Model<'_>, layers: u64) -> impl Iterator<Item = (usize, Shape)> {
    let layers = (0..WITHIN).filter(move |&layer| has(layers, layer));
    layers.filter_map(move |layer| Some((layer, shape(model, layer)?)))
}

/// Whether `layer` is one of `layers`.
pub(crate) fn has(layers: u64, layer: usize) -> bool {
    layer < WITHIN && layers >> layer & 1 == 1
}

/// Where weights and biases, and pooled activity, of a chosen layer are.
pub(crate) fn places(
    model: &Model<'_>,
    layers: u64,
    layer: usize,
) -> Option<(Shape, Range<usize>, Range<usize>)> {
    let (mut state, mut activity) = (0, 0);
    for (at, shape) in chosen(model, layers) {
        let (states, activities) = (shape.state_bytes(), shape.activity_bytes());
        if at == layer {
            return Some((
                shape,
                state..state + states,
                activity..activity + activities,
            ));
        }
        state += states;
        activity += activities;
    }
    None
}

/// Writes the i8 weights `[outputs][inputs]` of `layer` to `to`, unpacked if need be.
pub(crate) fn unpack(model: &Model<'_>, layer: usize, shape: Shape, to: &mut [u8]) {
    let Some(base) = model.constants(layer) else {
        return;
    };
    if base.packed.is_none() {
        for (to, &from) in to.iter_mut().zip(base.weights) {
            *to = from;
        }
        return;
    }
    let depth = Depth::new(&Window::square(1, 1, 0), shape.inputs);
    let rows = to.chunks_exact_mut(shape.inputs.max(1));
    for (o, row) in rows.take(shape.outputs).enumerate() {
        packing::unpack(base.weights, &depth, (o, shape.outputs), row);
    }
}

/// Pools the activity of a layer that ran: mean input in Q7, share of outputs within `clamp` in Q15.
///
/// Cost: an addition per element of input, a comparison per element of output.
pub(crate) fn pool(
    activity: &mut [u8],
    shape: Shape,
    (input, zero_point): (&[i8], i8),
    (output, clamp): (&[i8], Clamp),
) {
    let Some((inputs, outputs)) = activity.split_at_mut_checked(2 * shape.inputs) else {
        return;
    };
    let pixels = (output.len() / shape.outputs.max(1)).max(1) as i64;
    for (i, to) in inputs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let sum = column(input, shape.inputs, i, |q| {
            i32::from(q) - i32::from(zero_point)
        });
        let mean = (sum * 128 + pixels / 2).div_euclid(pixels);
        *to = i16::try_from(mean).unwrap_or(i16::MAX).to_le_bytes();
    }
    for (o, to) in outputs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let inside = |q: i8| i32::from(clamp.min < q && q < clamp.max);
        let share = (column(output, shape.outputs, o, inside) << 15) / pixels;
        *to = u16::try_from(share).unwrap_or(1 << 15).to_le_bytes();
    }
}

/// Sum of `of` over every `width`-th value from `at` on.
fn column(data: &[i8], width: usize, at: usize, of: impl Fn(i8) -> i32) -> i64 {
    let values = data.iter().skip(at).step_by(width.max(1));
    values.fold(0_i32, |sum, &q| sum.wrapping_add(of(q))).into()
}

/// Mean input `i` in Q7, of the pooled activity.
pub(crate) fn input(activity: &[u8], i: usize) -> i32 {
    i16_at(activity, i).into()
}

/// Slope of output `o` in Q15, of the pooled activity.
fn slope(activity: &[u8], shape: Shape, o: usize) -> i32 {
    i32::from(i16_at(activity, shape.inputs + o).cast_unsigned())
}

/// `d_o` in Q15 of `errors` in Q15, as fed back to output `o` of `layer`.
pub(crate) fn error(
    model: &Model<'_>,
    (feedback, seed): (Feedback, u32),
    (layer, shape, o): (usize, Shape, usize),
    activity: &[u8],
    errors: &[i32],
) -> i32 {
    let slope = slope(activity, shape, o);
    if slope == 0 {
        return 0;
    }
    let at = u32::try_from(layer * 65_536 + o).unwrap_or(0);
    // Spread out, as neighbours must not share their first numbers.
    let spread = (seed ^ at.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B);
    let mut rng = XorShift32::new(spread);
    let head = model.constants(head_layer(model));
    let (mut sum, mut bits) = (0, 0);
    for (class, &error) in errors.iter().enumerate() {
        let sign = match feedback {
            Feedback::Random => {
                if class % 16 == 0 {
                    bits = rng.next_u32() >> 16;
                }
                1 - 2 * ((bits >> (class % 16)) & 1).cast_signed()
            }
            Feedback::Signs => {
                let weight = head
                    .as_ref()
                    .and_then(|h| h.weights.get(class * shape.outputs + o));
                weight.map_or(0, |w| i32::from(w.cast_signed().signum()))
            }
        };
        sum += sign * error;
    }
    let half = (sum / 2).clamp(-(1 << 15), 1 << 15);
    i32::try_from((i64::from(half) * i64::from(slope)) >> 15).unwrap_or(0)
}
