//! The stored counts of the emulated devices: measured again, equal bits, and what the cost model says.
//!
//! It owns the tolerances and the targets, shares of CMSIS-NN's instructions that a layer may take. `cargo xtask
//! bench-device` and `bench-genotypes` write the counts anew. Of the processors beside the Cortex-M4, whole networks
//! are measured again, on those whose program is built.

use aplysia_deploy::bench::{CASES, GENOTYPES, Prediction, Record};
use aplysia_deploy::bench::{cases, extreme_sample, sample, smallest, square_sample, wide_sample};
use aplysia_deploy::bench::{measure, narrow_sample, predict, record};
use aplysia_deploy::pair::pair;
use aplysia_deploy::processor::{M0, M3, M4, M7, M33, PROCESSORS, Processor};
use aplysia_shared::blob::field;
use aplysia_shared::{Model, include_blob};
use std::path::PathBuf;

/// Relinking moves copies in memory by a few bytes.
const TOLERANCE: f64 = 0.005;
/// Largest relative error of the cost model over the cases.
const MODEL_ERROR: f64 = 0.03;
const FLAGSHIP: &[u8] = include_blob!("../models/fashion-mnist-m4/model.blob");

/// The records that `cargo xtask bench-device` wrote.
pub(crate) fn stored(processor: &Processor) -> Vec<Record> {
    let text = match *processor {
        M4 => include_str!("../models/bench/m4.json"),
        M7 => include_str!("../models/bench/m7.json"),
        M33 => include_str!("../models/bench/m33.json"),
        M3 => include_str!("../models/bench/m3.json"),
        M0 => include_str!("../models/bench/m0.json"),
        _ => panic!("no counts of {}", processor.name),
    };
    serde_json::from_str(text).unwrap()
}

/// The predictions that `cargo xtask bench-genotypes` wrote.
pub(crate) fn predictions() -> Vec<Prediction> {
    serde_json::from_str(include_str!("../models/bench/genotypes.json")).unwrap()
}

/// The program that counts, beside that of the device.
fn program(processor: &Processor) -> PathBuf {
    let elf = crate::program::firmware();
    let built = elf.ancestors().nth(3).unwrap();
    built.join(processor.target).join("release/bench")
}

/// Layers of random shapes and constants on every processor whose program is built.
#[test]
fn random_layers_have_the_hosts_bits() {
    for processor in &PROCESSORS {
        let elf = program(processor);
        let seeds = if elf.is_file() { 0..120 } else { 0..0 };
        let blobs = seeds
            .clone()
            .map(sample)
            .chain(seeds.clone().take(30).map(wide_sample))
            .chain(seeds.clone().take(60).map(narrow_sample))
            .chain(seeds.clone().take(60).map(extreme_sample))
            .chain(seeds.take(60).map(square_sample));
        for (seed, blob) in blobs.enumerate() {
            let blob = blob.unwrap();
            let paired = pair(&blob).unwrap();
            let forms = if paired == blob { 1 } else { 2 };
            for blob in [blob, paired].iter().take(forms) {
                let measured = measure(processor, &elf, blob).unwrap();
                assert!(measured.exact, "seed {seed} on {}", processor.name);
            }
        }
    }
}

/// Layers that older runtimes refuse ask for a runtime that has them, no others do.
#[test]
fn wide_layers_ask_for_a_newer_runtime() {
    let cases = [
        ("conv3x3_8x8x64_64", false),
        ("conv3x3_8x8x128_128", true),
        ("conv3x3_16x16x22_32", true),
        ("pw_7x7x64_64", false),
        ("pw_7x7x70_64", true),
        ("fc_640_128", false),
        ("fc_2048_64", true),
    ];
    for (name, wide) in cases {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let blob = case.blob(&M4).unwrap();
        assert_eq!(blob[field::MIN_ABI..][..2] == [6, 0], wide, "{name}");
        // More than 1024 depths are not paired.
        let paired = pair(&blob).unwrap() != blob;
        assert_eq!(paired, name == "fc_640_128", "{name}");
    }
}

/// A blob for a smaller processor runs on an M4 as the cost model says.
#[test]
fn paired_weights_run_on_an_m4() {
    for name in ["fc_64_10", "fc_640_128", "autoencoder.tflite"] {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let blob = case.blob(&M3).unwrap();
        let measured = measure(&M4, &program(&M4), &blob).unwrap();
        assert!(measured.exact, "{name}");
        let model = Model::parse(&blob).unwrap();
        let (counted, predicted) = match case.whole {
            true => (measured.layers.iter().sum(), model.instructions()),
            false => (measured.layers[0], model.layer_cost(0).instructions),
        };
        eprintln!("{name}, paired, on an M4: {counted}, predicted {predicted}");
        let error = predicted as f64 / counted as f64 - 1.0;
        assert!(error.abs() <= MODEL_ERROR, "{name}: {:.1} %", 100.0 * error);
    }
}

#[test]
fn counts_are_the_stored_ones() {
    for processor in &PROCESSORS {
        let stored = stored(processor);
        let n = cases(processor).count();
        assert_eq!(stored.len(), n, "{}", processor.name);
        let elf = program(processor);
        if *processor != M4 && !elf.is_file() {
            eprintln!("{} left out: no program {}", processor.name, elf.display());
            continue;
        }
        for (case, stored) in cases(processor).zip(stored) {
            if case.whole || *processor == M4 {
                let now = record(processor, &elf, case).unwrap();
                check(processor, &now, &stored);
            }
        }
    }
}

fn check(processor: &Processor, now: &Record, stored: &Record) {
    let name = format!("{} on {}", now.name, processor.name);
    assert!(now.exact, "{name}: the device computes other bits");
    let change = now.instructions as f64 / stored.instructions as f64 - 1.0;
    assert!(
        change.abs() <= TOLERANCE,
        "{name}: {} instructions, stored are {}; if that is meant, run `cargo xtask bench-device`",
        now.instructions,
        stored.instructions
    );
    assert_eq!(
        (&now.name, now.macs, now.cmsis_nn, now.predicted),
        (&stored.name, stored.macs, stored.cmsis_nn, stored.predicted)
    );
}

/// A layer of one value takes little but the interpreter's work around it and two readings of the timer:
/// no more than that is lost by each layer of the flagship.
#[test]
fn the_interpreter_takes_two_percent_at_most() {
    let elf = program(&M4);
    let one = measure(&M4, &elf, &smallest().unwrap()).unwrap().layers[0];
    let flagship = measure(&M4, &elf, FLAGSHIP).unwrap().layers;
    let (n, all) = (flagship.len() as u64, flagship.iter().sum::<u64>());
    let share = (one * n) as f64 / all as f64;
    eprintln!("flagship: {all} instructions in {n} layers, at most {one} each for the interpreter");
    assert!(share <= 0.02, "{n} layers of {one} in {all} instructions");
}

#[test]
fn the_cost_model_predicts_the_counts() {
    for r in stored(&M4) {
        let error = r.predicted.unwrap() as f64 / r.instructions as f64 - 1.0;
        assert!(
            error.abs() <= MODEL_ERROR,
            "{}: {:.1} %",
            r.name,
            100.0 * error
        );
    }
}

#[test]
fn the_cost_model_predicts_networks_of_random_genotypes() {
    let stored = predictions();
    assert_eq!(stored.len() as u64, GENOTYPES);
    for p in &stored {
        let error = p.error_pct();
        assert!(
            p.exact && error.abs() <= 100.0 * MODEL_ERROR,
            "{}: {error:.2} %",
            p.name
        );
    }
    // Two of each space.
    for i in [6, 8, 9, 30, 43, 49] {
        let (now, stored) = (predict(&program(&M4), i).unwrap(), &stored[i as usize]);
        let change = now.instructions as f64 / stored.instructions as f64 - 1.0;
        assert!(
            now.exact && change.abs() <= TOLERANCE,
            "{}: {} instructions, stored are {}; if that is meant, run `cargo xtask bench-genotypes`",
            now.name,
            now.instructions,
            stored.instructions
        );
        assert_eq!((&now.name, now.predicted), (&stored.name, stored.predicted));
    }
}

/// At most this share of CMSIS-NN's instructions, for rows that begin so, the first that fits; none where no target was
/// set.
const TARGETS: [(&str, Option<f64>); 21] = [
    // No target was set: what it comes to.
    ("conv3x3_32x32x16_16_winograd", Some(0.23)),
    ("conv3x3_8x8x64_64_winograd", Some(0.22)),
    ("resnet8_winograd", Some(0.27)),
    // Missed: what they come to at most.
    ("dw3x3_7x7x64_s2", Some(0.365)),
    ("conv10x4_49x10x1_64_s2", Some(0.305)),
    // One or three input channels.
    ("conv3x3_28x28x1_", Some(0.25)),
    ("conv3x3_32x32x3_", Some(0.35)),
    ("conv3x3_96x96x3_", Some(0.35)),
    ("conv", Some(0.46)),
    ("pw", Some(0.46)),
    ("dw3x3_14x14x32_d2", Some(0.10)),
    ("dw3x3", Some(0.30)),
    ("dw5x5", Some(0.25)),
    // Fewer than 128 inputs.
    ("fc_64_10", None),
    ("fc", Some(0.50)),
    ("add", Some(0.25)),
    ("resnet8", Some(0.40)),
    ("vww", Some(0.40)),
    ("ds_cnn", Some(0.40)),
    ("autoencoder", Some(0.50)),
    // Pools.
    ("", Some(0.35)),
];

#[test]
fn the_stored_counts_meet_the_targets() {
    let held = |r: &Record, limit: Option<f64>, on: &str| {
        if let (Some(ratio), Some(limit)) = (r.ratio, limit) {
            assert!(
                ratio <= limit,
                "{} on {on}: {ratio}, at most {limit}",
                r.name
            );
        }
    };
    for r in stored(&M4) {
        let (_, limit) = TARGETS
            .iter()
            .find(|(name, _)| r.name.starts_with(name))
            .unwrap();
        held(&r, *limit, "M4");
    }
    let smaller = [M3, M0]
        .iter()
        .flat_map(|p| cases(p).map(move |case| (case, p)));
    for (case, processor) in smaller {
        let stored = stored(processor);
        let r = stored.iter().find(|r| r.name == case.name).unwrap();
        // In the least RAM a network may take more.
        let limit = case.whole && !r.name.ends_with("_least");
        held(r, limit.then_some(0.60), processor.name);
    }
}
