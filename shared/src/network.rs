//! Execution of a parsed model, layer by layer or cascade by cascade, in a caller-given arena.
//!
//! It owns the order of the work and the places where plasticity may look or reach in ([`Hooks`]);
//! it must not know the arithmetic (kernels) nor any learning rule. Flow: `Model::parse` → `infer`.
//! Contract: with a parsed model only the sizes of the caller's buffers can be wrong, and nothing a
//! hook gives can make inference panic: slices of another length than the blob's are ignored in favour
//! of the blob's, accumulators wrap and shifts are limited.

use crate::blob::Model;
use crate::kernel::dsp::{self, Native, Packed};
use crate::kernel::sums::Sums;
use crate::kernel::{Dst, Over, Src, Weighted, generic};
use crate::layer::{AddScales, Layer, Op, Tensor};
use crate::quant::Requant;

mod cascade;
mod hooks;

pub use hooks::{Hooks, LayerHooks};

/// A caller's buffer has the wrong size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ArenaError {
    /// The arena is shorter than [`Model::arena_bytes`].
    #[error("arena has {got_bytes} bytes, the model needs {want_bytes}: give a larger arena")]
    Arena {
        /// Given.
        got_bytes: usize,
        /// Needed.
        want_bytes: usize,
    },
    /// The input has not the length of [`Model::input`].
    #[error("input has {got_bytes} bytes, the model takes {want_bytes}: give one whole image")]
    Input {
        /// Given.
        got_bytes: usize,
        /// Needed.
        want_bytes: usize,
    },
    /// The output has not the length [`Model::n_classes`].
    #[error("output has {got_bytes} bytes, the model has {want_bytes} classes")]
    Output {
        /// Given.
        got_bytes: usize,
        /// Needed.
        want_bytes: usize,
    },
    /// A layer's tensors are not where `Model::parse` proved them to be: a bug of this crate.
    #[error("layer {layer} left its arena: report this bug together with the blob")]
    Internal {
        /// Index of the layer.
        layer: usize,
    },
}

/// Runs `model` on `input` (NHWC i8) and writes one i8 score per class to `output`.
///
/// | argument | shape | range |
/// |---|---|---|
/// | `arena` | at least [`Model::arena_bytes`] | overwritten |
/// | `input` | `[h][w][c]` of [`Model::input`] | i8, `real = scale · (q − zero_point)` |
/// | `output` | `[n_classes]` | i8 of [`Model::output`] |
///
/// # Errors
/// A buffer has the wrong size. Never panics if `Model::parse` accepted the blob.
pub fn infer(
    model: &Model<'_>,
    arena: &mut [i8],
    input: &[i8],
    output: &mut [i8],
) -> Result<(), ArenaError> {
    infer_with(model, arena, input, output, &mut ())
}

/// [`infer`] with `hooks` looking on; see the module's contract for what hooks may give.
///
/// # Errors
/// As [`infer`].
pub fn infer_with<H: Hooks>(
    model: &Model<'_>,
    arena: &mut [i8],
    input: &[i8],
    output: &mut [i8],
    hooks: &mut H,
) -> Result<(), ArenaError> {
    check_buffers(model, arena, input.len(), output)?;
    let place = place(arena, &model.input()).ok_or(ArenaError::Internal { layer: 0 })?;
    copy(place, input);
    run(model, arena, 0, output, hooks)
}

/// [`infer_with`] of the input that lies in `arena` already, where [`input_place`] says; it is overwritten.
///
/// # Errors
/// As [`infer`].
pub fn infer_placed<H: Hooks>(
    model: &Model<'_>,
    arena: &mut [i8],
    output: &mut [i8],
    hooks: &mut H,
) -> Result<(), ArenaError> {
    check_buffers(model, arena, model.input().len(), output)?;
    run(model, arena, 0, output, hooks)
}

/// Where the input of `model` lies in `arena`; none if that is too short.
pub fn input_place<'m>(model: &Model<'_>, arena: &'m mut [i8]) -> Option<&'m mut [i8]> {
    place(arena, &model.input())
}

/// [`infer_with`] from layer `first` on, which reads `sample`, i8 as bytes: 0 and an input of the model,
/// or the last layer and an input of that.
///
/// # Errors
/// As [`infer`].
pub(crate) fn infer_sample<H: Hooks>(
    model: &Model<'_>,
    arena: &mut [i8],
    (first, sample): (usize, &[u8]),
    output: &mut [i8],
    hooks: &mut H,
) -> Result<(), ArenaError> {
    let source = if first == 0 {
        model.input()
    } else {
        model.features()
    };
    check_buffers(model, arena, model.input().len(), output)?;
    let place = place(arena, &source).ok_or(ArenaError::Internal { layer: first })?;
    for (q, &byte) in place.iter_mut().zip(sample) {
        *q = byte.cast_signed();
    }
    run(model, arena, first, output, hooks)
}

/// Runs the layers from `first` on; what they read is in the arena.
pub(crate) fn run<H: Hooks>(
    model: &Model<'_>,
    arena: &mut [i8],
    first: usize,
    output: &mut [i8],
    hooks: &mut H,
) -> Result<(), ArenaError> {
    let internal = |layer| ArenaError::Internal { layer };
    let mut cascades = model.cascades().iter();
    let mut cascade = cascades.next();
    let mut next = first;
    while next < model.n_layers() {
        let index = next;
        next += 1;
        if let Some(first) = cascade.filter(|cascade| usize::from(cascade.first) == index) {
            let looked = hooks.layer(index, arena);
            cascade::run(model, first, arena, &looked).ok_or(internal(index))?;
            next = first.layers().end;
            cascade = cascades.next();
            continue;
        }
        let mut decoded = None;
        let layer = model.layer_in(index, &mut decoded);
        let layer = layer.ok_or(internal(index))?;
        if index + 1 == model.n_layers() {
            let mut decoded = None;
            let features = model.tensor_in(layer.inputs[0], &mut decoded);
            let features = features.and_then(|features| place(arena, features));
            hooks.features(features.ok_or(internal(index))?);
        }
        let looked = hooks.layer(index, arena);
        run_layer(model, (index, layer), arena, &looked).ok_or(internal(index))?;
        hooks.ran(index, arena);
    }
    let scores = place(arena, &model.output()).ok_or(internal(model.n_layers()))?;
    copy(output, scores);
    Ok(())
}

/// As `copy_from_slice`, which would panic if the lengths differed.
fn copy(to: &mut [i8], from: &[i8]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

fn check_buffers(
    model: &Model<'_>,
    arena: &[i8],
    input_bytes: usize,
    output: &[i8],
) -> Result<(), ArenaError> {
    let (got_bytes, want_bytes) = (arena.len(), model.arena_bytes());
    if got_bytes < want_bytes {
        return Err(ArenaError::Arena {
            got_bytes,
            want_bytes,
        });
    }
    let (got_bytes, want_bytes) = (input_bytes, model.input().len());
    if got_bytes != want_bytes {
        return Err(ArenaError::Input {
            got_bytes,
            want_bytes,
        });
    }
    let (got_bytes, want_bytes) = (output.len(), model.n_classes());
    if got_bytes != want_bytes {
        return Err(ArenaError::Output {
            got_bytes,
            want_bytes,
        });
    }
    Ok(())
}

/// What `arena` holds of `tensor`.
pub fn held<'m>(arena: &'m [i8], tensor: &Tensor) -> Option<&'m [i8]> {
    let start = usize::try_from(tensor.offset).ok()?;
    arena.get(start..start.checked_add(tensor.len())?)
}

/// What weighted layer `layer` of `model`, whose input is in `arena`, sums up.
pub fn sums<'m>(model: &Model<'m>, layer: usize, arena: &'m [i8]) -> Option<Sums<'m>> {
    let constants = model.constants(layer)?;
    let layer = model.layer(layer)?;
    let src = model.tensor(layer.inputs[0])?;
    let dst = model.tensor(layer.output)?;
    let src = Src::new(&src, held(arena, &src)?);
    Sums::new(&layer.op, src, &dst, &constants)
}

fn place<'m>(arena: &'m mut [i8], tensor: &Tensor) -> Option<&'m mut [i8]> {
    let start = usize::try_from(tensor.offset).ok()?;
    arena.get_mut(start..start.checked_add(tensor.len())?)
}

#[inline(always)]
fn run_layer(
    model: &Model<'_>,
    (index, layer): (usize, &Layer),
    arena: &mut [i8],
    hooks: &LayerHooks<'_>,
) -> Option<()> {
    let mut decoded = [None; 3];
    let [for_output, for_first, for_second] = &mut decoded;
    let output = model.tensor_in(layer.output, for_output)?;
    let first = model.tensor_in(layer.inputs[0], for_first)?;
    let second = model.tensor_in(layer.inputs[1], for_second)?;
    run_on(model, (index, layer), arena, [first, second, output], hooks)
}

/// Runs a layer on its inputs and its output, or on some rows of them. The output is cut out of the arena; what is left
/// on either side holds the inputs, unless the output lies over one of them.
#[inline(never)]
fn run_on(
    model: &Model<'_>,
    (index, layer): (usize, &Layer),
    arena: &mut [i8],
    [first, second, output]: [&Tensor; 3],
    hooks: &LayerHooks<'_>,
) -> Option<()> {
    if first.offset == output.offset || second.offset == output.offset {
        return run_over(model, (index, layer), arena, [first, second, output], hooks);
    }
    let (data, rest) = Rest::of(arena, output, output.len())?;
    let src = rest.source(first)?;
    let mut dst = Dst::new(output, data, layer.clamp);
    match &layer.op {
        Op::Add(scales) => dsp::add_s8::<Native>(&src, &rest.source(second)?, &mut dst, scales),
        Op::MaxPool(window) => dsp::max_pool_s8::<Native>(&src, &mut dst, window),
        Op::AvgPool(window) => dsp::avg_pool_s8::<Native>(&src, &mut dst, window),
        Op::GlobalAvgPool(scaling) => dsp::global_avg_pool_s8::<Native>(&src, &mut dst, *scaling),
        Op::Place(placing) => generic::place_s8(&src, &mut dst, placing),
        Op::Softmax(scaling) => generic::softmax_s8(&src, &mut dst, *scaling),
        op => {
            let (constants, packed) = choose(model, (index, layer), hooks)?;
            let (src, dst, constants) = (&src, &mut dst, &constants);
            match op {
                Op::PackedConv2d(_) if packed.is_none() => {
                    dsp::pointwise_conv2d_s8::<Native>(src, dst, constants);
                }
                Op::PackedConv2d(window) => {
                    dsp::packed_conv2d_s8::<Native>(src, dst, window, constants, packed?);
                }
                Op::PairedConv2d(window) => {
                    dsp::paired_conv2d_s8::<Native>(src, dst, window, constants, packed?);
                }
                Op::WinogradConv2d(window) => {
                    dsp::winograd_conv2d_s8::<Native>(src, dst, window, constants, packed?);
                }
                Op::Conv2d(window) if window.is_pointwise() => {
                    dsp::pointwise_conv2d_s8::<Native>(src, dst, constants);
                }
                Op::Conv2d(window) => generic::conv2d_s8(src, dst, window, constants),
                Op::DepthwiseConv2d(window) => {
                    dsp::depthwise_conv2d_s8::<Native>(src, dst, window, constants);
                }
                _ => dsp::fully_connected_s8::<Native>(src, dst, constants),
            }
        }
    }
    Some(())
}

/// A layer whose output lies over an input, as [`may_lie_over`](crate::kernel::over::may_lie_over) says.
#[inline(never)]
fn run_over(
    model: &Model<'_>,
    (index, layer): (usize, &Layer),
    arena: &mut [i8],
    [first, second, output]: [&Tensor; 3],
    hooks: &LayerHooks<'_>,
) -> Option<()> {
    let is_first = first.offset == output.offset;
    let (own, other) = if is_first {
        (first, second)
    } else {
        (second, first)
    };
    let (data, rest) = Rest::of(arena, own, own.len().max(output.len()))?;
    let mut image = Over::new([own, output], data, layer.clamp);
    match &layer.op {
        Op::Add(scales) => {
            let (lhs, rhs) = (scales.lhs, scales.rhs);
            let (lhs, rhs) = if is_first { (lhs, rhs) } else { (rhs, lhs) };
            let output = scales.output;
            let scales = AddScales { lhs, rhs, output };
            dsp::add_over_s8::<Native>(&mut image, &rest.source(other)?, &scales);
        }
        Op::Place(placing) => generic::place_over_s8(&mut image, placing.scaling),
        Op::DepthwiseConv2d(window) => {
            let (constants, _) = choose(model, (index, layer), hooks)?;
            dsp::depthwise_conv2d_over_s8::<Native>(&mut image, window, &constants);
        }
        _ => return None,
    }
    Some(())
}

/// The arena without what a layer writes.
struct Rest<'m> {
    before: &'m [i8],
    after: &'m [i8],
    /// First byte of `after`.
    end: usize,
}

impl<'m> Rest<'m> {
    /// `len` bytes from the start of `tensor` on, and the rest.
    #[inline]
    fn of(arena: &'m mut [i8], tensor: &Tensor, len: usize) -> Option<(&'m mut [i8], Self)> {
        let start = usize::try_from(tensor.offset).ok()?;
        let (before, rest) = arena.split_at_mut_checked(start)?;
        let (data, after) = rest.split_at_mut_checked(len)?;
        let end = start + len;
        Some((data, Self { before, after, end }))
    }

    #[inline]
    fn source(&self, t: &Tensor) -> Option<Src<'m>> {
        let from = usize::try_from(t.offset).ok()?;
        let data = match from.checked_sub(self.end) {
            Some(from) => self.after.get(from..from.checked_add(t.len())?),
            None => self.before.get(from..from.checked_add(t.len())?),
        };
        Some(Src::new(t, data?))
    }
}

/// The blob's constants, or the hooks' where their lengths agree. Packed weights stay packed, as what parsing
/// proved of them must hold, unless unpacked ones of a pointwise convolution replace them: then there is no
/// `Packed`.
fn choose<'a>(
    model: &Model<'a>,
    (index, layer): (usize, &Layer),
    hooks: &LayerHooks<'a>,
) -> Option<(Weighted<'a>, Option<Packed<'a>>)> {
    let base = model.constants_of(index, layer)?;
    let lengths = |r: &Requant<'_>| (r.bias.len(), r.multiplier.len(), r.shift.len());
    let n = base.requant.shift.len();
    let unpacked = match layer.op {
        Op::PackedConv2d(window) if window.is_pointwise() => n * base.fan_in,
        Op::PackedConv2d(_) | Op::PairedConv2d(_) | Op::WinogradConv2d(_) => usize::MAX,
        _ => base.weights.len(),
    };
    let learned = hooks.weights.filter(|w| w.len() == unpacked);
    let mut packed = base.packed;
    if let (Some(packed), true) = (&mut packed, hooks.requant.is_some()) {
        packed.exact = false;
    }
    let weighted = Weighted {
        weights: learned.unwrap_or(base.weights),
        requant: hooks
            .requant
            // Parsing has proved the kernel exact with the blob's.
            .filter(|_| !matches!(layer.op, Op::WinogradConv2d(_)))
            .filter(|r| lengths(r) == lengths(&base.requant))
            .unwrap_or(base.requant),
    };
    Some((weighted, packed.filter(|_| learned.is_none())))
}
