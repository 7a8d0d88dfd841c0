//! What comes back to the pixels of a trained network: under back-propagation the true gradient, under the
//! other rules what they take for it.

use crate::quadrants::{CLASSES, Quadrants, SHAPE};
use crate::training::{config, network_of, run, run_on};
use aplysia_learn::{Device, LearnError, Pullback, Teacher, TrainConfig, evaluate, pullback};
use aplysia_space::{NetworkParams, Rule};
use std::path::Path;

const MEAN: [u8; 1] = [75];
const STD: f32 = 0.17;
const N: usize = 6;

fn pixels(toy: &Quadrants) -> Vec<f32> {
    toy.pixels.iter().map(|&p| f32::from(p) / 255.0).collect()
}

/// Parameters of the test network trained under `bp`; those of the other rules fit, too.
fn params() -> NetworkParams {
    let config = TrainConfig {
        epochs: 1,
        ..config()
    };
    run_on(&network_of(|_| Rule::Bp), &config).params
}

fn net(
    rule: impl Fn(usize) -> Rule,
    params: &NetworkParams,
    n_draws: u32,
    device: Device,
) -> Result<Box<dyn Pullback>, LearnError> {
    let config = config();
    let teacher = Teacher {
        config: &config,
        checkpoint: Path::new("no/such/checkpoint.bin"),
        n_draws,
    };
    pullback(&network_of(rule), params, (&MEAN, STD), teacher, device)
}

/// One draw of `brsf`, by the seed of the run.
fn one_draw(params: &NetworkParams, seed: u64) -> Box<dyn Pullback> {
    let config = TrainConfig { seed, ..config() };
    let teacher = Teacher {
        config: &config,
        checkpoint: Path::new("no/such/checkpoint.bin"),
        n_draws: 1,
    };
    let network = network_of(|_| Rule::Brsf);
    pullback(&network, params, (&MEAN, STD), teacher, Device::Cpu).unwrap()
}

/// An error that is different for every image and class.
fn error(n: usize) -> Vec<f32> {
    (0..n * CLASSES).map(|i| (1.3 * i as f32).sin()).collect()
}

fn back(net: &dyn Pullback, pixels: &[f32]) -> Vec<f32> {
    net.pull(pixels, &mut |z| error(z.len() / CLASSES)).1
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn answers_are_those_of_the_evaluation() {
    let (params, toy) = (params(), Quadrants::new(N, 5));
    let images = toy.images();
    let network = network_of(|_| Rule::Usf);
    let want = evaluate(&network, &params, images, Device::Cpu)
        .unwrap()
        .logits;
    let net = net(|_| Rule::Usf, &params, 1, Device::Cpu).unwrap();
    assert_eq!(net.n_classes(), CLASSES);
    let pulled = net.pull(&pixels(&toy), &mut |z| error(z.len() / CLASSES)).0;
    for got in [net.logits(&pixels(&toy)), pulled] {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 * (1.0 + b.abs());
        assert!(got.len() == want.len() && got.iter().zip(&want).all(close));
    }
}

#[test]
fn back_propagation_gives_the_true_gradient() {
    let (params, toy) = (params(), Quadrants::new(N, 5));
    let pixels = pixels(&toy);
    for device in [Device::Cpu, Device::NdArray] {
        let net = net(|_| Rule::Bp, &params, 1, device).unwrap();
        let gradient = back(&*net, &pixels);
        let value = |pixels: &[f32]| -> f64 {
            let products = net.logits(pixels).into_iter().zip(error(N));
            products.map(|(z, e)| f64::from(z) * f64::from(e)).sum()
        };
        // Along directions of which every pixel is a part: few of their steps cross a kink.
        for direction in 0..12 {
            let step = 2e-4;
            let along = |i: usize| (0.7 * (i * (direction + 1)) as f32).cos();
            let moved = |by: f32| -> Vec<f32> {
                let values = pixels.iter().enumerate();
                values.map(|(i, v)| v + by * along(i)).collect()
            };
            let want = (value(&moved(step)) - value(&moved(-step))) / (2.0 * f64::from(step));
            let got = gradient.iter().enumerate();
            let got: f64 = got.map(|(i, g)| f64::from(g * along(i))).sum();
            let norm = f64::from(gradient.iter().map(|g| g * g).sum::<f32>()).sqrt();
            assert!((got - want).abs() < 0.05 * norm, "{got} {want} of {norm}");
        }
    }
}

#[test]
fn feedback_rules_answer_alike_and_send_back_something_else() {
    let (params, toy) = (params(), Quadrants::new(N, 5));
    let pixels = pixels(&toy);
    let exact = net(|_| Rule::Bp, &params, 1, Device::Cpu).unwrap();
    let gradient = back(&*exact, &pixels);
    for rule in [Rule::Fa, Rule::Usf, Rule::Brsf, Rule::Frsf, Rule::Dfa] {
        let other = net(|_| rule, &params, 4, Device::Cpu).unwrap();
        assert_eq!(other.logits(&pixels), exact.logits(&pixels), "{rule}");
        let own = back(&*other, &pixels);
        assert!(cosine(&own, &gradient) < 0.99, "{rule}");
        assert!(own.iter().any(|&v| v != 0.0), "{rule}");
        // A linear map of the error where the answers stay the same.
        let doubled = other.pull(&pixels, &mut |z| {
            error(z.len() / CLASSES).iter().map(|e| 2.0 * e).collect()
        });
        assert!(cosine(&doubled.1, &own) > 0.999_99, "{rule}");
    }
}

#[test]
fn the_mean_of_random_feedback_is_that_of_equal_magnitudes() {
    let (params, toy) = (params(), Quadrants::new(N, 5));
    let pixels = pixels(&toy);
    let with = |rule: Rule, n| back(&*net(|_| rule, &params, n, Device::Cpu).unwrap(), &pixels);
    let uniform = with(Rule::Usf, 1);
    let (one, many) = (with(Rule::Brsf, 1), with(Rule::Brsf, 400));
    let (rough, fine) = (cosine(&one, &uniform), cosine(&many, &uniform));
    // Not the same: `usf` is longer than the mean of `brsf`, so a residual path weighs less beside it.
    assert!(fine > 0.97 && fine > rough, "{rough} {fine}");
    // One pass through the mean is worth the mean of many passes: layers are drawn independently.
    let mut sum = vec![0.0; pixels.len()];
    for seed in 0..300 {
        let single = back(&*one_draw(&params, seed), &pixels);
        sum.iter_mut().zip(single).for_each(|(s, v)| *s += v);
    }
    let plain = cosine(&sum, &many);
    assert!(plain > 0.95 && plain > rough, "{plain}");
}

#[test]
fn direct_feedback_reaches_the_pixels_from_the_output_alone() {
    let (params, toy) = (params(), Quadrants::new(2, 5));
    let pixels = pixels(&toy);
    let net = net(|_| Rule::Dfa, &params, 1, Device::Cpu).unwrap();
    let same = |z: &[f32]| (0..z.len()).map(|i| (i % CLASSES) as f32 - 1.0).collect();
    let back = net.pull(&pixels, &mut |z| same(z)).1;
    let (first, second) = back.split_at(SHAPE.len());
    assert_eq!(first, second, "the error is the same, the images are not");
    assert!(first.iter().any(|&v| v != 0.0));
}

#[test]
fn learned_feedback_comes_from_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = dir.path().join("checkpoint.bin");
    let config = config();
    let trained = run(Rule::Kp, &config, Device::Cpu, Some(&checkpoint), u64::MAX).unwrap();
    let (params, toy) = (trained.params, Quadrants::new(N, 5));
    let teacher = Teacher {
        config: &config,
        checkpoint: &checkpoint,
        n_draws: 1,
    };
    let network = network_of(|_| Rule::Kp);
    let learned = pullback(&network, &params, (&MEAN, STD), teacher, Device::Cpu).unwrap();
    let gradient = back(
        &*net(|_| Rule::Bp, &params, 1, Device::Cpu).unwrap(),
        &pixels(&toy),
    );
    let drawn = back(
        &*net(|_| Rule::Fa, &params, 1, Device::Cpu).unwrap(),
        &pixels(&toy),
    );
    let (learned, drawn) = (
        cosine(&back(&*learned, &pixels(&toy)), &gradient),
        cosine(&drawn, &gradient),
    );
    assert!(learned > drawn, "{learned} {drawn}");
    let error = net(|_| Rule::Kp, &params, 1, Device::Cpu).err();
    assert!(matches!(error, Some(LearnError::Io { .. })), "{error:?}");
}
