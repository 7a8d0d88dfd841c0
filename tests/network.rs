//! A whole model against a chain of references, and what hooks may and may not do to it.
//!
//! It owns the hooks of the tests and must not know how a blob is laid out.

use aplysia_shared::kernel::dsp::{Native, packing, paired, winograd};
use aplysia_shared::kernel::sums::{ChannelStat, Lattice};
use aplysia_shared::quant::i32_at;
use aplysia_shared::{
    ArenaError, Constants, Hooks, Layer, LayerHooks, Model, Op, Requant, Tensor, Window, infer,
    sums,
};

use crate::blob::{encoded, image, packed, run, tiny};
use crate::oracle::{self, Geometry, Image, Output, Place};

fn geometry(w: &Window, out: [usize; 2]) -> Geometry {
    let pair = |a: u8, b: u8| [usize::from(a), usize::from(b)];
    Geometry {
        kernel: pair(w.kernel_h, w.kernel_w),
        stride: pair(w.stride_h, w.stride_w),
        dilation: pair(w.dilation_h, w.dilation_w),
        pad: pair(w.pad_top, w.pad_left),
        out,
    }
}

/// Constants as numbers; a layer without any needs the clamp and the zero point only.
fn numbers(
    constants: Option<Constants<'_>>,
    layer: &Layer,
    (in_ch, zero_point): (usize, i8),
) -> (Output, Vec<i8>) {
    let mut to = Output {
        bias: vec![],
        multiplier: vec![],
        shift: vec![],
        zero_point: zero_point.into(),
        min: layer.clamp.min,
        max: layer.clamp.max,
    };
    let Some(c) = constants else {
        return (to, vec![]);
    };
    let words = |bytes: &[u8]| (0..c.n_channels()).map(|i| i32_at(bytes, i)).collect();
    (to.bias, to.multiplier) = (words(c.requant.bias), words(c.requant.multiplier));
    let signed = |bytes: &[u8]| bytes.iter().map(|b| b.cast_signed()).collect();
    to.shift = signed(c.requant.shift);
    let weights = match c.packed {
        Some(_) => unpacked(&c, layer, in_ch),
        None => signed(c.weights),
    };
    (to, weights)
}

/// Weights in blocks as `[out_ch][depth]`.
pub(crate) fn unpacked(c: &Constants<'_>, layer: &Layer, in_ch: usize) -> Vec<i8> {
    let Some(window) = layer.op.block_window() else {
        return vec![];
    };
    let of_block = match layer.op {
        Op::PairedConv2d(_) => paired::weight,
        Op::WinogradConv2d(_) => return restored(c, in_ch),
        _ => packing::weight,
    };
    let depth = packing::Depth::new(window, in_ch);
    let n = c.n_channels();
    let weight = |i: usize| {
        let (o, k) = (i / c.fan_in, i % c.fan_in);
        let block = (o / packing::BLOCK).min(n.div_ceil(packing::BLOCK) - 1);
        let bytes = &c.weights[block * depth.block_bytes()..];
        of_block(bytes, depth.of(k), o - packing::first_channel(block, n)) as i8
    };
    (0..n * c.fan_in).map(weight).collect()
}

/// Transformed weights as `[out_ch][3][3][in_ch]`.
fn restored(c: &Constants<'_>, in_ch: usize) -> Vec<i8> {
    let weight = |i: usize| {
        let (o, tap, channel) = (i / c.fan_in, i % c.fan_in / in_ch, i % in_ch);
        let block = &c.weights[o / packing::BLOCK * winograd::block_bytes(in_ch)..];
        let filter = winograd::filter(block, (channel, in_ch), o % packing::BLOCK);
        filter.unwrap()[tap]
    };
    (0..c.n_channels() * c.fan_in).map(weight).collect()
}

/// Every tensor of a model, one behind the other, by the references alone.
fn reference(model: &Model<'_>, input: Vec<i8>) -> Vec<i8> {
    let tensors = tensors(model, input).into_iter();
    tensors.flat_map(|image| image.data).collect()
}

/// Every tensor of a model by the references alone.
pub(crate) fn tensors(model: &Model<'_>, input: Vec<i8>) -> Vec<Image> {
    let picture = |t: &Tensor, data: Vec<i8>| {
        let [h, w, c] = [t.h, t.w, t.c].map(usize::from);
        let zero_point = t.zero_point.into();
        Image {
            h,
            w,
            c,
            zero_point,
            data,
        }
    };
    let blank = |t: Tensor| picture(&t, vec![0; t.len()]);
    let mut images: Vec<Image> = model.tensors().map(blank).collect();
    images[usize::from(model.graph().input)].data = input;
    for (i, layer) in model.layers().enumerate() {
        let dst = &model.tensor(layer.output).unwrap();
        let out = [dst.h, dst.w].map(usize::from);
        let in_ch = images[usize::from(layer.inputs[0])].c;
        let (to, w) = numbers(model.constants(i), &layer, (in_ch, dst.zero_point));
        let [src, other] = layer.inputs.map(|t| &images[usize::from(t)]);
        let data = match &layer.op {
            Op::Conv2d(window)
            | Op::PackedConv2d(window)
            | Op::PairedConv2d(window)
            | Op::WinogradConv2d(window) => oracle::conv2d(src, &geometry(window, out), &w, &to),
            Op::DepthwiseConv2d(window) => oracle::depthwise(src, &geometry(window, out), &w, &to),
            Op::FullyConnected => oracle::fully_connected(src, &w, &to),
            Op::Add(s) => {
                let scales = [s.lhs, s.rhs, s.output].map(|s| (s.multiplier(), s.shift));
                oracle::add(src, other, scales, &to)
            }
            Op::MaxPool(window) => oracle::max_pool(src, &geometry(window, out), &to),
            Op::AvgPool(window) => oracle::avg_pool(src, &geometry(window, out), &to),
            Op::GlobalAvgPool(s) => oracle::global_avg_pool(src, (s.multiplier(), s.shift), &to),
            Op::Place(p) => {
                let old = &images[usize::from(layer.output)];
                let place = Place {
                    first: p.first.into(),
                    stride: p.stride.into(),
                    offset: p.offset.into(),
                    factor: (p.scaling.multiplier(), p.scaling.shift),
                };
                oracle::place(src, &place, (out, old.c), &old.data, &to)
            }
            Op::Softmax(_) => unreachable!("none of the models has one: see tests/import.rs"),
        };
        images[usize::from(layer.output)] = picture(dst, data);
    }
    images
}

#[test]
fn a_model_is_the_chain_of_its_layers() {
    for (graph, data) in [tiny(), packed()] {
        let blob = encoded(&graph, &data).unwrap();
        let model = Model::parse(&blob).unwrap();
        let input = image(model.input().len());
        let mut arena = vec![0x55; model.arena_bytes()];
        infer(&model, &mut arena, &input, &mut [0; 3]).unwrap();
        assert_eq!(arena, reference(&model, input));
    }
}

#[test]
fn buffers_of_a_wrong_size_are_refused() {
    let (graph, data) = tiny();
    let blob = encoded(&graph, &data).unwrap();
    let model = Model::parse(&blob).unwrap();
    let check = |arena: usize, input: usize, output: usize| {
        let (mut arena, input) = (vec![0; arena], vec![0; input]);
        infer(&model, &mut arena, &input, &mut vec![0; output])
    };
    let want_bytes = model.arena_bytes();
    let got_bytes = want_bytes - 1;
    let arena = ArenaError::Arena {
        got_bytes,
        want_bytes,
    };
    assert_eq!(check(got_bytes, 72, 3), Err(arena));
    let input = |got_bytes| ArenaError::Input {
        got_bytes,
        want_bytes: 72,
    };
    assert_eq!(check(want_bytes, 71, 3), Err(input(71)));
    assert_eq!(check(want_bytes, 73, 3), Err(input(73)));
    let output = ArenaError::Output {
        got_bytes: 4,
        want_bytes: 3,
    };
    assert_eq!(check(want_bytes, 72, 4), Err(output));
    assert_eq!(check(want_bytes + 9, 72, 3), Ok(()));
}

/// Replaces the head's constants and notes what it is shown.
#[derive(Default)]
struct Head {
    weights: Vec<u8>,
    bias: Vec<u8>,
    multiplier: Vec<u8>,
    shift: Vec<u8>,
    raw: Vec<i64>,
    features: Vec<i8>,
    calls: usize,
}

impl Hooks for Head {
    fn layer(&mut self, layer: usize, arena: &[i8]) -> LayerHooks<'_> {
        self.calls += 1;
        if layer != 7 {
            return LayerHooks::default();
        }
        let mut stats = [ChannelStat::default(); 3];
        let (graph, data) = tiny();
        let blob = encoded(&graph, &data).unwrap();
        let model = Model::parse(&blob).unwrap();
        let sums = sums(&model, layer, arena).unwrap();
        sums.add::<Native>(0, Lattice::ALL, &mut stats);
        self.raw.extend(stats.map(|stat| stat.sum));
        LayerHooks {
            requant: Some(Requant {
                bias: &self.bias,
                multiplier: &self.multiplier,
                shift: &self.shift,
            }),
            weights: Some(&self.weights),
        }
    }

    fn features(&mut self, features: &[i8]) {
        self.features.extend(features);
    }
}

#[test]
fn hooks_replace_the_head_and_see_it() {
    let (graph, data) = tiny();
    let blob = encoded(&graph, &data).unwrap();
    let model = Model::parse(&blob).unwrap();
    let mut head = Head {
        weights: vec![1; 12],
        bias: [5i32, -6, 70]
            .iter()
            .flat_map(|b| b.to_le_bytes())
            .collect(),
        multiplier: [1i32 << 30; 3]
            .iter()
            .flat_map(|m| m.to_le_bytes())
            .collect(),
        shift: vec![1, 0, 0],
        ..Head::default()
    };
    let got = run(&model, &mut head);
    let raw: i32 = head.features.iter().map(|&q| i32::from(q) + 7).sum();
    let half = |x: i32| (x + 1).div_euclid(2);
    let want = [raw + 5, half(raw - 6), half(raw + 70)].map(|x| (x + 1).clamp(-128, 127) as i8);
    assert_eq!(got, want);
    assert_eq!((head.calls, head.features.len()), (8, 4));
    let base = model.constants(7).unwrap();
    let sum = |row: &[u8]| -> i64 {
        let products = row.iter().zip(&head.features);
        products
            .map(|(&w, &q)| i64::from(w.cast_signed()) * (i64::from(q) + 7))
            .sum()
    };
    let raw: Vec<i64> = base.weights.chunks_exact(4).map(sum).collect();
    assert_eq!(head.raw, raw);
}

/// Slices of another length than the layer's are not used, each on its own.
#[test]
fn hooks_of_a_wrong_length_change_nothing() {
    let (graph, data) = tiny();
    let blob = encoded(&graph, &data).unwrap();
    let model = Model::parse(&blob).unwrap();
    let mut head = Head {
        weights: vec![1; 13],
        bias: vec![0; 12],
        multiplier: vec![0; 12],
        shift: vec![0; 2],
        ..Head::default()
    };
    assert_eq!(run(&model, &mut head), run(&model, &mut ()));
}

/// Constants no parser would accept give some scores, not a panic.
#[test]
fn no_constants_of_a_hook_can_panic() {
    let (graph, data) = tiny();
    let blob = encoded(&graph, &data).unwrap();
    let model = Model::parse(&blob).unwrap();
    for byte in [0x00, 0x7F, 0x80, 0xFF] {
        for shift in [-128i8, -1, 0, 31, 127] {
            let mut head = Head {
                weights: vec![0x80; 12],
                bias: vec![byte; 12],
                multiplier: vec![byte; 12],
                shift: vec![shift.cast_unsigned(); 3],
                ..Head::default()
            };
            assert_eq!(run(&model, &mut head).len(), 3);
        }
    }
}
