//! The checks behind `Model::parse`. It owns every rule that makes a blob trustworthy and must not
//! repair anything: the first broken rule is reported.

use super::graph::Graph;
use super::{ALIGN, BlobError, HEADER_BYTES, Lead, aligned, constants, field, golden, homeostasis};
use crate::kernel::dsp::{packing, paired, winograd};
use crate::kernel::generic::MAX_SOFTMAX_CHANNELS;
use crate::layer::{Layer, Op, Scaling, Tensor, Window};
use crate::quant::i32_at;

mod cascades;
mod classes;
mod lifetimes;
mod packed;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
/// Largest distance of an activation from a zero point.
const REACH: u64 = 255;

/// CRC-32 over the blob without its CRC field and its signature.
pub(super) fn crc32(blob: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(blob.get(..field::CRC).unwrap_or(&[]));
    digest.update(blob.get(field::ID..field::SIGNATURE).unwrap_or(&[]));
    digest.update(blob.get(HEADER_BYTES..).unwrap_or(&[]));
    digest.finalize()
}

/// The header's fields and the sections they name.
pub(super) struct Header<'a> {
    pub(super) total_len: usize,
    pub(super) arena_bytes: usize,
    pub(super) graph: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) id: [u8; 16],
    pub(super) counter: u64,
    pub(super) golden: Option<u32>,
}

impl<'a> Header<'a> {
    pub(super) fn read(blob: &'a [u8]) -> Result<Self, BlobError> {
        let lead = Lead::read(blob)?;
        aligned::check(blob)?;
        let header = blob.get(..HEADER_BYTES).unwrap_or_default();
        let min_abi = u16_at(header, field::MIN_ABI);
        let blob = lead.intact(blob)?;
        let total_len = blob.len();
        let golden = golden::place(min_abi, u32_at(header, field::GOLDEN))?;
        let graph_end = HEADER_BYTES as u64 + u64::from(u32_at(header, field::GRAPH_LEN));
        let data_offset = u64::from(u32_at(header, field::DATA_OFFSET));
        let data_end = data_offset + u64::from(u32_at(header, field::DATA_LEN));
        let sections = |got_bytes: u64, want_bytes: u64| BlobError::Sections {
            got_bytes,
            want_bytes,
        };
        if graph_end.next_multiple_of(ALIGN as u64) != data_offset {
            return Err(sections(graph_end, data_offset));
        }
        if data_end != total_len as u64 || !total_len.is_multiple_of(ALIGN) {
            return Err(sections(data_end, total_len as u64));
        }
        let graph = blob.get(HEADER_BYTES..graph_end as usize);
        let data = blob.get(data_offset as usize..);
        Ok(Self {
            total_len,
            arena_bytes: lead.arena_bytes as usize,
            graph: graph.ok_or(sections(graph_end, total_len as u64))?,
            data: data.ok_or(sections(data_offset, total_len as u64))?,
            id: lead.id,
            counter: lead.counter,
            golden,
        })
    }
}

pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(|b| b.first_chunk());
    found.copied().unwrap_or([0; N])
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// Checks the whole graph against its data section and returns the class names.
pub(super) fn graph<'a>(
    graph: &Graph<'_>,
    data: &'a [u8],
    arena_bytes: usize,
) -> Result<&'a str, BlobError> {
    for tensor in 0..=u8::MAX {
        let Some(t) = graph.tensor(tensor) else { break };
        check_tensor(tensor, &t)?;
    }
    cascades::check(graph)?;
    lifetimes::check(graph, arena_bytes as u64)?;
    let n_layers = graph.n_layers();
    for index in 0..=u8::MAX {
        let Some(layer) = &graph.layer(index.into()) else {
            break;
        };
        let at = |tensor: u8| {
            graph.tensor(tensor).ok_or(BlobError::TensorIndex {
                layer: index,
                tensor,
                n_tensors: graph.n_tensors(),
            })
        };
        let [first, second] = layer.inputs;
        let inputs = [&at(first)?, &at(second)?];
        check_geometry(index, layer, inputs, &at(layer.output)?)?;
        let head = usize::from(index) + 1 == n_layers && layer.op == Op::FullyConnected;
        check_constants(index, layer, graph, data, head)?;
    }
    let head = graph.layer(n_layers.saturating_sub(1));
    let head = head.ok_or(BlobError::Head)?;
    let tensor = |i: u8| graph.tensor(i).ok_or(BlobError::Head);
    let output = tensor(graph.output)?;
    if head.output != graph.output || (output.h, output.w) != (1, 1) {
        return Err(BlobError::Head);
    }
    let n_classes = usize::from(output.c);
    classes::prototypes(graph, data, n_classes, tensor(head.inputs[0])?.len())?;
    classes::labels(graph, data, n_classes)
}

fn check_tensor(tensor: u8, t: &Tensor) -> Result<(), BlobError> {
    let (h, w, c) = (t.h, t.w, t.c);
    if h == 0 || w == 0 || c == 0 {
        return Err(BlobError::Shape { tensor, h, w, c });
    }
    if !(t.scale.is_finite() && t.scale > 0.0) {
        return Err(BlobError::Scale { tensor });
    }
    Ok(())
}

fn check_geometry(
    layer: u8,
    l: &Layer,
    [lhs, rhs]: [&Tensor; 2],
    dst: &Tensor,
) -> Result<(), BlobError> {
    let shape = |t: &Tensor| (t.h, t.w, t.c);
    let (min, max) = (l.clamp.min, l.clamp.max);
    if min > max {
        return Err(BlobError::Clamp { layer, min, max });
    }
    if !matches!(l.op, Op::Add(_)) && l.inputs[0] != l.inputs[1] {
        return Err(BlobError::Inputs { layer });
    }
    let fits = match &l.op {
        Op::Conv2d(_) | Op::PackedConv2d(_) => true,
        Op::PairedConv2d(window) => {
            let size = |t: &Tensor| [t.h, t.w].map(usize::from);
            window.is_whole(size(lhs), size(dst))
        }
        Op::WinogradConv2d(window) => winograd::takes(window, lhs, dst),
        Op::DepthwiseConv2d(_) | Op::MaxPool(_) | Op::AvgPool(_) => lhs.c == dst.c,
        Op::FullyConnected => (dst.h, dst.w) == (1, 1),
        Op::Add(_) => shape(lhs) == shape(dst) && shape(rhs) == shape(dst),
        Op::Softmax(_) => shape(lhs) == shape(dst),
        Op::GlobalAvgPool(_) => shape(dst) == (1, 1, lhs.c),
        Op::Place(p) => {
            let sampled = |size: u16| size.div_ceil(p.stride.max(1).into());
            let channels = u32::from(p.first) + u32::from(lhs.c) <= u32::from(dst.c);
            channels && (dst.h, dst.w) == (sampled(lhs.h), sampled(lhs.w))
        }
    };
    if !fits {
        return Err(BlobError::LayerShape { layer });
    }
    match &l.op {
        Op::Conv2d(window)
        | Op::PackedConv2d(window)
        | Op::PairedConv2d(window)
        | Op::WinogradConv2d(window)
        | Op::DepthwiseConv2d(window) => check_window(layer, window, lhs, dst),
        Op::MaxPool(window) | Op::AvgPool(window) => {
            if (window.dilation_h, window.dilation_w) != (1, 1) {
                return Err(BlobError::Window { layer });
            }
            let same = lhs.scale.to_bits() == dst.scale.to_bits();
            if !same || lhs.zero_point != dst.zero_point {
                return Err(BlobError::PoolScale { layer });
            }
            check_window(layer, window, lhs, dst)
        }
        Op::Softmax(scaling) => check_softmax(layer, *scaling, dst),
        Op::Place(p) if p.stride == 0 || p.offset > p.stride => Err(BlobError::Window { layer }),
        _ => Ok(()),
    }
}

fn check_softmax(layer: u8, scaling: Scaling, dst: &Tensor) -> Result<(), BlobError> {
    let output = (dst.scale.to_bits(), dst.zero_point) == ((1.0f32 / 256.0).to_bits(), -128);
    if output && usize::from(dst.c) <= MAX_SOFTMAX_CHANNELS && scaling.shift >= 0 {
        return check_scaling(layer, 0, scaling, 30);
    }
    Err(BlobError::Softmax { layer })
}

/// Padding is less than the window's reach and the last window starts inside the image, so that
/// without dilation every window has a tap inside.
fn check_window(layer: u8, w: &Window, src: &Tensor, dst: &Tensor) -> Result<(), BlobError> {
    let axis = |[kernel, stride, dilation, pad]: [u8; 4], reach: usize, size: u16, out: u16| {
        let last = u32::from(out - 1) * u32::from(stride);
        kernel > 0
            && stride > 0
            && dilation > 0
            && usize::from(pad) < reach
            && last < u32::from(size) + u32::from(pad)
    };
    let [down, right] = w.reach();
    let rows = [w.kernel_h, w.stride_h, w.dilation_h, w.pad_top];
    let columns = [w.kernel_w, w.stride_w, w.dilation_w, w.pad_left];
    if axis(rows, down, src.h, dst.h) && axis(columns, right, src.w, dst.w) {
        return Ok(());
    }
    Err(BlobError::Window { layer })
}

fn check_constants(
    layer: u8,
    l: &Layer,
    graph: &Graph<'_>,
    data: &[u8],
    head: bool,
) -> Result<(), BlobError> {
    if l.homeostasis.is_some() {
        let fault = BlobError::Homeostasis { layer };
        let has = l.op.is_weighted() && !matches!(l.op, Op::WinogradConv2d(_));
        let stats = homeostasis(graph, data, l).filter(|_| has);
        let deviation = stats.ok_or(fault)?.deviation;
        if (0..deviation.len() / 4).any(|c| i32_at(deviation, c) < 1) {
            return Err(fault);
        }
    }
    match &l.op {
        Op::Add(scales) => [scales.lhs, scales.rhs, scales.output]
            .into_iter()
            .try_for_each(|s| check_scaling(layer, 0, s, 0)),
        Op::GlobalAvgPool(scaling) => {
            check_scaling(layer, 0, *scaling, 30)?;
            let src = graph.tensor(l.inputs[0]);
            let n = src.map_or(0, |t| u64::from(t.h) * u64::from(t.w));
            check_bound(layer, 0, n * REACH, scaling.shift)
        }
        Op::Place(p) => {
            check_scaling(layer, 0, p.scaling, 30)?;
            check_bound(layer, 0, REACH, p.scaling.shift)
        }
        Op::MaxPool(_) | Op::AvgPool(_) | Op::Softmax(_) => Ok(()),
        _ => check_weights(layer, l, graph, data, head),
    }
}

fn check_weights(
    layer: u8,
    l: &Layer,
    graph: &Graph<'_>,
    data: &[u8],
    head: bool,
) -> Result<(), BlobError> {
    let offset = l.params;
    let found = constants(graph, data, l).ok_or(BlobError::Data { layer, offset })?;
    if let (Some(packed), Op::WinogradConv2d(_)) = (found.packed, l.op) {
        let zero_point = graph.tensor(l.inputs[0]).map_or(0, |t| t.zero_point.into());
        return packed::transformed(layer, &found, packed, zero_point);
    }
    if let (Some(packed), Some(window)) = (found.packed, l.op.block_window()) {
        let form: packed::Form = match l.op {
            Op::PairedConv2d(_) => (paired::weight, paired::is_split, packing::MAX_WHOLE),
            _ => (packing::weight, packing::is_split, packing::MAX_DEPTH),
        };
        return packed::check(layer, &found, (packed, form), window);
    }
    let n_channels = found.n_channels();
    let depthwise = matches!(l.op, Op::DepthwiseConv2d(_));
    let per_channel = found.weights.len() / n_channels.max(1);
    for (channel, c) in (0u16..).zip(0..n_channels) {
        let (bias, multiplier, shift) = found.requant.channel(c);
        check_scaling(layer, channel, Scaling::new(multiplier, shift), 30)?;
        // The head's weights may be learnt on the device, up to 127.
        let least = if head { 127 } else { 0 };
        let size = |w: &u8| u64::from(w.cast_signed().unsigned_abs()).max(least);
        let sum: u64 = if depthwise {
            let taps = found.weights.iter().skip(c).step_by(n_channels);
            taps.map(size).sum()
        } else {
            let row = found.weights.iter().skip(c * per_channel);
            row.take(per_channel).map(size).sum()
        };
        let bound = u64::from(bias.unsigned_abs()) + sum * REACH;
        check_bound(layer, channel, bound, shift)?;
    }
    Ok(())
}

fn check_scaling(layer: u8, channel: u16, s: Scaling, max_shift: i8) -> Result<(), BlobError> {
    let (multiplier, shift) = (s.multiplier(), s.shift);
    if multiplier >= 0 && (-31..=max_shift).contains(&shift) {
        return Ok(());
    }
    Err(BlobError::Scaling {
        layer,
        channel,
        multiplier,
        shift,
    })
}

/// `bound · 2^max(shift, 0)` fits in an i32.
fn check_bound(layer: u8, channel: u16, bound: u64, shift: i8) -> Result<(), BlobError> {
    if bound < (1u64 << 31) >> shift.clamp(0, 31) {
        return Ok(());
    }
    Err(BlobError::Accumulator {
        layer,
        channel,
        bound,
        shift,
    })
}
