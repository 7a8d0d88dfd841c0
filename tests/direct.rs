//! Direct feedback: how long the gradient is that it brings, against that of back-propagation.

use crate::cell_training::{config, darts, images, nasbench201};
use crate::quadrants::{CLASSES, SHAPE};
use crate::training::network_of;
use aplysia_learn::{Device, DirectScale, Job, RuleOptions, TrainConfig, batch_gradients, train};
use aplysia_space::{Network, Rule, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;

/// Pixels of images as smooth as pictures are: a wave each, of a random direction, length and phase.
fn waves(n: usize, side: usize) -> Vec<u8> {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let image = |_| {
        let mut draw = || rng.random_range(-6.0..6.0f32);
        let (a, b, phase) = (draw(), draw(), draw());
        let pixel = move |p: usize| {
            let at = |i: usize| i as f32 / side as f32;
            (75.0 + 60.0 * (a * at(p % side) + b * at(p / side) + phase).sin()) as u8
        };
        (0..side * side).map(pixel).collect::<Vec<u8>>()
    };
    (0..n).flat_map(image).collect()
}

/// At the first step the gradients of the weights by direct feedback are about as long as by back-propagation: the
/// median layer's is within a factor of 5, none is 10 times as long, and nine in ten are within a factor of 10. On
/// pictures of noise layers next to the image fall short of that. Without the division by the pixels the gradients are
/// longer by far.
#[test]
fn direct_feedback_is_about_as_long_as_back_propagation() {
    type Make = fn(Rule) -> Network;
    let networks: [Make; 4] = [
        |rule| darts(Shape { h: 28, w: 28, c: 1 }, true, || rule),
        |rule| darts(SHAPE, false, || rule),
        |rule| nasbench201(|| rule),
        |rule| network_of(|_| rule),
    ];
    let published = RuleOptions {
        direct_scale: DirectScale::Sum,
        ..RuleOptions::default()
    };
    let published = TrainConfig {
        rules: [(Rule::Dfa, published)].into(),
        ..config()
    };
    for (at, make) in networks.into_iter().enumerate() {
        let (bp, dfa) = (make(Rule::Bp), make(Rule::Dfa));
        let (exact, direct) = (lengths(&bp, &config()), lengths(&dfa, &config()));
        let unscaled = lengths(&dfa, &published);
        // Nodes without weights have none.
        let ratios = |lengths: &[f64]| {
            let ratios = lengths.iter().zip(&exact).filter(|(_, e)| **e > 0.0);
            let mut ratios: Vec<f64> = ratios.map(|(d, e)| d / e).collect();
            ratios.sort_by(f64::total_cmp);
            ratios
        };
        let (found, unscaled) = (ratios(&direct), ratios(&unscaled));
        println!("{at}: {found:.3?}\nunscaled {unscaled:.1?}");
        let n = found.len();
        assert!(n >= 8 && found[n - 1] < 10.0, "{at}: {found:?}");
        assert!((0.2..5.0).contains(&found[n / 2]), "{at}: {found:?}");
        let short = found.iter().filter(|&&r| r < 0.1).count();
        assert!(short * 10 <= n, "{at}: {found:?}");
        assert!(unscaled[n - 1] > 5.0, "{at}: {unscaled:?}");
    }
}

/// The lengths of the gradients of the weights, node by node, of a fresh network.
fn lengths(network: &Network, config: &TrainConfig) -> Vec<f64> {
    let pixels = waves(64, network.nodes[0].shape.h);
    let labels: Vec<u16> = (0..64).map(|i| i % CLASSES as u16).collect();
    let images = images(network, &pixels, &labels);
    let first = TrainConfig {
        lr: 1e-12,
        ..config.clone()
    };
    let job = Job {
        network,
        train: images,
        valid: None,
        config: &first,
        device: Device::Cpu,
        checkpoint: None,
    };
    let params = train(&job, &mut |_| ControlFlow::Break(())).unwrap().params;
    let found = batch_gradients(network, &params, images, config, Device::Cpu).unwrap();
    let square = |v: &f32| f64::from(*v).powi(2);
    let length = |g: &Vec<f32>| g.iter().map(square).sum::<f64>().sqrt();
    let layers = network.weighted().zip(&found.layers);
    let layers = layers.filter(|(node, _)| network.rule(*node).is_some());
    layers
        .map(|(_, layer)| layer[0].as_ref().map_or(0.0, length))
        .collect()
}
