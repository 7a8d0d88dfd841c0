//! Whole networks in more flash, and what parsing refuses.

use aplysia_deploy::bench::{CASES, square_sample};
use aplysia_deploy::golden::{GoldenSet, GoldenSpec, attach};
use aplysia_deploy::processor::M4;
use aplysia_deploy::winograd::within;
use aplysia_live::evaluate::Images;
use aplysia_shared::blob::{GoldenKind, field};
use aplysia_shared::{BlobError, GraphV1, Hooks, LayerHooks, Model, Op, Requant, Tensor, Window};
use aplysia_shared::{blob, include_blob, infer, infer_with};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::network::tensors;

/// A small model in the form, as it was first written, and what it is a sample of.
const KEPT: &[u8] = include_blob!("../blobs/v1-winograd.blob");
const KEPT_SEED: u32 = 250;

fn scores(model: &Model<'_>, seed: u64) -> Vec<i8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
    let mut arena = vec![rng.random(); model.arena_bytes()];
    let mut scores = vec![0; model.n_classes()];
    infer(model, &mut arena, &input, &mut scores).unwrap();
    scores
}

/// Whole models against the chain of references, which multiply filters; the one that is kept among them.
#[test]
fn models_are_the_references() {
    assert!(square_sample(KEPT_SEED).unwrap() == KEPT);
    let samples = (0..30).map(|seed| square_sample(seed).unwrap());
    for (seed, blob) in samples.chain([KEPT.to_vec()]).enumerate() {
        let model = Model::parse(&blob).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
        let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
        let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
        infer(&model, &mut arena, &input, &mut scores).unwrap();
        let images = tensors(&model, input);
        let want = &images[usize::from(model.graph().output)].data;
        assert_eq!(&scores, want, "seed {seed}");
    }
}

fn case_of(name: &str) -> Vec<u8> {
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    case.blob(&M4).unwrap()
}

/// ResNet8 in all of the flash that it can use, and in less: the same scores, fewer instructions, no byte too many.
#[test]
fn a_network_takes_the_flash_that_it_may() {
    let plain = case_of("resnet8.tflite");
    let model = Model::parse(&plain).unwrap();
    let most = within(&plain, usize::MAX).unwrap();
    let mut before = 0;
    for flash_bytes in (0..8).map(|i| plain.len() + i * (most.len() - plain.len()) / 7) {
        let blob = within(&plain, flash_bytes).unwrap();
        assert!(blob.len() <= flash_bytes);
        let fast = Model::parse(&blob).unwrap();
        let saved = model.instructions() - fast.instructions();
        assert!(saved >= before, "{saved} after {before}");
        before = saved;
        for i in 0..model.n_layers() {
            let (Some(was), Some(is)) = (model.constants(i), fast.constants(i)) else {
                continue;
            };
            assert_eq!(was.requant, is.requant);
            assert_eq!(
                was.packed.map(|p| (p.sums, p.reach)),
                is.packed.map(|p| (p.sums, p.reach))
            );
        }
        for seed in 0..20 {
            assert_eq!(scores(&model, seed), scores(&fast, seed));
        }
        let abi = if blob == plain { 6 } else { 9 };
        assert!(blob[field::MIN_ABI] <= abi && (abi < 9 || blob[field::MIN_ABI] == 9));
    }
    assert_eq!(within(&plain, most.len()).unwrap(), most);
    // Once is all.
    assert_eq!(within(&most, usize::MAX).unwrap(), most);
}

/// Offsets in the graph that take more bytes when a layer grows: the limit is one of the whole blob.
#[test]
fn a_limit_counts_the_graph() {
    let plain = case_of("resnet8.tflite");
    let model = Model::parse(&plain).unwrap();
    for more in [240, 496, 1008] {
        let mut graph = model.graph();
        for tensor in &mut graph.tensors {
            tensor.offset += more;
        }
        let moved = encoded(&graph, model.data()).unwrap();
        let most = within(&moved, usize::MAX).unwrap();
        for flash_bytes in (most.len() - 64..=most.len()).step_by(16) {
            assert!(within(&moved, flash_bytes).unwrap().len() <= flash_bytes);
        }
    }
}

/// Tries to replace all constants.
struct Others {
    weights: Vec<u8>,
    words: Vec<u8>,
    shift: Vec<u8>,
}

impl Hooks for Others {
    fn layer(&mut self, layer: usize, _: &[i8]) -> LayerHooks<'_> {
        if layer != 0 {
            return LayerHooks::default();
        }
        LayerHooks {
            requant: Some(Requant {
                bias: &self.words,
                multiplier: &self.words,
                shift: &self.shift,
            }),
            weights: Some(&self.weights),
        }
    }
}

#[test]
fn hooks_replace_nothing_that_was_proved() {
    let model = Model::parse(KEPT).unwrap();
    let constants = model.constants(0).unwrap();
    let n = constants.n_channels();
    for weights in [constants.weights.len(), n * constants.fan_in] {
        let mut others = Others {
            weights: vec![1; weights],
            words: vec![1; 4 * n],
            shift: vec![0; n],
        };
        let input = vec![3; model.input().len()];
        let run = |hooks: &mut dyn FnMut(&mut [i8], &mut [i8])| {
            let (mut arena, mut scores) =
                (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
            hooks(&mut arena, &mut scores);
            (arena, scores)
        };
        let plain = run(&mut |arena, scores| infer(&model, arena, &input, scores).unwrap());
        let hooked = run(&mut |arena, scores| {
            infer_with(&model, arena, &input, scores, &mut others).unwrap();
        });
        assert_eq!(plain, hooked);
    }
}

/// Everything behind a layer that grows is found again: prototypes, statistics, names and a golden set.
#[test]
fn what_lies_behind_a_layer_moves_with_it() {
    let released = include_blob!("../../models/fashion-mnist-usf/model.blob");
    let pixels: Vec<u8> = (0..784 * 8u32).map(|i| (i * i % 251) as u8).collect();
    let images = Images {
        pixels: &pixels,
        labels: &[0, 1, 2, 3, 4, 5, 6, 7],
    };
    let spec = GoldenSpec {
        kind: GoldenKind::Inputs,
        n: 8,
    };
    let model = Model::parse(released).unwrap();
    let plain = attach(&model, &GoldenSet::choose(&model, images, spec).unwrap()).unwrap();
    let fast = within(&plain, usize::MAX).unwrap();
    let [before, after] = [&plain, &fast].map(|blob| Model::parse(blob).unwrap());
    assert!(fast.len() > plain.len());
    assert_eq!(before.prototypes(), after.prototypes());
    let golden = |model: &Model<'_>| -> Vec<(usize, Vec<u8>)> {
        let set = model.golden().unwrap();
        let samples = set.samples();
        samples
            .map(|(label, sample)| (label, sample.to_vec()))
            .collect()
    };
    assert_eq!(golden(&before), golden(&after));
    assert!((0..10).all(|i| before.label(i) == after.label(i)));
    for i in 0..before.n_layers() {
        assert_eq!(before.homeostasis(i), after.homeostasis(i));
    }
    for seed in 0..20 {
        assert_eq!(scores(&before, seed), scores(&after, seed));
    }
}

/// The graph, the data and the place of the weights of the first layer of a model in the form.
fn parts() -> (GraphV1, Vec<u8>, usize) {
    let blob = (0..).map(|seed| square_sample(seed).unwrap());
    let is_small = |blob: &Vec<u8>| {
        let model = Model::parse(blob).unwrap();
        matches!(model.layer(0).unwrap().op, Op::WinogradConv2d(_))
            && model.input().c == 16
            && model.input().h > 4
    };
    let blob = blob.into_iter().find(is_small).unwrap();
    let model = Model::parse(&blob).unwrap();
    let weights = model.constants(0).unwrap().weights.as_ptr().addr();
    let at = weights - model.data().as_ptr().addr();
    (model.graph(), model.data().to_vec(), at)
}

fn encoded(graph: &GraphV1, data: &[u8]) -> Result<Vec<u8>, BlobError> {
    let mut out = vec![0; blob::encoded_len(graph, data.len())?];
    blob::encode(graph, data, [0; 16], 0, &mut out)?;
    Ok(out)
}

#[test]
fn parsing_refuses_what_the_kernel_relies_on() {
    let (graph, data, at) = parts();
    assert!(encoded(&graph, &data).is_ok());
    let fault = BlobError::Packing { layer: 0 };
    // Every weight, one more or one less: no filter has such weights, or its sum is another.
    for i in (at..data.len()).step_by(2).take(2 * 16 * 16 * 4) {
        let mut data = data.clone();
        data[i] ^= 1;
        assert_eq!(encoded(&graph, &data), Err(fault), "byte {i}");
    }
    let n = usize::from(graph.tensors[usize::from(graph.layers[0].output)].c);
    let params = graph.layers[0].params as usize;
    // A sum, the reach, a multiplier below 2^30, a shift to the left, a bias too far from 0.
    let (sums, shift) = (params + 8 * n + n.next_multiple_of(4), params + 8 * n);
    let changes = [
        (sums, 1),
        (sums + 4 * n, 1),
        (params + 4 * n + 3, 0xC0),
        (shift, 0x80),
        (params + 3, 0x40),
    ];
    for (at, bits) in changes {
        let mut data = data.clone();
        data[at] ^= bits;
        assert_eq!(encoded(&graph, &data), Err(fault), "byte {at}");
    }
    // Statistics that follow the camera.
    let mut graph = graph.clone();
    graph.layers[0].homeostasis = Some(0);
    assert_eq!(
        encoded(&graph, &data),
        Err(BlobError::Homeostasis { layer: 0 })
    );
    graph.layers[0].homeostasis = None;
    // Another stride, another window, and shapes that the kernel does not take.
    let Op::WinogradConv2d(window) = graph.layers[0].op else {
        panic!()
    };
    let shape = Err(BlobError::LayerShape { layer: 0 });
    let changes: [fn(&mut Window); 3] =
        [|w| w.stride_h = 2, |w| w.kernel_w = 1, |w| w.dilation_w = 2];
    for change in changes {
        let mut graph = graph.clone();
        let mut window = window;
        change(&mut window);
        graph.layers[0].op = Op::WinogradConv2d(window);
        assert_eq!(encoded(&graph, &data), shape);
    }
    let [src, dst] = [graph.layers[0].inputs[0], graph.layers[0].output].map(usize::from);
    type Change = fn(&mut Tensor);
    let changes: [(usize, Change); 5] = [
        (src, |t| t.c = 68),
        (src, |t| t.c = 10),
        (dst, |t| t.c = 6),
        (dst, |t| t.h = 1),
        (dst, |t| t.w = 3),
    ];
    for (tensor, change) in changes {
        let mut graph = graph.clone();
        change(&mut graph.tensors[tensor]);
        // Room for all, each apart.
        for (i, tensor) in graph.tensors.iter_mut().enumerate() {
            tensor.offset = 100_000 * i as u32;
        }
        assert_eq!(encoded(&graph, &data), shape, "tensor {tensor}");
    }
    // Over its input.
    let mut over = graph.clone();
    over.tensors[dst].offset = over.tensors[src].offset;
    assert!(matches!(
        encoded(&over, &data),
        Err(BlobError::Overlap { .. })
    ));
}
