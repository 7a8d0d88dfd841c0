//! `aplysia`: the command line. Wires the stages together and owns nothing else.
//!
//! Invariant: no mathematics here. `anyhow` lives here (and in xtask) only; libraries have typed
//! errors. Exit codes: 0 done, 1 failed, 2 asked for something this machine lacks (or bad usage),
//! 130 interrupted, after saving what can be saved.

#[macro_use]
mod output;

mod adapt_bench;
mod args;
mod blob;
mod board;
mod call;
mod demo;
mod device;
mod doctor;
mod evaluate;
mod export;
mod genotype;
mod golden;
mod images;
mod import;
mod inspect;
mod int8;
mod lines;
mod pools;
mod preset;
mod progress;
mod report;
mod robust;
mod run;
mod run_folder;
mod samples;
mod search;
mod sign;
mod study;
mod train;

use aplysia_learn::LearnError;
use args::{Cli, Command};
use clap::CommandFactory;
use std::io::Write;
use std::process::ExitCode;

/// What a command ended with, apart from errors.
pub(crate) enum Outcome {
    /// All done.
    Done,
    /// Ctrl-C: everything was saved, the command can be resumed.
    Interrupted,
    /// Ctrl-C: there was nothing to save.
    Cancelled,
    /// The machine lacks what was asked for; the message is printed already.
    Lacking,
}

fn main() -> ExitCode {
    // `aplysia … | head` ends quietly, like any other program of a pipeline.
    sigpipe::reset();
    let cli = match preset::expand(std::env::args_os().collect()) {
        Ok(Some(line)) => args::parse(line).unwrap_or_else(|e| e.exit()),
        Ok(None) => return ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            return ExitCode::from(2);
        }
    };
    let result = match cli.command {
        Command::Demo(a) => demo::run(&a),
        Command::Search(a) => search::run(&a),
        Command::Train(a) => train::run(&a),
        Command::Evaluate(a) => evaluate::run(&a),
        Command::Export(a) => export::run(&a),
        Command::Golden(a) => golden::run(&a),
        Command::Import(a) => import::run(&a),
        Command::Inspect(a) => inspect::run(&a),
        Command::Run(a) => run::run(&a),
        Command::Report(a) => report::run(&a),
        Command::Device(c) => device::run(&c),
        Command::Key(c) => sign::key(&c),
        Command::Model(c) => sign::model(&c),
        Command::AdaptBench(a) => adapt_bench::run(&a),
        Command::Study(c) => study::run(&c),
        Command::Doctor => doctor::run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "aplysia", &mut script);
            output::or_end(std::io::stdout().write_all(&script));
            Ok(Outcome::Done)
        }
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Lacking) => ExitCode::from(2),
        Ok(Outcome::Cancelled) => {
            eprintln!("interrupted: nothing was saved");
            ExitCode::from(130)
        }
        Ok(Outcome::Interrupted) => {
            eprintln!("interrupted: everything so far is saved");
            ExitCode::from(130)
        }
        Err(e) => {
            eprintln!("error: {e:#}");
            let lacking = matches!(
                e.downcast_ref(),
                Some(LearnError::NoCuda(_) | LearnError::NoWgpu(_))
            ) || e.downcast_ref().is_some_and(device::is_lacking);
            match lacking {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}
