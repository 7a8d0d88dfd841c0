//! A trained run as attacks see it.

use crate::images;
use crate::run_folder::RunFolder;
use anyhow::Result;
use aplysia_attack::Target;
use aplysia_data::{Dataset, Normalization};
use aplysia_learn::{Device, Pullback, Teacher, pullback};
use aplysia_space::Rule;
use std::path::Path;

/// A network with one of its gradients.
pub(crate) struct Net(Box<dyn Pullback>);

impl Net {
    /// The network of `run` in `dir` on images like those of `data`; with its exact gradient, or with the feedback
    /// of its rules, of random ones the mean of so many draws.
    ///
    /// # Errors
    /// Parameters of other images, a missing checkpoint where the feedback was learned.
    pub(crate) fn new(
        run: &RunFolder,
        dir: &Path,
        (data, normalization): (&Dataset, &Normalization),
        (exact, n_draws, device): (bool, u32, Device),
    ) -> Result<Self> {
        let design = match exact {
            true => run.design.clone().with_rule(Rule::Bp),
            false => run.design.clone(),
        };
        let network = design.lower(images::shape(data), data.n_classes())?;
        let teacher = Teacher {
            config: &run.record.config,
            checkpoint: &dir.join("checkpoint.bin"),
            n_draws,
        };
        let input = (&normalization.mean_pixel[..], normalization.std[0]);
        Ok(Self(pullback(
            &network,
            &run.params,
            input,
            teacher,
            device,
        )?))
    }
}

impl Target for Net {
    fn n_classes(&self) -> usize {
        self.0.n_classes()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        self.0.logits(pixels)
    }

    fn pull(
        &self,
        pixels: &[f32],
        error: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        self.0.pull(pixels, error)
    }
}
