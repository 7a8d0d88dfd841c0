//! How fast training is: images/s of forward, backward and optimizer step, against the same network and
//! rule in PyTorch.
//!
//! Owns the two networks that are timed, the twin in `pytorch.py`, and the tables
//! `models/bench/train-DEVICE.{json,md}`. Must not know how a rule is computed: it runs [`train`] and the
//! search by supernet as the program does, and looks at the clock between steps.
//!
//! Flow: `compare` starts this program and `pytorch.py` in turn, one process per measurement, so that
//! each has its own peak of memory and shares the machine's good and bad moments.
//!
//! [`train`]: aplysia_learn::train()

mod compare;
mod measure;
mod networks;

use anyhow::Result;
use aplysia_space::Rule;
use clap::{Args, Parser, Subcommand};

/// Training speed, alone or against PyTorch.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the graph of a network as JSON.
    Graph(Subject),
    /// Train a network for a while and print one line of JSON.
    Train {
        #[command(flatten)]
        subject: Subject,
        #[command(flatten)]
        how: How,
    },
    /// Search in the supernet of 22 columns (C 16, 8 cells, 32×32×3) for a while and print one line of JSON.
    Supernet {
        #[command(flatten)]
        how: How,
        /// `1 / partial` of the channels go through the candidates.
        #[arg(long, default_value_t = 1)]
        partial: usize,
    },
    /// Time every network and rule here and in PyTorch, in turn, and write both tables.
    Compare(compare::Plan),
}

#[derive(Args)]
struct Subject {
    /// `ds-cnn` or `darts`.
    network: String,
    /// Learning rule of every weighted layer.
    #[arg(default_value = "bp")]
    rule: Rule,
}

#[derive(Args, Clone)]
struct How {
    /// `cpu`, `ndarray`, `cuda` or `wgpu`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Images per step.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Steps before the clock starts.
    #[arg(long, default_value_t = 5)]
    warm: usize,
    /// Seconds of the clock; the step under way at their end still counts.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
}

fn main() -> Result<()> {
    let print = |record: measure::Record| -> Result<()> {
        println!("{}", serde_json::to_string(&record)?);
        Ok(())
    };
    match Cli::parse().command {
        Command::Graph(s) => {
            let (network, _) = networks::network(&s.network, s.rule)?;
            println!("{}", networks::graph(&network)?);
            Ok(())
        }
        Command::Train { subject, how } => print(measure::train(&subject, &how)?),
        Command::Supernet { how, partial } => print(measure::supernet(&how, partial)?),
        Command::Compare(plan) => compare::run(&plan),
    }
}
