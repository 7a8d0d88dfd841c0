//! The wire form of a model: round trip, damage of every kind, and one blob kept for ever.
//!
//! It owns a tiny model with every operator. A damaged blob is refused or runs; it never panics. The golden file
//! `blobs/v1-tiny.blob` is format version 1 as it was first written, `v1-packed.blob` the same model for runtime
//! interface 2, `v1-cascade.blob` that with a cascade for interface 8.

use aplysia_deploy::pack::{PackedWeights, pack};
use aplysia_shared::blob::{self, Aligned, HEADER_BYTES, field};
use aplysia_shared::kernel::dsp::packing::Depth;
use aplysia_shared::{
    AddScales, BlobError, Clamp, GraphV1, Hooks, Labels, Layer, Model, Op, Scaling, Tensor, Window,
    include_blob, infer_with,
};
use proptest::prelude::*;

const GOLDEN: &[u8] = include_blob!("blobs/v1-tiny.blob");
pub(crate) const PACKED: &[u8] = include_blob!("blobs/v1-packed.blob");
pub(crate) const CASCADED: &[u8] = include_blob!("blobs/v1-cascade.blob");
const ID: [u8; 16] = *b"tiny model, v1..";

/// Graph and data section under construction.
struct Builder {
    graph: GraphV1,
    data: Vec<u8>,
}

impl Builder {
    fn tensor(&mut self, [h, w, c]: [u16; 3], scale: f32, zero_point: i8) -> u8 {
        let offset = self.graph.tensors.last().map_or(0, |t| t.end() as u32);
        let tensor = Tensor {
            h,
            w,
            c,
            scale,
            zero_point,
            offset,
        };
        self.graph.tensors.push(tensor).unwrap();
        self.graph.tensors.len() as u8 - 1
    }

    fn layer(&mut self, op: Op, inputs: [u8; 2], output: u8, n_weights: usize) {
        let relu = matches!(op, Op::Conv2d(_));
        let zero_point = self.graph.tensors[usize::from(output)].zero_point;
        let n = usize::from(self.graph.tensors[usize::from(output)].c);
        let (mut params, mut homeostasis) = (0, None);
        if n_weights > 0 {
            params = self.constants(n, n_weights);
            homeostasis = Some(self.data.len() as u32);
            self.words((0..n as i32).map(|c| 40 * c - 60));
            self.words((0..n as i32).map(|c| 1 + 100 * c));
        }
        let min = if relu { zero_point } else { i8::MIN };
        self.graph
            .layers
            .push(Layer {
                op,
                inputs,
                output,
                clamp: Clamp { min, max: i8::MAX },
                params,
                homeostasis,
            })
            .unwrap();
    }

    fn words(&mut self, values: impl Iterator<Item = i32>) {
        self.data.extend(values.flat_map(i32::to_le_bytes));
    }

    fn constants(&mut self, n: usize, n_weights: usize) -> u32 {
        let params = self.data.len() as u32;
        self.words((0..n as i32).map(|c| 300 - 170 * c));
        self.words((0..n as i32).map(|c| (1 << 30) + 12_345_678 * c));
        self.data.extend((0..n).map(|c| (-9 + c as i8 % 2) as u8));
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        let weights = (0..n_weights as i32).map(|i| ((i * 37 + 11) % 255 - 127) as i8 as u8);
        self.data.extend(weights);
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        params
    }
}

/// Every operator once, 6×6×2 in and three classes out.
pub(crate) fn tiny() -> (GraphV1, Vec<u8>) {
    let mut b = Builder {
        graph: GraphV1 {
            tensors: heapless_vec(),
            layers: heapless_vec(),
            input: 0,
            output: 8,
            prototypes: None,
            labels: Labels { offset: 0, len: 0 },
            cascades: heapless_vec(),
        },
        data: vec![],
    };
    let image = b.tensor([6, 6, 2], 0.01, -5);
    let conv = b.tensor([6, 6, 4], 0.02, -128);
    let depthwise = b.tensor([6, 6, 4], 0.03, 4);
    let pointwise = b.tensor([6, 6, 4], 0.04, -3);
    let sum = b.tensor([6, 6, 4], 0.05, 2);
    let max = b.tensor([3, 3, 4], 0.05, 2);
    let avg = b.tensor([2, 2, 4], 0.05, 2);
    let mean = b.tensor([1, 1, 4], 0.05, -7);
    let scores = b.tensor([1, 1, 3], 0.1, 1);
    let scales = AddScales {
        lhs: Scaling::new(1 << 30, -1),
        rhs: Scaling::new(1 << 30, 0),
        output: Scaling::new(1_717_986_918, -18),
    };
    let quarter = Scaling::new(1 << 30, -1);
    b.layer(Op::Conv2d(Window::square(3, 1, 1)), [image; 2], conv, 72);
    let window = Window::square(3, 1, 1);
    b.layer(Op::DepthwiseConv2d(window), [conv; 2], depthwise, 36);
    b.layer(
        Op::Conv2d(Window::square(1, 1, 0)),
        [depthwise; 2],
        pointwise,
        16,
    );
    b.layer(Op::Add(scales), [conv, pointwise], sum, 0);
    b.layer(Op::MaxPool(Window::square(2, 2, 0)), [sum; 2], max, 0);
    b.layer(Op::AvgPool(Window::square(2, 1, 0)), [max; 2], avg, 0);
    b.layer(Op::GlobalAvgPool(quarter), [avg; 2], mean, 0);
    b.layer(Op::FullyConnected, [mean; 2], scores, 12);
    b.graph.prototypes = Some(b.data.len() as u32);
    let prototypes = (0..12i16).flat_map(|i| (i * 2720 - 16_000).to_le_bytes());
    b.data.extend(prototypes);
    let names = "shirt\nboot\nbag";
    b.graph.labels = Labels {
        offset: b.data.len() as u32,
        len: names.len() as u16,
    };
    b.data.extend(names.bytes());
    (b.graph, b.data)
}

/// [`tiny`] with its dense convolutions packed, as export would.
pub(crate) fn packed() -> (GraphV1, Vec<u8>) {
    let (mut graph, mut data) = tiny();
    for i in [0, 2] {
        let layer = &mut graph.layers[i];
        let Op::Conv2d(window) = layer.op else {
            continue;
        };
        let in_ch = usize::from(graph.tensors[usize::from(layer.inputs[0])].c);
        let fixed = layer.params as usize;
        let weights = fixed + 36..fixed + 36 + 4 * window.taps() * in_ch;
        let plain: Vec<i8> = data[weights].iter().map(|w| w.cast_signed()).collect();
        let PackedWeights { sums, reach, bytes } = pack(&plain, Depth::new(&window, in_ch));
        let mut section = data[fixed..fixed + 36].to_vec();
        let words = sums.into_iter().chain([reach.cast_signed()]);
        section.extend(words.flat_map(i32::to_le_bytes));
        section.extend(bytes);
        data.resize(data.len().next_multiple_of(4), 0);
        (layer.op, layer.params) = (Op::PackedConv2d(window), data.len() as u32);
        data.extend(section);
    }
    (graph, data)
}

/// An empty vector of whatever capacity the graph has.
fn heapless_vec<T: Default>() -> T {
    T::default()
}

pub(crate) fn encoded(graph: &GraphV1, data: &[u8]) -> Result<Vec<u8>, BlobError> {
    let mut out = vec![0xAA; blob::encoded_len(graph, data.len())?];
    let len = blob::encode(graph, data, ID, 7, &mut out)?;
    assert_eq!(len, out.len());
    Ok(out)
}

pub(crate) fn image(n: usize) -> Vec<i8> {
    (0..n as i32).map(|i| (i * 53 % 256 - 128) as i8).collect()
}

/// Scores of a fixed image.
pub(crate) fn run(model: &Model<'_>, hooks: &mut impl Hooks) -> Vec<i8> {
    run_in(model, hooks, 0x55)
}

/// As [`run`], in an arena full of `dirt`.
fn run_in(model: &Model<'_>, hooks: &mut impl Hooks, dirt: i8) -> Vec<i8> {
    let mut arena = vec![dirt; model.arena_bytes()];
    let mut scores = vec![0; model.n_classes()];
    let input = image(model.input().len());
    infer_with(model, &mut arena, &input, &mut scores, hooks).unwrap();
    scores
}

/// IEEE CRC-32 bit by bit, over the bytes the format names.
pub(crate) fn seal(blob: &mut [u8]) {
    let covered = (0..blob.len()).filter(|i| !(field::CRC..field::ID).contains(i));
    let covered = covered.filter(|i| !(field::SIGNATURE..HEADER_BYTES).contains(i));
    let mut crc = u32::MAX;
    for i in covered {
        crc ^= u32::from(blob[i]);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    blob[field::CRC..field::ID].copy_from_slice(&(!crc).to_le_bytes());
}

#[test]
fn what_is_encoded_is_parsed() {
    let (graph, data) = tiny();
    let blob = encoded(&graph, &data).unwrap();
    let mut slot = blob.clone();
    slot.extend([0xFF; 100]);
    let model = Model::parse(&slot).unwrap();
    assert_eq!(model.graph(), graph);
    assert_eq!((model.id(), model.counter()), (ID, 7));
    assert_eq!(model.blob_bytes(), blob.len());
    assert_eq!(model.arena_bytes(), 72 + 4 * 144 + 36 + 16 + 4 + 3);
    assert_eq!(
        [0, 1, 2, 3].map(|c| model.label(c)),
        ["shirt", "boot", "bag", ""]
    );
    assert_eq!(model.features(), graph.tensors[7]);
    assert_eq!(model.prototypes().unwrap().len(), 24);
    let constants = model.constants(1).unwrap();
    assert_eq!(constants.weights.len(), 36);
    assert_eq!(
        constants.requant.channel(1),
        (130, (1 << 30) + 12_345_678, -8)
    );
    assert_eq!(
        model.homeostasis(0).unwrap().mean[..4],
        (-60i32).to_le_bytes()
    );
    assert!(model.constants(3).is_none() && model.homeostasis(3).is_none());
    assert_eq!(model.macs(), 36 * (72 + 36 + 16) + 12);
    let layers = 0..model.n_layers();
    let sum: u64 = layers.map(|l| model.layer_cost(l).instructions).sum();
    assert_eq!(model.instructions(), sum);
}

/// The length of a blob depends on the structure of its graph only.
#[test]
fn trained_numbers_do_not_change_the_length() {
    let (mut graph, data) = tiny();
    let want = blob::encoded_len(&graph, data.len()).unwrap();
    for t in &mut graph.tensors {
        (t.scale, t.zero_point) = (1e-30, 127);
    }
    for l in &mut graph.layers {
        l.clamp = Clamp::FULL;
        if let Op::GlobalAvgPool(scaling) = &mut l.op {
            *scaling = Scaling::new(0, -31);
        }
    }
    assert_eq!(blob::encoded_len(&graph, data.len()), Ok(want));
}

#[test]
fn the_golden_blob_still_reads_and_runs() {
    let (graph, data) = tiny();
    assert_eq!(encoded(&graph, &data).unwrap(), GOLDEN);
    let model = Model::parse(GOLDEN).unwrap();
    assert_eq!(run(&model, &mut ()), [-3, 2, 0]);
}

#[test]
fn the_packed_golden_blob_reads_and_runs_alike() {
    let (graph, data) = packed();
    assert_eq!(encoded(&graph, &data).unwrap(), PACKED);
    assert_eq!((GOLDEN[field::MIN_ABI], PACKED[field::MIN_ABI]), (1, 2));
    let (plain, model) = (Model::parse(GOLDEN).unwrap(), Model::parse(PACKED).unwrap());
    assert_eq!(run(&model, &mut ()), run(&plain, &mut ()));
    assert_eq!(model.macs(), plain.macs());
    assert_eq!(model.constants(0).unwrap().fan_in, 18);
}

/// Any change of packed weights, sums or reach contradicts the rest, or moves a weight into padding.
#[test]
fn inconsistent_packing_is_refused() {
    let (graph, data) = packed();
    for layer in [0, 2] {
        let from = graph.layers[layer].params as usize + 36;
        let n = 20 + [4 * 3 * 8, 4 * 4][layer / 2];
        for at in from..from + n {
            let mut data = data.clone();
            data[at] ^= 0x10;
            let layer = layer as u8;
            let want = Err(BlobError::Packing { layer });
            assert_eq!(encoded(&graph, &data), want, "{at}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        let parsed = Model::parse(&GOLDEN[..len]);
        assert!(matches!(parsed, Err(BlobError::Truncated { .. })), "{len}");
    }
}

/// The kernels read the constants as words.
#[test]
fn a_blob_off_a_word_is_refused_and_an_included_one_is_on_one() {
    assert!(GOLDEN.as_ptr().addr().is_multiple_of(16));
    let mut room = Aligned([0xFF; 1024]);
    for at in 0..16 {
        let place = &mut room.0[at..at + GOLDEN.len()];
        place.copy_from_slice(GOLDEN);
        let want = match at % 4 {
            0 => None,
            over_bytes => Some(BlobError::Alignment { over_bytes }),
        };
        assert_eq!(Model::parse(place).err(), want, "{at}");
    }
}

#[test]
fn every_flipped_bit_is_refused_but_in_the_signature() {
    for bit in 0..GOLDEN.len() * 8 {
        let mut blob = GOLDEN.to_vec();
        blob[bit / 8] ^= 1 << (bit % 8);
        let signature = (field::SIGNATURE..HEADER_BYTES).contains(&(bit / 8));
        assert_eq!(Model::parse(&blob).is_ok(), signature, "bit {bit}");
    }
}

/// Every header and graph byte is flipped bit by bit and takes the extremes; what parses runs.
#[test]
fn every_sealed_byte_is_refused_or_runs() {
    for golden in [GOLDEN, CASCADED] {
        let graph = HEADER_BYTES..HEADER_BYTES + usize::from(golden[field::GRAPH_LEN]);
        let mut accepted = 0;
        for at in (0..field::SIGNATURE).chain(graph) {
            let flips = (0..8).map(|bit| golden[at] ^ (1 << bit));
            for value in flips.chain([0, 1, 0x7F, 0x80, 0xFF]) {
                let mut blob = golden.to_vec();
                blob[at] = value;
                accepted += usize::from(refused_or_runs(&mut blob));
            }
        }
        assert!(accepted > 500, "only {accepted} mutants ran");
    }
}

/// Seals `blob` and runs it if it parses (and asks for an arena that a test can give), twice with the same scores.
fn refused_or_runs(blob: &mut [u8]) -> bool {
    seal(blob);
    match Model::parse(blob) {
        Ok(model) if model.arena_bytes() < 1 << 20 => {
            let [first, second] = [0x55, -0x33].map(|dirt| run_in(&model, &mut (), dirt));
            assert_eq!(first, second, "scores depend on what the arena held");
            true
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(crate::kernel::config(3000))]

    #[test]
    fn sealed_damage_is_refused_or_runs(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for golden in [GOLDEN, PACKED, CASCADED] {
            let mut blob = golden.to_vec();
            let len = blob.len() - HEADER_BYTES;
            for (at, value) in &changes {
                blob[HEADER_BYTES + at.index(len)] = *value;
            }
            refused_or_runs(&mut blob);
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Model::parse(&bytes).is_err());
    }
}

/// The annotated dump of the format's description is the golden blob, byte for byte.
#[test]
fn the_format_description_shows_the_golden_blob() {
    let text = include_str!("../shared/FORMAT.md");
    let mut shown = vec![];
    for line in text.lines() {
        let Some((address, rest)) = line.split_once(": ") else {
            continue;
        };
        let Ok(address) = usize::from_str_radix(address, 16) else {
            continue;
        };
        assert_eq!(address, shown.len(), "{line}");
        let hex = rest.split("  ").next().unwrap();
        let bytes = hex.split(' ').map(|b| u8::from_str_radix(b, 16).unwrap());
        shown.extend(bytes);
    }
    assert_eq!(shown, GOLDEN);
}
