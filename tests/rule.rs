//! Learning rules: the feedback of each against its definition, and against the weights in training.

use crate::gradient::{N, assert_close, cases, draw, numbers, taps, tensor};
use crate::training::{config, run};
use aplysia_learn::burn::backend::{Autodiff, Flex};
use aplysia_learn::burn::tensor::Tensor;
use aplysia_learn::ops::{ConvGeometry, LearnOps, unwrap, wrap};
use aplysia_learn::rule::{
    DirectScale, Fan, Feedback, FeedbackSpec, Init, dfa_conv_map, dfa_feedback,
};
use aplysia_learn::{Alignment, Device, FeedbackScale, TrainConfig};
use aplysia_space::{Rule, Shape};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// DFA: the gradient of the hidden activity is the error at the logits, held constant over all output
/// pixels, divided by their number and sent through `B` as a transposed convolution; as published without the
/// division. The layer above it adds nothing.
#[test]
fn direct_feedback_equals_transposed_convolution() {
    for g in cases() {
        let classes = 3;
        let drawn = |init| dfa_feedback(classes, (g.input.c, g.kernel), init, (5, 1));
        let b = drawn(Init::Xavier);
        // fan_in = in_ch·k², fan_out = classes·k²: another draw is another length.
        let longer = (2.0 * g.input.c as f32 / (g.input.c + classes) as f32).sqrt();
        let longer = b
            .iter()
            .map(|b| b / longer / 3.0f32.sqrt())
            .collect::<Vec<_>>();
        assert_close(&drawn(Init::Kaiming), &longer, "the draw of the options");
        let n_pixels = (g.output.h * g.output.w) as f32;
        let map = dfa_conv_map(&g, classes, &b, DirectScale::Mean);
        let published = dfa_conv_map(&g, classes, &b, DirectScale::Sum);
        let shorter: Vec<f32> = published.iter().map(|v| v / n_pixels).collect();
        assert_close(&map, &shorter, "the mean is the sum by the pixels");
        let rng = &mut ChaCha8Rng::seed_from_u64(9);
        let (hidden, logits) = (draw(rng, N * g.input.len()), draw(rng, N * classes));
        let up = draw(rng, N * classes);
        let s = g.input;
        let h = tensor::<Autodiff<Flex>, 4>(&hidden, [N, s.h, s.w, s.c]).require_grad();
        let l = tensor::<Autodiff<Flex>, 2>(&logits, [N, classes]).require_grad();
        let map = unwrap(tensor::<Autodiff<Flex>, 2>(&map, [classes, s.len()]));
        let y = Autodiff::<Flex>::dfa_tap(unwrap(l.clone()), unwrap(h.clone()), map);
        let y: Tensor<Autodiff<Flex>, 2> = wrap(y);
        assert_eq!(
            numbers(y.clone().inner()),
            logits,
            "the tap is the identity"
        );
        let grads = (y * tensor(&up, [N, classes])).sum().backward();
        assert_eq!(numbers(l.grad(&grads).unwrap()), up, "the error goes on");
        let mut want = vec![0.0f32; hidden.len()];
        let dense = ConvGeometry {
            groups: 1,
            output: Shape {
                c: classes,
                ..g.output
            },
            ..g
        };
        for n in 0..N {
            taps(&dense, |o, w, i| {
                want[n * s.len() + i] += up[n * classes + o % classes] * b[w] / n_pixels;
            });
        }
        assert_close(&numbers(h.grad(&grads).unwrap()), &want, "direct feedback");
    }
}

fn spec(rule: Rule, scale: FeedbackScale) -> FeedbackSpec {
    let fan = Fan {
        fan_in: 64,
        fan_out: 64,
    };
    FeedbackSpec {
        rule,
        scale,
        init: Init::Xavier,
        fan,
        seed: 11,
        layer: 2,
    }
}

fn weights(n: usize) -> Tensor<Flex, 1> {
    let a = Init::Xavier.bound(spec(Rule::Bp, FeedbackScale::Fixed).fan);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    tensor(&draw(rng, n).iter().map(|w| w * a).collect::<Vec<_>>(), [n])
}

/// Angles of algorithms.md 1.2 (BP 0°, FA and KP 90°, uSF 30°, brSF and frSF 41.4°) and `rms(B) = s`.
#[test]
fn first_feedback_has_the_stated_angle_and_length() {
    let n = 64 * 64;
    let w = weights(n);
    let want = [
        (Rule::Bp, 0.0),
        (Rule::Fa, 90.0),
        (Rule::Kp, 90.0),
        (Rule::Usf, 30.0),
        (Rule::Brsf, 41.41),
    ];
    for (rule, angle) in want.into_iter().chain([(Rule::Frsf, 41.41)]) {
        let spec = spec(rule, FeedbackScale::Fixed);
        let b = numbers(Feedback::<Flex>::new(spec, n, &Default::default()).at(&w, None, 0));
        let got = Alignment::between(&b, &numbers(w.clone()));
        assert!(
            (got.angle_deg - angle).abs() < 2.0,
            "{rule}: {} instead of {angle}",
            got.angle_deg
        );
        let rms = (b.iter().map(|b| b * b).sum::<f32>() / n as f32).sqrt();
        assert!(
            (rms / spec.init.std(spec.fan) - 1.0).abs() < 0.03,
            "{rule}: rms {rms}"
        );
        if rule == Rule::Usf {
            assert!(
                b.iter()
                    .all(|b| (b.abs() - spec.init.std(spec.fan)).abs() < 1e-6),
                "usf is flat"
            );
        }
        assert!(
            b.iter().all(|b| b.abs() <= spec.init.bound(spec.fan)),
            "{rule}: within the bound"
        );
    }
}

#[test]
fn only_brsf_changes_with_the_step() {
    let n = 200;
    let w = weights(n);
    for rule in Rule::ALL {
        let feedback =
            Feedback::<Flex>::new(spec(rule, FeedbackScale::Fixed), n, &Default::default());
        let at = |step| numbers(feedback.at(&w, None, step));
        assert_eq!(
            at(3),
            at(3),
            "{rule}: the same step gives the same feedback"
        );
        assert_eq!(at(3) != at(4), rule == Rule::Brsf, "{rule}");
        let flipped = numbers(feedback.at(&w.clone().neg(), None, 3));
        let negated: Vec<f32> = at(3).iter().map(|b| -b).collect();
        assert_eq!(
            flipped == negated,
            !matches!(rule, Rule::Fa | Rule::Kp),
            "{rule}: signs follow the weights"
        );
    }
}

#[test]
fn weight_norm_scale_gives_feedback_the_length_of_the_weights() {
    let w = weights(300) * 3.0;
    for rule in [Rule::Fa, Rule::Usf, Rule::Brsf, Rule::Frsf, Rule::Kp] {
        let spec = spec(rule, FeedbackScale::WeightNorm);
        let b = Feedback::<Flex>::new(spec, 300, &Default::default()).at(&w, None, 0);
        let ratio = Alignment::between(&numbers(b), &numbers(w.clone())).norm_ratio;
        assert!((ratio - 1.0).abs() < 1e-4, "{rule}: {ratio}");
    }
}

/// Feedback alignment is named after this: the weights turn towards the fixed feedback.
#[test]
fn angle_of_feedback_alignment_falls() {
    let trained = run(
        Rule::Fa,
        &TrainConfig {
            epochs: 12,
            ..config()
        },
        Device::Cpu,
        None,
        0,
    );
    let trained = trained.unwrap();
    let mean = |a: &[Option<Alignment>]| {
        // The head and what is right below it feel the alignment first and most.
        let angles: Vec<f32> = a
            .iter()
            .rev()
            .take(3)
            .map(|a| a.unwrap().angle_deg)
            .collect();
        angles.iter().sum::<f32>() / angles.len() as f32
    };
    let (before, after) = (
        mean(&trained.initial_alignment),
        mean(&trained.history.last().unwrap().alignment),
    );
    assert!(after < before - 5.0, "from {before} to {after} degrees");
}

#[test]
fn direct_feedback_has_no_alignment_and_bp_a_perfect_one() {
    let trained = run(
        Rule::Dfa,
        &TrainConfig {
            epochs: 1,
            ..config()
        },
        Device::Cpu,
        None,
        0,
    );
    assert!(
        trained.unwrap().history[0]
            .alignment
            .iter()
            .all(Option::is_none)
    );
    let trained = run(
        Rule::Bp,
        &TrainConfig {
            epochs: 1,
            ..config()
        },
        Device::Cpu,
        None,
        0,
    );
    for alignment in &trained.unwrap().history[0].alignment {
        let alignment = alignment.unwrap();
        assert!(alignment.angle_deg < 0.1 && (alignment.norm_ratio - 1.0).abs() < 1e-6);
    }
}
