//! How a trial gets its candidate: asked of the strategy, or learned by the evaluator.

use super::run::{Outcome, Outside, Progress};
use super::{Study, learned_dir};
use crate::error::SearchError;
use crate::evaluate::{Evaluate, Proposal, TrainError};
use crate::ledger::Event;
use crate::strategy::{Space, Strategy};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Candidates drawn for one trial before the limits are called too tight.
const MAX_TRIES: usize = 5_000;

/// Candidates learned for one trial before.
const MAX_LEARNED: usize = 3;

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
        let mut nearest = f64::INFINITY;
        for n_rejected in 0..MAX_TRIES {
            if outside.stopped() {
                return Ok(Outcome::Interrupted);
            }
            let genotype = strategy.ask(&self.config.space, &mut rng);
            let known = self.trials.iter().any(|t| t.genotype == genotype);
            let violation = self.take(genotype, known, n_rejected, outside)?;
            match violation {
                None => return Ok(Outcome::Complete),
                Some(violation) => nearest = nearest.min(violation),
            }
        }
        Err(SearchError::NoCandidate {
            trial: index,
            tries: MAX_TRIES,
            violation: nearest,
        })
    }

    /// The first candidate learned that is within the limits, each attempt by a seed of its own. Two trials
    /// may learn the same: that they agree is a result.
    fn learn<E: Evaluate<S::Genotype>>(
        &mut self,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Outcome, SearchError> {
        let trial = self.trials.len();
        let mut nearest = f64::INFINITY;
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
                Some(violation) => nearest = nearest.min(violation),
            }
        }
        Err(SearchError::Learned {
            trial,
            tries: MAX_LEARNED,
            violation: nearest,
        })
    }

    /// Makes `genotype` the next trial if it keeps the limits and is not `known`; else gives its violation.
    fn take<E: Evaluate<S::Genotype>>(
        &mut self,
        genotype: S::Genotype,
        known: bool,
        n_rejected: usize,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Option<f64>, SearchError> {
        let index = self.trials.len();
        let evaluator = &outside.evaluator;
        let (Ok(costs), Ok(rule_share)) =
            (evaluator.cost(&genotype), evaluator.rule_share(&genotype))
        else {
            return Ok(Some(f64::INFINITY));
        };
        let violation = self.config.limits.violation(&costs);
        if violation > 0.0 || known {
            return Ok(Some(violation));
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
