//! How well a candidate learns on the device: a further objective of a search.
//!
//! Owns the images and the order of the steps; the arithmetic is the device's (`aplysia_shared::adapt`), what the
//! plan in a genotype means is `deploy::plasticity`'s. Flow: trained network → int8 as `export` makes it →
//! a stream of every shift learned from → accuracy on other images of the same shift. All of validation images.

use crate::args::{AdaptedArgs, Labels};
use crate::images::{self, TrainingImages};
use crate::int8::{self, N_CALIBRATION, Sources};
use crate::pools::{Place, Pools};
use anyhow::{Context, Result};
use aplysia_data::{Dataset, Normalization};
use aplysia_deploy::plasticity::{self, Camera};
use aplysia_live::adaptation::DEFAULT_SEED;
use aplysia_live::evaluate::Images;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Head};
use aplysia_space::{Design, Network, NetworkParams, PlasticityBounds};
use serde::{Deserialize, Serialize};

/// The objective, as a study keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adapted {
    /// Images of a stream.
    samples: u32,
    /// Whether their labels are learned.
    labels: bool,
    /// The shifts by name, a stream each.
    corruptions: Vec<String>,
    /// Of the shifts, 1 to 5.
    severity: u8,
    /// Images measured on.
    images: usize,
}

impl Adapted {
    /// What `args` ask for, if anything.
    pub(super) fn new(args: &AdaptedArgs) -> Option<Self> {
        let names = args.adapt_corruptions.iter().map(|c| c.name().to_string());
        Some(Self {
            samples: args.adapt_samples?,
            labels: args.adapt == Labels::Labelled,
            corruptions: names.collect(),
            severity: args.adapt_severity,
            images: args.adapt_images,
        })
    }

    /// What genotypes may plan under this objective.
    pub(super) fn bounds(&self) -> PlasticityBounds {
        PlasticityBounds::new(self.labels)
    }

    /// The objective in words.
    pub(super) fn describe(&self) -> String {
        let labels = if self.labels {
            "labelled"
        } else {
            "unlabelled"
        };
        format!(
            "after {} {labels} images of {} at severity {}",
            self.samples,
            self.corruptions.join(", "),
            self.severity
        )
    }
}

/// The images of the objective: a stream of every shift and what it is measured on.
pub(super) struct Shifted {
    labels: bool,
    /// Stream, measured.
    cameras: Vec<(Dataset, Dataset)>,
}

impl Shifted {
    /// Cuts the images of `objective` from the validation part.
    ///
    /// # Errors
    /// No such shift.
    pub(super) fn new(objective: &Adapted, data: &TrainingImages) -> Result<Self> {
        let pools = Pools::of_validation(data, objective.images);
        let camera = |name: &String| {
            let place = Place {
                corruption: name.parse().map_err(anyhow::Error::msg)?,
                severity: objective.severity,
                seed: DEFAULT_SEED,
            };
            pools.shifted(place, objective.samples as usize)
        };
        let cameras = objective.corruptions.iter().map(camera);
        Ok(Self {
            labels: objective.labels,
            cameras: cameras.collect::<Result<_>>()?,
        })
    }

    /// Share of right answers, 0..=1, after `design`, trained to `params`, has learned as it plans.
    ///
    /// # Errors
    /// The design has no plan, or its network cannot be deployed or cannot learn so.
    pub(super) fn accuracy(
        &self,
        (design, network, mut params): (&Design, &Network, NetworkParams),
        (train, normalization): (&Dataset, &Normalization),
        seed: u64,
    ) -> Result<f64> {
        let (network, kept) = network.inference();
        int8::keep(&mut params, &kept)?;
        let content = plasticity::content(design, &train.class_names);
        let from = Sources {
            calibration: &train.subset(N_CALIBRATION, seed),
            golden: Images::NONE,
            normalization,
        };
        let made = int8::quantize(&network, &params, from, &content)?;
        let model = Model::parse(&made.blob)?;
        let planned = plasticity::config(design).context("the genotype plans no learning")?;
        let config = match self.labels {
            true => planned,
            false => Config {
                head: Head::Base,
                ..planned
            },
        };
        let mut cameras = vec![];
        for (stream, measured) in &self.cameras {
            cameras.push(Camera {
                stream: images::images(stream)?,
                measured: images::images(measured)?,
            });
        }
        Ok(plasticity::accuracy_after(
            &model,
            config,
            DEFAULT_SEED,
            cameras,
        )?)
    }
}
