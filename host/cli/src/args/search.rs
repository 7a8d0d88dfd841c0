//! `aplysia search`.

use super::{AdaptedArgs, DEVICES, DataArgs, RecipeArgs, SkeletonArgs, SupernetArgs, at_least_one};
use aplysia_deploy::energy::{CHIPS, Chip};
use aplysia_learn::FeedbackScale;
use aplysia_search::StrategyKind;
use aplysia_space::Rule;
use clap::Args;
use std::path::PathBuf;

/// The flags that a study keeps.
const SETTINGS: [&str; 24] = [
    "preset",
    "strategy",
    "trials",
    "population",
    "images",
    "rungs",
    "seed",
    "flash_bytes",
    "ram_bytes",
    "cascades",
    "instructions",
    "energy_uj",
    "chip",
    "min_accuracy",
    "params",
    "macs",
    "space",
    "rules",
    "feedback_scale",
    "device",
    "SkeletonArgs",
    "RecipeArgs",
    "SupernetArgs",
    "AdaptedArgs",
];

#[derive(Args)]
pub(crate) struct SearchArgs {
    /// The study folder.
    pub(crate) study: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Flags by name, before those given here, which win: `fashion-minutes`, `cifar10`, ...; `help` lists
    /// them.
    // Read before all flags: see `preset`.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Go on with the study in the folder: its own settings are used, so that none can be given.
    #[arg(long, conflicts_with_all = SETTINGS)]
    pub(crate) resume: bool,
    /// `evolution`, `random`, or, in the space `darts`, a supernet per candidate, each of its own seed:
    /// `darts` learns it by gradients, `eg-nas` by evolution.
    #[arg(long, default_value = "evolution")]
    pub(crate) strategy: StrategyKind,
    /// Candidates to evaluate [default: 24; 1 where each is learned].
    #[arg(long, value_parser = at_least_one)]
    pub(crate) trials: Option<usize>,
    /// Candidates per generation.
    #[arg(long, default_value_t = 8, value_parser = at_least_one)]
    pub(crate) population: usize,
    /// Training images per candidate and epoch; all, if there are fewer.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    pub(crate) images: usize,
    /// Epochs of the successive-halving rungs.
    #[arg(long, value_delimiter = ',', default_value = "1,3", value_parser = at_least_one)]
    pub(crate) rungs: Vec<usize>,
    /// Seed of the whole study.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Limit: bytes of the blob [default: 65536 in the space mcu, none in the others].
    #[arg(long)]
    pub(crate) flash_bytes: Option<u64>,
    /// Limit: bytes of the arena, and of what is learned on the device if that is searched for, too [default:
    /// 32768 in the space mcu, none in the others].
    #[arg(long)]
    pub(crate) ram_bytes: Option<u64>,
    /// Let layers run together, some rows at a time, where a candidate needs more bytes than that: the same bits in
    /// more instructions, as of `aplysia export --ram-bytes`.
    #[arg(long)]
    pub(crate) cascades: bool,
    /// Limit: estimated instructions of one inference [default: 40 million in the space mcu, none in the
    /// others].
    #[arg(long)]
    pub(crate) instructions: Option<u64>,
    /// Limit: estimated microjoules of one inference on the chip of `--chip`, kept as instructions.
    #[arg(long, value_name = "UJ", requires = "chip")]
    pub(crate) energy_uj: Option<f64>,
    /// The chip of `--energy-uj`: `aplysia inspect` lists them.
    #[arg(long, value_name = "NAME", requires = "energy_uj", value_parser = chip)]
    pub(crate) chip: Option<Chip>,
    /// Accuracy in percent below which a candidate ranks behind all above it.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) min_accuracy: f64,
    /// Limit: trained parameters.
    #[arg(long)]
    pub(crate) params: Option<u64>,
    /// Limit: multiply-accumulates of one inference.
    #[arg(long)]
    pub(crate) macs: Option<u64>,
    /// `mcu`, `darts`, `nasbench201`, or a file with bounds (TOML: the section `space` of a study.toml).
    /// Networks of cells have costs on a device up to 5 cells of darts and 6 a stage of nasbench201; limit the
    /// parameters and MACs of larger ones.
    #[arg(long, value_name = "NAME|FILE", default_value = "mcu")]
    pub(crate) space: String,
    #[command(flatten)]
    pub(crate) skeleton: SkeletonArgs,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    #[command(flatten)]
    pub(crate) supernet: SupernetArgs,
    #[command(flatten)]
    pub(crate) adapted: AdaptedArgs,
    /// Learning rules that a layer may carry [default: the space's; usually fa,usf,brsf,frsf,dfa].
    #[arg(long, value_delimiter = ',', value_name = "RULE,...")]
    pub(crate) rules: Vec<Rule>,
    /// Length of the feedback: `weight-norm` (the norm of the weights, one number per layer) or `fixed`.
    #[arg(long, default_value_t = FeedbackScale::WeightNorm)]
    pub(crate) feedback_scale: FeedbackScale,
    /// `cpu`, `ndarray`, `cuda` or `wgpu`.
    #[arg(long, default_value = "cpu", value_parser = DEVICES)]
    pub(crate) device: String,
}

/// The chip that the text names, or all names.
pub(super) fn chip(text: &str) -> Result<Chip, String> {
    let all = || CHIPS.map(|chip| chip.name).join(", ");
    Chip::named(text)
        .copied()
        .ok_or_else(|| format!("one of {}", all()))
}
