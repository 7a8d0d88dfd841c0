//! Settings of a search by supernet, as they stand in a configuration file.

use super::evolution::EvolutionConfig;
use crate::LearnError;
use crate::config::check_ranges;
use aplysia_space::darts::{Columns, PlaceRules, Places, Skeleton, Supernet};
use aplysia_space::{Rule, SpaceError};
use serde::{Deserialize, Serialize};

/// When a search ends before its last epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// Never.
    #[default]
    Never,
    /// When the curvature of the loss in the logits rises, see [`super::stability`].
    Eigenvalue,
    /// When the normal cell would hold more identities than `max_skips` (2 if that is not set), as in DARTS+
    /// (Liang et al. 2019): the genotype is that of the epoch before.
    Skips,
}

impl std::str::FromStr for Stop {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "never" => Ok(Stop::Never),
            "eigenvalue" => Ok(Stop::Eigenvalue),
            "skips" => Ok(Stop::Skips),
            _ => Err(format!(
                "unknown stop `{s}`; use never, eigenvalue or skips"
            )),
        }
    }
}

/// Settings of a search by supernet. The defaults are the published ones of DARTS for CIFAR-10 where it has
/// them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupernetConfig {
    /// Passes over the weights' half of the images.
    pub epochs: usize,
    /// Epochs in which only weights learn.
    pub warm_epochs: usize,
    /// Learning rate of the weights at the end of the cosine.
    pub min_lr: f32,
    /// Learning rate of the logits (Adam).
    pub alpha_lr: f64,
    /// L2 penalty on the logits.
    pub alpha_weight_decay: f64,
    /// Whether the architecture's gradient looks one weight step ahead.
    pub second_order: bool,
    /// Whether a step computes one rule per operation and edge, drawn by its coefficient, instead of all.
    pub sample_rules: bool,
    /// Whether every column votes alone, as published for BioNAS ([`Columns::Flat`]).
    pub flat: bool,
    /// Whether the rules of the layers outside of the edges are searched, too, from the same rules; otherwise they
    /// carry the first of these. Off in settings that do not name it, as those of studies from before it was there.
    #[serde(default)]
    pub search_places: bool,
    /// Whether gradients by logits, and the curvature, are exact, whatever the rules of the layers between; otherwise
    /// they come down through each layer's own feedback, as published. Off in settings that do not name it.
    #[serde(default)]
    pub exact_logits: bool,
    /// `1 / partial` of the channels go through the candidates.
    pub partial: usize,
    /// Whether the identity of every edge is helped by a bonus that falls linearly from 1 to 0 over the
    /// search, so that it need not win to let gradients pass (DARTS-).
    pub auxiliary_skip: bool,
    /// Most identities of the normal cell's genotype: the weakest give way (P-DARTS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_skips: Option<usize>,
    /// When to end early.
    pub stop: Stop,
    /// Epochs from one evaluation of the curvature to the next.
    pub curvature_epochs: usize,
    /// Products with the Hessian per evaluation.
    pub curvature_iterations: usize,
    /// Logits by evolution instead of gradients: how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evolution: Option<EvolutionConfig>,
}

impl Default for SupernetConfig {
    fn default() -> Self {
        Self {
            epochs: 50,
            warm_epochs: 0,
            min_lr: 0.001,
            alpha_lr: 3e-4,
            alpha_weight_decay: 1e-3,
            second_order: false,
            sample_rules: true,
            flat: false,
            search_places: true,
            exact_logits: true,
            partial: 1,
            auxiliary_skip: false,
            max_skips: None,
            stop: Stop::Never,
            curvature_epochs: 2,
            curvature_iterations: 8,
            evolution: None,
        }
    }
}

impl SupernetConfig {
    /// The supernet of these settings in `skeleton`, with `rules` on the convolutions of its edges and outside of
    /// them.
    ///
    /// # Errors
    /// What [`Supernet::new`] finds.
    pub fn supernet(&self, skeleton: &Skeleton, rules: &[Rule]) -> Result<Supernet, SpaceError> {
        let columns = match self.flat {
            true => Columns::Flat,
            false => Columns::Factored(rules.to_vec()),
        };
        let first = rules.first().copied().unwrap_or(Rule::Bp);
        let places = match self.search_places {
            true => Places::Searched(rules.to_vec()),
            false => Places::Fixed(PlaceRules::all(first)),
        };
        Supernet::new(skeleton, places, columns, self.partial)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`LearnError::Config`] names the first setting out of its range.
    pub fn check(&self) -> Result<(), LearnError> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let not_negative = |v: f64| v >= 0.0 && v.is_finite();
        let count = |n: usize| n as f64;
        let e = self.evolution.unwrap_or_default();
        check_ranges([
            ("epochs", count(self.epochs), self.epochs > 0, "1 and more"),
            (
                "min_lr",
                self.min_lr.into(),
                not_negative(self.min_lr.into()),
                "0 and more",
            ),
            (
                "alpha_lr",
                self.alpha_lr,
                positive(self.alpha_lr),
                "above 0",
            ),
            (
                "alpha_weight_decay",
                self.alpha_weight_decay,
                not_negative(self.alpha_weight_decay),
                "0 and more",
            ),
            (
                "curvature_epochs",
                count(self.curvature_epochs),
                self.curvature_epochs > 0,
                "1 and more",
            ),
            (
                "curvature_iterations",
                count(self.curvature_iterations),
                self.curvature_iterations > 0,
                "1 and more",
            ),
            (
                "second_order",
                count(self.second_order.into()),
                !(self.second_order && self.evolution.is_some()),
                "0 where logits evolve, which takes no gradient",
            ),
            (
                "evolution.population",
                count(e.population),
                e.population > 3,
                "4 and more",
            ),
            (
                "evolution.generations",
                count(e.generations),
                e.generations > 0,
                "1 and more",
            ),
            (
                "evolution.batches",
                count(e.batches),
                e.batches > 0,
                "1 and more",
            ),
            ("evolution.sigma", e.sigma, positive(e.sigma), "above 0"),
            (
                "evolution.step",
                e.step,
                (0.0..=1.0).contains(&e.step),
                "0 to 1",
            ),
            (
                "evolution.likeness",
                e.likeness,
                not_negative(e.likeness),
                "0 and more",
            ),
            ("evolution.bound", e.bound, positive(e.bound), "above 0"),
        ])
    }
}
