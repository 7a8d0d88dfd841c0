//! The figures of README.md are those of the files that the commands write. Reads files only.

use crate::bench::{predictions, stored};
use aplysia_deploy::Card;
use aplysia_deploy::processor::{M0, M3, M4, M33, Processor};
use serde_json::Value;

const README: &str = include_str!("../README.md");
const FLAGSHIP: &str = include_str!("../models/fashion-mnist-m4/card.toml");
const MOST_ACCURATE: &str = include_str!("../models/fashion-mnist-usf/card.toml");
const ADAPTATION: &str = include_str!("../models/adapt/summary.json");

/// `1234567` as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let first = digits.len() % 3;
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && i % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// README has `words`, however its lines are broken.
#[track_caller]
fn told(words: &str) {
    let joined: Vec<&str> = README.split_whitespace().collect();
    assert!(
        joined.join(" ").contains(words),
        "README.md lacks `{words}`"
    );
}

/// Counted instructions of the network `name`, and their ratio to CMSIS-NN's.
fn counted(processor: &Processor, name: &str) -> (u64, Option<f64>) {
    let records = stored(processor);
    let record = records.iter().find(|record| record.name == name).unwrap();
    (record.instructions, record.ratio)
}

#[test]
fn networks_of_others_have_the_stored_counts() {
    for (words, name) in [
        ("image classification, ResNet8", "resnet8.tflite"),
        ("keyword spotting, DS-CNN", "ds_cnn.tflite"),
        ("anomaly detection, autoencoder", "autoencoder.tflite"),
        ("shapes of visual wake words, MobileNetV1", "vww"),
        ("the same with as many filters of zeros", "vww_dead"),
    ] {
        let cells = [M4, M33, M3, M0].map(|processor| {
            let (instructions, ratio) = counted(&processor, name);
            format!("{} ({:.3})", grouped(instructions), ratio.unwrap())
        });
        told(&format!("| {words} | {} |", cells.join(" | ")));
    }
    let worst = predictions()
        .iter()
        .fold(0.0, |w, p| p.error_pct().abs().max(w));
    told(&format!(
        "networks of 50 random genotypes within {worst:.1} %"
    ));
}

#[test]
fn models_of_ours_have_the_figures_of_their_cards() {
    let card = Card::from_toml(FLAGSHIP).unwrap();
    let (costs, accuracy) = (card.costs, card.accuracy);
    let (instructions, _) = counted(&M4, "fashion-mnist-m4");
    let (mean, std) = (accuracy.int8_mean_pct, accuracy.int8_std_pct);
    told(&format!("int8, mean of 3 seeds | {mean:.2} % ± {std:.2} |"));
    let [flash, ram, macs] = [costs.flash_bytes, costs.ram_bytes, costs.macs].map(grouped);
    told(&format!(
        "flash (blob) / RAM (arena) | {flash} B / {ram} B |"
    ));
    let per_mac = instructions as f64 / costs.macs as f64;
    told(&format!(
        "{macs} MACs, {} instructions on an emulated Cortex-M4 ({per_mac:.2} per MAC)",
        grouped(instructions)
    ));

    let card = Card::from_toml(MOST_ACCURATE).unwrap();
    let (costs, accuracy) = (card.costs, card.accuracy);
    let (instructions, _) = counted(&M4, "fashion-mnist-usf");
    let (mean, std) = (accuracy.int8_mean_pct, accuracy.int8_std_pct);
    told(&format!(
        "{mean:.2} % ± {std:.2} int8 (3 seeds) with {} B of flash, {} B of RAM and {} instructions",
        grouped(costs.flash_bytes),
        grouped(costs.ram_bytes),
        grouped(instructions)
    ));
}

#[test]
fn adaptation_has_the_figures_of_its_bench() {
    let summary: Value = serde_json::from_str(ADAPTATION).unwrap();
    let rows = summary["rows"].as_array().unwrap();
    let after = |method: &str| {
        let row = rows.iter().find(|row| row["method"] == method).unwrap();
        row["shifted_pct"][2].as_f64().unwrap()
    };
    told(&format!(
        "| {:.1} %, {:.1} %, {:.1} % |",
        after("none"),
        after("homeostasis 5"),
        after("homeostasis 5 + instar 4")
    ));
    told(&format!(
        "| {:.1} %; {:.1} % |",
        after("float batch norm re-estimated"),
        after("float last layer, rate 0.02")
    ));
}
