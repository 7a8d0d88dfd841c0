//! The cell spaces in training: gradients of whole networks against burn's autodiff, every rule learns,
//! drop-path and auxiliary head, stopped and resumed equals uninterrupted.

use crate::gradient::{assert_close, numbers, tensor};
use crate::quadrants::{CLASSES, Quadrants, SHAPE};
use crate::tape_reference::{Ad, Reference};
use aplysia_learn::burn::tensor::activation::log_softmax;
use aplysia_learn::burn::tensor::{Tensor, TensorData};
use aplysia_learn::*;
use aplysia_space::darts::Stem;
use aplysia_space::nasbench201 as nb201;
use aplysia_space::*;
use std::ops::ControlFlow;
use std::path::Path;

/// Every operation of `darts`, with rules in turn.
const GENOTYPE: &str = r#"
normal = [
    ["sep_conv_3x3~0", "dil_conv_3x3~1"],
    ["skip_connect~0", "sep_conv_5x5~2"],
    ["dil_conv_5x5~1", "max_pool_3x3~3"],
    ["avg_pool_3x3~0", "skip_connect~4"],
]
reduction = [
    ["skip_connect~0", "dil_conv_5x5~1"],
    ["max_pool_3x3~0", "sep_conv_3x3~2"],
    ["avg_pool_3x3~1", "sep_conv_5x5~0"],
    ["dil_conv_3x3~1", "skip_connect~4"],
]
[rules]
stem = "bp"
preprocess = "bp"
reduce = "bp"
classifier = "bp"
auxiliary = "bp"
"#;

pub(crate) fn darts(input: Shape, auxiliary: bool, mut rule: impl FnMut() -> Rule) -> Network {
    let skeleton = darts::Skeleton {
        input,
        n_classes: CLASSES,
        channels: 4,
        n_cells: 3,
        stem: Stem::Cifar,
        auxiliary,
        drop_path: true,
        coverage: Coverage::All,
    };
    let genotype = darts::Genotype::from_toml(GENOTYPE).unwrap();
    skeleton.lower(&genotype.map_rules(|_| rule())).unwrap()
}

const NB201_SKELETON: nb201::Skeleton = nb201::Skeleton {
    input: SHAPE,
    n_classes: CLASSES,
    channels: 4,
    n_cells: 1,
    coverage: Coverage::All,
};

pub(crate) fn nasbench201(mut rule: impl FnMut() -> Rule) -> Network {
    let cell =
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|";
    let genotype = nb201::Genotype {
        cell: cell.parse().unwrap(),
        rules: nb201::PlaceRules::all(Rule::Bp),
    };
    NB201_SKELETON
        .lower(&genotype.map_rules(|_| rule()))
        .unwrap()
}

/// Calls go through `rules` again and again.
fn in_turn(rules: &'static [Rule]) -> impl FnMut() -> Rule {
    let mut cycle = rules.iter().cycle();
    move || *cycle.next().unwrap()
}

/// The rules whose feedback has the shape of the weights.
const CHAIN: [Rule; 6] = [
    Rule::Usf,
    Rule::Bp,
    Rule::Fa,
    Rule::Frsf,
    Rule::Kp,
    Rule::Brsf,
];

/// Numbers of a fresh network, with scales and shifts that matter.
fn params(network: &Network) -> NetworkParams {
    let config = TrainConfig {
        epochs: 1,
        ..config()
    };
    let toy = Quadrants::new(40, 1);
    let images = images(network, &toy.pixels, toy.images().labels);
    let job = Job {
        network,
        train: images,
        valid: None,
        config: &config,
        device: Device::Cpu,
        checkpoint: None,
    };
    let trained = train(&job, &mut |_| ControlFlow::Break(())).unwrap();
    let mut params = trained.params;
    for (i, bn) in params
        .layers
        .iter_mut()
        .filter_map(|l| l.bn.as_mut())
        .enumerate()
    {
        let wave = |j: usize| ((i + 3 * j) as f32).sin();
        bn.gamma
            .iter_mut()
            .enumerate()
            .for_each(|(j, g)| *g += 0.3 * wave(j));
        bn.beta
            .iter_mut()
            .enumerate()
            .for_each(|(j, b)| *b += 0.3 * wave(j + 1));
    }
    params
}

/// The toy's pixels as images of the network's shape, as many as they make.
pub(crate) fn images<'a>(network: &Network, pixels: &'a [u8], labels: &'a [u16]) -> Images<'a> {
    let shape = network.nodes[0].shape;
    let n = pixels.len() / shape.len();
    Images {
        pixels: pixels[..n * shape.len()].into(),
        labels: &labels[..n],
        shape,
        mean_pixel: &[75],
        std: 0.17,
    }
}

/// Loss and every gradient of `network` equal those of the reference, on both backends.
fn check_gradients(network: &Network) {
    let config = config();
    let params = params(network);
    let toy = Quadrants::new(48, 3);
    let images = images(network, &toy.pixels, toy.images().labels);
    let s = images.shape;
    let pixel = |&p: &u8| (f32::from(p) - 75.0) / (255.0 * 0.17);
    let n = images.len();
    let pixels = toy.pixels[..n * s.len()].iter();
    let pixels: Vec<f32> = pixels.map(pixel).collect();
    let reference = Reference::new(network, &params, &config);
    let values = reference.forward(tensor(&pixels, [n, s.h, s.w, s.c]));
    let loss_of = |node: usize| {
        let logits = values[node].clone().unwrap().reshape([n, CLASSES]);
        let mut targets = vec![0.0f32; n * CLASSES];
        for (row, &label) in targets.chunks_mut(CLASSES).zip(images.labels) {
            row[usize::from(label)] = 1.0;
        }
        let targets =
            Tensor::<Ad, 2>::from_data(TensorData::new(targets, [n, CLASSES]), &Default::default());
        (log_softmax(logits, 1) * targets).sum() / -(n as f32)
    };
    let mut loss = loss_of(network.nodes.len() - 1);
    if let Some(head) = network.auxiliary {
        loss = loss + loss_of(head) * config.auxiliary_weight;
    }
    let want_loss = numbers(loss.clone().inner())[0];
    let grads = loss.backward();
    for device in [Device::Cpu, Device::NdArray] {
        let got = batch_gradients(network, &params, images, &config, device).unwrap();
        assert!(
            (got.loss - want_loss).abs() < 1e-3 * want_loss,
            "{} {want_loss}",
            got.loss
        );
        let nodes: Vec<usize> = network.weighted().collect();
        for (at, (got, leaves)) in got.layers.iter().zip(&reference.leaves).enumerate() {
            assert_eq!(got.len(), leaves.len());
            for (got, leaf) in got.iter().zip(leaves) {
                let want = leaf.grad(&grads).map(numbers);
                let name = &network.nodes[nodes[at]].name;
                let (got, want) = (got.as_ref(), want.as_ref());
                assert_eq!(got.is_some(), want.is_some(), "{name}");
                if let (Some(got), Some(want)) = (got, want) {
                    // Rounding grows through the batch norms of few images.
                    let scaled = |v: &[f32]| v.iter().map(|x| 0.2 * x).collect::<Vec<_>>();
                    let what = format!("{device:?}, {name}");
                    assert_close(&scaled(got), &scaled(want), &what);
                }
            }
        }
    }
}

#[test]
fn back_propagation_equals_autodiff_on_both_spaces() {
    let large = Shape { h: 28, w: 28, c: 1 };
    check_gradients(&darts(large, true, || Rule::Bp));
    let odd = Shape { h: 9, w: 7, c: 1 };
    check_gradients(&darts(odd, false, || Rule::Bp));
    check_gradients(&nasbench201(|| Rule::Bp));
}

#[test]
fn mixed_rules_equal_their_feedback_on_burns_tape() {
    let large = Shape { h: 28, w: 28, c: 1 };
    check_gradients(&darts(large, true, in_turn(&CHAIN)));
    check_gradients(&nasbench201(in_turn(&CHAIN)));
}

pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        epochs: 4,
        batch: 20,
        lr: 0.05,
        augment: Augment::NONE,
        seed: 3,
        ..TrainConfig::default()
    }
}

/// Trains on the toy; stops after `stop` steps.
fn run(network: &Network, config: &TrainConfig, checkpoint: Option<&Path>, stop: u64) -> Trained {
    let (toy, valid) = (Quadrants::new(230, 1), Quadrants::new(80, 2));
    let job = Job {
        network,
        train: toy.images(),
        valid: Some(valid.images()),
        config,
        device: Device::Cpu,
        checkpoint,
    };
    let mut observe = |progress: Progress<'_>| match progress {
        Progress::Step { step, .. } if step == stop => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    train(&job, &mut observe).unwrap()
}

#[test]
fn every_rule_trains_both_spaces() {
    for rule in Rule::ALL {
        for network in [darts(SHAPE, false, || rule), nasbench201(|| rule)] {
            let settings = TrainConfig {
                drop_path: 0.1,
                ..config()
            };
            let history = run(&network, &settings, None, 0).history;
            let (first, last) = (&history[0], &history[3]);
            assert!(last.loss < first.loss, "{rule}: {first:?} to {last:?}");
            // Of 80 images in 4 classes: chance is 0.25 ± 0.05.
            assert!(last.valid_accuracy > Some(0.5), "{rule}: {last:?}");
        }
    }
}

#[test]
fn stopped_and_resumed_equals_uninterrupted_with_drop_path() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainConfig {
        drop_path: 0.3,
        clip_norm: 5.0,
        ..config()
    };
    let networks = [
        darts(SHAPE, false, in_turn(&Rule::ALL)),
        nasbench201(in_turn(&Rule::ALL)),
    ];
    for (at, network) in networks.iter().enumerate() {
        let whole = run(network, &settings, None, 0);
        let path = folder.path().join(at.to_string());
        assert!(!run(network, &settings, Some(&path), 27).finished);
        assert_eq!(run(network, &settings, Some(&path), 0), whole);
    }
    let other = TrainConfig {
        drop_path: 0.0,
        ..settings.clone()
    };
    let kept = run(&networks[0], &settings, None, 0);
    assert_ne!(run(&networks[0], &other, None, 0).params, kept.params);
}

/// What is there in training only changes nothing in evaluation.
#[test]
fn inference_needs_neither_auxiliary_head_nor_dead_edges() {
    let large = Shape { h: 28, w: 28, c: 1 };
    let network = darts(large, true, in_turn(&CHAIN));
    let params = params(&network);
    let (inference, kept) = network.inference();
    let layers = kept.iter().map(|&at| params.layers[at].clone()).collect();
    let toy = Quadrants::new(98, 4);
    let images = images(&network, &toy.pixels, toy.images().labels);
    let whole = evaluate(&network, &params, images, Device::Cpu).unwrap();
    let alone = evaluate(&inference, &NetworkParams { layers }, images, Device::Cpu).unwrap();
    assert_eq!(whole, alone);
    let reference = evaluate(&network, &params, images, Device::NdArray).unwrap();
    assert_close(&whole.logits, &reference.logits, "logits");
}

/// A cell of nothing: the classifier learns from zeros, everything else stays as it was drawn.
#[test]
fn a_network_that_hands_nothing_on_trains_its_bias() {
    let genotype = nb201::Genotype {
        cell: "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
            .parse()
            .unwrap(),
        rules: nb201::PlaceRules::all(Rule::Fa),
    };
    let some = run(
        &NB201_SKELETON.lower(&genotype).unwrap(),
        &config(),
        None,
        0,
    );
    assert!(
        some.history[3].valid_accuracy > Some(0.3),
        "{:?}",
        some.history
    );
    let nothing = nb201::Genotype {
        cell: "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
            .parse()
            .unwrap(),
        ..genotype
    };
    let network = NB201_SKELETON.lower(&nothing).unwrap();
    let trained = run(&network, &config(), None, 0);
    let stem = &trained.params.layers[0];
    let untouched = run(
        &network,
        &TrainConfig {
            epochs: 1,
            ..config()
        },
        None,
        1,
    );
    assert_eq!(stem.weight, untouched.params.layers[0].weight);
    assert!(trained.history.iter().all(|e| e.loss.is_finite()));
}
