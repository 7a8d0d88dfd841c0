//! The grammar of `aplysia adapt-bench`.

use super::{DataArgs, at_least_one};
use clap::{Args, value_parser};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct AdaptBenchArgs {
    /// The blob.
    #[arg(default_value = "models/fashion-mnist-m4/model.blob")]
    pub(crate) blob: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder to write: groups.jsonl (one finished cell per line), summary.json, README.md.
    #[arg(long, value_name = "DIR", default_value = "models/adapt")]
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
    /// Measure on validation images that no stream uses, to choose settings without the test images.
    #[arg(long)]
    pub(crate) validation: bool,
    /// Threads; the results do not depend on them.
    #[arg(long, default_value_t = 2, value_parser = at_least_one)]
    pub(crate) threads: usize,
}
