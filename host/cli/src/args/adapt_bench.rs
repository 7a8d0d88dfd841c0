//! The grammar of `aplysia adapt-bench`.

use super::{DataArgs, at_least_one};
use clap::{Args, ValueEnum, value_parser};
use std::path::PathBuf;

/// Parts of the protocol that need nothing but the blob.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Every corruption, severity and seed; at severity 3 wrong labels, too.
    Shifts,
    /// A, then B, then A again, at severity 3.
    Recurring,
    /// Honest teachers and liars under the guard, at severity 3.
    Guard,
    /// A, then B, A again and clean images, with domain slots and without, at severity 3.
    Slots,
    /// As `guard`, with domain slots and a sealed base, and clean images behind the stream.
    Sealed,
}

#[derive(Args)]
pub(crate) struct AdaptBenchArgs {
    /// The blob.
    #[arg(default_value = "models/fashion-mnist-m4/model.blob")]
    pub(crate) blob: PathBuf,
    /// The finished training run that the blob was exported from: with it, the baselines below the head.
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder to write: one file of finished lines per part, summary.json, README.md.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Seeds per corruption and severity: 1, 2, ...
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub(crate) seeds: u32,
    /// Shifted images to measure on, and as many clean ones.
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    pub(crate) test_images: usize,
    /// Images of a stream; 50, 100 and 300 are measured.
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(50..))]
    pub(crate) samples: u32,
    /// Severities, 1 to 5.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,2,3,4,5",
        value_parser = value_parser!(u8).range(1..=5)
    )]
    pub(crate) severities: Vec<u8>,
    /// Measure on validation images that no stream uses, to choose settings without the test images; of no use
    /// for a network that was trained `--with-validation`.
    #[arg(long)]
    pub(crate) validation: bool,
    /// Parts to measure.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "shifts,recurring,guard,slots,sealed"
    )]
    pub(crate) parts: Vec<Part>,
    /// A blob that was trained on the first classes only (`train --first-classes`): it learns the others.
    #[arg(long, value_name = "BLOB")]
    pub(crate) later_classes: Option<PathBuf>,
    /// Classes that it was trained on.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 6,
        requires = "later_classes"
    )]
    pub(crate) old_classes: usize,
    /// Images of a stream that the emulated board replays for every method, counting; 0 = no board.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) replay: usize,
    /// Program of the emulated board [default: $APLYSIA_FIRMWARE, else what `cargo xtask firmware` builds].
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// Threads; the results do not depend on them.
    #[arg(long, default_value_t = 2, value_parser = at_least_one)]
    pub(crate) threads: usize,
}
