//! Settings of a training run, as they stand in a configuration file.

use crate::augment::is_zero;
use crate::{Augment, FeedbackScale, LearnError, LocalConfig, RuleOptions};
use aplysia_space::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// What the learning rate is multiplied by from each epoch to the next, above 0 to 1; 0: it falls to 0 in half a
    /// cosine.
    #[serde(skip_serializing_if = "is_zero")]
    pub lr_decay: f32,
    /// Momentum, 0 to 1.
    pub momentum: f32,
    /// Whether a step looks ahead along the momentum (Nesterov).
    #[serde(skip_serializing_if = "is_true")]
    pub nesterov: bool,
    /// On weights, not on batch norm and biases.
    pub weight_decay: f32,
    /// Largest norm of the whole gradient, 0 for no limit.
    pub clip_norm: f32,
    /// Share of the target spread over all classes, 0 to 1.
    pub label_smoothing: f32,
    /// Weight of the auxiliary head's loss, where the network has one.
    pub auxiliary_weight: f32,
    /// Probability that drop-path drops a map, at the end of the schedule: in epoch `e` (from 0) of `n` it
    /// is `drop_path·e/n`. 0 to below 1.
    pub drop_path: f32,
    /// Random changes of the images.
    pub augment: Augment,
    /// Length of the feedback.
    pub feedback_scale: FeedbackScale,
    /// Options by rule; a rule that is not named has the defaults.
    pub rules: BTreeMap<Rule, RuleOptions>,
    /// Settings of the local rules.
    pub local: LocalConfig,
    /// Everything random follows from it.
    pub seed: u64,
}

/// Not written then: configurations of earlier versions stay as they are. So below.
fn is_true(value: &bool) -> bool {
    *value
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            schedule_epochs: 0,
            batch: 128,
            lr: 0.1,
            warmup: 0.05,
            lr_decay: 0.0,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
            clip_norm: 0.0,
            label_smoothing: 0.0,
            auxiliary_weight: 0.4,
            drop_path: 0.0,
            augment: Augment::default(),
            feedback_scale: FeedbackScale::Fixed,
            rules: BTreeMap::new(),
            local: LocalConfig::default(),
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
    pub fn check(&self) -> Result<(), LearnError> {
        self.rules.iter().try_for_each(|(&rule, o)| o.check(rule))?;
        self.local.check()?;
        let unit = 0.0..=1.0;
        let jitter = self.augment.jitter;
        let (weakest, strongest) = (
            jitter.into_iter().fold(f32::INFINITY, f32::min),
            jitter.into_iter().fold(f32::NEG_INFINITY, f32::max),
        );
        let hue = jitter[3];
        check_ranges([
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
                "lr_decay",
                self.lr_decay.into(),
                unit.contains(&self.lr_decay),
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
            (
                "auxiliary_weight",
                self.auxiliary_weight.into(),
                self.auxiliary_weight >= 0.0,
                "0 and more",
            ),
            (
                "drop_path",
                self.drop_path.into(),
                (0.0..1.0).contains(&self.drop_path),
                "0 to below 1",
            ),
            (
                "resized_crop",
                self.augment.resized_crop.into(),
                unit.contains(&self.augment.resized_crop),
                "0 to 1",
            ),
            (
                "jitter",
                strongest.into(),
                (0.0..=1.0).contains(&weakest) && strongest <= 1.0,
                "0 to 1",
            ),
            ("jitter of the hue", hue.into(), hue <= 0.5, "0 to 0.5"),
        ])
    }
}

/// One row of [`check_ranges`]: name, value, whether it is allowed, what is.
type Check = (&'static str, f64, bool, &'static str);

/// # Errors
/// The first value that is out of its range.
pub(crate) fn check_ranges<const N: usize>(checks: [Check; N]) -> Result<(), LearnError> {
    for (field, got, ok, allowed) in checks {
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
