//! `cargo xtask`: set-up, firmware build, demo and the whole test run, by one command each.
//!
//! Owns the order of the steps and how each outside tool (cargo, rustup, apt-get) is called. Must
//! not know what a model or a learning rule is: it never links another crate of the workspace, so
//! that it builds in seconds on a fresh machine, before anything else does.
//!
//! Flow: [`options`] parses the command line, [`setup`] brings what is missing, [`firmware`]
//! builds the device program, [`gate`] runs every check, [`fuzz`] attacks, [`endure`] does so for hours; each step's
//! outcome goes to a [`report`].

mod command;
mod endure;
mod firmware;
mod fuzz;
mod gate;
mod options;
mod report;
mod setup;
mod tree;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::options::{HELP, Options, Task};
use crate::report::Report;
use crate::tree::Tree;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("xtask: {error:#}\n\n{HELP}");
            return Ok(ExitCode::from(2));
        }
    };
    let mut report = Report::default();
    match options.task {
        Task::Help => print!("{HELP}"),
        Task::Setup => {
            setup::run(&Tree::find()?, &options, &mut report);
            return Ok(report.finish());
        }
        Task::Firmware => {
            let tree = Tree::find()?;
            firmware::build_other_forms(&tree)?;
            println!("{}", firmware::build(&tree)?.display());
        }
        Task::Fuzz => fuzz::run(&Tree::find()?, &options)?,
        Task::Endure => endure::run(&Tree::find()?, &options)?,
        Task::BenchDevice => bench_device(&Tree::find()?)?,
        Task::BenchGenotypes => {
            firmware::build(&Tree::find()?)?;
            measure(&Tree::find()?, "bench_genotypes")?;
        }
        Task::BenchTrain => bench_train(&Tree::find()?, &options)?,
        Task::Test => {
            gate::run(&Tree::find()?, &options, &mut report)?;
            return Ok(report.finish());
        }
        Task::Demo => return demo(&Tree::find()?, &options, report),
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the bench firmware for every target that is installed and has `deploy` measure with it.
fn bench_device(tree: &Tree) -> Result<()> {
    firmware::build(tree)?;
    for target in firmware::CHECK_TARGETS {
        if firmware::has_core(target) {
            firmware::build_others(tree, target)?;
        } else {
            eprintln!(
                "{target} left out: its `core` is not installed (`rustup target add {target}`)"
            );
        }
    }
    measure(tree, "bench_device")
}

/// Has an example of `deploy` measure with the bench firmware that is built and write `models/bench`.
fn measure(tree: &Tree, example: &str) -> Result<()> {
    let mut cargo = Command::new(tree::cargo());
    cargo.args(["run", "--release", "--package", "aplysia-deploy"]);
    cargo.args(["--example", example, "--"]);
    cargo.current_dir(tree.root());
    command::run(cargo.arg(tree.firmware_target()).arg("models/bench"))
}

/// The PyTorch that is measured against.
const PYTORCH: &str = "torch==2.11.0";

/// Times training here and in PyTorch, which goes into a virtual environment beside the build.
fn bench_train(tree: &Tree, options: &Options) -> Result<()> {
    let environment = tree.pytorch();
    let python = environment.join("bin/python");
    let has = |module| {
        let mut look = Command::new(&python);
        look.args(["-c", &format!("import {module}")]);
        look.output().is_ok_and(|output| output.status.success())
    };
    if !has("torch") {
        command::run(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )
        .context("PyTorch needs Python with `venv`: apt-get install python3-venv")?;
        let mut pip = Command::new(&python);
        command::run(pip.args(["-m", "pip", "install", "--quiet", PYTORCH, "numpy"]))?;
    }
    // As the tests build it, so that burn is built once.
    let mut cargo = Command::new(tree::cargo());
    cargo.args([
        "build",
        "--release",
        "--workspace",
        "--bin",
        "aplysia-bench",
    ]);
    for gpu in ["cuda", "wgpu"] {
        if options.rest.iter().any(|arg| arg == gpu) {
            cargo.args(["--features", &format!("aplysia-bench/{gpu}")]);
        }
    }
    command::run(cargo.current_dir(tree.root()))?;
    let mut bench = Command::new(tree.train_bench());
    bench.args(["compare", "--python"]).arg(&python);
    command::run(bench.args(&options.rest).current_dir(tree.root()))
}

/// Set-up and firmware, then becomes `aplysia demo`: its exit code and its way of handling Ctrl-C
/// reach the caller unchanged.
fn demo(tree: &Tree, options: &Options, mut report: Report) -> Result<ExitCode> {
    setup::run(tree, options, &mut report);
    if report.failed() {
        return Ok(report.finish());
    }
    if !tree.has_firmware() {
        bail!(
            "{} is missing: the demo needs the device program",
            tree.firmware_manifest().display()
        );
    }
    let elf = firmware::build(tree)?;
    let mut cargo = Command::new(tree::cargo());
    cargo.args([
        "run",
        "--release",
        "--package",
        "aplysia",
        "--manifest-path",
    ]);
    cargo.arg(tree.root().join("Cargo.toml"));
    cargo
        .args(["--", "demo", "--firmware"])
        .arg(elf)
        .args(&options.rest);
    command::announce(&cargo);
    Err(cargo.exec()).context("could not start cargo")
}
