//! Where the constants of a layer are in the data section. It owns their layout, as `FORMAT.md` has it.

use super::graph::Graph;
use super::{Constants, Homeostasis};
use crate::kernel::dsp::Packed;
use crate::kernel::dsp::{packing, winograd};
use crate::layer::{Layer, Op};
use crate::quant::{Requant, i32_at};

/// `len` bytes of `data` from `offset` on, a multiple of 4.
pub(super) fn section(data: &[u8], offset: u32, len: usize) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(len)?;
    start
        .is_multiple_of(4)
        .then(|| data.get(start..end))
        .flatten()
}

/// Weights of one output channel of `layer`; 0 without any, none if the graph lacks its tensors or they
/// are absurdly many.
fn fan_in(graph: &Graph<'_>, layer: &Layer) -> Option<usize> {
    let mut decoded = None;
    let src = graph.tensor_in(layer.inputs[0], &mut decoded)?;
    match &layer.op {
        Op::Conv2d(window)
        | Op::PackedConv2d(window)
        | Op::PairedConv2d(window)
        | Op::WinogradConv2d(window) => window.taps().checked_mul(usize::from(src.c)),
        Op::DepthwiseConv2d(window) => Some(window.taps()),
        Op::FullyConnected => Some(src.len()),
        _ => Some(0),
    }
}

/// Bytes of four filters of `layer` that lie in a block.
fn block_bytes(graph: &Graph<'_>, layer: &Layer) -> Option<usize> {
    let src = graph.tensor(layer.inputs[0])?;
    let window = layer.op.block_window()?;
    let in_ch = usize::from(src.c);
    Some(match layer.op {
        Op::WinogradConv2d(_) => winograd::block_bytes(in_ch),
        _ => packing::Depth::new(window, in_ch).block_bytes(),
    })
}

pub(super) fn constants<'a>(
    graph: &Graph<'_>,
    data: &'a [u8],
    layer: &Layer,
) -> Option<Constants<'a>> {
    if !layer.op.is_weighted() {
        return None;
    }
    let fan_in = fan_in(graph, layer)?;
    let mut decoded = None;
    let n = usize::from(graph.tensor_in(layer.output, &mut decoded)?.c);
    let (n_weights, n_extra) = match block_bytes(graph, layer) {
        Some(bytes) => (bytes.checked_mul(n.div_ceil(packing::BLOCK))?, 4 * n + 4),
        None => (fan_in.checked_mul(n)?, 0),
    };
    let fixed = 8 * n + n.next_multiple_of(4);
    let before = fixed + n_extra;
    let len = n_weights.checked_next_multiple_of(4)?.checked_add(before)?;
    let all = section(data, layer.params, len)?;
    let (bias, rest) = all.split_at_checked(4 * n)?;
    let (multiplier, rest) = rest.split_at_checked(4 * n)?;
    let packed = (n_extra > 0).then(|| Packed {
        sums: all.get(fixed..fixed + 4 * n).unwrap_or_default(),
        reach: packing::Reach(i32_at(all, fixed / 4 + n).cast_unsigned()),
        exact: false,
    });
    Some(Constants {
        weights: all.get(before..before + n_weights)?,
        requant: Requant {
            bias,
            multiplier,
            shift: rest.get(..n)?,
        },
        fan_in,
        packed,
    })
}

pub(super) fn homeostasis<'a>(
    graph: &Graph<'_>,
    data: &'a [u8],
    layer: &Layer,
) -> Option<Homeostasis<'a>> {
    let n = usize::from(graph.tensor(layer.output)?.c);
    let both = section(data, layer.homeostasis?, 8 * n)?;
    let (mean, deviation) = both.split_at_checked(4 * n)?;
    Some(Homeostasis { mean, deviation })
}
