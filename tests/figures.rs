//! The figures of README.md and models/README.md are those of the files that the commands write. Reads files only.

use crate::bench::{predictions, stored};
use aplysia_deploy::processor::{M0, M3, M4, M33, Processor};
use aplysia_deploy::{Card, Costs};
use aplysia_shared::Model;
use serde_json::Value;
use std::fs;

const README: &str = include_str!("../README.md");
/// The released models: the flagship, then the most accurate ones.
const RELEASED: [&str; 3] = [
    "fashion-mnist-m4",
    "fashion-mnist-searched",
    "fashion-mnist-usf",
];
const MODELS: &str = include_str!("../models/README.md");
const ADAPTATION: &str = include_str!("../models/adapt/summary.json");
const PAPER: &str = include_str!("../models/paper/summary.json");

/// A file of the released model `name`.
fn released(name: &str, file: &str) -> Vec<u8> {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    fs::read(format!("{models}/{name}/{file}")).unwrap()
}

fn card(name: &str) -> Card {
    let text = String::from_utf8(released(name, "card.toml")).unwrap();
    Card::from_toml(&text).unwrap()
}

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

/// Arena and instructions of networks whose layers run together in the least RAM, as words.
#[test]
fn less_ram_has_the_stored_counts() {
    let records = stored(&M4);
    let of = |name: &str| records.iter().find(|record| record.name == name).unwrap();
    for (words, name) in [
        ("ResNet8", "resnet8"),
        ("shapes of visual wake words", "vww"),
    ] {
        let (alone, together) = (of(name), of(&format!("{name}_least")));
        let more = together.instructions as f64 / alone.instructions as f64 - 1.0;
        told(&format!(
            "{words} from {} to {} bytes for {:.1} % more instructions",
            grouped(alone.ram_bytes),
            grouped(together.ram_bytes),
            100.0 * more
        ));
    }
}

#[test]
fn models_of_ours_have_the_figures_of_their_cards() {
    let [name, most_accurate @ ..] = RELEASED;
    let Card {
        costs, accuracy, ..
    } = card(name);
    let (instructions, _) = counted(&M4, name);
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

    for name in most_accurate {
        let Card {
            costs, accuracy, ..
        } = card(name);
        let (instructions, _) = counted(&M4, name);
        let (mean, std) = (accuracy.int8_mean_pct, accuracy.int8_std_pct);
        told(&format!(
            "{mean:.2} % ± {std:.2} int8 (3 seeds) with {} B of flash, {} B of RAM and {} instructions",
            grouped(costs.flash_bytes),
            grouped(costs.ram_bytes),
            grouped(instructions)
        ));
    }
}

#[test]
fn cards_have_the_costs_of_their_blobs() {
    for name in RELEASED {
        let blob = released(name, "model.blob");
        let model = Model::parse(&blob).unwrap();
        assert_eq!(card(name).costs, Costs::of(&model), "{name}");
    }
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
    let image = |method: &str| {
        let all = summary["device"].as_array().unwrap();
        let counted = all.iter().find(|run| run["method"] == method).unwrap();
        counted["image"].as_f64().unwrap()
    };
    let (plain, following) = (image("none"), image("homeostasis 5"));
    let more = following - plain;
    told(&format!(
        "({} instructions) | {:.1} % |",
        grouped(more as u64),
        100.0 * more / plain
    ));
    told(&format!(
        "| {:.1} %; {:.1} % |",
        after("float batch norm re-estimated"),
        after("float last layer, rate 0.02")
    ));
}

/// Cells of the first table of models/README.md whose head begins with `head`, row by row.
#[track_caller]
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let lines = MODELS.lines().skip_while(|line| !line.starts_with(head));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
    let rows: Vec<_> = rows.map(cells).collect();
    assert!(rows.len() > 3, "models/README.md lacks `{head}`");
    rows
}

/// Every row is one of `adapt-bench`, by its name up to what is in brackets.
#[test]
fn rows_against_the_baselines_are_those_of_the_bench() {
    let summary: Value = serde_json::from_str(ADAPTATION).unwrap();
    for cells in table("| method | after 50 |") {
        let is_named = |row: &&Value| {
            let name = row["method"].as_str().unwrap();
            cells[0] == name || cells[0].starts_with(&format!("{name} ("))
        };
        let row = summary["rows"].as_array().unwrap().iter().find(is_named);
        let row = row.unwrap_or_else(|| panic!("the bench has no row `{}`", cells[0]));
        let pct = |value: &Value| {
            value
                .as_f64()
                .map_or(String::new(), |v| format!("{v:.2} %"))
        };
        let pm = |a: &Value, b: &Value| format!("{} ± {:.2}", pct(a), b.as_f64().unwrap());
        let want = [
            pct(&row["shifted_pct"][0]),
            pm(&row["shifted_pct"][2], &row["spread_pct"]),
            format!("{:.1} %", row["recovered_pct"].as_f64().unwrap()),
            pct(&row["severity_pct"][4]),
            pct(&row["clean_pct"]),
            pct(&row["noise_pct"][2]),
            pct(&row["noise_pct"][3]),
        ];
        assert_eq!(cells[1..8], want, "{}", cells[0]);
    }
}

/// Mean and sample standard deviation.
fn told_mean(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    format!("{mean:.2} % ± {:.2}", (squares / (n - 1.0)).sqrt())
}

/// Of several searches by one procedure every one counts by its mean, of one every training; random assignments by
/// the mean of each.
#[test]
fn the_studys_table_is_that_of_its_summary() {
    let evidence = &serde_json::from_str::<Value>(PAPER).unwrap()["evidence"];
    let list = |value: &Value| value.as_array().unwrap().clone();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (searches, arms) = (list(&evidence["searches"]), list(&evidence["arms"]));
    let tests = |arm: &Value| -> Vec<f64> {
        let runs = list(&arm["runs"]);
        runs.iter()
            .map(|r| r["test_pct"].as_f64().unwrap())
            .collect()
    };
    let of = |procedure: &str, wanted: &dyn Fn(&Value) -> bool, apart: bool| {
        let names = searches.iter().filter(|s| s["procedure"] == procedure);
        let names: Vec<&Value> = names.map(|s| &s["name"]).collect();
        let per = names.iter().map(|name| {
            let arms = arms
                .iter()
                .filter(|a| &a["search"] == *name && wanted(&a["kind"]));
            arms.map(tests).collect::<Vec<_>>()
        });
        let per: Vec<Vec<Vec<f64>>> = per.collect();
        let values: Vec<f64> = match (&per[..], apart) {
            ([one], true) => one.iter().map(|runs| mean(runs)).collect(),
            ([one], false) => one.concat(),
            (several, _) => several.iter().map(|s| mean(&s.concat())).collect(),
        };
        told_mean(&values)
    };
    let searched = |kind: &Value| kind == "searched";
    let rows = table("| the same genotype by |");
    assert_eq!(rows.len(), 10);
    for cells in rows {
        let procedures = ["evolution", "darts", "eg-nas"];
        let want = match cells[0] {
            "the mix as found" => procedures.map(|p| of(p, &searched, false)),
            "five random assignments, their means" => {
                procedures.map(|p| of(p, &|kind| kind.get("random").is_some(), true))
            }
            "the network searched for BP, by BP" => [
                of("bp-search", &searched, false),
                of("darts-bp", &searched, false),
                "the same".into(),
            ],
            rule => {
                let rule = rule.to_lowercase();
                procedures.map(|p| of(p, &|kind| kind["single"] == rule.as_str(), false))
            }
        };
        assert_eq!(cells[1..], want, "{}", cells[0]);
    }
}
