//! The evidence for mixed learning rules: one genotype per search under the rules found for it, under single
//! rules and under rules drawn at random, in plain numbers; what they say about the claims.
//!
//! Owns the comparisons ([`Evidence::comparisons`]), the verdicts ([`claims`]) and the text ([`tables`]).

pub mod claims;
pub mod tables;

use crate::comparison::{Difference, against_draws, holm, welch};
use aplysia_space::Rule;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// Images that choices are made on.
    pub n_valid: usize,
    /// Images that accuracies are reported on.
    pub n_test: usize,
    /// One per search.
    pub searches: Vec<Searched>,
    /// Networks of the first search, then those of the second, ...; in each the one as found is the first.
    pub arms: Vec<Arm>,
}

/// A search and what it chose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Searched {
    /// Its name.
    pub name: String,
    /// The space of its networks.
    pub space: String,
    /// Images that they are trained on.
    pub n_train: usize,
    /// Epochs of their trainings.
    pub epochs: usize,
    /// Candidates.
    pub n_trials: usize,
    /// Validation accuracy of the winner at the end of its training within the search.
    pub valid_pct: f64,
    /// The genotype as text.
    pub genotype: String,
    /// Whether all that it chose learns by back-propagation.
    pub is_bp: bool,
    /// Whether the same genotype was trained under other rules, too.
    pub has_controls: bool,
    /// As exported and run on the emulated device.
    pub device: Option<OnDevice>,
}

/// An exported network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OnDevice {
    /// Test accuracy per seed, float.
    pub float_pct: Vec<f64>,
    /// And int8.
    pub int8_pct: Vec<f64>,
    /// Length of the blob.
    pub flash_bytes: u64,
    /// Arena.
    pub ram_bytes: u64,
    /// Multiply-accumulates of an inference.
    pub macs: u64,
    /// Instructions of an inference, counted on the device.
    pub instructions: f64,
    /// Test images on which every score of the device equals the host's.
    pub n_equal: usize,
    /// Test images compared.
    pub n_compared: usize,
}

/// Which rules a network learns by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Those that the search found.
    Searched,
    /// One everywhere.
    Single(Rule),
    /// Each layer's drawn by itself; the number of the draw.
    Random(u64),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Searched => f.write_str("as found"),
            Kind::Single(rule) => write!(f, "{rule} everywhere"),
            Kind::Random(draw) => write!(f, "random {draw}"),
        }
    }
}

/// A network under one assignment of rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Arm {
    /// The search whose genotype it has.
    pub search: String,
    /// How its rules were chosen.
    pub kind: Kind,
    /// Rules by the share of weights they train.
    pub rules: String,
    /// The rule of most weights.
    pub main_rule: Rule,
    /// Trainings, one per seed.
    pub runs: Vec<Trained>,
}

/// One training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trained {
    /// Its seed.
    pub seed: u64,
    /// Accuracy on the validation images after the last epoch.
    pub valid_pct: f64,
    /// On the test images.
    pub test_pct: f64,
    /// Per epoch, mean angle between feedback and weights over the layers that have one, weighted by weights.
    pub angles_deg: Vec<Option<f64>>,
    /// Variance of the gradient, where it was measured.
    pub noise: Vec<Noise>,
    /// Accuracy under attack, if attacked.
    pub attacked: Option<Attacked>,
}

/// Variance of the gradient between batches, over all weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Epochs trained before; 0: the first weights.
    pub epoch: usize,
    /// Mean variance of one weight's gradient.
    pub variance: f64,
    /// Sum of the variances, of the square of the length of the mean gradient.
    pub to_signal: f64,
}

/// What is left under attack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attacked {
    /// Images attacked.
    pub n_images: usize,
    /// Accuracy on them before.
    pub clean_pct: f64,
    /// By strength, rising.
    pub strengths: Vec<crate::Strength>,
    /// Sanity checks that say that a gradient misleads its attacks.
    pub n_masking: usize,
    /// Sanity checks that say that the evaluation is wrong.
    pub n_faults: usize,
}

/// The network as found against another, or against all random assignments.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The search.
    pub search: String,
    /// What it is compared with.
    pub with: String,
    /// Values on both sides: trainings, or one assignment and the random ones, each its mean over the seeds.
    pub n: [usize; 2],
    /// Of test accuracies, in points.
    #[serde(flatten)]
    pub test: Difference,
    /// Holm's, within the search.
    pub p_holm: f64,
}

impl Arm {
    /// One number per training.
    pub fn values(&self, of: impl Fn(&Trained) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).collect()
    }

    /// One number of the gradient per training at the last epoch where it was measured.
    pub fn last_noise(&self, of: impl Fn(&Noise) -> f64) -> Vec<f64> {
        let last = self.runs.iter().filter_map(|run| run.noise.last());
        last.map(of).collect()
    }

    /// Mean test accuracy.
    pub fn mean_test_pct(&self) -> f64 {
        mean(&self.values(|run| run.test_pct))
    }

    /// Mean validation accuracy.
    pub fn mean_valid_pct(&self) -> f64 {
        mean(&self.values(|run| run.valid_pct))
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// What the comparison with all random assignments is called.
pub(crate) const RANDOM: &str = "random assignments";

impl Evidence {
    /// The networks of one genotype, the one as found first.
    pub fn group<'a>(&'a self, search: &str) -> Vec<&'a Arm> {
        let own = |arm: &&Arm| arm.search == search;
        self.arms.iter().filter(own).collect()
    }

    /// Test accuracy of the network as found by `search` against that of every other: single rules and what other
    /// searches of the same space found by Welch's test over the seeds, and all random assignments, of which the one
    /// found may be a further draw ([`against_draws`] of means over the seeds). Two-sided.
    pub fn comparisons(&self, search: &str) -> Vec<Comparison> {
        let group = self.group(search);
        let test = |arm: &Arm| arm.values(|run| run.test_pct);
        let Some(found) = group.iter().find(|arm| arm.kind == Kind::Searched) else {
            return vec![];
        };
        let mut others: Vec<(String, Vec<f64>)> = vec![];
        for arm in group
            .iter()
            .filter(|arm| matches!(arm.kind, Kind::Single(_)))
        {
            others.push((arm.kind.to_string(), test(arm)));
        }
        let draws = group
            .iter()
            .filter(|arm| matches!(arm.kind, Kind::Random(_)));
        let draws: Vec<f64> = draws.map(|arm| arm.mean_test_pct()).collect();
        let space = |name: &str| {
            let named = self.searches.iter().find(|s| s.name == name);
            named.map(|s| &s.space)
        };
        let elsewhere = self.arms.iter().filter(|a| {
            a.search != search && a.kind == Kind::Searched && space(&a.search) == space(search)
        });
        others.extend(elsewhere.map(|arm| (arm.search.clone(), test(arm))));
        let own = test(found);
        let over_seeds = |(with, values): (String, Vec<f64>)| {
            let test = welch(&own, &values)?;
            Some((with, [own.len(), values.len()], test))
        };
        let mut compared: Vec<_> = others.into_iter().filter_map(over_seeds).collect();
        let as_a_draw = against_draws(found.mean_test_pct(), &draws);
        compared.extend(as_a_draw.map(|test| (RANDOM.into(), [1, draws.len()], test)));
        let p: Vec<f64> = compared.iter().map(|(.., test)| test.p).collect();
        let all = compared.into_iter().zip(holm(&p));
        let row = |((with, n, test), p_holm)| Comparison {
            search: search.into(),
            with,
            n,
            test,
            p_holm,
        };
        all.map(row).collect()
    }
}
