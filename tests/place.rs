//! Placings: the kernel against its reference, rules of parsing, graphs too large to be held decoded.

use crate::blob::{encoded, tiny};
use crate::kernel::{config, image, output, run, view};
use crate::network::tensors;
use crate::oracle::{self, Place};
use aplysia_shared::kernel::generic;
use aplysia_shared::layer::MAX_LAYERS;
use aplysia_shared::{BlobError, Clamp, GraphV1, Layer, Model, Op, Placing, Scaling, infer};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

proptest! {
    #![proptest_config(config(400))]
    #[test]
    fn placings_equal_their_reference(
        size in [1..20usize, 1..20],
        c in 1..9usize,
        [first, more] in [0..4usize, 0..4],
        stride in 1..4usize,
        same in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let src = image([size[0], size[1], c], &mut rng);
        let mut to = output(first + c + more, &mut rng);
        let mut factor = (to.multiplier[0], to.shift[0]);
        if same {
            (factor, to.zero_point) = ((1 << 30, 1), src.zero_point);
            (to.min, to.max) = (i8::MIN, i8::MAX);
        }
        let place = Place { first, stride, offset: rng.random_range(0..=stride), factor };
        let out = size.map(|n| n.div_ceil(stride));
        let channels = first + c + more;
        let old = vec![77; out[0] * out[1] * channels];
        let want = oracle::place(&src, &place, (out, channels), &old, &to);
        let placing = Placing {
            scaling: Scaling::new(factor.0, factor.1),
            first: first as u16,
            stride: stride as u8,
            offset: place.offset as u8,
        };
        let got = run(out, channels, &to, |dst| generic::place_s8(&view(&src), dst, &placing));
        prop_assert_eq!(got, want);
    }
}

fn placing(first: u16) -> Placing {
    Placing {
        scaling: Scaling::new(1 << 30, 1),
        first,
        stride: 1,
        offset: 0,
    }
}

/// A layer that places `input` in `output` from channel `first` on.
fn place(input: u8, output: u8, first: u16) -> Layer {
    Layer {
        op: Op::Place(placing(first)),
        inputs: [input; 2],
        output,
        clamp: Clamp::FULL,
        params: 0,
        homeostasis: None,
    }
}

/// The tiny model with a concatenation of two of its tensors, 6×6×4 each, that nobody reads; layers 3 and 4
/// are the placings.
fn joined() -> (GraphV1, Vec<u8>) {
    let (mut graph, data) = tiny();
    let end = graph.tensors.iter().map(|t| t.end()).max().unwrap();
    let mut whole = graph.tensors[1];
    (whole.c, whole.offset) = (8, end as u32);
    let index = graph.tensors.len() as u8;
    graph.tensors.push(whole).unwrap();
    graph.layers.insert(3, place(1, index, 0)).unwrap();
    graph.layers.insert(4, place(3, index, 4)).unwrap();
    (graph, data)
}

#[test]
fn a_concatenation_is_filled_channel_by_channel() {
    let (graph, data) = joined();
    let blob = encoded(&graph, &data).unwrap();
    let model = Model::parse(&blob).unwrap();
    assert_eq!(blob[10..12], [4, 0], "asks for runtime interface 4");
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
    let mut arena = vec![0; model.arena_bytes()];
    infer(&model, &mut arena, &input, &mut [0; 3]).unwrap();
    let images = tensors(&model, input);
    let whole = &images[9];
    let t = model.tensor(9).unwrap();
    let got = &arena[t.offset as usize..][..t.len()];
    assert_eq!(got, whole.data);
    for (pixel, (a, b)) in whole
        .data
        .chunks(8)
        .zip(images[1].data.chunks(4).zip(images[3].data.chunks(4)))
    {
        assert_eq!(&pixel[..4], a);
        // Another zero point: −3 there, −128 here.
        let b: Vec<i8> = b
            .iter()
            .map(|q| (i16::from(*q) - 125).max(-128) as i8)
            .collect();
        assert_eq!(pixel[4..], b);
    }
}

#[test]
fn placings_out_of_order_are_refused() {
    let refusal = |change: fn(&mut GraphV1)| {
        let (mut graph, data) = joined();
        change(&mut graph);
        encoded(&graph, &data).unwrap_err()
    };
    let order = |layer, tensor| BlobError::Order { layer, tensor };
    let first =
        |g: &mut GraphV1, layer: usize, first: u16| g.layers[layer].op = Op::Place(placing(first));
    // A gap, an overlap, a part that is missing, one too many, one that is read too early.
    assert_eq!(refusal(|g| g.layers[3] = place(1, 9, 4)), order(3, 9));
    assert_eq!(refusal(|g| g.layers[4] = place(3, 9, 3)), order(4, 9));
    assert_eq!(
        refusal(|g| {
            g.layers.remove(4);
        }),
        order(8, 9)
    );
    assert_eq!(
        refusal(|g| g.layers.insert(5, place(1, 9, 8)).unwrap()),
        order(5, 9)
    );
    assert_eq!(
        refusal(|g| g.layers.insert(4, place(9, 9, 4)).unwrap()),
        order(4, 9)
    );
    let _ = first;
    let placed = |change: fn(&mut Placing)| {
        let (mut graph, data) = joined();
        let Op::Place(p) = &mut graph.layers[3].op else {
            unreachable!()
        };
        change(p);
        encoded(&graph, &data).unwrap_err()
    };
    assert_eq!(placed(|p| p.stride = 0), BlobError::Window { layer: 3 });
    assert_eq!(placed(|p| p.offset = 2), BlobError::Window { layer: 3 });
    assert_eq!(placed(|p| p.stride = 2), BlobError::LayerShape { layer: 3 });
    let scaling = |s: Scaling| matches!(placed_scaling(s), BlobError::Scaling { layer: 3, .. });
    assert!(scaling(Scaling::new(-1, 0)));
    assert!(scaling(Scaling::new(1 << 30, 31)));
    let bound = placed_scaling(Scaling::new(1 << 30, 24));
    assert!(matches!(
        bound,
        BlobError::Accumulator {
            layer: 3,
            bound: 255,
            ..
        }
    ));
}

/// What parsing says of another factor in layer 3.
fn placed_scaling(scaling: Scaling) -> BlobError {
    let (mut graph, data) = joined();
    graph.layers[3].op = Op::Place(Placing {
        scaling,
        ..placing(0)
    });
    encoded(&graph, &data).unwrap_err()
}

/// The tiny model behind `n` copies of its input.
fn long(n: usize) -> (GraphV1, Vec<u8>) {
    let (mut graph, data) = tiny();
    let (tensor, before) = (graph.tensors[0], graph.tensors.len() as u8);
    let end = graph.tensors.iter().map(|t| t.end()).max().unwrap() as u32;
    for i in 0..n {
        let offset = end + (i % 2) as u32 * tensor.len() as u32;
        let _ = graph
            .tensors
            .push(aplysia_shared::Tensor { offset, ..tensor });
        let from = if i == 0 { 0 } else { before + i as u8 - 1 };
        let _ = graph.layers.insert(i, place(from, before + i as u8, 0));
    }
    // The copy, and nothing else, is read by what read the input.
    for layer in graph.layers.iter_mut().skip(n) {
        layer.inputs = layer
            .inputs
            .map(|i| if i == 0 { before + n as u8 - 1 } else { i });
    }
    (graph, data)
}

#[test]
fn graphs_of_any_size_give_the_same_bits() {
    let (graph, data) = tiny();
    let blob = encoded(&graph, &data).unwrap();
    let model = Model::parse(&blob).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
    let mut want = [0; 3];
    infer(&model, &mut vec![0; model.arena_bytes()], &input, &mut want).unwrap();
    // 39 and 40 copies are on either side of what is held decoded, 245 the most that the format holds.
    for n in [1, 39, 40, 100, 245] {
        let (graph, data) = long(n);
        let blob = encoded(&graph, &data).unwrap();
        let model = Model::parse(&blob).unwrap();
        assert_eq!(model.graph(), graph);
        assert_eq!(model.n_layers(), n + 8);
        assert!(model.layers().rev().eq(graph.layers.iter().rev().copied()));
        let mut got = [0; 3];
        infer(&model, &mut vec![0; model.arena_bytes()], &input, &mut got).unwrap();
        assert_eq!(got, want, "{n}");
    }
    const { assert!(MAX_LAYERS == 254) };
    let many = GraphV1 {
        layers: long(245).0.layers,
        ..long(244).0
    };
    assert!(encoded(&many, &data).is_err());
}
