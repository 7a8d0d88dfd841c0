//! Baselines below the head: the float network that the blob was exported from learns from the same streams.
//!
//! Owns which of `learn`'s rules are rows of the table. Rates were chosen on validation images
//! (`--validation --severities 4 --seeds 1 --test-images 200`, 10 cells). Mean shifted accuracy in % after 300
//! images, by rate: entropy 70.65 (0.001, the published one), 70.85 (0.005), 70.90 (0.02), where the statistics
//! alone give 70.50; all layers 75.30 (0.0005), 71.50 (0.002), none by 0.008, which diverges; all layers in tens
//! 79.45 (0.0025), 83.25 (0.01), 79.85 (0.04).

use crate::run_folder::RunFolder;
use anyhow::{Result, ensure};
use aplysia_data::{Dataset, Normalization};
use aplysia_learn::adaptation::{StreamRule, adapt};
use aplysia_learn::{Device, Images, LearnError, evaluate};
use aplysia_live::adapt_bench::summary::Entry;
use aplysia_live::adapt_bench::{CHECKPOINTS, Cell, Outcome, Teacher};
use aplysia_live::evaluate as deployed;
use aplysia_shared::Model;
use aplysia_space::{Network, NetworkParams, Shape};
use std::path::Path;

/// Rows of the table.
const RULES: &[(&str, StreamRule)] = &[
    (NONE, StreamRule::Nothing),
    (REESTIMATED, StreamRule::Reestimate),
    (
        "float entropy (TENT), rate 0.001",
        StreamRule::Entropy { rate: 0.001 },
    ),
    (
        "float all layers, rate 0.0005",
        StreamRule::Labels { rate: 0.0005 },
    ),
    (
        "float all layers in tens, rate 0.01",
        StreamRule::Batches { rate: 0.01 },
    ),
];

/// The float network as it is.
pub(super) const NONE: &str = "float, none";
/// What unlabelled learning on the device is held against.
pub(super) const REESTIMATED: &str = "float batch norm re-estimated";

/// Least share of images on which the run and the blob agree, if one was exported from the other.
const AGREEING_PCT: usize = 95;

/// The float network.
pub(super) struct FloatRun {
    network: Network,
    params: NetworkParams,
    normalization: Normalization,
    shape: Shape,
}

impl FloatRun {
    /// The finished run in `dir`, which classifies `clean` as `model` does.
    ///
    /// # Errors
    /// The run is not finished, or it is not the one that `model` was exported from.
    pub(super) fn load(
        dir: &Path,
        normalization: Normalization,
        model: &Model<'_>,
        clean: &Dataset,
    ) -> Result<Self> {
        let run = RunFolder::load(dir)?;
        let shape = crate::images::shape(clean);
        let float = Self {
            network: run.design.lower(shape, clean.n_classes())?,
            params: run.params,
            normalization,
            shape,
        };
        let images = crate::images::images(clean)?;
        let here = evaluate(
            &float.network,
            &float.params,
            float.images(images),
            Device::Cpu,
        )?;
        let there = aplysia_live::evaluate(model, images)?;
        let pairs = here.predictions.iter().zip(&there.predictions);
        let (n_equal, n) = (pairs.filter(|(a, b)| a == b).count(), clean.len());
        ensure!(
            100 * n_equal >= AGREEING_PCT * n,
            "run and blob agree on {n_equal} of {n} images, below {AGREEING_PCT} %: give the run that the \
             blob was exported from"
        );
        Ok(float)
    }

    /// The rows.
    pub(super) fn entries() -> impl Iterator<Item = Entry> {
        let entry = |&(name, rule): &(&str, StreamRule)| Entry {
            name: name.into(),
            learns_labels: matches!(rule, StreamRule::Labels { .. } | StreamRule::Batches { .. }),
            ram_bytes: None,
        };
        RULES.iter().map(entry)
    }

    fn images<'a>(&'a self, images: deployed::Images<'a>) -> Images<'a> {
        Images {
            pixels: images.pixels.into(),
            labels: images.labels,
            shape: self.shape,
            mean_pixel: &self.normalization.mean_pixel,
            std: self.normalization.std[0],
        }
    }

    /// Every row of `wanted` on `cell`.
    ///
    /// # Errors
    /// Images that do not fit, or a rate that diverges.
    pub(super) fn measure(&self, cell: &Cell<'_>, wanted: &[Entry]) -> Result<Vec<Outcome>> {
        let mut outcomes = vec![];
        for &(name, rule) in RULES {
            let Some(entry) = wanted.iter().find(|entry| entry.name == name) else {
                continue;
            };
            let shares = match entry.learns_labels {
                true => cell.noise_pct,
                false => &cell.noise_pct[..1],
            };
            for &noise_pct in shares {
                let (shifted_pct, clean_pct) = self.follow(rule, cell, noise_pct)?;
                outcomes.push(Outcome {
                    method: name.into(),
                    noise_pct,
                    shifted_pct,
                    clean_pct,
                });
            }
        }
        Ok(outcomes)
    }

    fn follow(&self, rule: StreamRule, cell: &Cell<'_>, noise_pct: u8) -> Result<(Vec<f64>, f64)> {
        let taught = cell.taught(Teacher::Wrong(noise_pct), self.network.n_classes);
        let stream = Images {
            labels: &taught,
            ..self.images(cell.stream)
        };
        let (network, device) = (&self.network, Device::Cpu);
        let kept = match adapt(network, &self.params, rule, stream, &CHECKPOINTS, device) {
            // A network whose numbers are none answers by chance.
            Err(LearnError::Diverged { .. }) => {
                let ends = CHECKPOINTS.iter().filter(|&&end| end <= stream.len());
                let chance = 100.0 / network.n_classes as f64;
                return Ok((vec![chance; ends.count()], chance));
            }
            kept => kept?,
        };
        let accuracy_pct = |params: &NetworkParams, images| -> Result<f64> {
            Ok(evaluate(network, params, self.images(images), device)?.accuracy_pct())
        };
        let shifted = kept.iter().map(|params| accuracy_pct(params, cell.shifted));
        let shifted = match rule {
            StreamRule::Nothing => vec![accuracy_pct(&self.params, cell.shifted)?; kept.len()],
            _ => shifted.collect::<Result<_>>()?,
        };
        let last = kept.last().unwrap_or(&self.params);
        Ok((shifted, accuracy_pct(last, cell.clean)?))
    }
}
