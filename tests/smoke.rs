//! Short runs of every target of [`crate::attack`]: the kept inputs and the seeds, then seeded mutations
//! of both. `APLYSIA_FUZZ_RUNS` or `APLYSIA_FUZZ_SECONDS` make them long,
//! `APLYSIA_FUZZ_TARGET` leaves one of them.
//!
//! It owns the mutations that need no compiler support. An input that panics is kept in the folder for
//! temporary files and named.

use crate::attack::{TARGETS, Target, kept, target};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest input.
const MAX_BYTES: usize = 4096;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The inputs kept for `name`: for their coverage, and for what they once found.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let mut inputs = kept::read(&folder().join("corpus").join(name).with_extension("gz")).unwrap();
    let findings = fs::read_dir(folder().join("findings").join(name));
    let mut files: Vec<_> = findings
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    inputs.extend(files.iter().map(|file| fs::read(file).unwrap()));
    inputs
}

fn run(target: Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let mut file = tempfile::NamedTempFile::with_prefix(target.name).unwrap();
        file.write_all(input).unwrap();
        let (_, path) = file.keep().unwrap();
        panic!("{}: the input is {}", target.name, path.display());
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect(variable))
}

/// Kept inputs and seeds, then mutations: `runs` of them, or what the environment asks for.
fn attack(name: &str, runs: u64) {
    if std::env::var("APLYSIA_FUZZ_TARGET").is_ok_and(|chosen| chosen != name) {
        return;
    }
    let target = target(name);
    let mut inputs = (target.seeds)();
    inputs.extend(kept(name));
    for input in &inputs {
        run(target, input);
    }
    let seconds = number("APLYSIA_FUZZ_SECONDS").map(Duration::from_secs);
    let runs =
        number("APLYSIA_FUZZ_RUNS").unwrap_or(if seconds.is_some() { u64::MAX } else { runs });
    let start = Instant::now();
    let mut rng = ChaCha8Rng::seed_from_u64(runs);
    let mut done = 0;
    while done < runs && seconds.is_none_or(|limit| start.elapsed() < limit) {
        run(target, &mutant(&inputs, &mut rng));
        done += 1;
    }
    println!(
        "{name}: {} kept or seeds, {done} mutations, no finding",
        inputs.len()
    );
}

/// One of `inputs` with a few changes.
fn mutant(inputs: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input = inputs[rng.random_range(0..inputs.len())].clone();
    for _ in 0..rng.random_range(1..=6) {
        let at = rng.random_range(0..=input.len());
        let n = rng.random_range(0..=8.min(input.len() - at));
        match rng.random_range(0..7) {
            0 | 1 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            2 if at < input.len() => input[at] = rng.random(),
            3 if at < input.len() => {
                let extremes = [0, 1, 0x7F, 0x80, 0xFF];
                input[at] = extremes[rng.random_range(0..extremes.len())];
            }
            4 => drop(input.drain(at..at + n)),
            5 => {
                let copy = input[at..at + n].to_vec();
                input.splice(at..at, copy);
            }
            _ => {
                let other = &inputs[rng.random_range(0..inputs.len())];
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(0..64)).min(other.len());
                input.splice(at..at + n, other[from..to].iter().copied());
            }
        }
    }
    input.truncate(MAX_BYTES);
    input
}

#[test]
fn no_bytes_break_the_blob_parser() {
    attack("blob", 10_000);
}

#[test]
fn no_flash_content_breaks_the_store() {
    attack("flash", 5_000);
}

#[test]
fn no_file_breaks_the_import() {
    attack("import", 5_000);
}

#[test]
fn no_bytes_on_the_line_break_device_or_host() {
    attack("protocol", 5_000);
}

#[test]
fn no_content_of_model_slots_breaks_an_update() {
    attack("update", 1_000);
}

#[test]
fn every_target_has_kept_inputs_and_nothing_else_has() {
    let names = TARGETS.map(|target| target.name);
    let stems = |part: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder().join(part)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        paths.map(stem).collect()
    };
    assert_eq!(stems("corpus"), names.map(String::from).into());
    assert!(
        stems("findings")
            .iter()
            .all(|name| names.contains(&name.as_str()))
    );
}

#[test]
fn kept_inputs_are_read_back_and_a_cut_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    kept::write(file.path(), vec![vec![7; 300], vec![], vec![1]]).unwrap();
    let inputs = kept::read(file.path()).unwrap();
    assert_eq!(inputs, [vec![], vec![1], vec![7; 300]]);
    let whole = fs::read(file.path()).unwrap();
    fs::write(file.path(), &whole[..whole.len() - 1]).unwrap();
    assert!(kept::read(file.path()).is_err());
    assert!(kept::write(file.path(), vec![vec![0; 1 << 16]]).is_err());
}
