//! The comparison of learning methods: kept features against whole images, wrong labels, the table, and the
//! command cut and gone on with.

use crate::adaptation::Labelled;
use crate::cli::GENOTYPE;
use crate::program::aplysia_binary;
use crate::toy;
use aplysia_live::adapt;
use aplysia_live::adapt_bench::summary::{self, Entry, Group, markdown, merged};
use aplysia_live::adapt_bench::{Cell, METHODS, Method, Outcome, measure};
use aplysia_live::adaptation::evaluate_snapshot;
use aplysia_live::evaluate::{Images, input_of_pixels};
use aplysia_shared::Model;
use aplysia_shared::adapt::{AdaptError, Plastic, state_bytes};
use std::path::Path;
use std::process::Command;

const SEED: u32 = 9;
const D: usize = toy::D;

fn first(images: Images<'_>, n: usize) -> Images<'_> {
    let image_bytes = images.pixels.len() / images.labels.len();
    Images {
        pixels: &images.pixels[..n * image_bytes],
        labels: &images.labels[..n],
    }
}

fn all_methods() -> Vec<&'static Method> {
    METHODS.iter().collect()
}

/// The snapshot that `method` leaves of `stream`, image by image.
pub(crate) fn learn(model: &Model<'_>, method: &Method, stream: Images<'_>) -> Vec<u8> {
    let config = method.config().unwrap();
    let mut buffer = vec![0; state_bytes(model, &config).unwrap()];
    let mut arena = vec![0; model.arena_bytes()];
    let mut plastic = Plastic::new(model, config, SEED, &mut buffer).unwrap();
    for (pixels, &label) in stream.iter(model.input().len()) {
        let input = input_of_pixels(pixels);
        match config.homeostasis {
            Some(_) => plastic.observe(model, &mut arena, &input),
            None => plastic.infer(model, &mut arena, &input),
        }
        .unwrap();
        if method.learns_labels() {
            plastic.learn(model, usize::from(label)).unwrap();
        }
    }
    plastic.snapshot().to_vec()
}

#[test]
fn kept_features_give_what_whole_streams_give() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let (stream, shifted, clean) = (
        Labelled::new(110, 1),
        Labelled::new(80, 2),
        Labelled::new(70, 3),
    );
    let cell = Cell {
        stream: stream.images(),
        shifted: shifted.images(),
        clean: clean.images(),
        seed: SEED,
        noise_pct: &[0],
    };
    let outcomes = measure(&model, &cell, &all_methods()).unwrap();
    // The toy has a layer that learns by random feedback, and none for signs.
    let methods: Vec<_> = METHODS.iter().filter(|m| m.fits(&model)).collect();
    assert_eq!(outcomes.len(), methods.len());
    assert_eq!(methods.len(), METHODS.len() - 1);
    let (mut n_device, mut gains) = (0, 0);
    for (method, outcome) in methods.into_iter().zip(&outcomes) {
        assert_eq!(outcome.shifted_pct.len(), 2, "{}", method.name);
        gains += usize::from(outcome.shifted_pct != outcomes[0].shifted_pct);
        let Some(config) = method.config() else {
            continue;
        };
        n_device += 1;
        let state_bytes = state_bytes(&model, &config).unwrap();
        for (n, &pct) in [50, 100].into_iter().zip(&outcome.shifted_pct) {
            let learned = learn(&model, method, first(cell.stream, n));
            let found = evaluate_snapshot(&model, &learned, state_bytes, cell.shifted).unwrap();
            assert_eq!(found.accuracy_pct(), pct, "{} after {n}", method.name);
        }
        let learned = learn(&model, method, cell.stream);
        let found = evaluate_snapshot(&model, &learned, state_bytes, cell.clean).unwrap();
        assert_eq!(found.accuracy_pct(), outcome.clean_pct, "{}", method.name);
        let whole = adapt(&model, config, SEED, cell.stream).unwrap();
        assert_eq!(whole.snapshot, learned, "{}", method.name);
    }
    assert!(n_device >= 12 && gains >= 5, "{n_device} {gains}");
}

#[test]
fn wrong_labels_reach_only_what_learns_from_labels() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let (stream, test) = (Labelled::new(60, 1), Labelled::new(80, 2));
    let with = |noise_pct: &[u8]| {
        let cell = Cell {
            stream: stream.images(),
            shifted: test.images(),
            clean: test.images(),
            seed: SEED,
            noise_pct,
        };
        measure(&model, &cell, &all_methods()).unwrap()
    };
    let (none, all) = (with(&[0]), with(&[0, 100]));
    let right: Vec<&Outcome> = all.iter().filter(|o| o.noise_pct == 0).collect();
    assert_eq!(right, none.iter().collect::<Vec<_>>());
    let fitting = METHODS.iter().filter(|m| m.fits(&model));
    let n_labelled = fitting.filter(|m| m.learns_labels()).count();
    assert_eq!(all.len() - none.len(), n_labelled);
    // What a lie does to accuracy is no matter for a random network: it must only reach the head.
    let differs = |liar: &&Outcome| {
        let mut honest = right.iter().filter(|o| o.method == liar.method);
        honest.any(|o| (&o.shifted_pct, o.clean_pct) != (&liar.shifted_pct, liar.clean_pct))
    };
    let n_reached = all
        .iter()
        .filter(|o| o.noise_pct == 100)
        .filter(differs)
        .count();
    assert!(n_reached >= n_labelled / 2, "{n_reached} of {n_labelled}");
}

#[test]
fn features_of_another_length_are_refused() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let config = METHODS[0].config().unwrap();
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
    let mut plastic = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    for len in [0, D - 1, D + 1] {
        assert!(matches!(
            plastic.infer_features(&model, &mut arena, &vec![0; len]),
            Err(AdaptError::Arena(_))
        ));
    }
    let image = &toy::images(1, 4)[0];
    let class = plastic.infer(&model, &mut arena, image).unwrap();
    let (scores, kept) = (
        plastic.scores().to_vec(),
        plastic.features().unwrap().to_vec(),
    );
    assert_eq!(plastic.infer_features(&model, &mut arena, &kept), Ok(class));
    assert_eq!(plastic.scores(), scores);
}

/// A group for every outcome.
fn in_pieces(group: &Group) -> Vec<Group> {
    let piece = |outcome: &Outcome| Group {
        outcomes: vec![outcome.clone()],
        ..group.clone()
    };
    group.outcomes.iter().map(piece).collect()
}

/// The definitions of `adapt_bench::summary` on numbers small enough to follow by hand.
#[test]
fn the_table_holds_the_means_of_its_definitions() {
    let outcome = |method: &str, noise_pct, shifted_pct: [f64; 3], clean_pct| Outcome {
        method: method.into(),
        noise_pct,
        shifted_pct: shifted_pct.to_vec(),
        clean_pct,
    };
    let group = |severity, seed, outcomes| Group {
        corruption: "blur".into(),
        severity,
        seed,
        outcomes,
    };
    let groups = [
        group(
            1,
            1,
            vec![
                outcome("none", 0, [40.0; 3], 90.0),
                outcome("delta 328", 0, [50.0, 60.0, 61.0], 80.0),
            ],
        ),
        group(
            3,
            2,
            vec![
                outcome("none", 0, [20.0; 3], 90.0),
                outcome("delta 328", 0, [30.0, 58.0, 59.0], 70.0),
                outcome("delta 328", 100, [0.0, 0.0, 7.0], 5.0),
            ],
        ),
    ];
    let entry = |name: &str| Entry {
        name: name.into(),
        learns_labels: name != "none",
        ram_bytes: Some(123),
    };
    let entries = [entry("none"), entry("delta 328"), entry("not measured")];
    let mut pieces: Vec<Group> = groups.iter().rev().flat_map(in_pieces).collect();
    pieces.swap(0, 2);
    let rows = summary::rows(&merged(pieces), &entries);
    assert_eq!(rows, summary::rows(&groups, &entries));
    assert_eq!(rows.len(), 2);
    let (none, delta) = (&rows[0], &rows[1]);
    assert_eq!((none.recovered_pct, none.samples_to_90_pct), (0.0, None));
    assert_eq!(delta.shifted_pct, [40.0, 59.0, 60.0]);
    assert_eq!(
        delta.severity_pct,
        [Some(61.0), None, Some(59.0), None, None]
    );
    assert_eq!((delta.clean_pct, delta.worst_clean_pct), (75.0, 70.0));
    assert_eq!(delta.spread_pct, Some(2.0_f64.sqrt()), "of 61 and 59");
    assert_eq!(delta.recovered_pct, 50.0);
    assert_eq!(delta.samples_to_90_pct, Some(100));
    assert_eq!(delta.noise_pct, [Some(59.0), None, None, Some(7.0)]);
    let text = markdown(&rows, &[]);
    assert!(
        text.contains("| delta 328 | 40.00 | 59.00 | 60.00 | 1.41 | 50.0 % |"),
        "{text}"
    );
    assert!(
        text.contains("| delta 328 | 59.00 | – | – | 7.00 |"),
        "{text}"
    );
}

fn bench(out: &Path, threads: &str) -> std::process::Output {
    let blob = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-mnist-m4/model.blob");
    let mut command = Command::new(aplysia_binary());
    command.arg("adapt-bench").arg(blob).arg("--out").arg(out);
    let size = ["--seeds", "1", "--severities", "3", "--samples", "50"];
    command.args(size).args([
        "--test-images",
        "20",
        "--parts",
        "shifts",
        "--threads",
        threads,
    ]);
    command.output().unwrap()
}

#[test]
fn a_bench_cut_in_a_line_goes_on_to_the_same_bits_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let read = |out: &Path, name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    for out in [&whole, &cut] {
        let output = bench(out, "1");
        assert!(output.status.success(), "{output:?}");
    }
    let lines = read(&whole, "groups.jsonl");
    assert_eq!(lines.lines().count(), 11);
    std::fs::write(cut.join("groups.jsonl"), &lines[..lines.len() / 2]).unwrap();
    std::fs::remove_file(cut.join("summary.json")).unwrap();
    assert!(bench(&cut, "2").status.success());
    for name in ["summary.json", "README.md"] {
        assert_eq!(read(&cut, name), read(&whole, name));
    }
    let sorted = |out: &Path| {
        let text = read(out, "groups.jsonl");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&cut), sorted(&whole));
    let mut other = lines.clone();
    other = other.replacen("\"test_images\":20", "\"test_images\":21", 1);
    std::fs::write(cut.join("groups.jsonl"), other).unwrap();
    let refused = bench(&cut, "1");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("choose another --out"));
}

fn finish(words: &[&str]) {
    let output = Command::new(aplysia_binary()).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// Rows of the float network stand beside the device's where domains come back; one that learns nothing stays.
#[test]
fn the_float_network_comes_back_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["genotype.toml", "run", "model", "bench"].map(|name| dir.path().join(name));
    let [genotype, run, model, out] = paths.each_ref().map(|path| path.to_str().unwrap());
    std::fs::write(genotype, GENOTYPE).unwrap();
    finish(&[
        "train", genotype, "--out", run, "--epochs", "2", "--images", "2000",
    ]);
    finish(&["export", run, "--out", model, "--golden", "0"]);
    let blob = format!("{model}/model.blob");
    let bench = [
        "adapt-bench",
        &blob,
        "--run",
        run,
        "--out",
        out,
        "--parts",
        "recurring",
    ];
    let size = ["--seeds", "1", "--test-images", "100", "--severities", "3"];
    finish(&[&bench[..], &size].concat());
    let summary = std::fs::read(paths[3].join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let rows = summary["recurring"].as_array().unwrap();
    let of = |name: &str| -> Vec<[f64; 5]> {
        let columns = [
            "before_pct",
            "first_pct",
            "other_pct",
            "left_pct",
            "again_pct",
        ];
        let own = rows.iter().filter(|row| row["method"] == name);
        own.map(|row| columns.map(|c| row[c].as_f64().unwrap()))
            .collect()
    };
    let (still, re) = (of("float, none"), of("float batch norm re-estimated"));
    assert_eq!((still.len(), re.len()), (10, 10));
    assert!(
        still
            .iter()
            .all(|[before, first, _, left, again]| before == first
                && before == left
                && before == again)
    );
    // The statistics of A are those of A's last stream.
    assert!(
        re.iter()
            .any(|[before, first, _, left, _]| before != first && first != left)
    );
    let text = std::fs::read_to_string(paths[3].join("README.md")).unwrap();
    assert!(text.contains("| float batch norm re-estimated |"), "{text}");
}
