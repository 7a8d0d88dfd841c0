//! How a trial gets its candidate: asked of the strategy, or learned by the evaluator.

use super::run::{Outcome, Outside, Progress};
use super::{Study, learned_dir};
use crate::error::SearchError;
use crate::evaluate::{Evaluate, Proposal, TrainError};
use crate::ledger::Event;
use crate::objective::{Costs, Limits};
use crate::strategy::{Space, Strategy};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Candidates drawn for one trial before the limits are called too tight.
const MAX_TRIES: usize = 5_000;

/// Candidates learned for one trial before.
const MAX_LEARNED: usize = 3;

/// A candidate that did not become a trial.
struct Rejected {
    /// Of the limits; infinite if it is no network that can be deployed.
    violation: f64,
    costs: Costs,
}

impl Rejected {
    /// The one of the two that is nearer to the limits.
    fn nearer(self, other: Option<Self>) -> Option<Self> {
        let is_nearer = |other: &Self| other.violation <= self.violation;
        Some(other.filter(is_nearer).unwrap_or(self))
    }

    /// Why even this one, the nearest of all, was rejected.
    fn why(nearest: Option<Self>, limits: &Limits) -> String {
        match nearest {
            Some(Self { violation, costs }) if violation.is_finite() => {
                match limits.exceeded(&costs) {
                    all_kept if all_kept.is_empty() => "all that fit were tried before".into(),
                    exceeded => format!("the nearest has {exceeded}"),
                }
            }
            _ => "none of them can be deployed".into(),
        }
    }
}

impl<S: Space + Clone + Serialize + DeserializeOwned + 'static> Study<S> {
    /// Chooses the next trial's candidate; the evaluator learns it if there is no strategy to ask.
    pub(super) fn propose<E: Evaluate<S::Genotype>>(
        &mut self,
        strategy: Option<&dyn Strategy<S>>,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Outcome, SearchError> {
        let index = self.trials.len();
        if let Some(event) = self.events.get(self.cursor).cloned() {
            let fits = matches!(&event, Event::Trial { trial, .. } if *trial == index);
            return self.replay(event, fits);
        }
        match strategy {
            Some(strategy) => self.ask(strategy, outside),
            None => self.learn(outside),
        }
    }

    /// The first candidate asked that is new and within the limits.
    fn ask<E: Evaluate<S::Genotype>>(
        &mut self,
        strategy: &dyn Strategy<S>,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Outcome, SearchError> {
        let index = self.trials.len();
        let mut rng = self.stream(index as u64);
        let mut nearest = None;
        for n_rejected in 0..MAX_TRIES {
            if outside.stopped() {
                return Ok(Outcome::Interrupted);
            }
            let genotype = strategy.ask(&self.config.space, &mut rng);
            let known = self.trials.iter().any(|t| t.genotype == genotype);
            match self.take(genotype, known, n_rejected, outside)? {
                None => return Ok(Outcome::Complete),
                Some(rejected) => nearest = rejected.nearer(nearest),
            }
            (outside.observe)(Progress::Rejected(n_rejected + 1));
        }
        Err(SearchError::NoCandidate {
            trial: index,
            tries: MAX_TRIES,
            nearest: Rejected::why(nearest, &self.config.limits),
        })
    }

    /// The first candidate learned that is within the limits, each attempt by a seed of its own. Two trials
    /// may learn the same: that they agree is a result.
    fn learn<E: Evaluate<S::Genotype>>(
        &mut self,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Outcome, SearchError> {
        let trial = self.trials.len();
        let mut nearest = None;
        for attempt in 0..MAX_LEARNED {
            if outside.stopped() {
                return Ok(Outcome::Interrupted);
            }
            let dir = learned_dir(&self.dir, trial, attempt);
            std::fs::create_dir_all(&dir).map_err(|source| SearchError::Io {
                path: dir.clone(),
                doing: "make the supernet's folder",
                source,
            })?;
            let mut seeds = ChaCha8Rng::seed_from_u64(self.trial_seed(trial));
            seeds.set_stream(attempt as u64);
            let proposal = Proposal {
                trial,
                seed: seeds.next_u32().into(),
                dir,
                stop: outside.stop,
            };
            let genotype = match outside.evaluator.propose(&proposal) {
                Ok(genotype) => genotype,
                Err(TrainError::Interrupted) => return Ok(Outcome::Interrupted),
                Err(TrainError::Failed(e)) => return Err(SearchError::Evaluator(e.into())),
                Err(TrainError::Fatal(e)) => return Err(SearchError::Evaluator(e)),
            };
            match self.take(genotype, false, attempt, outside)? {
                None => return Ok(Outcome::Complete),
                Some(rejected) => nearest = rejected.nearer(nearest),
            }
        }
        Err(SearchError::Learned {
            trial,
            tries: MAX_LEARNED,
            nearest: Rejected::why(nearest, &self.config.limits),
        })
    }

    /// Makes `genotype` the next trial if it keeps the limits and is not `known`; else rejects it.
    fn take<E: Evaluate<S::Genotype>>(
        &mut self,
        genotype: S::Genotype,
        known: bool,
        n_rejected: usize,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Option<Rejected>, SearchError> {
        let index = self.trials.len();
        let evaluator = &outside.evaluator;
        let (Ok(costs), Ok(rule_share)) =
            (evaluator.cost(&genotype), evaluator.rule_share(&genotype))
        else {
            let (violation, costs) = (f64::INFINITY, Costs::default());
            return Ok(Some(Rejected { violation, costs }));
        };
        let violation = self.config.limits.violation(&costs);
        if violation > 0.0 || known {
            return Ok(Some(Rejected { violation, costs }));
        }
        self.record(Event::Trial {
            trial: index,
            generation: index / self.config.population,
            n_rejected,
            costs,
            genotype,
            rule_share,
        })?;
        (outside.observe)(Progress::Proposed(&self.trials[index]));
        Ok(None)
    }
}
