//! The rules of the head against their equations in floating point: what a step is in expectation, which
//! classes it moves, and what a rule is told.

use crate::toy::{
    CHANNELS, D, FACTORS, N_CLASSES, S_O, S_X, base_scores, images, measured, probe, with,
};
use aplysia_shared::Model;
use aplysia_shared::adapt::{AdaptError, Config, Head, Plastic, state_bytes};
use aplysia_shared::quant::i32_at;

const HEADER_BYTES: usize = 64;
const RATE: u16 = 400;
const N_SEEDS: u32 = 600;

const fn config(head: Head) -> Config {
    Config {
        homeostasis: None,
        head,
    }
}

fn softmax(scores: &[i8]) -> Vec<f64> {
    let e: Vec<f64> = scores
        .iter()
        .map(|&q| (f64::from(S_O) * f64::from(q)).exp())
        .collect();
    e.iter().map(|x| x / e.iter().sum::<f64>()).collect()
}

fn best(scores: &[i8]) -> usize {
    (0..scores.len())
        .rev()
        .max_by_key(|&class| scores[class])
        .unwrap()
}

/// The mean step over many seeds of `head` on one image, taught `label`, is the one of floating-point
/// descent by `errors`, within 5 standard errors; a class without error keeps every bit. One step is so
/// small that rounding to nearest would move no weight.
fn check(head: Head, label: usize, errors: &[f64]) {
    let blob = measured(8);
    let model = Model::parse(&blob).unwrap();
    let image = &images(1, 9)[0];
    let zeros = CHANNELS.map(|n| vec![0; n]);
    let x = probe(&model, std::slice::from_ref(image), &zeros).features;
    let base = model.constants(3).unwrap();
    let mut weights = vec![0.0; N_CLASSES * D];
    let mut biases = [0.0; N_CLASSES];
    let config = config(head);
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
    for seed in 0..N_SEEDS {
        let mut plastic = Plastic::new(&model, config, seed, &mut buffer).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        plastic.infer(&model, &mut arena, image).unwrap();
        plastic.learn(&model, label).unwrap();
        let (w, b) = plastic.snapshot()[HEADER_BYTES..].split_at(N_CLASSES * D);
        for (i, sum) in weights.iter_mut().enumerate() {
            *sum += f64::from(w[i].cast_signed()) - f64::from(base.weights[i].cast_signed());
        }
        for (c, sum) in biases.iter_mut().enumerate() {
            *sum += f64::from(i32_at(b, c)) - f64::from(i32_at(base.requant.bias, c));
        }
    }
    let n = f64::from(N_SEEDS);
    let bias_step = f64::from(RATE) / 65536.0 / (f64::from(S_O) * FACTORS[2]);
    let mut largest = 0.0_f64;
    for (class, &error) in errors.iter().enumerate() {
        let near = |sum: f64, step: f64| match error == 0.0 {
            true => sum == 0.0,
            // A step that is no whole number adds the variance of one draw.
            false => (sum / n - step).abs() < 5.0 * 0.5 / n.sqrt(),
        };
        assert!(near(biases[class], bias_step * error), "bias {class}");
        for (i, &q) in x.iter().enumerate() {
            let step = bias_step * f64::from(S_X).powi(2) * error * (f64::from(q) + 128.0);
            largest = largest.max(step.abs());
            assert!(
                near(weights[class * D + i], step),
                "weight {class} {i}: {step}"
            );
        }
    }
    assert!((0.05..0.5).contains(&largest), "{largest}");
}

/// Scores of the image that `check` shows.
fn shown() -> [i8; N_CLASSES] {
    let blob = measured(8);
    base_scores(&Model::parse(&blob).unwrap(), &images(1, 9)[0])
}

#[test]
fn delta_is_float_descent_in_expectation() {
    let p = softmax(&shown());
    let errors: Vec<f64> = (0..N_CLASSES)
        .map(|c| f64::from(u8::from(c == 2)) - p[c])
        .collect();
    check(Head::Delta { rate: RATE }, 2, &errors);
}

#[test]
fn the_perceptron_moves_two_classes_after_a_mistake() {
    let scores = shown();
    let predicted = best(&scores);
    let label = (predicted + 1) % N_CLASSES;
    let mut errors = vec![0.0; N_CLASSES];
    (errors[label], errors[predicted]) = (1.0, -1.0);
    let head = Head::Perceptron {
        rate: RATE,
        margin: 0,
    };
    // Weights of the head move at most by the largest error, 1, as the bounds of `check` ask.
    check(head, label, &errors);
}

#[test]
fn the_reward_rule_follows_the_likelihood_of_what_it_was_told() {
    let scores = shown();
    let (p, a) = (softmax(&scores), best(&scores));
    let one = |c: usize| f64::from(u8::from(c == a));
    for right in [true, false] {
        let reward = f64::from(u8::from(right));
        let factor = (reward - p[a]) / (1.0 - p[a]);
        let errors: Vec<f64> = (0..N_CLASSES).map(|c| factor * (one(c) - p[c])).collect();
        // The same as a difference quotient of ln P(what was told) by the score of each class.
        for c in 0..N_CLASSES {
            let told = |by: f64| {
                let mut e: Vec<f64> = p.clone();
                e[c] *= by.exp();
                let chosen = e[a] / e.iter().sum::<f64>();
                if right { chosen } else { 1.0 - chosen }.ln()
            };
            let slope = (told(1e-4) - told(-1e-4)) / 2e-4;
            assert!((slope - errors[c]).abs() < 1e-6, "{slope} {}", errors[c]);
        }
        let label = if right { a } else { (a + 1) % N_CLASSES };
        check(Head::Reward { rate: RATE }, label, &errors);
    }
}

/// The perceptron against its definition over many images and margins: what moves, and that all else stays.
#[test]
fn the_perceptron_learns_from_mistakes_and_narrow_leads_only() {
    let blob = measured(12);
    for margin in [0_u8, 1, 12, 255] {
        let head = Head::Perceptron { rate: 9000, margin };
        with(&blob, config(head), |model, plastic| {
            let mut arena = vec![0; model.arena_bytes()];
            let mut n_moved = 0;
            for (i, image) in images(120, 14).iter().enumerate() {
                let class = plastic.infer(model, &mut arena, image).unwrap().class;
                let label = if i % 3 == 0 { i % N_CLASSES } else { class };
                let scores: Vec<i32> = plastic.scores().iter().map(|&s| s.into()).collect();
                let rival = (0..N_CLASSES)
                    .filter(|&c| c != label)
                    .max_by_key(|&c| (scores[c], N_CLASSES - c))
                    .unwrap();
                let due = class != label || scores[label] - scores[rival] < margin.into();
                let before = plastic.snapshot()[HEADER_BYTES..].to_vec();
                let rng = plastic.snapshot()[36..40].to_vec();
                plastic.learn(model, label).unwrap();
                let after = plastic.snapshot()[HEADER_BYTES..].to_vec();
                for c in (0..N_CLASSES).filter(|&c| !due || (c != label && c != rival)) {
                    assert_eq!(after[c * D..][..D], before[c * D..][..D]);
                    let bias = N_CLASSES * D + 4 * c;
                    assert_eq!(after[bias..][..4], before[bias..][..4]);
                }
                assert_eq!(plastic.snapshot()[36..40] == rng, !due, "image {i}");
                n_moved += usize::from(due);
            }
            let expected = if margin == 255 { 120..=120 } else { 20..=119 };
            assert!(expected.contains(&n_moved), "margin {margin}: {n_moved}");
        });
    }
}

#[test]
fn the_reward_rule_hears_one_bit() {
    let blob = measured(13);
    let config = config(Head::Reward { rate: 1311 });
    // 0: the reward alone; 1, 2: labels, wrong ones chosen differently.
    let digest = |way: usize| {
        with(&blob, config, |model, plastic| {
            let mut arena = vec![0; model.arena_bytes()];
            for (i, image) in images(60, 15).iter().enumerate() {
                let class = plastic.infer(model, &mut arena, image).unwrap().class;
                let right = i % 3 == 0;
                let wrong = (class + way) % N_CLASSES;
                match way {
                    0 => plastic.reward(model, right).unwrap(),
                    _ => {
                        let label = if right { class } else { wrong };
                        assert_eq!(plastic.learn(model, label), Ok(right));
                    }
                }
            }
            assert_eq!(plastic.counters().mistakes, 40);
            assert_eq!(
                plastic.reward(model, true),
                Err(AdaptError::NothingInferred)
            );
            plastic.digest()
        })
    };
    assert_eq!(digest(0), digest(1));
    assert_eq!(digest(0), digest(2));
    for head in [
        Head::Base,
        Head::Instar { shift: 3 },
        Head::Delta { rate: 1 },
    ] {
        with(&blob, self::config(head), |model, plastic| {
            assert_eq!(plastic.reward(model, true), Err(AdaptError::NeedsLabel));
        });
    }
}
