//! A small random network that can learn: two convolutions with source statistics, prototypes, a head;
//! and learners of it.

use aplysia_shared::adapt::{Config, Plastic, state_bytes};
use aplysia_shared::blob::encode;
use aplysia_shared::kernel::dsp::Native;
use aplysia_shared::kernel::sums::{CHANNELS as AT_ONCE, ChannelStat, Lattice};
use aplysia_shared::quant::i32_at;
use aplysia_shared::{
    Clamp, GraphV1, Hooks, Labels, Layer, LayerHooks, Model, Op, Requant, Scaling, Tensor, Window,
    infer, infer_with, sums,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const SIDE: u16 = 6;
pub(crate) const N_CLASSES: usize = 5;
pub(crate) const D: usize = 12;
/// Output channels of the two layers with homeostasis: a pointwise and a 3×3 convolution.
pub(crate) const CHANNELS: [usize; 2] = [8, D];
pub(crate) const FAN_IN: [usize; 2] = [2, 9 * 8];
/// Real factor of requantization of each weighted layer, and the head's input and output scales.
pub(crate) const FACTORS: [f64; 3] = [0.006, 0.0015, 0.004];
pub(crate) const S_X: f32 = 0.05;
pub(crate) const S_O: f32 = 0.125;

fn scaling(real: f64) -> (i32, i8) {
    let exponent = real.log2().floor() + 1.0;
    (
        (real / exponent.exp2() * 2_f64.powi(31)) as i32,
        exponent as i8,
    )
}

fn put_i32s(data: &mut Vec<u8>, values: impl IntoIterator<Item = i32>) {
    data.extend(values.into_iter().flat_map(i32::to_le_bytes));
}

/// Appends the constants of one layer; returns their offset.
fn put_params(
    data: &mut Vec<u8>,
    rng: &mut ChaCha8Rng,
    outs: usize,
    fan_in: usize,
    real: f64,
) -> u32 {
    let offset = data.len() as u32;
    let (multiplier, shift) = scaling(real);
    put_i32s(data, (0..outs).map(|_| rng.random_range(-900..900)));
    put_i32s(data, (0..outs).map(|_| multiplier));
    data.extend((0..outs).map(|_| shift.cast_unsigned()));
    data.resize(data.len().next_multiple_of(4), 0);
    data.extend((0..outs * fan_in).map(|_| rng.random_range(-100_i8..=100).cast_unsigned()));
    data.resize(data.len().next_multiple_of(4), 0);
    offset
}

fn tensor(side: u16, c: u16, offset: u32, zero_point: i8, scale: f32) -> Tensor {
    Tensor {
        h: side,
        w: side,
        c,
        scale,
        zero_point,
        offset,
    }
}

fn layer(op: Op, input: u8, params: u32, homeostasis: Option<u32>) -> Layer {
    let output = input + 1;
    Layer {
        op,
        inputs: [input; 2],
        output,
        clamp: Clamp::FULL,
        params,
        homeostasis,
    }
}

/// A random network with source statistics `(mean, deviation)` per homeostatic channel.
pub(crate) fn network(seed: u64, statistics: &[Vec<(i32, i32)>; 2]) -> Vec<u8> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut data = Vec::new();
    let first = put_params(&mut data, rng, CHANNELS[0], FAN_IN[0], FACTORS[0]);
    let second = put_params(&mut data, rng, CHANNELS[1], FAN_IN[1], FACTORS[1]);
    let head = put_params(&mut data, rng, N_CLASSES, D, FACTORS[2]);
    let sections = statistics.each_ref().map(|layer| {
        let offset = data.len() as u32;
        put_i32s(&mut data, layer.iter().map(|s| s.0));
        put_i32s(&mut data, layer.iter().map(|s| s.1));
        Some(offset)
    });
    let prototypes = data.len() as u32;
    let value = |_| rng.random_range(0..20_000_i16);
    data.extend((0..N_CLASSES * D).map(value).flat_map(i16::to_le_bytes));
    data.resize(data.len().next_multiple_of(4), 0);
    let labels = Labels {
        offset: data.len() as u32,
        len: 9,
    };
    data.extend(b"a\nb\nc\nd\ne");
    let (mean, shift) = scaling(1.5 / f64::from(SIDE * SIDE));
    let tensors = [
        tensor(SIDE, 2, 0, -5, 0.02),
        tensor(SIDE, 8, 80, -128, 0.05),
        tensor(SIDE, D as u16, 368, -128, 0.075),
        tensor(1, D as u16, 800, -128, S_X),
        tensor(1, N_CLASSES as u16, 816, 3, S_O),
    ];
    let layers = [
        layer(Op::Conv2d(Window::square(1, 1, 0)), 0, first, sections[0]),
        layer(Op::Conv2d(Window::square(3, 1, 1)), 1, second, sections[1]),
        layer(Op::GlobalAvgPool(Scaling::new(mean, shift)), 2, 0, None),
        layer(Op::FullyConnected, 3, head, None),
    ];
    let graph = GraphV1 {
        tensors: tensors.into_iter().collect(),
        layers: layers.into_iter().collect(),
        input: 0,
        output: 4,
        prototypes: Some(prototypes),
        labels,
        cascades: Default::default(),
    };
    let mut blob = vec![0; 8192];
    let id = [seed as u8; 16];
    let len = encode(&graph, &data, id, 0, &mut blob).unwrap();
    blob.truncate(len);
    blob
}

/// Folded constants of a layer: biases, multipliers, shifts.
pub(crate) type Folded = [Vec<u8>; 3];

/// The folding of the first layer, by its equations in floating point.
pub(crate) fn folded(model: &Model<'_>, mean: &[i32], deviation: &[i32]) -> Folded {
    let (source, base) = (model.homeostasis(0).unwrap(), model.constants(0).unwrap());
    let mut folded = Folded::default();
    for c in 0..mean.len() {
        let [mean_s, dev_s] = [source.mean, source.deviation].map(|s| f64::from(i32_at(s, c)));
        let gain = (dev_s / f64::from(deviation[c])).clamp(0.25, 4.0);
        let (bias, multiplier, shift) = base.requant.channel(c);
        let bias = ((mean_s + f64::from(bias)) / gain).round() - f64::from(mean[c]);
        let (mut multiplier, mut shift) = (f64::from(multiplier) * gain, shift);
        let doubled = 30 - multiplier.log2().floor() as i8;
        multiplier *= f64::from(doubled).exp2();
        shift -= doubled;
        folded[0].extend((bias as i32).to_le_bytes());
        folded[1].extend((multiplier.round() as i32).to_le_bytes());
        folded[2].push(shift.cast_unsigned());
    }
    folded
}

/// Collects the statistics of the homeostatic layers around given centres, and the features.
pub(crate) struct Probe<'m> {
    model: &'m Model<'m>,
    lattice: Lattice,
    /// In place of the constants of the first layer.
    pub(crate) folded: Option<Folded>,
    pub(crate) stats: [Vec<ChannelStat>; 2],
    pub(crate) features: Vec<i8>,
}

impl Hooks for Probe<'_> {
    fn layer(&mut self, layer: usize, arena: &[i8]) -> LayerHooks<'_> {
        for (i, stats) in self
            .stats
            .get_mut(layer)
            .into_iter()
            .flat_map(|s| s.chunks_mut(AT_ONCE))
            .enumerate()
        {
            let sums = sums(self.model, layer, arena).unwrap();
            sums.add::<Native>(i * AT_ONCE, self.lattice, stats);
        }
        let folded = self.folded.as_ref().filter(|_| layer == 0);
        LayerHooks {
            requant: folded.map(|[bias, multiplier, shift]| Requant {
                bias,
                multiplier,
                shift,
            }),
            ..LayerHooks::default()
        }
    }
    fn features(&mut self, features: &[i8]) {
        self.features = features.to_vec();
    }
}

pub(crate) fn probe<'m>(
    model: &'m Model<'m>,
    images: &[Vec<i8>],
    centres: &[Vec<i32>; 2],
) -> Probe<'m> {
    probe_at(model, images, centres, Lattice::ALL, None)
}

pub(crate) fn probe_at<'m>(
    model: &'m Model<'m>,
    images: &[Vec<i8>],
    centres: &[Vec<i32>; 2],
    lattice: Lattice,
    folded: Option<Folded>,
) -> Probe<'m> {
    let stat = |&center: &i32| ChannelStat {
        center,
        ..ChannelStat::default()
    };
    let mut probe = Probe {
        model,
        lattice,
        folded,
        stats: centres
            .each_ref()
            .map(|layer| layer.iter().map(stat).collect()),
        features: Vec::new(),
    };
    let (mut arena, mut output) = (vec![0; model.arena_bytes()], [0; N_CLASSES]);
    for image in images {
        infer_with(model, &mut arena, image, &mut output, &mut probe).unwrap();
    }
    probe
}

pub(crate) fn images(n: usize, seed: u64) -> Vec<Vec<i8>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let pixels = usize::from(SIDE * SIDE) * 2;
    (0..n)
        .map(|_| (0..pixels).map(|_| rng.random_range(-70..60)).collect())
        .collect()
}

/// A blob whose source statistics are those of `images(200, 1)`.
pub(crate) fn measured(seed: u64) -> Vec<u8> {
    let blank = CHANNELS.map(|n| vec![(0, 1); n]);
    let blob = network(seed, &blank);
    let model = Model::parse(&blob).unwrap();
    let images = images(200, 1);
    let n = (images.len() * usize::from(SIDE * SIDE)) as i64;
    let zeros = CHANNELS.map(|n| vec![0; n]);
    let means = probe(&model, &images, &zeros).stats;
    let means = means.map(|layer| layer.iter().map(|s| (s.sum / n) as i32).collect::<Vec<_>>());
    let mut statistics = blank;
    for (l, layer) in probe(&model, &images, &means).stats.iter().enumerate() {
        let pairs = layer
            .iter()
            .map(|s| (s.center, ((s.deviation / n) as i32).max(1)));
        statistics[l] = pairs.collect();
    }
    network(seed, &statistics)
}

pub(crate) fn base_scores(model: &Model<'_>, image: &[i8]) -> [i8; N_CLASSES] {
    let (mut arena, mut output) = (vec![0; model.arena_bytes()], [0; N_CLASSES]);
    infer(model, &mut arena, image, &mut output).unwrap();
    output
}

/// Runs `f` on a fresh learner.
pub(crate) fn with<R>(
    blob: &[u8],
    config: Config,
    f: impl FnOnce(&Model<'_>, &mut Plastic<'_>) -> R,
) -> R {
    let model = Model::parse(blob).unwrap();
    let mut buffer = vec![0xA5; state_bytes(&model, &config).unwrap()];
    let mut plastic = Plastic::new(&model, config, 7, &mut buffer).unwrap();
    f(&model, &mut plastic)
}

/// Writes the CRC-32 (IEEE, bit by bit) of a changed snapshot into its header.
pub(crate) fn seal(bytes: &mut [u8]) {
    let covered = bytes[..60].iter().chain(&bytes[64..]);
    let crc = covered.fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            (c >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(c & 1))
        })
    });
    bytes[60..64].copy_from_slice(&(!crc).to_le_bytes());
}
