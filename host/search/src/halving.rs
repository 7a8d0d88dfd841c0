//! Successive halving: many candidates train briefly, few go on.
//!
//! Synchronous, within one generation: rung `r` trains the best `⌊n/eta^r⌋` (at least one) of its `n`
//! candidates up to budget `r`. Source: K. Jamieson, A. Talwalkar, "Non-stochastic best arm
//! identification and hyperparameter optimization", AISTATS 2016.

use crate::pareto::{Point, non_dominated_sort};
use serde::{Deserialize, Serialize};

/// Budgets and the rate of promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Training up to the end of each rung, from the start of training, in the evaluator's unit
    /// (epochs, samples); strictly ascending. One entry: no halving.
    pub budgets: Vec<u64>,
    /// One of `eta` candidates is promoted to the next rung; at least 2.
    pub eta: usize,
}

impl Halving {
    /// How many of `n` candidates train on `rung`.
    pub fn n_on_rung(&self, n: usize, rung: usize) -> usize {
        let rate = self
            .eta
            .saturating_pow(u32::try_from(rung).unwrap_or(u32::MAX));
        if n == 0 { 0 } else { (n / rate.max(1)).max(1) }
    }

    /// Trainings of a generation of `n` candidates, all rungs together (fewer if some fail).
    pub fn n_jobs(&self, n: usize) -> usize {
        (0..self.budgets.len())
            .map(|rung| self.n_on_rung(n, rung))
            .sum()
    }

    /// The `n` indices that go on: by front, then the better in the first objective (accuracy), then the
    /// earlier; in ascending order.
    ///
    /// Not by crowding, which would spend the long trainings on the two cheapest networks.
    pub fn promote(points: &[Point], n: usize) -> Vec<usize> {
        let mut order = vec![];
        for mut front in non_dominated_sort(points) {
            let loss = |i: usize| points[i].objectives[0];
            front.sort_by(|&a, &b| loss(a).total_cmp(&loss(b)).then(a.cmp(&b)));
            order.extend(front);
        }
        order.truncate(n);
        order.sort_unstable();
        order
    }
}
