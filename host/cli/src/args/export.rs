//! `aplysia export` and `aplysia golden`.

use super::{DataArgs, MemoryArgs, at_least_one};
use crate::int8::N_CALIBRATION;
use aplysia_deploy::HomeostasisScope;
use aplysia_deploy::golden::{DEFAULT_GOLDEN, GoldenSpec};
use aplysia_shared::blob::GoldenKind;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The run folder that `train` wrote.
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder to write: genotype.toml, model.blob, card.toml.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Training images used for calibration.
    #[arg(long, default_value_t = N_CALIBRATION, value_parser = at_least_one)]
    pub(crate) calibration: usize,
    /// Further runs of the same genotype and settings with other seeds: their accuracies go into the
    /// card, with the mean and the spread.
    #[arg(long, value_delimiter = ',', value_name = "RUN,...")]
    pub(crate) repeats: Vec<PathBuf>,
    /// Samples of the golden set, on which the guard scores what a device learns; 0 = none, at most 256.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_GOLDEN)]
    pub(crate) golden: usize,
    #[command(flatten)]
    pub(crate) kind: GoldenKindArgs,
    /// Convolutions whose channels can keep their statistics on the device, without labels: 8 bytes of the blob a
    /// channel, 17 of RAM while it learns [default: those that the genotype plans, else depthwise].
    #[arg(long, value_name = "LAYERS", value_enum)]
    pub(crate) homeostasis: Option<HomeostasisArg>,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// See [`HomeostasisScope`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HomeostasisArg {
    /// None
    None,
    /// The first one
    Stem,
    /// The first one and the depthwise ones
    Depthwise,
    /// All
    All,
}

impl HomeostasisArg {
    /// As the flag takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stem => "stem",
            Self::Depthwise => "depthwise",
            Self::All => "all",
        }
    }
}

impl From<HomeostasisArg> for HomeostasisScope {
    fn from(arg: HomeostasisArg) -> Self {
        match arg {
            HomeostasisArg::None => Self::None,
            HomeostasisArg::Stem => Self::Stem,
            HomeostasisArg::Depthwise => Self::Depthwise,
            HomeostasisArg::All => Self::All,
        }
    }
}

/// What a golden set holds.
#[derive(Args)]
pub(crate) struct GoldenKindArgs {
    /// Store inputs of the last layer instead of images. Smaller, and a check runs only that layer, but the
    /// guard then refuses homeostasis, whose effect they cannot show.
    #[arg(long)]
    pub(crate) golden_features: bool,
}

impl GoldenKindArgs {
    /// A golden set of `n` samples; none of 0.
    pub(crate) fn spec(&self, n: usize) -> Option<GoldenSpec> {
        let kind = match self.golden_features {
            true => GoldenKind::Features,
            false => GoldenKind::Inputs,
        };
        (n > 0).then_some(GoldenSpec { kind, n })
    }
}

#[derive(Args)]
pub(crate) struct GoldenArgs {
    /// The blob, without a golden set.
    pub(crate) blob: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The blob to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Samples of the golden set, at most 256.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_GOLDEN, value_parser = at_least_one)]
    pub(crate) golden: usize,
    #[command(flatten)]
    pub(crate) kind: GoldenKindArgs,
    /// Seed of the choice among the validation images; `export` uses the run's.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}
