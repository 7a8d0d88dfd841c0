//! The parts of the comparison beside the shifts, against whole streams image by image; the targets.

use crate::adapt_bench::learn;
use crate::adaptation::Labelled;
use crate::device::boot;
use crate::guard::guarded;
use crate::toy::{self, N_CLASSES};
use aplysia_live::adapt_bench::classes::{self, Lessons, SHOTS, Session, harmonic_mean, sessions};
use aplysia_live::adapt_bench::recurring::{self, Domain, returns};
use aplysia_live::adapt_bench::replay::{Replayed, replay};
use aplysia_live::adapt_bench::sealed::{self, Sealed, sealed};
use aplysia_live::adapt_bench::summary::Row;
use aplysia_live::adapt_bench::targets::{Found, targets};
use aplysia_live::adapt_bench::watched::{self, LIMITS, Watched, watched, worst_loss};
use aplysia_live::adapt_bench::{Cell, METHODS, Method, Teacher, fitting};
use aplysia_live::adaptation::{adapt, evaluate_snapshot};
use aplysia_live::evaluate::Images;
use aplysia_live::guarded::adapt_guarded;
use aplysia_shared::Model;
use aplysia_shared::adapt::state_bytes;
use aplysia_shared::blob::GoldenKind;

/// Of stochastic rounding; that of `adapt_bench::learn`.
const SEED: u32 = 9;

/// Rows of the device, and some of the host.
fn some(model: &Model<'_>) -> Vec<&'static Method> {
    fitting(model).step_by(2).collect()
}

fn joined(parts: &[Images<'_>]) -> Labelled {
    Labelled {
        pixels: parts.iter().flat_map(|p| p.pixels).copied().collect(),
        labels: parts.iter().flat_map(|p| p.labels).copied().collect(),
    }
}

fn predictions(model: &Model<'_>, method: &Method, seen: &Labelled, test: Images<'_>) -> Vec<u16> {
    let learned = learn(model, method, seen.images());
    let bytes = state_bytes(model, &method.config().unwrap()).unwrap();
    let found = evaluate_snapshot(model, &learned, bytes, test);
    found.unwrap().predictions
}

fn right_pct(found: &[u16], labels: &[u16], asked: impl Fn(u16) -> bool) -> f64 {
    let pairs: Vec<_> = found
        .iter()
        .zip(labels)
        .filter(|(_, l)| asked(**l))
        .collect();
    100.0 * pairs.iter().filter(|(a, b)| a == b).count() as f64 / pairs.len() as f64
}

#[test]
fn a_domain_that_comes_back_is_one_stream_of_three() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let data: Vec<Labelled> = (1..=5).map(|seed| Labelled::new(30, seed)).collect();
    let [first, other, again, a_test, b_test] = [0, 1, 2, 3, 4].map(|i| data[i].images());
    let domain = |stream, test| Domain { stream, test };
    let domains = (domain(first, a_test), domain(other, b_test), again);
    let found = returns(&model, domains, SEED, &some(&model)).unwrap();
    let names: Vec<&str> = some(&model).iter().map(|m| m.name).collect();
    assert!(
        found
            .iter()
            .map(|r| r.method.as_str())
            .eq(names.iter().copied())
    );
    for (method, found) in some(&model)
        .iter()
        .zip(&found)
        .filter(|(m, _)| m.config().is_some())
    {
        let pct = |seen: &[Images<'_>], test: Images<'_>| {
            let found = predictions(&model, method, &joined(seen), test);
            right_pct(&found, test.labels, |_| true)
        };
        assert_eq!(found.before_pct, pct(&[], a_test), "{}", method.name);
        assert_eq!(found.first_pct, pct(&[first], a_test), "{}", method.name);
        assert_eq!(
            found.other_pct,
            pct(&[first, other], b_test),
            "{}",
            method.name
        );
        assert_eq!(
            found.left_pct,
            pct(&[first, other], a_test),
            "{}",
            method.name
        );
        assert_eq!(
            found.again_pct,
            pct(&[first, other, again], a_test),
            "{}",
            method.name
        );
    }
    let text = recurring::markdown(&found, &names);
    assert_eq!(text.lines().count(), 2 + names.len());
}

#[test]
fn later_classes_are_learned_one_after_the_other() {
    const N_OLD: usize = 3;
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let (support, test) = (Labelled::new(90, 1), Labelled::new(80, 2));
    let lessons = Lessons {
        n_old: N_OLD,
        support: support.images(),
        test: test.images(),
        seed: SEED,
    };
    let methods: Vec<&Method> = fitting(&model).filter(|m| m.momentum.is_none()).collect();
    let found = sessions(&model, &lessons, &methods).unwrap();
    assert_eq!(
        found.len(),
        SHOTS.len() * methods.len() * (N_CLASSES - N_OLD)
    );
    for session in &found {
        let method = methods.iter().find(|m| m.name == session.method).unwrap();
        if method.config().is_none() {
            continue;
        }
        let mut seen = Labelled {
            pixels: vec![],
            labels: vec![],
        };
        for class in N_OLD..N_OLD + session.n_new {
            let of_class = support
                .images()
                .iter(model.input().len())
                .collect::<Vec<_>>();
            let of_class = of_class
                .into_iter()
                .filter(|(_, l)| usize::from(**l) == class);
            for (pixels, label) in of_class.take(session.shots) {
                seen.pixels.extend(pixels);
                seen.labels.push(*label);
            }
        }
        let found = predictions(&model, method, &seen, test.images());
        let old = right_pct(&found, &test.labels, |l| usize::from(l) < N_OLD);
        let new = right_pct(&found, &test.labels, |l| {
            (N_OLD..N_OLD + session.n_new).contains(&usize::from(l))
        });
        assert_eq!(
            (session.old_pct, session.new_pct),
            (old, new),
            "{session:?}"
        );
    }
    let of = |old_pct, new_pct| Session {
        old_pct,
        new_pct,
        ..found[0].clone()
    };
    let means = classes::means(&[of(80.0, 20.0), of(60.0, 40.0)]);
    assert_eq!(means, [of(70.0, 30.0)]);
    assert_eq!(
        (harmonic_mean(70.0, 30.0), harmonic_mean(0.0, 0.0)),
        (42.0, 0.0)
    );
    assert!(classes::markdown(&means).contains("70.00, 30.00, **42.00**"));
}

#[test]
fn a_watched_run_is_that_of_the_guard() {
    let method = METHODS.iter().find(|m| m.name == "delta 5243").unwrap();
    let config = method.config().unwrap();
    let blob = guarded(GoldenKind::Features, config);
    let model = Model::parse(&blob).unwrap();
    let (stream, test) = (Labelled::new(60, 1), Labelled::new(80, 2));
    let cell = Cell {
        stream: stream.images(),
        shifted: test.images(),
        clean: test.images(),
        seed: SEED,
        noise_pct: &[0],
    };
    let run = watched(&model, ("liar", method), &cell, Teacher::Swaps)
        .unwrap()
        .unwrap();
    let taught = cell.taught(Teacher::Swaps, model.n_classes());
    let lies = Images {
        labels: &taught,
        ..cell.stream
    };
    let want = adapt_guarded(&model, config, SEED, lies, LIMITS, &[]).unwrap();
    assert_eq!(
        (run.checks, run.rollbacks),
        (want.report.checks, want.report.rollbacks)
    );
    let first = adapt(&model, config, SEED, Images::NONE).unwrap();
    let pct =
        [&first, &want.adapted].map(|s| s.evaluate(&model, test.images()).unwrap().accuracy_pct());
    assert_eq!((run.shifted_pct, run.clean_pct), (pct, pct));
    let host = METHODS.iter().find(|m| m.config().is_none()).unwrap();
    assert_eq!(
        watched(&model, ("", host), &cell, Teacher::Wrong(0)).unwrap(),
        None
    );
}

fn run(name: &str, clean_pct: [f64; 2]) -> Watched {
    Watched {
        name: name.into(),
        teacher: Teacher::Wrong(100),
        shifted_pct: [30.0, 40.0],
        clean_pct,
        checks: 7,
        rollbacks: 2,
    }
}

#[test]
fn the_worst_run_is_what_counts() {
    let runs = [
        run("a", [90.0, 89.5]),
        run("a", [90.0, 88.5]),
        run("b", [90.0, 91.0]),
    ];
    assert_eq!(worst_loss(&runs), Some(1.5));
    assert_eq!(
        (worst_loss(&runs[2..]), worst_loss(&[])),
        (Some(-1.0), None)
    );
    let text = watched::markdown(&runs);
    let row = "| a | 100 % | 2 | 30.00 | 40.00 | 90.00 | 89.00 | 1.50 | 1 | 2.0 |";
    assert!(text.contains(row), "{text}");
}

fn back(name: &str, before_pct: f64, end_pct: f64) -> Sealed {
    Sealed {
        name: name.into(),
        teacher: Teacher::Wrong(100),
        shifted_pct: [30.0, 40.0],
        before_pct,
        clean_pct: [10.0, 80.0, 90.0, end_pct],
        checks: 7,
        rollbacks: 2,
        opened: 1,
    }
}

#[test]
fn a_sealed_run_ends_where_the_device_puts_itself() {
    let method = METHODS
        .iter()
        .find(|m| m.name == "homeostasis 5 + delta 5243")
        .unwrap();
    let blob = guarded(GoldenKind::Features, method.config().unwrap());
    let model = Model::parse(&blob).unwrap();
    let (stream, test, clean) = (
        Labelled::new(60, 1),
        Labelled::new(80, 2),
        Labelled::new(40, 3),
    );
    let cell = Cell {
        stream: stream.images(),
        shifted: test.images(),
        clean: test.images(),
        seed: SEED,
        noise_pct: &[0],
    };
    let run = sealed(
        &model,
        ("liar", method),
        &cell,
        clean.images(),
        Teacher::Wrong(100),
    );
    let run = run.unwrap().unwrap();
    assert_eq!(run.shifted_pct[0], run.before_pct);
    assert_eq!(run.clean_pct[0], run.shifted_pct[1], "the same images");
    assert_eq!(
        run.clean_pct[2], run.clean_pct[3],
        "the clean images end after 40"
    );
    let host = METHODS.iter().find(|m| m.config().is_none()).unwrap();
    let none = sealed(&model, ("", host), &cell, clean.images(), Teacher::Wrong(0));
    assert_eq!(none.unwrap(), None);
    let text = sealed::markdown(&[back("a", 90.0, 88.5), back("a", 90.0, 91.0)]);
    let row = "| a | 100 % | 2 | 30.00 | 40.00 | 90.00 | 10.00 | 80.00 | 90.00 | 89.75 | 1.50 | 1 | 2.0 | 1.0 |";
    assert!(text.contains(row), "{text}");
}

#[test]
fn targets_are_read_off_the_rows() {
    let row = |method: &str, end: f64| Row {
        method: method.into(),
        shifted_pct: vec![40.0, end],
        severity_pct: [None; 5],
        spread_pct: None,
        clean_pct: 90.0,
        worst_clean_pct: 90.0,
        recovered_pct: 0.0,
        samples_to_90_pct: None,
        noise_pct: vec![],
        ram_bytes: None,
    };
    let rows = [
        row("none", 50.0),
        row("float last layer, rate 0.02", 61.0),
        row("delta 1311", 62.0),
        row("homeostasis 5", 68.0),
        row("homeostasis 5 + instar 4", 70.0),
        row("float", 52.0),
        row("re-estimated", 72.0),
    ];
    let counted = |method: &str, image: f64, label: f64| Replayed {
        method: method.into(),
        n: 4,
        device_digest: 1,
        host_digest: 1,
        image,
        label,
        commit_bytes: 128,
    };
    let replayed = [
        counted("none", 1000.0, 0.0),
        counted("delta 1311", 1000.0, 60.0),
        counted("deep 82 random", 1100.0, 340.0),
        counted("homeostasis 5", 1490.0, 0.0),
    ];
    let watched = [run("a", [90.0, 89.0])];
    let sealed = [back("a", 90.0, 88.5), back("a", 90.0, 91.0)];
    let all = targets(&Found {
        rows: &rows,
        reestimated: ("re-estimated", "float"),
        replayed: &replayed,
        watched: &watched,
        sealed: &sealed,
    });
    let found: Vec<(f64, bool)> = all.iter().map(|t| (t.found, t.is_met())).collect();
    assert_eq!(
        found,
        [
            (90.0, true),
            (9.0, true),
            (6.0, false),
            (34.0, true),
            (49.0, false),
            (1.0, true),
            (1.5, false)
        ]
    );
    assert!(
        all[2]
            .line()
            .ends_with("6.00, to be at most 5: **missed by 1.00**")
    );
    let none = targets(&Found {
        rows: &rows[..1],
        reestimated: ("re-estimated", "float"),
        replayed: &[],
        watched: &[],
        sealed: &[],
    });
    assert_eq!(none, []);
}

#[test]
fn a_replay_counts_on_the_device_what_the_host_learns() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let stream = Labelled::new(12, 1);
    let (mut device, _) = boot(Some(&blob));
    let mut images = vec![];
    for method in fitting(&model) {
        let run = replay(&mut device, &model, method, SEED, stream.images()).unwrap();
        let Some(run) = run else {
            assert_eq!(method.config(), None);
            continue;
        };
        assert_eq!(run.device_digest, run.host_digest, "{}", method.name);
        assert_eq!(run.label > 0.0, method.learns_labels(), "{}", method.name);
        assert!(run.commit_bytes >= 128 && run.commit_bytes.is_multiple_of(64));
        images.push((method.name, run.image));
    }
    let of = |name| images.iter().find(|(n, _)| *n == name).unwrap().1;
    assert!(of("homeostasis 5") > of("none"));
}
