//! The stored counts of the emulated device: measured again, equal bits, and what the cost model says.
//!
//! It owns the tolerances. `cargo xtask bench-device` writes the counts anew.

use aplysia_deploy::bench::{CASES, Record, record};

/// Relinking moves copies in memory by a few bytes.
const TOLERANCE: f64 = 0.005;
/// Largest relative error of the cost model over the cases.
const MODEL_ERROR: f64 = 0.08;

fn stored() -> Vec<Record> {
    serde_json::from_str(include_str!("../models/bench/m4.json")).unwrap()
}

#[test]
fn counts_are_the_stored_ones() {
    let elf = crate::program::firmware().with_file_name("bench");
    let stored = stored();
    assert_eq!(stored.len(), CASES.len());
    for (case, stored) in CASES.iter().zip(stored) {
        let now = record(&elf, case).unwrap();
        assert!(now.exact, "{}: the device computes other bits", now.name);
        let change = now.instructions as f64 / stored.instructions as f64 - 1.0;
        assert!(
            change.abs() <= TOLERANCE,
            "{}: {} instructions, stored are {}; if that is meant, run `cargo xtask bench-device`",
            now.name,
            now.instructions,
            stored.instructions
        );
        assert_eq!(
            (now.name, now.macs, now.predicted),
            (stored.name, stored.macs, stored.predicted)
        );
    }
}

#[test]
fn the_cost_model_predicts_the_counts() {
    for r in stored() {
        let error = r.predicted as f64 / r.instructions as f64 - 1.0;
        assert!(
            error.abs() <= MODEL_ERROR,
            "{}: {:.1} %",
            r.name,
            100.0 * error
        );
    }
}
