//! The flags of `aplysia evaluate --robust`.

use super::at_least_one;
use aplysia_attack::Attack;
use clap::{Args, value_parser};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct RobustArgs {
    /// Attack the run's network in pixel space: accuracy per attack, gradient and strength, the worst case, the
    /// share of gradient masking, the ten corruptions. Resumable.
    #[arg(long, conflicts_with = "corruption")]
    pub(crate) robust: bool,
    /// A run of the same data trained by back-propagation, whose adversarial images are tried on this one
    /// [default: no transfer].
    #[arg(long, value_name = "RUN", requires = "robust")]
    pub(crate) twin: Option<PathBuf>,
    /// Test images to attack, classes in proportion.
    #[arg(long, default_value_t = 1000, value_parser = at_least_one, requires = "robust")]
    pub(crate) images: usize,
    /// Which attacks, of fgsm, pgd, tpgd, apgd-ce, apgd-dlr, square, one-pixel.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", default_values_t = Attack::ALL, requires = "robust")]
    pub(crate) attacks: Vec<Attack>,
    /// Largest change of a pixel, in 1/255.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "N,...",
        default_value = "2,4,8",
        value_parser = value_parser!(u8).range(1..=64),
        requires = "robust"
    )]
    pub(crate) epsilons: Vec<u8>,
    /// Steps of PGD and TPGD, each of a quarter of the largest change.
    #[arg(long, default_value_t = 20, value_parser = at_least_one, requires = "robust")]
    pub(crate) steps: usize,
    /// Starts of PGD and TPGD.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..), requires = "robust")]
    pub(crate) restarts: u32,
    /// Steps of APGD.
    #[arg(long, default_value_t = 100, value_parser = at_least_one, requires = "robust")]
    pub(crate) apgd_steps: usize,
    /// Queries of Square.
    #[arg(long, default_value_t = 5000, value_parser = at_least_one, requires = "robust")]
    pub(crate) queries: usize,
    /// Pixels that One-Pixel changes.
    #[arg(long, default_value_t = 1, value_parser = at_least_one, requires = "robust")]
    pub(crate) pixels: usize,
    /// Generations of One-Pixel, of 150 candidates each.
    #[arg(long, default_value_t = 30, value_parser = at_least_one, requires = "robust")]
    pub(crate) generations: usize,
    /// Draws that the feedback of a random rule is averaged over.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..), requires = "robust")]
    pub(crate) draws: u32,
    /// Seed of the choice of images and of all attacks.
    #[arg(long, default_value_t = 1, requires = "robust")]
    pub(crate) seed: u64,
    /// Folder to write: cells.jsonl (one finished cell per line), summary.json, README.md
    /// [default: `robust` in the run folder].
    #[arg(long, value_name = "DIR", requires = "robust")]
    pub(crate) out: Option<PathBuf>,
}
