//! Presets of the command line: each one searches and trains, the user's flags win.

use crate::program::aplysia_binary;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Name, and what is left of it beside the budget that the tests set: in study.toml, in run.json.
const PRESETS: [(&str, &[&str], &[&str]); 8] = [
    (
        "fashion-minutes",
        &["partial = 2", "max_skips = 2"],
        &["\"clip_norm\": 5.0"],
    ),
    (
        "fashion-hour",
        &["warm_epochs = 3"],
        &["\"drop_path\": 0.1", "\"cutout\": 8"],
    ),
    (
        "fashion-night",
        &["stop = \"eigenvalue\""],
        &["\"drop_path\": 0.2"],
    ),
    (
        "cifar10",
        &["flat = true", "coverage = \"paper\"", "seed = 2"],
        &["\"cutout\": 16", "\"auxiliary_weight\": 0.4"],
    ),
    (
        "cifar100",
        &["flat = true", "n_trials = 4"],
        &["\"cutout\": 16", "\"feedback_scale\": \"fixed\""],
    ),
    (
        "imagenet16-120",
        &["shift = 2", "flat = true"],
        &["\"shift\": 2"],
    ),
    (
        "tiny-imagenet",
        &["partial = 4", "resized_crop"],
        &["\"label_smoothing\": 0.1"],
    ),
    (
        "imagenet",
        &["warm_epochs = 35", "jitter"],
        &["\"jitter\"", "\"resized_crop\": 0.08"],
    ),
];

/// What makes every preset a matter of seconds.
const SMALL: &str = "--dataset fashion-mnist --channels 8 --cells 3 --images 32 --batch 8";

fn aplysia(line: &str, path: &Path) -> Output {
    let words = line.split(' ').map(|word| match word {
        "PATH" => path.display().to_string(),
        word => word.to_string(),
    });
    Command::new(aplysia_binary()).args(words).output().unwrap()
}

#[track_caller]
fn finish(line: &str, path: &Path) -> String {
    let output = aplysia(line, path);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_preset_trains_and_makes_a_study() {
    let dir = tempfile::tempdir().unwrap();
    for (name, study_words, run_words) in PRESETS {
        let run = dir.path().join(format!("{name}-run"));
        finish(
            &format!("train BIODARTS --out PATH --preset {name} {SMALL} --epochs 1"),
            &run,
        );
        let text = fs::read_to_string(run.join("run.json")).unwrap();
        for words in run_words.iter().chain(&["\"batch\": 8", "\"epochs\": 1"]) {
            assert!(text.contains(words), "{name}: no {words} in {text}");
        }
        // Limits that nothing keeps: the study is made, its supernets are not trained to the end of time.
        let study = dir.path().join(name);
        let line = format!(
            "search PATH --preset={name} {SMALL} --supernet-epochs 1 --warm-epochs 0 --params 1"
        );
        let line = match study_words.iter().any(|w| w.starts_with("warm_epochs")) {
            true => line.replace(" --warm-epochs 0", ""),
            false => line,
        };
        let output = aplysia(&line, &study);
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("exceed the limits"),
            "{name}"
        );
        let text = fs::read_to_string(study.join("study.toml")).unwrap();
        for words in study_words
            .iter()
            .chain(&["batch = 8", "images = 32", "strategy = \"darts\""])
        {
            assert!(text.contains(words), "{name}: no {words} in {text}");
        }
    }
}

#[test]
fn flags_win_over_presets_and_unknown_ones_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let study = dir.path().join("study");
    // Before or after the preset, lists and switches, too.
    let line = format!(
        "search PATH {SMALL} --rungs 1,2 --preset fashion-minutes --strategy random --space darts --trials 1 \
         --flip=false --clip-norm 1 --seed 9"
    );
    finish(&line, &study);
    let text = fs::read_to_string(study.join("study.toml")).unwrap();
    for words in [
        "seed = 9",
        "strategy = \"random\"",
        "clip_norm = 1.0",
        "flip = false",
        "lr = 0.05",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert!(
        text.replace(char::is_whitespace, "")
            .contains("budgets=[1,2]"),
        "{text}"
    );
    let list = finish("search --preset help", &study);
    assert!(
        PRESETS
            .iter()
            .all(|(name, ..)| list.contains(&format!("\n  {name} "))),
        "{list}"
    );
    let unknown = aplysia("train BIODARTS --out PATH --preset cifar11", &study);
    let errors = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        errors.contains("unknown preset `cifar11`") && errors.contains("fashion-night"),
        "{errors}"
    );
    let elsewhere = aplysia("evaluate PATH --preset cifar10", &study);
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("says nothing of `evaluate`"));
}
