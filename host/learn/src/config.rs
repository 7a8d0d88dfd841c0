//! Settings of a training run, as they stand in a configuration file.

use crate::{Augment, FeedbackScale, LearnError};
use serde::{Deserialize, Serialize};

/// Settings of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Stop after this many epochs, counted from the beginning of the run.
    pub epochs: usize,
    /// Length of the learning-rate schedule; 0: `epochs`. Larger than `epochs` to stop early and go on
    /// later from the checkpoint as if there had been no stop.
    pub schedule_epochs: usize,
    /// Images per step; a rest smaller than this is left out (another one each epoch).
    pub batch: usize,
    /// Highest learning rate.
    pub lr: f32,
    /// Share of the schedule spent warming up, 0 to 1.
    pub warmup: f32,
    /// Nesterov momentum, 0 to 1.
    pub momentum: f32,
    /// On weights, not on batch norm and biases.
    pub weight_decay: f32,
    /// Largest norm of the whole gradient, 0 for no limit.
    pub clip_norm: f32,
    /// Share of the target spread over all classes, 0 to 1.
    pub label_smoothing: f32,
    /// Random changes of the images.
    pub augment: Augment,
    /// Length of the feedback.
    pub feedback_scale: FeedbackScale,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            schedule_epochs: 0,
            batch: 128,
            lr: 0.1,
            warmup: 0.05,
            momentum: 0.9,
            weight_decay: 5e-4,
            clip_norm: 0.0,
            label_smoothing: 0.0,
            augment: Augment::default(),
            feedback_scale: FeedbackScale::Fixed,
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// Length of the learning-rate schedule in epochs.
    pub(crate) fn n_schedule(&self) -> usize {
        match self.schedule_epochs {
            0 => self.epochs,
            n => n,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`LearnError::Config`] names the first setting out of its range.
    pub(crate) fn check(&self) -> Result<(), LearnError> {
        let unit = 0.0..=1.0;
        for (field, got, ok, allowed) in [
            ("batch", self.batch as f64, self.batch > 1, "2 and more"),
            (
                "lr",
                self.lr.into(),
                self.lr > 0.0 && self.lr.is_finite(),
                "above 0",
            ),
            (
                "warmup",
                self.warmup.into(),
                unit.contains(&self.warmup),
                "0 to 1",
            ),
            (
                "momentum",
                self.momentum.into(),
                (0.0..1.0).contains(&self.momentum),
                "0 to below 1",
            ),
            (
                "weight_decay",
                self.weight_decay.into(),
                self.weight_decay >= 0.0,
                "0 and more",
            ),
            (
                "clip_norm",
                self.clip_norm.into(),
                self.clip_norm >= 0.0,
                "0 and more",
            ),
            (
                "label_smoothing",
                self.label_smoothing.into(),
                unit.contains(&self.label_smoothing),
                "0 to 1",
            ),
        ] {
            if !ok {
                return Err(LearnError::Config {
                    field,
                    got,
                    allowed,
                });
            }
        }
        Ok(())
    }
}
