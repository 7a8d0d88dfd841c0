//! Training runs on a toy task: every rule learns, runs repeat bit for bit, and a run that was stopped
//! anywhere ends like one that was not.

use crate::quadrants::{CLASSES, Quadrants, SHAPE};
use aplysia_learn::{
    Augment, Device, EpochRecord, FeedbackScale, Images, Job, LearnError, Progress, TrainConfig,
    Trained, activation_ranges, evaluate, train,
};
use aplysia_space::{Genotype, Mixture, Network, NodeOp, Rule};
use std::ops::ControlFlow;
use std::path::Path;

/// Dense, depthwise, pointwise and residual layers, both poolings; `rule(i)` for weighted layer `i`.
pub(crate) fn network_of(rule: impl Fn(usize) -> Rule) -> Network {
    let block = |op: &str, layers: std::ops::Range<usize>, more: &str| {
        let rules: Vec<_> = layers.map(|i| format!("\"{}\"", rule(i))).collect();
        let rules = rules.join(", ");
        format!("[[block]]\nop = \"{op}\"\nkernel = 3\nchannels = 8\nrules = [{rules}]\n{more}\n")
    };
    let text = [
        format!(
            "[stem]\nchannels = 8\nkernel = 3\nstride = 1\nrule = \"{}\"\n",
            rule(0)
        ),
        format!("[head]\nrule = \"{}\"\n", rule(7)),
        block("conv", 1..2, "stride = 1\nresidual = false\npool = \"max\""),
        block(
            "bottleneck",
            2..5,
            "stride = 1\nresidual = true\npool = \"none\"\nexpansion = 2",
        ),
        block(
            "separable",
            5..7,
            "stride = 2\nresidual = false\npool = \"avg\"",
        ),
    ];
    let genotype = Genotype::from_toml(&text.concat()).unwrap();
    Network::lower(&genotype, SHAPE, CLASSES).unwrap()
}

fn network(rule: Rule) -> Network {
    network_of(|_| rule)
}

pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        epochs: 4,
        batch: 20,
        lr: 0.05,
        augment: Augment {
            shift: 1,
            flip: false,
            ..Augment::NONE
        },
        seed: 3,
        ..TrainConfig::default()
    }
}

/// Trains on the toy and stops after `stop` steps.
pub(crate) fn run(
    rule: Rule,
    config: &TrainConfig,
    device: Device,
    checkpoint: Option<&Path>,
    stop: u64,
) -> Result<Trained, LearnError> {
    let (toy, valid) = (Quadrants::new(230, 1), Quadrants::new(80, 2));
    let job = Job {
        network: &network(rule),
        train: toy.images(),
        valid: Some(valid.images()),
        config,
        device,
        checkpoint,
    };
    train(&job, &mut |progress| match progress {
        Progress::Step { step, .. } if step == stop => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
}

/// Trains `network` on the toy to the end.
pub(crate) fn run_on(network: &Network, config: &TrainConfig) -> Trained {
    let toy = Quadrants::new(230, 1);
    let job = Job {
        network,
        train: toy.images(),
        valid: None,
        config,
        device: Device::Cpu,
        checkpoint: None,
    };
    train(&job, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Trains with `rule`; the loss of the last epoch must be below `share` of the first's.
fn last_epoch(rule: Rule, epochs: usize, device: Device, share: f32) -> EpochRecord {
    let settings = TrainConfig { epochs, ..config() };
    let history = run(rule, &settings, device, None, 0).unwrap().history;
    assert_eq!(history.len(), epochs);
    let (first, last) = (&history[0], &history[epochs - 1]);
    assert!(
        last.loss < share * first.loss,
        "{rule}: {first:?} to {last:?}"
    );
    last.clone()
}

#[test]
fn every_rule_learns() {
    for rule in Rule::ALL {
        // The units of SoftHebb know no labels, and learn for a few steps each.
        let (share, accuracy) = match rule {
            Rule::SoftHebb => (0.9, 0.35),
            _ => (0.8, 0.4),
        };
        let last = last_epoch(rule, 16, Device::Cpu, share);
        assert!(last.valid_accuracy.unwrap() > accuracy, "{rule}: {last:?}");
    }
}

#[test]
fn every_rule_lowers_the_loss_on_the_reference_backend() {
    for rule in Rule::ALL {
        last_epoch(rule, 3, Device::NdArray, 0.98);
    }
}

#[test]
fn same_seed_same_bits_with_any_number_of_threads() {
    let with_threads = |n, rule| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap();
        pool.install(|| run(rule, &config(), Device::Cpu, None, 0))
            .unwrap()
    };
    for rule in [Rule::Kp, Rule::Hebb, Rule::SoftHebb] {
        assert_eq!(with_threads(1, rule), with_threads(3, rule), "{rule}");
    }
    let one = with_threads(1, Rule::Brsf);
    assert_eq!(one, with_threads(3, Rule::Brsf));
    assert_ne!(
        one.params,
        run(
            Rule::Brsf,
            &TrainConfig {
                seed: 4,
                ..config()
            },
            Device::Cpu,
            None,
            0
        )
        .unwrap()
        .params
    );
}

#[test]
fn stopped_and_resumed_equals_uninterrupted() {
    let folder = tempfile::tempdir().unwrap();
    for (rule, device) in [
        (Rule::Brsf, Device::Cpu),
        (Rule::Fa, Device::NdArray),
        (Rule::Kp, Device::Cpu),
        (Rule::Hebb, Device::Cpu),
        (Rule::SoftHebb, Device::Cpu),
    ] {
        let whole = run(rule, &config(), device, None, 0).unwrap();
        // Inside the first epoch, at its end, and inside the third.
        for stop in [4, 11, 27] {
            let path = folder.path().join(format!("{rule}-{stop}"));
            let part = run(rule, &config(), device, Some(&path), stop).unwrap();
            assert!(!part.finished);
            let resumed = run(rule, &config(), device, Some(&path), 0).unwrap();
            assert_eq!(resumed, whole, "{rule}, stopped after step {stop}");
        }
    }
}

/// Successive halving: train a little, and go on later on the same schedule.
#[test]
fn a_short_run_continues_on_the_schedule_of_the_long_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let rung = TrainConfig {
        epochs: 1,
        schedule_epochs: 4,
        ..config()
    };
    assert!(
        run(Rule::Usf, &rung, Device::Cpu, Some(&path), 0)
            .unwrap()
            .finished
    );
    let continued = run(Rule::Usf, &config(), Device::Cpu, Some(&path), 0).unwrap();
    assert_eq!(
        continued,
        run(Rule::Usf, &config(), Device::Cpu, None, 0).unwrap()
    );
}

#[test]
fn unusable_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let short = TrainConfig {
        epochs: 1,
        ..config()
    };
    run(Rule::Bp, &short, Device::Cpu, Some(&path), 0).unwrap();
    let with = |change: fn(&mut TrainConfig)| {
        let mut other = short.clone();
        change(&mut other);
        other
    };
    for (rule, other, named) in [
        (Rule::Bp, with(|c| c.seed = 99), "seed is 3 there, 99 here"),
        (Rule::Bp, with(|c| c.lr = 0.1), "lr is 0.05 there, 0.1 here"),
        (
            Rule::Bp,
            with(|c| c.epochs = 2),
            "epochs of the schedule is 1 there, 2 here",
        ),
        (Rule::Bp, with(|c| c.augment.flip = true), "augment"),
        (
            Rule::Bp,
            with(|c| c.feedback_scale = FeedbackScale::WeightNorm),
            "feedback_scale is fixed there, weight-norm here",
        ),
        (Rule::Fa, short.clone(), "rules is bp,"),
    ] {
        let refused = run(rule, &other, Device::Cpu, Some(&path), 0).unwrap_err();
        assert!(
            matches!(&refused, LearnError::OtherRun { .. }) && refused.to_string().contains(named),
            "{refused}"
        );
    }
    let toy = Quadrants::new(230, 9);
    let other_images = Job {
        network: &network(Rule::Bp),
        train: toy.images(),
        valid: None,
        config: &short,
        device: Device::Cpu,
        checkpoint: Some(&path),
    };
    let refused = train(&other_images, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(
        refused.to_string().contains("training images is"),
        "{refused}"
    );
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let refused = run(Rule::Bp, &short, Device::Cpu, Some(&path), 0);
    assert!(
        matches!(refused, Err(LearnError::NotACheckpoint { .. })),
        "{refused:?}"
    );
}

#[test]
fn evaluation_agrees_between_backends_and_repeats() {
    let trained = run(Rule::Brsf, &config(), Device::Cpu, None, 0).unwrap();
    let (network, toy) = (network(Rule::Brsf), Quadrants::new(300, 5));
    let on = |device| evaluate(&network, &trained.params, toy.images(), device).unwrap();
    let cpu = on(Device::Cpu);
    assert_eq!(cpu, on(Device::Cpu), "evaluation draws nothing");
    let ndarray = on(Device::NdArray);
    for (a, b) in cpu.logits.iter().zip(&ndarray.logits) {
        assert!((a - b).abs() < 1e-3, "{a} against {b}");
    }
    let images = toy.images();
    let ranges = activation_ranges(&network, &trained.params, images, Device::Cpu).unwrap();
    assert_eq!(ranges.len(), network.nodes.len());
    let pixel = |p: u8| (f32::from(p) - 75.0) / (255.0 * 0.17);
    let lowest = toy.pixels.iter().min().copied().map(pixel).unwrap();
    let highest = toy.pixels.iter().max().copied().map(pixel).unwrap();
    assert!((ranges[0].0 - lowest).abs() < 1e-5 && (ranges[0].1 - highest).abs() < 1e-5);
    assert_eq!(ranges[1].0, 0.0, "a ReLU ends at zero");
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = run(
        Rule::Bp,
        &TrainConfig {
            lr: 0.0,
            ..config()
        },
        Device::Cpu,
        None,
        0,
    );
    assert!(
        matches!(refused, Err(LearnError::Config { field: "lr", .. })),
        "{refused:?}"
    );
    let refused = run(
        Rule::Bp,
        &TrainConfig {
            lr: 1e30,
            ..config()
        },
        Device::Cpu,
        None,
        0,
    );
    assert!(
        matches!(refused, Err(LearnError::Diverged { .. })),
        "{refused:?}"
    );
    let toy = Quadrants::new(8, 1);
    let mut network = network(Rule::Bp);
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
    let params = trained.unwrap().params;
    let short = Images {
        pixels: toy.pixels[1..].into(),
        ..toy.images()
    };
    let refused = evaluate(&network, &params, short, Device::Cpu);
    assert!(matches!(
        refused,
        Err(LearnError::Data {
            what: "pixels",
            got: 511,
            want: 512
        })
    ));
    let mut cut = params.clone();
    cut.layers[0].weight.pop();
    let refused = evaluate(&network, &cut, toy.images(), Device::Cpu);
    assert!(matches!(
        refused,
        Err(LearnError::Params {
            layer: 0,
            got: 71,
            want: 72
        })
    ));
    network.nodes[2].op = NodeOp::Mix {
        of: Mixture::Candidates,
        row: 0,
    };
    let refused = evaluate(&network, &params, toy.images(), Device::Cpu);
    assert!(matches!(refused, Err(LearnError::Mixture { .. })));
    assert!(matches!(
        "tpu".parse::<Device>(),
        Err(LearnError::UnknownDevice(_))
    ));
}

/// Without the feature or the driver, a clear refusal instead of burn's panic.
#[test]
fn missing_gpu_is_an_error() {
    for device in [Device::Cuda, Device::Wgpu] {
        if device.check().is_ok() {
            continue;
        }
        let refused = run(Rule::Bp, &config(), device, None, 0);
        let typed = matches!(refused, Err(LearnError::NoCuda(_) | LearnError::NoWgpu(_)));
        assert!(typed, "{refused:?}");
    }
}
