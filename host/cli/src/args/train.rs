//! `aplysia train`.

use super::{DEVICES, DataArgs, RecipeArgs, SkeletonArgs, at_least_one};
use crate::genotype::choices;
use aplysia_learn::FeedbackScale;
use aplysia_space::Rule;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct TrainArgs {
    #[arg(help = format!("The genotype: {}", choices()))]
    pub(crate) genotype: String,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Flags by name, before those given here, which win: `fashion-minutes`, `cifar10`, ...; `help` lists
    /// them.
    // Read before all flags: see `preset`.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Folder to write: genotype.toml, checkpoint, parameters and history.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Passes over the training images.
    #[arg(long, default_value_t = 20, value_parser = at_least_one)]
    pub(crate) epochs: usize,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    #[command(flatten)]
    pub(crate) skeleton: SkeletonArgs,
    /// Weight of the auxiliary head's loss in a `darts` network; 0 for no head.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) auxiliary: f32,
    /// Probability of drop-path in a `darts` network at the end of training, growing from 0.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) drop_path: f32,
    /// Seed of initialisation, feedback, order and augmentation.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Use this one rule in every layer instead of the genotype's.
    #[arg(long, long_help = rules_in_words())]
    pub(crate) rule: Option<Rule>,
    /// Length of the feedback: `weight-norm` (the norm of the weights, one number per layer) or `fixed`.
    #[arg(long, default_value_t = FeedbackScale::WeightNorm)]
    pub(crate) feedback_scale: FeedbackScale,
    /// Train on a random subset of this many images.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) images: Option<usize>,
    /// Train on the validation images too, once every choice is made: no accuracy on them is known then,
    /// and golden sets and streams taken from them hold images that the network has learned.
    #[arg(long, conflicts_with = "images")]
    pub(crate) with_validation: bool,
    /// `cpu`, `ndarray`, `cuda` or `wgpu`.
    #[arg(long, default_value = "cpu", value_parser = DEVICES)]
    pub(crate) device: String,
}

/// The long help of `--rule`.
fn rules_in_words() -> String {
    let line = |rule: Rule| format!("\n  {:<9} {}", rule.name(), rule.long_name());
    let table = Rule::ALL.map(line).concat();
    format!("Use this one rule in every layer instead of the genotype's:{table}")
}
