//! Learning below the head: against its equations in floating point, on the released model and on the toy;
//! that the base stays, what is chosen, what is refused, and that the device agrees.

use crate::adaptation::{Labelled, go_on};
use crate::device::boot;
use crate::guard::guarded;
use crate::toy;
use aplysia_live::adaptation::{adapt, adapt_device};
use aplysia_shared::adapt::deep::{Deep, Feedback, choose};
use aplysia_shared::adapt::{AdaptError, Config, Head, Plastic, state_bytes};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::quant::i32_at;
use aplysia_shared::{Hooks, LayerHooks, Model, Tensor, held, infer, infer_with};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HEADER_BYTES: usize = 64;
const SEED: u32 = 5;

fn released() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../models/fashion-mnist-m4/model.blob"
    );
    std::fs::read(path).unwrap()
}

const fn config(ram_bytes: u32, rate: u16, feedback: Feedback) -> Config {
    let deep = Deep {
        ram_bytes,
        rate,
        feedback,
    };
    Config {
        homeostasis: None,
        head: Head::Deep { rate: 0, deep },
    }
}

/// An image of the model's size, of its own brightness.
fn image(model: &Model<'_>, seed: u64) -> Vec<i8> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (low, span) = (rng.random_range(-100..0), rng.random_range(40..120));
    (0..model.input().len())
        .map(|_| rng.random_range(low..low + span) as i8)
        .collect()
}

/// What layer `layer` read and wrote.
struct Seen {
    layer: usize,
    /// Of its input and its output.
    places: [Tensor; 2],
    input: Vec<i8>,
    output: Vec<i8>,
}

impl Hooks for Seen {
    fn layer(&mut self, _: usize, _: &[i8]) -> LayerHooks<'_> {
        LayerHooks::default()
    }
    fn ran(&mut self, layer: usize, arena: &[i8]) {
        if layer == self.layer {
            let [input, output] = self.places.map(|t| held(arena, &t).unwrap().to_vec());
            (self.input, self.output) = (input, output);
        }
    }
}

/// The `n`-th numbers of xorshift32 (13, 17, 5) from `state` on.
fn xorshift(mut x: u32) -> impl Iterator<Item = u32> {
    std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    })
}

/// Feedback to output `o` of `layer` as `adapt::deep` defines it.
fn feedback(
    model: &Model<'_>,
    kind: Feedback,
    seed: u32,
    [layer, o, outputs]: [usize; 3],
) -> Vec<f64> {
    let classes = 0..model.n_classes();
    match kind {
        Feedback::Signs => {
            let head = model.constants(model.n_layers() - 1).unwrap();
            let sign = |c: usize| f64::from(head.weights[c * outputs + o].cast_signed().signum());
            classes.map(sign).collect()
        }
        Feedback::Random => {
            let at = (layer * 65_536 + o) as u32;
            let state = (seed ^ at.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B);
            let draws: Vec<u32> = xorshift(state.max(1)).take(16).collect();
            let bit = |c: usize| draws[c / 16] >> (16 + c % 16) & 1;
            classes.map(|c| 1.0 - 2.0 * f64::from(bit(c))).collect()
        }
    }
}

/// The mean over `n_seeds` of what one image moves in the one chosen layer, against
/// `eta · (slope · Σ b·e / 2) · mean(x)` in steps of the weights, within 5 standard errors of the sum over
/// each neuron; the steps are so small that rounding to nearest would move almost nothing.
fn check(blob: &[u8], config: Config, layer: usize, n_seeds: u32) {
    let model = Model::parse(blob).unwrap();
    assert_eq!(choose(&model, &config), 1 << layer);
    let Head::Deep { deep, .. } = config.head else {
        panic!("{config:?}")
    };
    let (image, label) = (image(&model, 3), 2);
    let mut arena = vec![0; model.arena_bytes()];
    let mut scores = vec![0; model.n_classes()];
    let at = model.layer(layer).unwrap();
    let tensor = |i: u8| model.tensor(i).unwrap();
    let (src, dst) = (tensor(at.inputs[0]), tensor(at.output));
    let mut seen = Seen {
        layer,
        places: [src, dst],
        input: vec![],
        output: vec![],
    };
    infer_with(&model, &mut arena, &image, &mut scores, &mut seen).unwrap();
    let (inputs, outputs) = (usize::from(src.c), usize::from(dst.c));
    let pixels = f64::from(src.h) * f64::from(src.w);
    let x: Vec<f64> = (0..inputs)
        .map(|i| {
            let column = seen.input.iter().skip(i).step_by(inputs);
            let sum: i32 = column
                .map(|&q| i32::from(q) - i32::from(src.zero_point))
                .sum();
            f64::from(sum) / pixels
        })
        .collect();
    let slope: Vec<f64> = (0..outputs)
        .map(|o| {
            let column = seen.output.iter().skip(o).step_by(outputs);
            column
                .filter(|&&q| at.clamp.min < q && q < at.clamp.max)
                .count() as f64
                / pixels
        })
        .collect();
    let scale = f64::from(model.output().scale);
    let e: Vec<f64> = scores
        .iter()
        .map(|&q| (scale * f64::from(q)).exp())
        .collect();
    let total: f64 = e.iter().sum();
    let errors: Vec<f64> = (0..e.len())
        .map(|c| f64::from(u8::from(c == label)) - e[c] / total)
        .collect();
    let base = model.constants(layer).unwrap().requant;
    let n = inputs * outputs;
    // Sums over seeds of what was moved less what should have been, and of the expected amounts.
    let (mut off, mut moved) = (vec![0.0; outputs], 0.0);
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
    for seed in 0..n_seeds {
        let mut plastic = Plastic::new(&model, config, seed, &mut buffer).unwrap();
        let head_bytes = (inputs_of_head(&model) + 4) * model.n_classes();
        let from = HEADER_BYTES + head_bytes;
        let before = plastic.snapshot()[from..].to_vec();
        plastic.infer(&model, &mut arena, &image).unwrap();
        assert_eq!(
            plastic.scores(),
            scores,
            "unpacked weights give other scores"
        );
        plastic.learn(&model, label).unwrap();
        let after = plastic.snapshot()[from..].to_vec();
        for o in 0..outputs {
            let fed: f64 = feedback(&model, deep.feedback, seed, [layer, o, outputs])
                .iter()
                .zip(&errors)
                .map(|(b, e)| b * e)
                .sum();
            let (multiplier, shift) = (base.channel(o).1, base.channel(o).2);
            let factor = f64::from(multiplier) / 2_f64.powi(31) * 2_f64.powi(shift.into());
            let bias_step = f64::from(deep.rate) / 65536.0 * slope[o] * fed
                / 2.0
                / (f64::from(dst.scale) * factor);
            let step = bias_step * f64::from(src.scale).powi(2);
            for (i, x) in x.iter().enumerate().take(inputs) {
                let place = o * inputs + i;
                let change = |b: &[u8]| f64::from(b[place].cast_signed());
                off[o] += change(&after) - change(&before) - step * x;
                moved += (step * x).abs();
            }
            let biases = n.div_ceil(4);
            let change = i32_at(&after, biases + o) - i32_at(&before, biases + o);
            // Rounded once, from numbers of 16 bits.
            let near = (f64::from(change) - bias_step).abs() < 1.01 + 1e-3 * bias_step.abs();
            assert!(near, "bias {o}: {change}, not {bias_step}");
        }
    }
    let draws = f64::from(n_seeds) * inputs as f64;
    for (o, off) in off.iter().enumerate() {
        // Slope and mean of 15 and 7 bits are off by less than 1 % of what moves.
        let bound = 5.0 * 0.5 * draws.sqrt() + 0.01 * moved / outputs as f64;
        assert!(off.abs() < bound, "neuron {o}: {off}, bound {bound}");
    }
    let mean = moved / (draws * outputs as f64);
    assert!((1e-4..0.45).contains(&mean), "{mean} steps a weight");
}

fn inputs_of_head(model: &Model<'_>) -> usize {
    model.features().len()
}

#[test]
fn signs_feed_back_to_the_packed_layer_below_the_head() {
    check(&released(), config(12_500, 328, Feedback::Signs), 9, 12);
}

#[test]
fn random_feedback_reaches_a_packed_layer_far_below() {
    check(&released(), config(2_300, 1311, Feedback::Random), 1, 40);
}

#[test]
fn random_feedback_reaches_a_layer_that_is_not_packed() {
    check(
        &toy::measured(3),
        config(100, 1500, Feedback::Random),
        0,
        300,
    );
}

/// The choice by RAM, on the released model: its pointwise layers are the second, fourth, eighth and tenth.
#[test]
fn layers_are_chosen_from_the_last_on_by_their_ram() {
    let blob = released();
    let model = Model::parse(&blob).unwrap();
    let chosen = |ram, feedback| choose(&model, &config(ram, 1, feedback));
    let all = 1 << 1 | 1 << 3 | 1 << 7 | 1 << 9;
    assert_eq!(chosen(u32::MAX, Feedback::Random), all);
    assert_eq!(chosen(u32::MAX, Feedback::Signs), 1 << 9);
    // 144 · 80 weights, 80 biases, activity of 224.
    let last = 144 * 80 + 4 * 80 + 2 * 224;
    assert_eq!(chosen(last, Feedback::Random), 1 << 9);
    assert_eq!(chosen(last - 1, Feedback::Random) & 1 << 9, 0);
    for ram in (0..40_000).step_by(500) {
        let config = config(ram, 1, Feedback::Random);
        let layers = choose(&model, &config);
        let none = state_bytes(
            &model,
            &Config {
                homeostasis: None,
                head: Head::Delta { rate: 1 },
            },
        );
        match layers {
            0 => assert_eq!(
                state_bytes(&model, &config),
                Err(AdaptError::Deep { ram_bytes: ram })
            ),
            _ => assert!(state_bytes(&model, &config).unwrap() <= none.unwrap() + ram as usize),
        }
        assert_eq!(layers & !all, 0);
    }
    // Homeostasis keeps the toy's only pointwise layer for itself.
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let free = config(1000, 1, Feedback::Random);
    assert_eq!(choose(&model, &free), 1);
    let busy = Config {
        homeostasis: Some(5),
        ..free
    };
    assert_eq!(choose(&model, &busy), 0);
}

#[test]
fn what_is_learned_below_is_an_overlay() {
    let blob = released();
    let model = Model::parse(&blob).unwrap();
    let config = Config {
        homeostasis: Some(5),
        ..config(12_500, 5000, Feedback::Random)
    };
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
    let mut plastic = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
    let fresh = plastic.snapshot().to_vec();
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; 10]);
    for i in 0..6 {
        let image = image(&model, i);
        plastic.observe(&model, &mut arena, &image).unwrap();
        plastic.learn(&model, i as usize).unwrap();
    }
    let learned = plastic.snapshot().to_vec();
    assert_ne!(learned, fresh);
    plastic.reset(&model).unwrap();
    assert_eq!(plastic.snapshot(), fresh);
    let image = image(&model, 77);
    plastic.infer(&model, &mut arena, &image).unwrap();
    infer(&model, &mut arena, &image, &mut scores).unwrap();
    assert_eq!(plastic.scores(), scores);
    plastic.restore(&model, &learned).unwrap();
    assert_eq!(plastic.snapshot(), learned);
    // Nothing is known of the activity of an image that was seen before.
    assert_eq!(plastic.learn(&model, 0), Err(AdaptError::NothingInferred));
}

#[test]
fn a_golden_set_of_features_is_blind_to_it() {
    let delta = Config {
        homeostasis: None,
        head: Head::Delta { rate: 1 },
    };
    let blob = guarded(GoldenKind::Features, delta);
    let model = Model::parse(&blob).unwrap();
    let config = config(1000, 1, Feedback::Random);
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
    let mut plastic = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    assert_eq!(
        plastic.score_golden(&model, &mut arena),
        Err(AdaptError::GoldenFeatures)
    );
}

#[test]
fn the_device_learns_the_same_below_the_head() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    let stream = Labelled::new(60, 2);
    for rate in [1311, u16::MAX] {
        let deep = Deep {
            ram_bytes: 1000,
            rate,
            feedback: Feedback::Random,
        };
        let config = Config {
            homeostasis: None,
            head: Head::Deep { rate: 1311, deep },
        };
        let host = adapt(&model, config, SEED, stream.images()).unwrap();
        let run = adapt_device(&mut device, config, SEED, stream.images(), &mut go_on).unwrap();
        assert_eq!(run.adapted, host);
        assert_eq!(host.n_labels(), 60);
    }
    // A packed layer, learned by signs and at random, within the state of the device.
    let blob = released();
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    let mut arena = vec![0; model.arena_bytes()];
    for (feedback, ram) in [(Feedback::Signs, 12_500), (Feedback::Random, 9_000)] {
        let config = config(ram, 3000, feedback);
        let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
        let mut host = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
        device.configure(config, SEED).unwrap();
        for i in 0..4 {
            let image = image(&model, i);
            let pixels: Vec<u8> = image.iter().map(|q| q.cast_unsigned() ^ 0x80).collect();
            host.infer(&model, &mut arena, &image).unwrap();
            let answer = device.infer(&pixels, false).unwrap();
            assert_eq!(&answer.scores[..], host.scores());
            host.learn(&model, i as usize).unwrap();
            let counted = device.learn(i as u8).unwrap().instructions;
            let (estimated, inference) = (
                model.label_instructions(&config) as f64,
                model.instructions() as f64,
            );
            assert!(f64::from(counted) < 1.1 * estimated && f64::from(counted) < 1.5 * inference);
        }
        assert_eq!(device.stats().unwrap().state_digest, host.digest());
    }
}
