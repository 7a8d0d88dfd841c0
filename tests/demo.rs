//! `aplysia demo` at a tiny budget: its figures are all there, device equals host, and the same command
//! goes on from what is made already.

use crate::program::{aplysia_binary, firmware};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BUDGET: &str = "--trials 2 --images 256 --rungs 1 --epochs 1 --train-images 512 --test-images 200 \
                      --device-images 20 --samples 20 --shifted-images 100 --seed 3";

/// What the issue of the demo promises to programs.
const KEYS: [&str; 14] = [
    "trials",
    "accuracy_float_pct",
    "accuracy_int8_pct",
    "flash_bytes",
    "ram_bytes",
    "macs",
    "instructions",
    "device_equal",
    "device_compared",
    "shift_before_pct",
    "shift_after_pct",
    "shift_labels",
    "update_instructions",
    "wall_s",
];

fn demo(out: &Path, budget: &str) -> Output {
    Command::new(aplysia_binary())
        .arg("demo")
        .arg("--out")
        .arg(out)
        .arg("--firmware")
        .arg(firmware())
        .arg("--json")
        .arg(out.with_extension("json"))
        .args(budget.split_whitespace())
        .output()
        .unwrap()
}

/// The figures of a demo that must end well, and its standard output.
fn figures(out: &Path) -> (BTreeMap<String, Value>, String) {
    let output = demo(out, BUDGET);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let json = fs::read(out.with_extension("json")).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (serde_json::from_slice(&json).unwrap(), text)
}

#[test]
fn a_tiny_demo_measures_everything_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let (first, story) = figures(&out);
    for key in KEYS {
        assert!(first[key].is_number(), "{key}: {}", first[key]);
    }
    assert_eq!(first["trials"], 2);
    assert_eq!(first["shift_labels"], 20);
    assert_eq!(
        (&first["device_equal"], &first["device_compared"]),
        (&Value::from(20), &Value::from(20))
    );
    assert_eq!(first["state_equal"], true);
    let blob = fs::read(out.join("model/model.blob")).unwrap();
    assert_eq!(first["flash_bytes"], blob.len());
    for words in [
        "2 candidates evaluated",
        "epoch   1",
        "weights trained by",
        "20 of 20 images",
        "model/card.toml",
    ] {
        assert!(story.contains(words), "no `{words}` in:\n{story}");
    }

    let made = ["study/ledger.jsonl", "study/timings.jsonl", "run/run.json"];
    let read = || made.map(|file| fs::read(out.join(file)).unwrap());
    let before = read();
    let (mut second, story) = figures(&out);
    assert_eq!(read(), before, "something was searched or trained again");
    assert!(!story.contains("epoch   1"), "{story}");
    second.insert("wall_s".into(), first["wall_s"].clone());
    assert_eq!(second, first);

    let other = demo(&out, &BUDGET.replace("--seed 3", "--seed 4"));
    let message = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1), "{message}");
    assert!(message.contains("choose another --out"), "{message}");
}
