//! Flags that searching and training share: how a network is trained, and the skeleton around cells.

use super::at_least_one;
use anyhow::{Context, Result};
use aplysia_learn::{Augment, LocalConfig, RuleOptions, TrainConfig};
use aplysia_space::darts::Stem;
use aplysia_space::{Coverage, Design, Rule, Shape, darts, nasbench201};
use clap::{ArgAction, Args};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a network is trained.
#[derive(Args, Clone)]
pub(crate) struct RecipeArgs {
    /// Images per step.
    #[arg(long, default_value_t = 128, value_parser = at_least_one)]
    pub(crate) batch: usize,
    /// Peak learning rate.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) lr: f64,
    /// Share of the schedule spent warming up, 0 to 1.
    #[arg(long, default_value_t = 0.05)]
    pub(crate) warmup: f32,
    /// What the learning rate is multiplied by from each epoch to the next, 0: it falls to 0 in half a cosine (always
    /// in a supernet).
    #[arg(long, default_value_t = 0.0)]
    pub(crate) lr_decay: f32,
    /// Momentum.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) momentum: f32,
    /// Whether a step looks ahead along the momentum (Nesterov), as in NAS-Bench-201, or not, as in DARTS.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub(crate) nesterov: bool,
    /// L2 penalty on the weights. `kp` needs it: without, its feedback never aligns with the weights.
    #[arg(long, default_value_t = 5e-4)]
    pub(crate) weight_decay: f64,
    /// Largest norm of the whole gradient, 0 for no limit.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) clip_norm: f32,
    /// Share of the target spread over all classes.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) label_smoothing: f32,
    /// Augmentation: random crop with so many pixels of padding (each image moves by up to as many).
    #[arg(long, default_value_t = Augment::default().shift)]
    pub(crate) shift: usize,
    /// Augmentation: each image is mirrored half of the time.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub(crate) flip: bool,
    /// Augmentation: side of a square set to zero at a random place, 0 for none.
    #[arg(long, default_value_t = 0)]
    pub(crate) cutout: usize,
    /// Augmentation: smallest share of the area of a random crop that is resized to the whole image, 0 for
    /// none.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) resized_crop: f64,
    /// Augmentation: ranges of brightness, contrast, saturation and hue, 0 for none.
    #[arg(long, value_name = "B,C,S,H", default_value = "0,0,0,0", value_parser = jitter)]
    pub(crate) jitter: Jitter,
    /// TOML file with tables `rules.RULE` (init, gradient_clip, constrain_weights, direct_scale) and `local`
    /// (feedback, hebb_rate, softhebb_rate, ...) [default: as documented in `learn`].
    #[arg(long, value_name = "FILE")]
    pub(crate) rule_options: Option<PathBuf>,
}

/// What `--jitter` takes.
pub(crate) type Jitter = [f32; 4];

fn jitter(text: &str) -> Result<Jitter, String> {
    let ranges: Result<Vec<f32>, _> = text.split(',').map(str::parse).collect();
    let ranges = ranges.ok().and_then(|r| r.try_into().ok());
    ranges.ok_or_else(|| "four numbers: brightness, contrast, saturation, hue".into())
}

impl RecipeArgs {
    /// The settings that these flags stand for; all others as usual.
    ///
    /// # Errors
    /// A file of rule options that cannot be read or holds something else.
    pub(crate) fn settings(&self) -> Result<TrainConfig> {
        let RuleSettings { rules, local } = RuleSettings::read(self.rule_options.as_deref())?;
        Ok(TrainConfig {
            rules,
            local,
            batch: self.batch,
            lr: self.lr as f32,
            warmup: self.warmup,
            lr_decay: self.lr_decay,
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay as f32,
            clip_norm: self.clip_norm,
            label_smoothing: self.label_smoothing,
            augment: Augment {
                shift: self.shift,
                flip: self.flip,
                cutout: self.cutout,
                resized_crop: self.resized_crop as f32,
                jitter: self.jitter,
            },
            ..TrainConfig::default()
        })
    }
}

/// What `--rule-options` holds.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleSettings {
    rules: BTreeMap<Rule, RuleOptions>,
    local: LocalConfig,
}

impl RuleSettings {
    fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the rule options {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} holds no rule options", path.display()))
    }
}

/// The skeleton around the cells of `darts` and `nasbench201`.
#[derive(Args, Clone)]
pub(crate) struct SkeletonArgs {
    /// Channels C of the first cells [default: the genotype's, else 16].
    #[arg(long, value_parser = at_least_one)]
    pub(crate) channels: Option<usize>,
    /// Cells: all L of `darts`, those of one of three stages of `nasbench201` [default: the genotype's,
    /// else 8 and 5].
    #[arg(long, value_parser = at_least_one)]
    pub(crate) cells: Option<usize>,
    /// `all`: every layer follows its rule; `paper`: only the operations on edges, all else is
    /// back-propagation [default: the genotype's, else all].
    #[arg(long)]
    pub(crate) coverage: Option<Coverage>,
}

/// Images from this height on get the stem of ImageNet, which takes the map to an eighth.
const LARGE: usize = 128;

impl SkeletonArgs {
    /// `s` with what the flags and the images say.
    pub(crate) fn darts(&self, s: darts::Skeleton, input: Shape, n: usize) -> darts::Skeleton {
        let stem = match input.h >= LARGE {
            true => Stem::Imagenet,
            false => Stem::Cifar,
        };
        darts::Skeleton {
            input,
            n_classes: n,
            channels: self.channels.unwrap_or(s.channels),
            n_cells: self.cells.unwrap_or(s.n_cells),
            stem,
            coverage: self.coverage.unwrap_or(s.coverage),
            ..s
        }
    }

    /// `s` with what the flags and the images say.
    pub(crate) fn nasbench201(
        &self,
        s: nasbench201::Skeleton,
        input: Shape,
        n: usize,
    ) -> nasbench201::Skeleton {
        nasbench201::Skeleton {
            input,
            n_classes: n,
            channels: self.channels.unwrap_or(s.channels),
            n_cells: self.cells.unwrap_or(s.n_cells),
            coverage: self.coverage.unwrap_or(s.coverage),
        }
    }

    /// Checks that a network of `space` has what the flags change, those of training among them.
    ///
    /// # Errors
    /// Names the first flag that changes nothing there.
    pub(crate) fn check(
        &self,
        space: &str,
        (auxiliary, drop_path): (bool, bool),
    ) -> anyhow::Result<()> {
        let (cells, darts) = (space != "mcu", space == "darts");
        let flags = [
            ("--channels", self.channels.is_some(), cells),
            ("--cells", self.cells.is_some(), cells),
            ("--coverage", self.coverage.is_some(), cells),
            ("--auxiliary", auxiliary, darts),
            ("--drop-path", drop_path, darts),
        ];
        for (flag, given, used) in flags {
            anyhow::ensure!(
                used || !given,
                "{flag} changes nothing in a network of the space {space}: leave it out"
            );
        }
        Ok(())
    }

    /// `design` with what the flags and the images say; with the parts that only training has.
    pub(crate) fn apply(
        &self,
        design: Design,
        (input, n): (Shape, usize),
        (auxiliary, drop_path): (bool, bool),
    ) -> Design {
        match design {
            Design::Mcu(_) => design,
            Design::Darts(genotype, s) => {
                let s = darts::Skeleton {
                    auxiliary,
                    drop_path,
                    ..self.darts(s, input, n)
                };
                Design::Darts(genotype, s)
            }
            Design::NasBench201(genotype, s) => {
                Design::NasBench201(genotype, self.nasbench201(s, input, n))
            }
        }
    }
}
