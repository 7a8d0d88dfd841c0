//! Studies: limits, halving, and runs cut at every place and resumed.

use aplysia_search::*;
use aplysia_space::{Genotype, McuSpace, Network, Rule, RuleShare, Shape};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Costs from shapes and weights; an accuracy that prefers large networks and residual blocks with
/// wide windows, and disagrees a little by seed: cheap, but with a front to find.
#[derive(Default)]
struct Synthetic {
    /// Raise the stop flag at the end of this training, counted from 1.
    stop_after: Option<usize>,
    /// See the stop flag in the middle of this training.
    stop_within: Option<usize>,
    /// End with a fatal error in this training.
    fatal: Option<usize>,
    trained: Vec<(usize, usize)>,
}

impl Evaluate<Genotype> for Synthetic {
    fn cost(&self, genotype: &Genotype) -> Result<Costs, String> {
        let n = Network::lower(genotype, input(), 10).map_err(|e| e.to_string())?;
        let sizes = n.nodes.iter().map(|node| node.shape.len());
        let ram = sizes.max().unwrap_or(0);
        Ok(Costs {
            flash_bytes: n.total_weights() as u64 + 500,
            ram_bytes: ram as u64,
            macs: n.macs(),
            instructions: 10 * n.macs() + 1000,
            ..Costs::default()
        })
    }

    fn rule_share(&self, genotype: &Genotype) -> Result<RuleShare, String> {
        let network = Network::lower(genotype, input(), 10).map_err(|e| e.to_string())?;
        Ok(network.rule_share())
    }

    fn train(&mut self, job: &Job<'_, Genotype>) -> Result<Score, TrainError> {
        let n = self.trained.len() + 1;
        if self.fatal == Some(n) {
            return Err(TrainError::Fatal("no space left on device".into()));
        }
        if self.stop_within == Some(n) {
            job.stop.store(true, Ordering::Relaxed);
            std::fs::write(job.dir.join("half.bin"), "half").unwrap();
            return Err(TrainError::Interrupted);
        }
        self.trained.push((job.trial, job.rung));
        let before = job
            .previous
            .as_ref()
            .map(|dir| std::fs::read(dir.join("done.bin")).unwrap());
        assert_eq!(before.is_some(), job.rung > 0);
        assert_eq!(job.budget_done > 0, job.rung > 0);
        std::fs::write(job.dir.join("done.bin"), job.budget.to_string()).unwrap();
        if self.stop_after == Some(n) {
            job.stop.store(true, Ordering::Relaxed);
        }
        if job.trial % 5 == 3 {
            return Err(TrainError::Failed("the loss is not a number".into()));
        }
        let size = self.cost(job.genotype).unwrap().macs as f64;
        let blocks = job.genotype.blocks.iter();
        let good = blocks.filter(|b| b.kernel == 5 && b.residual).count() as f64;
        let noise = job.seed as f64 / 2_f64.powi(32);
        let learned = 1.0 - (-(job.budget as f64)).exp();
        let limit = 0.5 + 0.1 * size / (size + 1e6) + 0.05 * good + 0.01 * noise;
        Ok(Score {
            accuracy: learned * limit,
            adapted: None,
        })
    }
}

fn input() -> Shape {
    Shape { h: 28, w: 28, c: 1 }
}

fn config(strategy: StrategyKind) -> StudyConfig<McuSpace> {
    StudyConfig {
        seed: 11,
        strategy,
        n_trials: 8,
        population: 3,
        dataset_digest: "abc".into(),
        halving: Halving {
            budgets: vec![1, 3],
            eta: 2,
        },
        limits: Limits {
            flash_bytes: 60_000,
            ram_bytes: 16_000,
            instructions: 20_000_000,
            min_accuracy: 0.1,
            params: None,
            macs: None,
        },
        evaluator: "epochs_per_unit = 1".parse().unwrap(),
        space: McuSpace::new(input()).with_rules(&[Rule::Usf, Rule::Fa]),
    }
}

fn open_or_create(dir: &Path, strategy: StrategyKind) -> Study<McuSpace> {
    if dir.join("study.toml").exists() {
        Study::open(dir).unwrap()
    } else {
        Study::create(dir, config(strategy)).unwrap()
    }
}

/// Runs once; gives the outcome and the trainings that were really done.
fn run(
    dir: &Path,
    strategy: StrategyKind,
    mut evaluator: Synthetic,
) -> (Result<Outcome, SearchError>, Vec<(usize, usize)>) {
    let stop = AtomicBool::new(false);
    let outcome = open_or_create(dir, strategy).run(&mut evaluator, &stop, &mut |_| {});
    (outcome, evaluator.trained)
}

fn text(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

/// An uninterrupted study: ledger, front, trainings in order.
fn whole(strategy: StrategyKind) -> (String, String, Vec<(usize, usize)>) {
    let dir = tempfile::tempdir().unwrap();
    let (outcome, trained) = run(dir.path(), strategy, Synthetic::default());
    assert_eq!(outcome.unwrap(), Outcome::Complete);
    (
        text(dir.path(), "ledger.jsonl"),
        text(dir.path(), "front.json"),
        trained,
    )
}

const BOTH: [StrategyKind; 2] = [StrategyKind::Random, StrategyKind::Evolution];

#[test]
fn a_study_keeps_its_limits_and_halves_its_budgets() {
    for strategy in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let mut study = Study::create(dir.path(), config(strategy)).unwrap();
        let mut evaluator = Synthetic::default();
        let (mut proposed, mut started, mut finished) = (0, 0, 0);
        let mut count = |p: Progress<'_, Genotype>| match p {
            Progress::Rejected(_) => {}
            Progress::Proposed(_) => proposed += 1,
            Progress::Started { n_jobs, .. } => {
                assert_eq!(n_jobs, 8 + 1 + 1 + 1);
                started += 1;
            }
            Progress::Finished { replayed, job, .. } => {
                finished += 1;
                assert_eq!((replayed, job), (false, finished));
            }
        };
        study
            .run(&mut evaluator, &AtomicBool::new(false), &mut count)
            .unwrap();
        assert_eq!((proposed, started, finished), (8, 11, 11));
        let limits = study.config().limits;
        for t in study.trials() {
            assert_eq!(limits.violation(&t.costs), 0.0);
            assert_eq!(evaluator.cost(&t.genotype).unwrap(), t.costs);
            assert_eq!(t.failure.is_some(), t.index % 5 == 3);
            assert!(
                study.trials()[..t.index]
                    .iter()
                    .all(|u| u.genotype != t.genotype)
            );
        }
        let n_full = study
            .trials()
            .iter()
            .filter(|t| t.accuracies.len() == 2)
            .count();
        assert_eq!(n_full, 3);
        let front = study.front();
        assert!(!front.is_empty() && front.iter().all(|t| t.accuracies.len() == 2));
        assert!(front.is_sorted_by(|a, b| a.accuracy() >= b.accuracy()));
    }
}

#[test]
fn interrupted_anywhere_and_resumed_equals_uninterrupted() {
    for strategy in BOTH {
        let (ledger, front, trained) = whole(strategy);
        for n in 1..=trained.len() {
            for within in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let (stop_after, stop_within) = if within {
                    (None, Some(n))
                } else {
                    (Some(n), None)
                };
                let cut = Synthetic {
                    stop_after,
                    stop_within,
                    ..Synthetic::default()
                };
                let (outcome, first) = run(dir.path(), strategy, cut);
                let last = n == trained.len() && !within;
                let want = if last {
                    Outcome::Complete
                } else {
                    Outcome::Interrupted
                };
                assert_eq!(outcome.unwrap(), want, "{strategy:?} {n} {within}");
                assert!(ledger.starts_with(&text(dir.path(), "ledger.jsonl")));
                let (outcome, second) = run(dir.path(), strategy, Synthetic::default());
                assert_eq!(outcome.unwrap(), Outcome::Complete);
                assert_eq!(
                    [first, second].concat(),
                    trained,
                    "{strategy:?} {n} {within}"
                );
                assert_eq!(text(dir.path(), "ledger.jsonl"), ledger);
                assert_eq!(text(dir.path(), "front.json"), front);
            }
        }
    }
}

/// A crash may leave any prefix of the ledger; nothing before the torn line is done again.
#[test]
fn a_ledger_cut_at_any_byte_of_a_line_is_resumed() {
    let strategy = StrategyKind::Evolution;
    let (ledger, front, trained) = whole(strategy);
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), strategy, Synthetic::default()).0.unwrap();
    let last_line = ledger[..ledger.len() - 1].rfind('\n').unwrap() + 1;
    let line_starts = ledger.match_indices('\n').map(|(i, _)| i + 1);
    for cut in (last_line..ledger.len())
        .chain(line_starts)
        .chain([0, 1, 40])
    {
        std::fs::write(dir.path().join("ledger.jsonl"), &ledger[..cut]).unwrap();
        let kept = ledger[..cut].rfind('\n').map_or("", |i| &ledger[..=i]);
        let done = kept.matches("\"event\":\"score\"").count()
            + kept.matches("\"event\":\"failed\"").count();
        let (outcome, again) = run(dir.path(), strategy, Synthetic::default());
        assert_eq!(outcome.unwrap(), Outcome::Complete);
        assert_eq!(again, trained[done..], "cut at {cut}");
        assert_eq!(text(dir.path(), "ledger.jsonl"), ledger, "cut at {cut}");
        assert_eq!(text(dir.path(), "front.json"), front, "cut at {cut}");
    }
    // A last line of garbage, as after a loss of power, is a torn line too.
    let garbage = [&ledger.as_bytes()[..last_line], &[0; 37], b"\n"].concat();
    std::fs::write(dir.path().join("ledger.jsonl"), garbage).unwrap();
    run(dir.path(), strategy, Synthetic::default()).0.unwrap();
    assert_eq!(text(dir.path(), "ledger.jsonl"), ledger);
}

#[test]
fn every_trial_says_its_rules_and_a_ledger_without_them_is_still_read() {
    let (ledger, ..) = whole(StrategyKind::Random);
    let mut old = String::new();
    for line in ledger.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["event"] == "trial" {
            let share = line.as_object_mut().unwrap().remove("rule_share").unwrap();
            let sum: f64 = ["usf", "fa"]
                .iter()
                .filter_map(|&r| share[r].as_f64())
                .sum();
            assert!((sum - 1.0).abs() < 1e-9, "{share}");
        }
        old += &format!("{line}\n");
    }
    let dir = tempfile::tempdir().unwrap();
    drop(open_or_create(dir.path(), StrategyKind::Random));
    std::fs::write(dir.path().join("ledger.jsonl"), old).unwrap();
    let study = open_or_create(dir.path(), StrategyKind::Random);
    let unsaid = study.trials().iter().filter(|t| t.rule_share.is_empty());
    assert_eq!(unsaid.count(), 8);
}

#[test]
fn a_fatal_error_leaves_a_study_that_can_be_resumed() {
    let (ledger, front, trained) = whole(StrategyKind::Evolution);
    let dir = tempfile::tempdir().unwrap();
    let full_disk = Synthetic {
        fatal: Some(7),
        ..Synthetic::default()
    };
    let (outcome, first) = run(dir.path(), StrategyKind::Evolution, full_disk);
    let fault = outcome.unwrap_err();
    let cause = std::error::Error::source(&fault).unwrap();
    assert!(cause.to_string().contains("no space left"));
    // A path that cannot be written is such an error, with its name.
    let blocked = dir.path().join("timings.jsonl");
    std::fs::remove_file(&blocked).unwrap();
    std::fs::create_dir(&blocked).unwrap();
    let (outcome, _) = run(dir.path(), StrategyKind::Evolution, Synthetic::default());
    assert!(outcome.unwrap_err().to_string().contains("timings.jsonl"));
    std::fs::remove_dir(&blocked).unwrap();
    let (outcome, second) = run(dir.path(), StrategyKind::Evolution, Synthetic::default());
    assert_eq!(outcome.unwrap(), Outcome::Complete);
    assert_eq!([first, second].concat(), trained);
    assert_eq!(text(dir.path(), "ledger.jsonl"), ledger);
    assert_eq!(text(dir.path(), "front.json"), front);
}

#[test]
fn a_study_guards_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let made = || Study::create(dir.path(), config(StrategyKind::Random));
    let study = made().unwrap();
    assert!(matches!(made(), Err(SearchError::Locked { .. })));
    let open = || Study::<McuSpace>::open(dir.path());
    assert!(matches!(open(), Err(SearchError::Locked { .. })));
    assert!(study.check_dataset("abc").is_ok());
    assert!(matches!(
        study.check_dataset("abd"),
        Err(SearchError::Dataset { .. })
    ));
    drop(study);
    run(dir.path(), StrategyKind::Random, Synthetic::default())
        .0
        .unwrap();
    assert_eq!(*open().unwrap().config(), config(StrategyKind::Random));
    assert_eq!(open().unwrap().trials().len(), 8);
    assert!(matches!(made(), Err(SearchError::Exists { .. })));
    // Damage before the last line is not mended silently.
    let ledger = text(dir.path(), "ledger.jsonl");
    let damaged = ledger.replacen("\"trial\":2", "\"trail\":2", 1);
    std::fs::write(dir.path().join("ledger.jsonl"), damaged).unwrap();
    assert!(matches!(open(), Err(SearchError::Ledger { line: 3, .. })));
    let swapped = ledger.replacen("\"trial\":2", "\"trial\":3", 1);
    std::fs::write(dir.path().join("ledger.jsonl"), swapped).unwrap();
    assert!(matches!(open(), Err(SearchError::Ledger { line: 3, .. })));
}

#[test]
fn faulty_configs_and_hopeless_limits_are_named() {
    let refused = |change: &dyn Fn(&mut StudyConfig<McuSpace>)| {
        let dir = tempfile::tempdir().unwrap();
        let mut c = config(StrategyKind::Random);
        change(&mut c);
        Study::create(dir.path(), c).err().unwrap().to_string()
    };
    assert!(refused(&|c| c.n_trials = 0).contains("n_trials"));
    assert!(refused(&|c| c.population = 0).contains("population"));
    assert!(refused(&|c| c.halving.budgets = vec![]).contains("budgets"));
    assert!(refused(&|c| c.halving.budgets = vec![3, 3]).contains("ascend"));
    assert!(refused(&|c| c.halving.eta = 1).contains("eta"));
    assert!(refused(&|c| c.space.rules = vec![]).contains("rule"));
    let dir = tempfile::tempdir().unwrap();
    let mut c = config(StrategyKind::Random);
    c.limits.flash_bytes = 501;
    let mut study = Study::create(dir.path(), c).unwrap();
    let outcome = study.run(
        &mut Synthetic::default(),
        &AtomicBool::new(false),
        &mut |_| {},
    );
    assert!(matches!(
        outcome,
        Err(SearchError::NoCandidate { trial: 0, nearest, .. }) if nearest.ends_with(" bytes of flash (limit 501)")
    ));
    // It never came to a trial: once nobody runs it, the folder is taken for another one.
    let again = || Study::create(dir.path(), config(StrategyKind::Random));
    assert!(matches!(again(), Err(SearchError::Locked { .. })));
    drop(study);
    assert_eq!(again().unwrap().config(), &config(StrategyKind::Random));
}

#[test]
fn evolution_finds_a_more_accurate_network_than_random() {
    let best = |strategy| {
        let dir = tempfile::tempdir().unwrap();
        let halving = Halving {
            budgets: vec![3],
            eta: 2,
        };
        // No network reaches the wanted accuracy, so that being nearer to it decides.
        let limits = Limits {
            min_accuracy: 1.0,
            ..config(strategy).limits
        };
        let c = StudyConfig {
            n_trials: 80,
            population: 10,
            halving,
            limits,
            ..config(strategy)
        };
        let mut study = Study::create(dir.path(), c).unwrap();
        let (mut evaluator, stop) = (Synthetic::default(), AtomicBool::new(false));
        study.run(&mut evaluator, &stop, &mut |_| {}).unwrap();
        study.front()[0].accuracy().unwrap()
    };
    let (random, evolution) = (best(StrategyKind::Random), best(StrategyKind::Evolution));
    assert!(evolution > random, "{evolution} {random}");
}
