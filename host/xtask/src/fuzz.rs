//! Attacks: the coverage-guided fuzzer with what it needs, and its replacement on a stable toolchain.
//!
//! Owns how the fuzzer is built and called (libFuzzer's options). Targets are the files of
//! `tests/fuzz/corpus`; what they check is in `tests/attack`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;
use crate::options::{Limit, Options};
use crate::tree::{Tree, cargo, on_path};

/// A pass over every target without a limit lasts some minutes.
const SECONDS: Limit = Limit::Seconds(60);
/// Longest input; a longer one finds nothing that this does not, and slower.
const MAX_BYTES: usize = 4096;
/// What `cargo fuzz` gives the compiler: address sanitizer, coverage, compared values.
const RUSTFLAGS: &str = "-Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

/// Runs one target, or all in turn.
///
/// # Errors
/// No such target, a build that fails, or a finding.
pub(crate) fn run(tree: &Tree, options: &Options) -> Result<()> {
    let all = targets(tree)?;
    let chosen: Vec<&String> = match &options.target {
        None => all.iter().collect(),
        Some(name) => all.iter().filter(|target| *target == name).collect(),
    };
    if chosen.is_empty() {
        bail!("no such target; there are {}", all.join(", "));
    }
    let limit = options.limit.unwrap_or(SECONDS);
    if let Some(missing) = missing() {
        eprintln!(
            "{missing}: without it there is no coverage to guide the fuzzer; the tests' own seeded \
             mutations run instead"
        );
        return chosen
            .into_iter()
            .try_for_each(|name| mutations(tree, name, limit));
    }
    let fuzzer = build(tree)?;
    chosen
        .into_iter()
        .try_for_each(|name| guided(tree, &fuzzer, name, limit, options.keep))
}

fn crate_dir(tree: &Tree) -> PathBuf {
    tree.root().join("tests/fuzz")
}

fn targets(tree: &Tree) -> Result<Vec<String>> {
    let folder = crate_dir(tree).join("corpus");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = entries
        .map(|entry| {
            let file = entry?.path();
            let name = file.file_stem().unwrap_or_default();
            Ok(name.to_string_lossy().into_owned())
        })
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// What the guided fuzzer lacks here, and how it is brought.
fn missing() -> Option<&'static str> {
    if !on_path("rustup") || command::output(nightly("rustc").arg("--version")).is_err() {
        return Some("no nightly Rust (rustup toolchain install nightly --profile minimal)");
    }
    (!on_path("c++")).then_some("no C++ compiler for libFuzzer (Debian: apt-get install g++)")
}

fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    // Set by the stable cargo that started this program.
    command.env_remove("RUSTC").env_remove("CARGO");
    command
}

fn build(tree: &Tree) -> Result<PathBuf> {
    let verbose = command::output(nightly("rustc").arg("-vV"))?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc names no host")?;
    let target_dir = tree.fuzz_target();
    let mut cargo = nightly("cargo");
    // With a target, so that the flags reach no build script.
    cargo.args(["build", "--release", "--target", host]);
    cargo
        .current_dir(crate_dir(tree))
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTFLAGS", RUSTFLAGS);
    command::run(&mut cargo)?;
    Ok(target_dir.join(host).join("release/fuzz"))
}

fn guided(tree: &Tree, fuzzer: &Path, name: &str, limit: Limit, keep: bool) -> Result<()> {
    let folder = |kind: &str| -> Result<PathBuf> {
        let folder = tree.fuzz_target().join(kind).join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let (work, seeds, found) = (folder("work")?, folder("seeds")?, folder("findings")?);
    let repaired = crate_dir(tree).join("findings").join(name);
    let mut inputs = vec![&work, &seeds];
    inputs.extend(repaired.is_dir().then_some(&repaired));
    let call = || {
        let mut call = Command::new(fuzzer);
        call.env("APLYSIA_FUZZ_TARGET", name)
            .env("APLYSIA_FUZZ_SEEDS", &seeds);
        call.arg(format!("-max_len={MAX_BYTES}"));
        call.arg(format!("-artifact_prefix={}/", found.display()));
        call
    };
    let mut search = call();
    search.arg(match limit {
        Limit::Seconds(n) => format!("-max_total_time={n}"),
        Limit::Runs(n) => format!("-runs={n}"),
    });
    // Ten minutes for one input, for machines under load; the memory that a small file may cost.
    search.args(["-timeout=600", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    command::run(search.args(&inputs)).with_context(|| {
        format!(
            "a finding of `{name}` is in {}: put it into {} once it is repaired",
            found.display(),
            repaired.display()
        )
    })?;
    if keep {
        let least = folder("least")?;
        fs::remove_dir_all(&least)?;
        fs::create_dir(&least)?;
        // Every edge once: counts of executions would keep ten times as many bytes.
        let mut merge = call();
        merge.args(["-set_cover_merge=1", "-use_counters=0"]);
        command::run(merge.arg(&least).args(&inputs))?;
        command::run(call().env("APLYSIA_FUZZ_KEEP", &least))?;
    }
    Ok(())
}

/// The short runs of the tests, made long.
fn mutations(tree: &Tree, name: &str, limit: Limit) -> Result<()> {
    let mut tests = tests(tree, "smoke::");
    match limit {
        Limit::Seconds(n) => tests.env("APLYSIA_FUZZ_SECONDS", n.to_string()),
        Limit::Runs(n) => tests.env("APLYSIA_FUZZ_RUNS", n.to_string()),
    };
    command::run(tests.env("APLYSIA_FUZZ_TARGET", name))
}

/// The tests whose names have `filter` in them, one after the other.
pub(crate) fn tests(tree: &Tree, filter: &str) -> Command {
    let mut command = Command::new(cargo());
    // The whole workspace, as the test run builds it: nothing is built twice.
    command.args(["test", "--release", "--workspace", "--test", "all", filter]);
    command.args(["--", "--nocapture", "--test-threads=1"]);
    command.current_dir(tree.root());
    command
}
