//! `aplysia study`.

use super::{DataArgs, at_least_one};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum StudyCommand {
    /// Searched mixes of learning rules against single rules, random assignments and back-propagation:
    /// accuracy, robustness, alignment, variance of the gradient, the emulated device. Resumable.
    #[command(
        after_help = "Examples:\n  aplysia study paper studies/smoke --size smoke\n  \
                      aplysia study paper studies/paper --size full --results models/paper"
    )]
    Paper(PaperArgs),
}

#[derive(Args)]
pub(crate) struct PaperArgs {
    /// Working folder: searches, runs, units.jsonl. The same command goes on; other settings may be added to it.
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// `smoke` (75 s of one core), `small` (under two hours of two cores), `full` (days), or a file like
    /// `host/presets/paper-small.toml`.
    #[arg(long, value_name = "NAME|FILE", default_value = "small")]
    pub(crate) size: String,
    /// Folder to write: README.md, summary.json, settings.toml, figures [default: `results` in the working
    /// folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
    /// Program of the emulated board [default: $APLYSIA_FIRMWARE, else what `cargo xtask firmware` builds].
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// Threads; the results do not depend on them.
    #[arg(long, default_value_t = 2, value_parser = at_least_one)]
    pub(crate) threads: usize,
}
