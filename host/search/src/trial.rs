//! One candidate and what is known of it so far.

use crate::ledger::Event;
use crate::objective::{Costs, Limits};
use crate::pareto::{Point, non_dominated_sort};
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
    /// Candidates drawn before it that broke a limit or had been tried.
    pub n_rejected: usize,
    /// Validation accuracy (0..=1) at the end of each rung it trained on.
    pub accuracies: Vec<f64>,
    /// Why its training failed, if it did.
    pub failure: Option<String>,
}

impl<G> Trial<G> {
    /// Accuracy after its longest training.
    pub fn accuracy(&self) -> Option<f64> {
        self.accuracies.last().copied()
    }

    /// Its place in objective space, unless it failed or has not trained.
    pub fn point(&self, limits: &Limits) -> Option<Point> {
        let accuracy = self.accuracy().filter(|_| self.failure.is_none())?;
        Some(limits.point(&self.costs, accuracy))
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
        } => {
            let fits = index == trials.len();
            let (accuracies, failure) = (vec![], None);
            trials.push(Trial {
                index,
                generation,
                genotype,
                costs,
                n_rejected,
                accuracies,
                failure,
            });
            fits
        }
        Event::Score {
            trial,
            rung,
            accuracy,
            ..
        } => {
            let found = trials.get_mut(trial);
            let trial = found.filter(|t| t.accuracies.len() == rung);
            trial.map(|t| t.accuracies.push(accuracy)).is_some()
        }
        Event::Failed { trial, error, .. } => {
            let trial = trials.get_mut(trial);
            trial.map(|t| t.failure = Some(error)).is_some()
        }
    }
}

/// The trials that trained on all `n_rungs` rungs and that no other such trial dominates, the most
/// accurate first.
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
        let accuracy = |t: &Trial<G>| t.accuracy().unwrap_or(0.0);
        accuracy(b)
            .total_cmp(&accuracy(a))
            .then(a.index.cmp(&b.index))
    });
    front
}
