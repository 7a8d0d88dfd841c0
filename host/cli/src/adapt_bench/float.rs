//! Baselines below the head: the float network that the blob was exported from learns from the same streams.
//!
//! Owns which of `learn`'s rules are rows of the table. Rates were chosen on validation images
//! (`--validation --severities 4 --seeds 1 --test-images 200`, 10 cells). Mean shifted accuracy in % after 300
//! images, by rate: entropy 70.65 (0.001, the published one), 70.85 (0.005), 70.90 (0.02), where the statistics
//! alone give 70.50; all layers 75.30 (0.0005), 71.50 (0.002), none by 0.008, which diverges; all layers in tens
//! 79.45 (0.0025), 83.25 (0.01), 79.85 (0.04).

use crate::run_folder::RunFolder;
use anyhow::{Result, anyhow, ensure};
use aplysia_data::{Dataset, Normalization};
use aplysia_learn::adaptation::{StreamRule, adapt};
use aplysia_learn::{Device, Images, LearnError, evaluate};
use aplysia_live::adapt_bench::recurring::{Domain, Return};
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
        "float entropy (TENT), rate 0.02",
        StreamRule::Entropy { rate: 0.02 },
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

/// Share of images on which the run and the blob may differ though one was exported from the other, and as many more.
const DIFFERING_PCT: usize = 5;
const DIFFERING: usize = 5;

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
        let (n_differing, n) = (pairs.filter(|(a, b)| a != b).count(), clean.len());
        ensure!(
            n_differing <= DIFFERING + DIFFERING_PCT * n / 100,
            "run and blob differ on {n_differing} of {n} images, which is too many: give the run that the blob \
             was exported from"
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
        let kept = self.kept(rule, stream, &CHECKPOINTS)?;
        let pct = |at: &Option<NetworkParams>, images| self.accuracy_pct(at.as_ref(), images);
        let shifted = kept.iter().map(|at| pct(at, cell.shifted));
        let shifted = match rule {
            StreamRule::Nothing => {
                vec![self.accuracy_pct(Some(&self.params), cell.shifted)?; kept.len()]
            }
            _ => shifted.collect::<Result<_>>()?,
        };
        let clean = match kept.last() {
            Some(at) => pct(at, cell.clean)?,
            None => self.accuracy_pct(Some(&self.params), cell.clean)?,
        };
        Ok((shifted, clean))
    }

    /// The numbers after so many images of `stream`, for all of `ends` that it reaches; none of a network whose numbers
    /// are none any more.
    fn kept(
        &self,
        rule: StreamRule,
        stream: Images<'_>,
        ends: &[usize],
    ) -> Result<Vec<Option<NetworkParams>>> {
        let n = ends.iter().filter(|&&end| end <= stream.len()).count();
        match adapt(&self.network, &self.params, rule, stream, ends, Device::Cpu) {
            Err(LearnError::Diverged { .. }) => Ok(vec![None; n]),
            kept => Ok(kept?.into_iter().map(Some).collect()),
        }
    }

    /// By `params`; without any the network answers by chance.
    fn accuracy_pct(
        &self,
        params: Option<&NetworkParams>,
        images: deployed::Images<'_>,
    ) -> Result<f64> {
        Ok(match params {
            Some(params) => {
                evaluate(&self.network, params, self.images(images), Device::Cpu)?.accuracy_pct()
            }
            None => 100.0 / self.network.n_classes as f64,
        })
    }

    /// Every row from A to B and back, see [`returns`](aplysia_live::adapt_bench::recurring::returns).
    ///
    /// # Errors
    /// Images that do not fit.
    pub(super) fn returns(
        &self,
        (a, b, again): (Domain<'_>, Domain<'_>, deployed::Images<'_>),
    ) -> Result<Vec<Return>> {
        let streams = [a.stream, b.stream, again];
        let pixels = streams.map(|s| s.pixels).concat();
        let labels = streams.map(|s| s.labels).concat();
        let stream = self.images(deployed::Images {
            pixels: &pixels,
            labels: &labels,
        });
        let mut ends = streams.map(|s| s.labels.len());
        ends[1] += ends[0];
        ends[2] += ends[1];
        let mut all = vec![];
        for &(name, rule) in RULES {
            let [first, other, again] = self
                .kept(rule, stream, &ends)?
                .try_into()
                .map_err(|_| anyhow!("too few images"))?;
            let pct = |at: &Option<NetworkParams>, images| self.accuracy_pct(at.as_ref(), images);
            all.push(Return {
                method: name.into(),
                before_pct: self.accuracy_pct(Some(&self.params), a.test)?,
                first_pct: pct(&first, a.test)?,
                other_pct: pct(&other, b.test)?,
                left_pct: pct(&other, a.test)?,
                again_pct: pct(&again, a.test)?,
            });
        }
        Ok(all)
    }
}
