//! The evidence for mixed learning rules: one genotype per search under the rules found for it, under single
//! rules and under rules drawn at random, in plain numbers; what they say about the claims.
//!
//! Owns the comparisons ([`Evidence::comparisons`]), the verdicts ([`claims`]) and the text ([`markdown()`]).

pub mod claims;
mod markdown;
pub(crate) mod tables;

pub use markdown::markdown;

use crate::comparison::{Difference, against_draws, holm, paired, welch};
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
    /// What it repeats with another seed: the name of the first search of the kind, its own if it is that.
    pub procedure: String,
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

/// The networks as found by a procedure against others, or against all random assignments.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The procedure.
    pub procedure: String,
    /// What it is compared with.
    pub with: String,
    /// Values on both sides: of one search its trainings, or one assignment and the random ones, each its mean over
    /// the seeds; of several searches one value each.
    pub n: [usize; 2],
    /// Of test accuracies, in points.
    #[serde(flatten)]
    pub test: Difference,
    /// Holm's, within the procedure.
    pub p_holm: f64,
}

/// Networks that are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Those of one kind.
    Of(Kind),
    /// Those of all random assignments.
    Random,
}

impl Group {
    fn takes(self, kind: Kind) -> bool {
        match self {
            Group::Of(one) => one == kind,
            Group::Random => matches!(kind, Kind::Random(_)),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Of(kind) => kind.fmt(f),
            Group::Random => f.write_str(RANDOM),
        }
    }
}

impl Arm {
    /// One number per training.
    pub fn values(&self, of: impl Fn(&Trained) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).collect()
    }

    /// Mean test accuracy.
    pub fn mean_test_pct(&self) -> f64 {
        mean(&self.values(|run| run.test_pct))
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

    /// The first search of every procedure.
    pub fn procedures(&self) -> impl Iterator<Item = &Searched> {
        self.searches.iter().filter(|s| s.name == s.procedure)
    }

    /// The searches by a procedure.
    pub fn repeats(&self, procedure: &str) -> Vec<&Searched> {
        let own = |s: &&Searched| s.procedure == procedure;
        self.searches.iter().filter(own).collect()
    }

    /// Whether a procedure searched from several seeds.
    fn is_repeated(&self, procedure: &str) -> bool {
        self.repeats(procedure).len() > 1
    }

    /// What a table of a procedure has rows for. Draws of one search are told apart, those of several are not: each
    /// search has its own.
    pub(crate) fn groups(&self, procedure: &str) -> Vec<Group> {
        let repeated = self.is_repeated(procedure);
        let mut groups = vec![];
        for arm in self.group(procedure) {
            let group = match arm.kind {
                Kind::Random(_) if repeated => Group::Random,
                kind => Group::Of(kind),
            };
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// A number of the trainings of `group`: of one search all that are known; of several one value each, the mean of
    /// its own.
    pub(crate) fn values(
        &self,
        procedure: &str,
        group: Group,
        of: impl Fn(&Trained) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let known = |search: &Searched| -> Vec<f64> {
            let arms = self.group(&search.name).into_iter();
            let arms = arms.filter(|arm| group.takes(arm.kind));
            arms.flat_map(|arm| &arm.runs).filter_map(&of).collect()
        };
        match &self.repeats(procedure)[..] {
            [only] => known(only).into_iter().map(Some).collect(),
            many => many
                .iter()
                .map(|s| known(s))
                .map(|v| (!v.is_empty()).then(|| mean(&v)))
                .collect(),
        }
    }

    /// A number of the networks as found against those of `group`: Welch's test over the trainings of one search;
    /// over several, each has its own genotype, so that values are compared within it ([`paired`]). With the counts.
    pub(crate) fn compare(
        &self,
        procedure: &str,
        group: Group,
        of: impl Fn(&Trained) -> Option<f64>,
    ) -> Option<([usize; 2], Difference)> {
        let own = self.values(procedure, Group::Of(Kind::Searched), &of);
        let others = self.values(procedure, group, &of);
        if self.is_repeated(procedure) {
            let both = own.into_iter().zip(others);
            let pairs: Vec<(f64, f64)> = both.filter_map(|(a, b)| Some((a?, b?))).collect();
            return Some(([pairs.len(); 2], paired(&pairs)?));
        }
        let known = |values: Vec<Option<f64>>| values.into_iter().flatten().collect::<Vec<_>>();
        let (own, others) = (known(own), known(others));
        Some(([own.len(), others.len()], welch(&own, &others)?))
    }

    /// Test accuracy of the networks as found by `procedure` against all others: single rules and random assignments
    /// of the same genotypes ([`Self::compare`]; the one that a single search found may be a further draw,
    /// [`against_draws`] of means over the seeds), and what other procedures found in the same space (Welch's test; a
    /// single search may be a further one of several, [`against_draws`]). Two-sided.
    pub fn comparisons(&self, procedure: &str) -> Vec<Comparison> {
        let Some(first) = self.procedures().find(|s| s.name == procedure) else {
            return vec![];
        };
        let test = |run: &Trained| Some(run.test_pct);
        let groups = self.groups(procedure);
        let (random, others): (Vec<Group>, Vec<Group>) =
            groups.iter().partition(|group| match group {
                Group::Of(kind) => Group::Random.takes(*kind),
                Group::Random => true,
            });
        let mut compared = vec![];
        for group in others
            .into_iter()
            .filter(|&g| g != Group::Of(Kind::Searched))
        {
            let test = self.compare(procedure, group, test);
            compared.extend(test.map(|(n, test)| (group.to_string(), n, test)));
        }
        let found = |name: &str| -> Vec<f64> {
            let values = self.values(name, Group::Of(Kind::Searched), test);
            values.into_iter().flatten().collect()
        };
        let own = found(procedure);
        let elsewhere = self.procedures();
        for other in elsewhere.filter(|s| s.name != procedure && s.space == first.space) {
            let theirs = found(&other.name);
            // One search is worth one value where the others are searches.
            let test = match [procedure, &other.name].map(|name| self.is_repeated(name)) {
                [false, true] => against_draws(mean(&own), &theirs).map(|t| ([1, theirs.len()], t)),
                [true, false] => {
                    against_draws(mean(&theirs), &own).map(|t| ([own.len(), 1], t.reversed()))
                }
                _ => welch(&own, &theirs).map(|t| ([own.len(), theirs.len()], t)),
            };
            compared.extend(test.map(|(n, t)| (other.name.clone(), n, t)));
        }
        let drawn = match (self.is_repeated(procedure), random.is_empty()) {
            (_, true) => None,
            (false, false) => {
                let arms = self.group(procedure).into_iter();
                let drawn = arms.filter(|arm| Group::Random.takes(arm.kind));
                let drawn: Vec<f64> = drawn.map(Arm::mean_test_pct).collect();
                against_draws(mean(&own), &drawn).map(|test| ([1, drawn.len()], test))
            }
            _ => self.compare(procedure, Group::Random, test),
        };
        compared.extend(drawn.map(|(n, test)| (RANDOM.into(), n, test)));
        let p: Vec<f64> = compared.iter().map(|(.., test)| test.p).collect();
        let all = compared.into_iter().zip(holm(&p));
        let row = |((with, n, test), p_holm)| Comparison {
            procedure: procedure.into(),
            with,
            n,
            test,
            p_holm,
        };
        all.map(row).collect()
    }
}
