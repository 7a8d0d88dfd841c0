//! Searches by supernet: coefficients, draws, early stop, cut anywhere and resumed, the command line.

use crate::program::aplysia_binary;
use crate::quadrants::{CLASSES, Quadrants, SHAPE};
use aplysia_learn::supernet::stability::{dominant_eigenvalue, is_sharpening};
use aplysia_learn::supernet::*;
use aplysia_learn::{Device, LearnError, TrainConfig};
use aplysia_space::darts::{Op, Skeleton, Stem, Supernet};
use aplysia_space::{Coverage, Rule};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

const RULES: [Rule; 3] = [Rule::Usf, Rule::Fa, Rule::Kp];

pub(crate) fn skeleton() -> Skeleton {
    Skeleton {
        input: SHAPE,
        n_classes: CLASSES,
        channels: 4,
        n_cells: 3,
        stem: Stem::Cifar,
        auxiliary: false,
        drop_path: false,
        coverage: Coverage::All,
    }
}

fn net(config: &SupernetConfig) -> Supernet {
    config.supernet(&skeleton(), &RULES).unwrap()
}

fn training() -> TrainConfig {
    TrainConfig {
        batch: 8,
        seed: 4,
        clip_norm: 5.0,
        ..TrainConfig::default()
    }
}

/// Rows sum up to 1, an operation shares its strength among its rules, and the gradient is the slope.
#[test]
fn coefficients_are_shares_of_shares_and_their_gradient_is_the_slope() {
    for (flat, partial) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let config = SupernetConfig {
            flat,
            partial,
            ..SupernetConfig::default()
        };
        let net = net(&config);
        let layout = Layout::new(&net, partial);
        let first = layout.first(1);
        assert!(first.numbers().iter().all(|a| a.abs() < 0.01));
        assert_ne!(first, layout.first(2));
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut draw = |t: &Tables| {
            let numbers: Vec<f64> = t
                .numbers()
                .iter()
                .map(|_| rng.random_range(-1.5..1.5))
                .collect();
            t.with(&numbers)
        };
        let logits = draw(&first);
        let q = layout.coefficients(&logits);
        assert_eq!(q.candidates.len(), Supernet::N_ROWS);
        assert_eq!(q.edges.len(), if partial > 1 { 8 } else { 0 });
        assert_eq!(q.places.len(), 4);
        for row in q.candidates.iter().chain(&q.edges).chain(&q.places) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        if !flat {
            let a = &logits.candidates[3];
            let all: f64 = a[..8].iter().map(|a| a.exp()).sum();
            // Separable 3×3 is operation 4, its rules are columns 4 to 6 and the first logits after the
            // operations'.
            let shares: f64 = a[8..11].iter().map(|a| a.exp()).sum();
            let want = a[4].exp() / all * a[9].exp() / shares;
            assert!((q.candidates[3][5] - want).abs() < 1e-12);
        }
        let weights = draw(&q);
        let loss = |logits: &Tables| {
            let q = layout.coefficients(logits).numbers().into_iter();
            q.zip(weights.numbers()).map(|(q, w)| q * w).sum::<f64>()
        };
        let gradient = layout.gradient(&logits, &weights).numbers();
        for (i, got) in gradient.iter().enumerate() {
            let beside = |by: f64| {
                let mut moved = logits.numbers();
                moved[i] += by;
                loss(&logits.with(&moved))
            };
            let want = (beside(1e-5) - beside(-1e-5)) / 2e-5;
            assert!((got - want).abs() < 1e-8, "{i}: {got} {want}");
        }
        let strengths = layout.strengths(&logits);
        let edge = q.edges.first().map_or(1.0, |row| row[1]);
        assert!((strengths[1][2] - q.candidates[1][2] * edge).abs() < 1e-12);
        let edge = q.edges.get(5).map_or(1.0, |row| row[2]);
        assert!((strengths[14 + 4][2] - q.candidates[14 + 4][2] * edge).abs() < 1e-12);
    }
}

/// One column per operation, as often as its share says; weighed, the mean gradient is that of all.
#[test]
fn draws_take_one_rule_per_operation_by_its_share() {
    let net = net(&SupernetConfig::default());
    let layout = Layout::new(&net, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let first = layout.first(1);
    let numbers: Vec<f64> = first
        .numbers()
        .iter()
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let q = layout.coefficients(&first.with(&numbers)).candidates;
    let tables = layout.coefficients(&first.with(&numbers));
    let ones = || vec![vec![1.0; net.candidates.len()]; Supernet::N_ROWS];
    assert_eq!(
        Draw::all(&layout).columns(0),
        (1..net.candidates.len()).collect::<Vec<_>>()
    );
    let n = 4000;
    let mut mean = vec![0.0; net.candidates.len()];
    for _ in 0..n {
        let draw = Draw::sample(&layout, &tables, &mut rng);
        let columns = draw.columns(6);
        assert_eq!(columns.len(), net.operations().len() - 1);
        let ops: Vec<_> = columns
            .iter()
            .map(|&j| net.candidates[j].op.unwrap())
            .collect();
        assert!(ops.windows(2).all(|w| w[0] != w[1]));
        let row = draw.gradient(ones()).swap_remove(6);
        // The coefficient of what is drawn is the operation's sum.
        for (&j, o) in columns.iter().zip(net.operations().iter().skip(1)) {
            let sum: f64 = q[6][o.clone()].iter().sum();
            assert!((row[j] * q[6][j] - sum).abs() < 1e-12);
        }
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, d)| *m += d / f64::from(n));
    }
    for (j, m) in mean.iter().enumerate().skip(1) {
        assert!((m - 1.0).abs() < 0.15, "column {j}: {m}");
    }
}

#[test]
fn the_curvature_is_that_of_a_known_hessian() {
    // H = Σ λ u uᵀ with orthogonal u, the strongest negative.
    let u = [[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]];
    let l = [-3.0, 1.0, 0.5];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let gradient = |x: &[f64]| -> Result<Vec<f64>, ()> {
        let parts: Vec<f64> = (0..3).map(|k| l[k] * dot(&u[k], x)).collect();
        Ok((0..3)
            .map(|i| (0..3).map(|k| parts[k] * u[k][i]).sum())
            .collect())
    };
    let got = dominant_eigenvalue(&[0.3, -0.2, 0.9], (1, 30), gradient).unwrap();
    assert!((got + 3.0).abs() < 1e-6, "{got}");
    let flat = dominant_eigenvalue(&[1.0; 3], (1, 5), |_| Ok::<_, ()>(vec![2.0; 3])).unwrap();
    assert_eq!(flat, 0.0);
    assert!(dominant_eigenvalue(&[1.0], (1, 5), |_| Err::<Vec<f64>, _>("no")).is_err());
}

#[test]
fn a_rising_curvature_is_seen_against_four_evaluations_before() {
    assert!(!is_sharpening(&[]));
    assert!(!is_sharpening(&[0.1, 0.1, 0.1, 9.0]));
    // Means of at most five: 0.1 at the first, (0.1 + ... + x)/5 at the fifth.
    assert!(!is_sharpening(&[0.1, 0.1, 0.1, 0.1, 0.24]));
    assert!(is_sharpening(&[0.1, 0.1, 0.1, 0.1, 0.26]));
    assert!(is_sharpening(&[0.1, 0.1, 0.1, 0.1, -0.26]));
    assert!(!is_sharpening(&[
        0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1
    ]));
}

/// Stopped after so many steps and generations.
pub(crate) fn run(
    config: &SupernetConfig,
    data: &Quadrants,
    checkpoint: Option<&Path>,
    stop_at: Option<u64>,
) -> Result<Found, LearnError> {
    let (net, training) = (net(config), training());
    let job = SupernetJob {
        supernet: &net,
        images: data.images(),
        training: &training,
        config,
        device: Device::Cpu,
        checkpoint,
    };
    let mut n_reports = 0;
    search(&job, &mut |p| {
        if matches!(p, SupernetProgress::Epoch(_)) {
            return ControlFlow::Continue(());
        }
        n_reports += 1;
        match stop_at == Some(n_reports) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })
}

/// Stopped after every step, and killed (which leaves the checkpoint of the last epoch): the same bits.
#[test]
fn a_search_cut_anywhere_and_resumed_equals_an_uninterrupted_one() {
    let data = Quadrants::new(48, 3);
    let first = SupernetConfig {
        epochs: 2,
        ..SupernetConfig::default()
    };
    let second = SupernetConfig {
        epochs: 3,
        warm_epochs: 1,
        second_order: true,
        partial: 2,
        auxiliary_skip: true,
        max_skips: Some(1),
        stop: Stop::Eigenvalue,
        curvature_epochs: 1,
        curvature_iterations: 2,
        ..SupernetConfig::default()
    };
    for config in [first, second] {
        let whole = run(&config, &data, None, None).unwrap();
        assert!(whole.finished);
        assert_eq!(whole.history.len(), config.epochs);
        assert_eq!(
            whole.history[0].alpha_loss.is_some(),
            config.warm_epochs == 0
        );
        assert_eq!(whole.history[config.epochs - 1].genotype, whole.genotype);
        let (net, layout) = (net(&config), Layout::new(&net(&config), config.partial));
        let q = layout.coefficients(&whole.logits);
        assert_eq!(whole.genotype.rules, net.places(&q.places).unwrap());
        let first = layout.first(training().seed);
        for (row, first) in whole.logits.places.iter().zip(&first.places) {
            assert_ne!(
                row, first,
                "the rules outside of the edges are learned, too"
            );
        }
        let eigenvalues = whole
            .history
            .iter()
            .filter(|e| e.eigenvalue.is_some())
            .count();
        assert_eq!(eigenvalues, if config.warm_epochs == 1 { 2 } else { 0 });
        let skips = whole.genotype.normal.iter().flatten();
        let skips = skips.filter(|e| e.gene.op() == Op::Skip).count();
        assert!(skips <= config.max_skips.unwrap_or(8));
        let dir = tempfile::tempdir().unwrap();
        for stop in 1..3 * config.epochs as u64 {
            let path = dir.path().join(format!("{stop}.bin"));
            let cut = run(&config, &data, Some(&path), Some(stop)).unwrap();
            assert!(!cut.finished);
            let resumed = run(&config, &data, Some(&path), None).unwrap();
            assert_eq!(resumed, whole, "cut at {stop}");
            // A finished search is not done again.
            assert_eq!(run(&config, &data, Some(&path), Some(1)).unwrap(), whole);
        }
        let other = SupernetConfig {
            alpha_lr: 0.1,
            ..config.clone()
        };
        let refused = run(&other, &data, Some(&dir.path().join("1.bin")), None);
        assert!(matches!(refused, Err(LearnError::OtherRun { field, .. }) if field == "search"));
    }
}

#[test]
fn what_cannot_be_searched_is_named() {
    let refused = |change: &dyn Fn(&mut SupernetConfig), n: usize| {
        let mut config = SupernetConfig::default();
        change(&mut config);
        run(&config, &Quadrants::new(n, 1), None, Some(1))
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&|c| c.epochs = 0, 48).contains("epochs"));
    assert!(refused(&|c| c.alpha_lr = -1.0, 48).contains("alpha_lr"));
    assert!(refused(&|_| {}, 3).contains("images"));
    let config = SupernetConfig::default();
    let softhebb = config.supernet(&skeleton(), &[Rule::SoftHebb]).unwrap();
    let (data, training) = (Quadrants::new(48, 1), training());
    let job = SupernetJob {
        supernet: &softhebb,
        images: data.images(),
        training: &training,
        config: &config,
        device: Device::Cpu,
        checkpoint: None,
    };
    let refused = search(&job, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(refused.to_string().contains("softhebb"));
}

pub(crate) fn aplysia(line: &str, study: &Path) -> Output {
    let words = line.split(' ').map(|word| match word {
        "PATH" => study.display().to_string(),
        word => word.to_string(),
    });
    Command::new(aplysia_binary()).args(words).output().unwrap()
}

#[track_caller]
pub(crate) fn finish(line: &str, study: &Path) -> String {
    let output = aplysia(line, study);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The study is left at several places, as a kill leaves it: before the first supernet ended, after one, within
/// the trainings. Whatever is resumed ends like the uninterrupted study.
#[test]
fn a_study_of_learned_candidates_is_resumed_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let line = "search PATH --space darts --strategy darts --channels 4 --cells 2 --trials 2 --images 64 \
                --rungs 1,2 --seed 5 --batch 16 --clip-norm 5 --supernet-epochs 2 --rules usf,fa";
    let story = finish(line, &whole);
    for words in [
        "supernet epoch   2",
        "peak memory",
        "Pareto front",
        "trial   1 rung 0",
    ] {
        assert!(story.contains(words), "no `{words}` in {story}");
    }
    let ledger = fs::read_to_string(whole.join("ledger.jsonl")).unwrap();
    let lines: Vec<&str> = ledger.split_inclusive('\n').collect();
    assert!(lines[0].contains("\"event\":\"trial\"") && lines[1].contains("\"event\":\"trial\""));
    let history = fs::read_to_string(whole.join("trials/00001/supernet0/history.json")).unwrap();
    assert_eq!(history.matches("\"alpha_loss\"").count(), 2);
    for kept in [0, 1, 2] {
        let cut = dir.path().join(format!("cut{kept}"));
        fs::create_dir_all(&cut).unwrap();
        fs::copy(whole.join("study.toml"), cut.join("study.toml")).unwrap();
        fs::write(cut.join("ledger.jsonl"), lines[..kept].concat()).unwrap();
        // The checkpoint of the second supernet's last epoch is there already, as after a kill there.
        if kept == 1 {
            let place = "trials/00001/supernet0";
            fs::create_dir_all(cut.join(place)).unwrap();
            let file = format!("{place}/checkpoint.bin");
            fs::copy(whole.join(&file), cut.join(&file)).unwrap();
        }
        finish("search PATH --resume", &cut);
        for file in ["ledger.jsonl", "front.json", "best.toml"] {
            let text = |study: &Path| fs::read_to_string(study.join(file)).unwrap();
            assert_eq!(text(&cut), text(&whole), "{file} after {kept}");
        }
    }
    let refusals = [
        ("--strategy darts", "only the space darts has"),
        (
            "--space darts --strategy darts --channels 4 --partial 3",
            "even share",
        ),
        (
            "--space darts --strategy darts --flat --rules usf",
            "cannot be used with",
        ),
        ("--space darts --strategy gradient", "unknown strategy"),
        (
            "--space darts --strategy darts --channels 4 --cells 2 --images 64 --supernet-epochs 1 --params 10",
            "exceed the limits",
        ),
    ];
    for (flags, words) in refusals {
        let study = dir.path().join("refused");
        let output = aplysia(&format!("search PATH {flags}"), &study);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(words),
            "{flags}: {errors}"
        );
        let _ = fs::remove_dir_all(study);
    }
}
