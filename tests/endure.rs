//! How long the tests of endurance run and what they saw, kept in a file: `cargo xtask endure`.
//!
//! It owns the variables that the command sets: `APLYSIA_ENDURE_TIMES`, how often; `APLYSIA_ENDURE_FILE`, where what
//! was seen is kept; `APLYSIA_ENDURE_PROGRAM`, the commit that the device's program is of.

use aplysia_shared::protocol::VERSION;
use serde_json::{Map, Value, json};
use std::env;
use std::fs;
use std::time::Instant;

/// How often to do what a test run does `few` times.
pub(crate) fn times(few: u32) -> u32 {
    let told = env::var("APLYSIA_ENDURE_TIMES");
    told.map_or(few, |text| text.parse().expect("APLYSIA_ENDURE_TIMES"))
}

/// Keeps the counts `saw` as those of the run `name`, if there is a file for them; other runs in it stay.
pub(crate) fn keep(name: &str, started: Instant, saw: &[(&str, u64)]) {
    let Some(file) = env::var_os("APLYSIA_ENDURE_FILE") else {
        return;
    };
    let mut runs: Map<String, Value> = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => Map::new(),
    };
    let mut run = json!({
        "command": format!("cargo xtask endure {name}"),
        "program": env::var("APLYSIA_ENDURE_PROGRAM").ok(),
        "protocol": VERSION,
        "seconds": started.elapsed().as_secs(),
    });
    for &(what, n) in saw {
        run[what] = n.into();
    }
    runs.insert(name.into(), run);
    let text = serde_json::to_string_pretty(&runs).unwrap();
    fs::write(&file, text + "\n").unwrap();
}
