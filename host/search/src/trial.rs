//! One candidate and what is known of it so far.

use crate::ledger::Event;
use crate::objective::{Costs, Limits, Score};
use crate::pareto::{Point, non_dominated_sort};
use aplysia_space::RuleShare;
use serde::{Deserialize, Serialize};

/// A candidate within the limits, with the results of its trainings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial<G> {
    /// Number of the trial, from 0; its randomness derives from it and the study's seed.
    pub index: usize,
    /// Generation it belongs to, from 0.
    pub generation: usize,
    /// The candidate.
    pub genotype: G,
    /// What it costs.
    pub costs: Costs,
    /// The share of its weights that each rule trains; empty (and not written) in ledgers of earlier versions.
    #[serde(default, skip_serializing_if = "RuleShare::is_empty")]
    pub rule_share: RuleShare,
    /// Candidates drawn before it that broke a limit or had been tried.
    pub n_rejected: usize,
    /// Validation accuracy (0..=1) at the end of each rung it trained on.
    pub accuracies: Vec<f64>,
    /// Accuracy (0..=1) on shifted images after learning on the device at the end of each; empty (and not
    /// written) if the study does not ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapted: Vec<f64>,
    /// Why its training failed, if it did.
    pub failure: Option<String>,
}

impl<G> Trial<G> {
    /// Accuracy after its longest training.
    pub fn accuracy(&self) -> Option<f64> {
        self.accuracies.last().copied()
    }

    /// What its longest training is worth.
    pub fn score(&self) -> Option<Score> {
        Some(Score {
            accuracy: self.accuracy()?,
            adapted: self.adapted.last().copied(),
        })
    }

    /// Its place in objective space, unless it failed or has not trained.
    pub fn point(&self, limits: &Limits) -> Option<Point> {
        let score = self.score().filter(|_| self.failure.is_none())?;
        Some(limits.point(&self.costs, score))
    }
}

/// Takes an event of the ledger into the trials before it; false if it cannot follow them.
pub(crate) fn take<G>(trials: &mut Vec<Trial<G>>, event: Event<G>) -> bool {
    match event {
        Event::Trial {
            trial: index,
            generation,
            n_rejected,
            costs,
            genotype,
            rule_share,
        } => {
            let fits = index == trials.len();
            let (accuracies, adapted, failure) = (vec![], vec![], None);
            trials.push(Trial {
                index,
                generation,
                genotype,
                costs,
                rule_share,
                n_rejected,
                accuracies,
                adapted,
                failure,
            });
            fits
        }
        Event::Score {
            trial,
            rung,
            accuracy,
            adapted,
            ..
        } => {
            let found = trials.get_mut(trial);
            let n_adapted = adapted.map_or(0, |_| rung);
            let fits =
                |t: &&mut Trial<G>| (t.accuracies.len(), t.adapted.len()) == (rung, n_adapted);
            let Some(trial) = found.filter(fits) else {
                return false;
            };
            trial.accuracies.push(accuracy);
            trial.adapted.extend(adapted);
            true
        }
        Event::Failed { trial, error, .. } => {
            let trial = trials.get_mut(trial);
            trial.map(|t| t.failure = Some(error)).is_some()
        }
    }
}

/// The trials that trained on all `n_rungs` rungs and that no other such trial dominates, the best by
/// [`Score::lead`] first.
pub fn front<'a, G>(trials: &'a [Trial<G>], limits: &Limits, n_rungs: usize) -> Vec<&'a Trial<G>> {
    let (full, points): (Vec<_>, Vec<_>) = trials
        .iter()
        .filter(|t| t.accuracies.len() == n_rungs)
        .filter_map(|t| Some((t, t.point(limits)?)))
        .unzip();
    let best = non_dominated_sort(&points)
        .into_iter()
        .next()
        .unwrap_or_default();
    let mut front: Vec<&Trial<G>> = best.into_iter().map(|i| full[i]).collect();
    front.sort_by(|a, b| {
        let lead = |t: &Trial<G>| t.score().map_or(0.0, |score| score.lead());
        lead(b).total_cmp(&lead(a)).then(a.index.cmp(&b.index))
    });
    front
}
