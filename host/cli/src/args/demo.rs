//! The grammar of `aplysia demo`.

use super::{DataArgs, at_least_one};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Folder of everything that is made; the same command goes on where it was stopped.
    #[arg(long, value_name = "DIR", default_value = "aplysia-demo")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Program of the emulated board [default: $APLYSIA_FIRMWARE, else what `cargo xtask firmware` builds].
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Seed of the search, of training and of the streams.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u32,
    /// Candidates of the search.
    #[arg(long, default_value_t = 12, value_parser = at_least_one)]
    pub(crate) trials: usize,
    /// Training images per candidate and epoch.
    #[arg(long, default_value_t = 7000, value_parser = at_least_one)]
    pub(crate) images: usize,
    /// Epochs of the search's successive-halving rungs.
    #[arg(long, value_delimiter = ',', default_value = "2,4", value_parser = at_least_one)]
    pub(crate) rungs: Vec<usize>,
    /// Epochs of the winner's training.
    #[arg(long, default_value_t = 8, value_parser = at_least_one)]
    pub(crate) epochs: usize,
    /// Training images of the winner [default: the whole training part].
    #[arg(long, value_parser = at_least_one)]
    pub(crate) train_images: Option<usize>,
    /// Test images of the accuracies.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    pub(crate) test_images: usize,
    /// Test images that the device and the host both classify.
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    pub(crate) device_images: usize,
    /// Labelled images of each shifted stream that the device learns from.
    #[arg(long, default_value_t = 300, value_parser = at_least_one)]
    pub(crate) samples: usize,
    /// Shifted test images on which the gain of learning is measured.
    #[arg(long, default_value_t = 2000, value_parser = at_least_one)]
    pub(crate) shifted_images: usize,
}
