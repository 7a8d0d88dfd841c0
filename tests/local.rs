//! Rules with a state or an update of their own: Kolen-Pollack's convergence, the Hebbian updates
//! against loops, their schedule, and their options in training.

use crate::gradient::{N, assert_close, cases, draw, numbers, taps, tensor};
use crate::training::{config, network_of, run, run_on};
use aplysia_learn::burn::backend::{Flex, NdArray};
use aplysia_learn::local::{Activity, hebb, softhebb, turn};
use aplysia_learn::ops::{ConvGeometry, ConvParams, LearnOps, unwrap, wrap};
use aplysia_learn::{Alignment, Device, LearnError, TrainConfig};
use aplysia_learn::{LocalConfig, LocalFeedback, RuleOptions};
use aplysia_space::{Rule, Shape};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Feedback against weights of every layer after training on the toy with Kolen-Pollack.
fn kolen_pollack(weight_decay: f32) -> Vec<Alignment> {
    let config = TrainConfig {
        epochs: 20,
        lr: 0.02,
        weight_decay,
        ..config()
    };
    let trained = run(Rule::Kp, &config, Device::Cpu, None, 0).unwrap();
    let first = trained.initial_alignment.into_iter().flatten();
    assert!(
        first
            .into_iter()
            .all(|a| (60.0..120.0).contains(&a.angle_deg))
    );
    let last = trained.history.last().unwrap();
    last.alignment.iter().map(|a| a.unwrap()).collect()
}

/// `B − W` shrinks by about `1 − ηλ/(1 − μ)` a step: over 220 steps at a mean rate of 0.01 and
/// λ = 0.2 to less than 2 %. Without decay it stays, and the angle with it.
#[test]
fn weight_decay_turns_learned_feedback_to_the_weights() {
    for a in kolen_pollack(0.2) {
        assert!(
            a.angle_deg < 5.0 && (a.norm_ratio - 1.0).abs() < 0.1,
            "{a:?}"
        );
    }
    let without = kolen_pollack(0.0);
    assert!(without.iter().all(|a| a.angle_deg > 20.0), "{without:?}");
}

/// Patches of one image: for each output position and group, the inputs under the window, in weight
/// order (zero where padded).
fn patches(g: &ConvGeometry, x: &[f32]) -> Vec<Vec<f64>> {
    let fan_in = g.n_weights() / g.output.c;
    let units = g.output.c / g.groups;
    let mut found = vec![vec![0.0; fan_in]; g.output.h * g.output.w * g.groups];
    taps(g, |o, w, i| {
        let (pixel, unit) = (o / g.output.c, o % g.output.c);
        found[pixel * g.groups + unit / units][w % fan_in] = f64::from(x[i]);
    });
    found
}

/// Sums `term(patch, responses of its group, weights of the group)` over a batch, the responses less
/// `mean` of their unit; the term is the change of the group's weights, unit by unit.
fn sum_over_patches(
    g: &ConvGeometry,
    (x, w): (&[f32], &[f32]),
    mean: &[f64],
    term: impl Fn(&[f64], &[f64], &[&[f32]]) -> Vec<f64>,
) -> Vec<f64> {
    let fan_in = g.n_weights() / g.output.c;
    let units = g.output.c / g.groups;
    let mut total = vec![0.0; w.len()];
    for image in x.chunks(g.input.len()) {
        for (at, patch) in patches(g, image).iter().enumerate() {
            let first = at % g.groups * units;
            let rows: Vec<&[f32]> = w.chunks(fan_in).skip(first).take(units).collect();
            let dot = |row: &[f32]| -> f64 {
                row.iter().zip(patch).map(|(&w, p)| f64::from(w) * p).sum()
            };
            let centred = rows.iter().zip(&mean[first..]).map(|(row, m)| dot(row) - m);
            let y: Vec<f64> = centred.collect();
            let change = term(patch, &y, &rows);
            for (sum, change) in total[first * fan_in..].iter_mut().zip(change) {
                *sum += change;
            }
        }
    }
    total
}

fn length(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-12
}

fn hebb_by_loops(g: &ConvGeometry, x: &[f32], w: &[f32], rate: f64) -> Vec<f64> {
    let n_patches = (x.len() / g.input.len() * g.output.h * g.output.w) as f64;
    let mut mean = vec![0.0; g.output.c];
    for image in x.chunks(g.input.len()) {
        taps(g, |o, at, i| {
            mean[o % g.output.c] += f64::from(w[at]) * f64::from(image[i]) / n_patches;
        });
    }
    let sum = sum_over_patches(g, (x, w), &mean, |p, y, w| {
        let (p_len, y_len) = (length(p), length(y));
        let seen = |d: usize| -> f64 {
            y.iter()
                .zip(w)
                .map(|(y, w)| y / y_len * f64::from(w[d]))
                .sum()
        };
        let miss: Vec<f64> = (0..p.len()).map(|d| p[d] / p_len - seen(d)).collect();
        y.iter()
            .flat_map(|y| miss.iter().map(move |m| y / y_len * m))
            .collect()
    });
    sum.iter().map(|s| rate * s / n_patches).collect()
}

fn softhebb_by_loops(g: &ConvGeometry, x: &[f32], w: &[f32], (rate, t): (f64, f64)) -> Vec<f64> {
    let no_mean = vec![0.0; g.output.c];
    let sum = sum_over_patches(g, (x, w), &no_mean, |p, y, w| {
        let top = y.iter().fold(f64::NEG_INFINITY, |m, &y| m.max(y));
        let norm: f64 = y.iter().map(|y| (t * (y - top)).exp()).sum();
        let change = |i: usize| {
            let q = (t * (y[i] - top)).exp() / norm;
            let z = match (y.len(), y[i] == top) {
                (1, _) => y[i],
                (_, true) => q,
                (_, false) => -q,
            };
            p.iter()
                .zip(w[i])
                .map(|(p, &w)| z * (p - y[i] * f64::from(w)))
                .collect::<Vec<_>>()
        };
        (0..y.len()).flat_map(change).collect()
    });
    let largest = sum.iter().fold(0.0f64, |m, s| m.max(s.abs()));
    let fan_in = g.n_weights() / g.output.c;
    let norm = |i: usize| {
        length(
            &w[i / fan_in * fan_in..][..fan_in]
                .iter()
                .map(|&w| w.into())
                .collect::<Vec<_>>(),
        )
    };
    let scale = |i: usize| rate * (norm(i) - 1.0).abs().sqrt() / largest;
    sum.iter().enumerate().map(|(i, s)| s * scale(i)).collect()
}

fn updates<B: LearnOps>(g: &ConvGeometry, x: &[f32], w: &[f32]) -> [Vec<f32>; 2] {
    let x = tensor::<B, 4>(x, [N, g.input.h, g.input.w, g.input.c]);
    let weight = tensor::<B, 1>(w, [w.len()]);
    let (one, zero) = (
        tensor::<B, 1>(&vec![1.0; g.output.c], [g.output.c]),
        vec![0.0; g.output.c],
    );
    let params = ConvParams {
        weight: unwrap(weight.clone()),
        feedback: unwrap(weight.clone()),
        gamma: unwrap(one),
        beta: unwrap(tensor::<B, 1>(&zero, [g.output.c])),
    };
    let y = wrap(B::conv_forward(unwrap(x.clone()), params, g).pre);
    let seen = Activity { x, y };
    [
        numbers(hebb(&seen, &weight, 0.3, g)),
        numbers(softhebb(&seen, &weight, (0.3, 1.5), g)),
    ]
}

#[test]
fn local_updates_equal_loops() {
    for (i, g) in cases().iter().enumerate() {
        let rng = &mut ChaCha8Rng::seed_from_u64(300 + i as u64);
        let (x, w) = (draw(rng, N * g.input.len()), draw(rng, g.n_weights()));
        let by_loops = [
            hebb_by_loops(g, &x, &w, 0.3),
            softhebb_by_loops(g, &x, &w, (0.3, 1.5)),
        ];
        for got in [updates::<Flex>(g, &x, &w), updates::<NdArray>(g, &x, &w)] {
            for (got, want) in got.iter().zip(&by_loops) {
                let want: Vec<f32> = want.iter().map(|&v| v as f32).collect();
                assert_close(got, &want, &format!("{g:?}"));
            }
        }
    }
}

/// From correlated inputs, one unit finds their main direction, and its weights get the length that
/// the rule gives a unit whose patches all lie on it.
#[test]
fn hebbian_unit_finds_the_main_direction() {
    let shape = |c| Shape { h: 1, w: 1, c };
    let g = ConvGeometry {
        input: shape(4),
        output: shape(1),
        kernel: 1,
        stride: 1,
        dilation: 1,
        pad: 0,
        groups: 1,
        norm: true,
        relu: true,
    };
    let main = [0.5f32, -0.5, 0.7, 0.1];
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let x: Vec<f32> = draw(rng, 64)
        .into_iter()
        .flat_map(|s| main.map(|m| s * m))
        .zip(draw(rng, 256))
        .map(|(x, noise)| x + 0.02 * noise)
        .collect();
    let x = tensor::<Flex, 4>(&x, [64, 1, 1, 4]);
    let mut w = tensor::<Flex, 1>(&draw(rng, 4), [4]);
    for _ in 0..200 {
        let y = (x.clone() * w.clone().reshape([1, 1, 1, 4])).sum_dim(3);
        let seen = Activity { x: x.clone(), y };
        w = w.clone() + hebb(&seen, &w, 0.1, &g);
    }
    let a = Alignment::between(&numbers(w), &main);
    assert!(a.angle_deg.min(180.0 - a.angle_deg) < 3.0, "{a:?}");
    assert!((0.9..1.02).contains(&a.norm_ratio), "{a:?}");
}

#[test]
fn layers_of_softhebb_take_turns_from_the_input_on() {
    let turns: Vec<_> = (0..10).map(|step| turn(step, 10, 0.6, 3)).collect();
    let first = [0, 0, 1, 1, 2, 2].map(Some);
    assert_eq!(turns[..6], first);
    assert!(turns[6..].iter().all(Option::is_none));
    assert_eq!(turn(0, 10, 0.6, 0), Some(0), "no layer has this number");
    assert_eq!(turn(0, 10, 0.0, 3), None);
}

/// Nothing handed down leaves a gradient rule below without a gradient; a limit changes what goes down.
#[test]
fn what_a_local_layer_hands_down_is_a_choice() {
    let mixed = network_of(|i| if i == 1 { Rule::Hebb } else { Rule::Bp });
    let stem = |feedback, gradient_clip, epochs| {
        let options = RuleOptions {
            gradient_clip,
            ..RuleOptions::default()
        };
        let config = TrainConfig {
            epochs,
            schedule_epochs: 2,
            weight_decay: 0.0,
            rules: [(Rule::Hebb, options)].into(),
            local: LocalConfig {
                feedback,
                ..LocalConfig::default()
            },
            ..config()
        };
        let layers = run_on(&mixed, &config).params.layers;
        (layers[0].weight.clone(), layers[1].weight.clone())
    };
    let (none, hebb) = stem(LocalFeedback::None, 0.0, 1);
    let (none_later, hebb_later) = stem(LocalFeedback::None, 0.0, 2);
    assert_eq!(none, none_later, "no gradient arrives");
    assert_ne!(hebb, hebb_later, "the local rule needs none");
    for feedback in [LocalFeedback::Usf, LocalFeedback::Dfa] {
        assert_ne!(none, stem(feedback, 0.0, 1).0, "{feedback:?}");
    }
    let clipped = stem(LocalFeedback::Usf, 1e-4, 1).0;
    assert!(clipped != none && clipped != stem(LocalFeedback::Usf, 0.0, 1).0);
}

#[test]
fn constrained_weights_keep_their_length() {
    let options = RuleOptions {
        constrain_weights: true,
        ..RuleOptions::default()
    };
    let at = |epochs| {
        let config = TrainConfig {
            epochs,
            schedule_epochs: 4,
            rules: [(Rule::Kp, options)].into(),
            ..config()
        };
        run(Rule::Kp, &config, Device::Cpu, None, 0).unwrap().params
    };
    let (one, four) = (at(1), at(4));
    for (a, b) in one.layers.iter().zip(&four.layers) {
        let a = Alignment::between(&a.weight, &b.weight);
        assert!((a.norm_ratio - 1.0).abs() < 1e-4, "{a:?}");
        assert!(a.angle_deg > 0.5, "the layer learns: {a:?}");
    }
}

#[test]
fn options_that_contradict_a_rule_are_refused() {
    let options = RuleOptions {
        constrain_weights: true,
        ..RuleOptions::default()
    };
    let config = TrainConfig {
        rules: [(Rule::SoftHebb, options)].into(),
        ..config()
    };
    let refused = run(Rule::SoftHebb, &config, Device::Cpu, None, 0);
    let field = "constrain_weights";
    assert!(matches!(refused, Err(LearnError::Config { field: f, .. }) if f == field));
}
