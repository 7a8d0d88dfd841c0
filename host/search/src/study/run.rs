//! The search loop: propose a generation, train it rung by rung, tell the strategy.

use super::Study;
use crate::error::SearchError;
use crate::evaluate::{Evaluate, Job, TrainError};
use crate::halving::Halving;
use crate::ledger::{self, Event};
use crate::objective::Score;
use crate::pareto::Point;
use crate::strategy::Space;
use crate::trial::{self, Trial};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every trial is done.
    Complete,
    /// The stop flag was seen; run again to go on.
    Interrupted,
}

/// What a run tells its observer. `job` counts trainings from 1; `n_jobs` is their number if none fails.
#[derive(Debug)]
pub enum Progress<'a, G> {
    /// As many candidates drawn for the next trial were known or beyond the limits.
    Rejected(usize),
    /// A candidate was chosen (not told again on resume).
    Proposed(&'a Trial<G>),
    /// A training begins.
    Started {
        /// The trial.
        trial: &'a Trial<G>,
        /// Its rung.
        rung: usize,
        /// Trains up to here.
        budget: u64,
        /// Which training.
        job: usize,
        /// Of how many.
        n_jobs: usize,
    },
    /// A training ended; the trial holds its accuracy or failure.
    Finished {
        /// The trial.
        trial: &'a Trial<G>,
        /// Its rung.
        rung: usize,
        /// Which training.
        job: usize,
        /// Of how many.
        n_jobs: usize,
        /// Whether it was found in the ledger instead of done now.
        replayed: bool,
    },
}

/// What a run needs from outside.
pub(super) struct Outside<'a, E, G> {
    pub(super) evaluator: &'a mut E,
    pub(super) stop: &'a AtomicBool,
    pub(super) observe: &'a mut dyn FnMut(Progress<'_, G>),
    job: usize,
}

impl<E, G> Outside<'_, E, G> {
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<S: Space + Clone + Serialize + DeserializeOwned + 'static> Study<S> {
    /// Runs until all trials are done or `stop` becomes true.
    ///
    /// # Errors
    /// What ends a search early; the study can be run again after each of them.
    pub fn run<E: Evaluate<S::Genotype>>(
        &mut self,
        evaluator: &mut E,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Progress<'_, S::Genotype>),
    ) -> Result<Outcome, SearchError> {
        self.trials.clear();
        self.cursor = 0;
        let outcome = self.generations(&mut Outside {
            evaluator,
            stop,
            observe,
            job: 0,
        })?;
        self.write_front()?;
        Ok(outcome)
    }

    fn generations<E: Evaluate<S::Genotype>>(
        &mut self,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Outcome, SearchError> {
        let mut strategy = self.config.strategy.start::<S>(self.config.population);
        while self.trials.len() < self.config.n_trials {
            let first = self.trials.len();
            let n = self.config.population.min(self.config.n_trials - first);
            for _ in 0..n {
                if self.propose(strategy.as_deref(), outside)? == Outcome::Interrupted {
                    return Ok(Outcome::Interrupted);
                }
            }
            for rung in 0..self.config.halving.budgets.len() {
                for trial in self.promoted(first, rung) {
                    if self.train(trial, rung, outside)? == Outcome::Interrupted {
                        return Ok(Outcome::Interrupted);
                    }
                }
            }
            let told = self.trials[first..].iter();
            let told = told.filter_map(|t| Some((t.genotype.clone(), self.point(t)?)));
            if let Some(strategy) = &mut strategy {
                strategy.tell(told.collect());
            }
        }
        Ok(Outcome::Complete)
    }

    fn point(&self, trial: &Trial<S::Genotype>) -> Option<Point> {
        trial.point(&self.config.limits)
    }

    /// The trials of the generation from `first` on that train on `rung`.
    fn promoted(&self, first: usize, rung: usize) -> Vec<usize> {
        let generation = &self.trials[first..];
        if rung == 0 {
            return (first..self.trials.len()).collect();
        }
        let (ready, points): (Vec<usize>, Vec<Point>) = generation
            .iter()
            .filter(|t| t.accuracies.len() == rung)
            .filter_map(|t| Some((t.index, self.point(t)?)))
            .unzip();
        let n = self.config.halving.n_on_rung(generation.len(), rung);
        Halving::promote(&points, n)
            .into_iter()
            .map(|i| ready[i])
            .collect()
    }

    /// Trains a trial on a rung, or takes the result from the ledger.
    fn train<E: Evaluate<S::Genotype>>(
        &mut self,
        index: usize,
        rung: usize,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Outcome, SearchError> {
        let n_jobs = self.config.n_jobs();
        outside.job += 1;
        let job = outside.job;
        let replayed = self.cursor < self.events.len();
        if let Some(event) = self.events.get(self.cursor).cloned() {
            let place = (index, rung);
            let fits = match &event {
                Event::Score { trial, rung, .. } | Event::Failed { trial, rung, .. } => {
                    (*trial, *rung) == place
                }
                Event::Trial { .. } => false,
            };
            self.replay(event, fits)?;
        } else {
            if outside.stopped() {
                return Ok(Outcome::Interrupted);
            }
            let (trial, budget) = (&self.trials[index], self.config.halving.budgets[rung]);
            (outside.observe)(Progress::Started {
                trial,
                rung,
                budget,
                job,
                n_jobs,
            });
            let Some(event) = self.evaluate(index, rung, outside)? else {
                return Ok(Outcome::Interrupted);
            };
            self.record(event)?;
            if rung + 1 == self.config.halving.budgets.len() {
                self.write_front()?;
            }
        }
        let trial = &self.trials[index];
        (outside.observe)(Progress::Finished {
            trial,
            rung,
            job,
            n_jobs,
            replayed,
        });
        Ok(Outcome::Complete)
    }

    /// Calls the evaluator; `None` if it was interrupted.
    fn evaluate<E: Evaluate<S::Genotype>>(
        &self,
        trial: usize,
        rung: usize,
        outside: &mut Outside<'_, E, S::Genotype>,
    ) -> Result<Option<Event<S::Genotype>>, SearchError> {
        let budgets = &self.config.halving.budgets;
        let previous = rung.checked_sub(1);
        let dir = self.rung_dir(trial, rung);
        std::fs::create_dir_all(&dir).map_err(|source| SearchError::Io {
            path: dir.clone(),
            doing: "make the trial's folder",
            source,
        })?;
        let job = Job {
            trial,
            genotype: &self.trials[trial].genotype,
            seed: self.trial_seed(trial),
            rung,
            budget: budgets[rung],
            budget_done: previous.map_or(0, |p| budgets[p]),
            dir,
            previous: previous.map(|p| self.rung_dir(trial, p)),
            stop: outside.stop,
        };
        let begin = Instant::now();
        let failed = |error| Event::Failed { trial, rung, error };
        let event = match outside.evaluator.train(&job) {
            Ok(Score { accuracy, adapted }) => {
                let is_share = |share: f64| (0.0..=1.0).contains(&share);
                match [Some(accuracy), adapted]
                    .into_iter()
                    .flatten()
                    .find(|&s| !is_share(s))
                {
                    Some(share) => failed(format!("accuracy {share} is not within 0..=1")),
                    None => Event::Score {
                        trial,
                        rung,
                        budget: job.budget,
                        accuracy,
                        adapted,
                    },
                }
            }
            Err(TrainError::Failed(error)) => failed(error),
            Err(TrainError::Interrupted) => return Ok(None),
            Err(TrainError::Fatal(e)) => return Err(SearchError::Evaluator(e)),
        };
        self.write_timing(trial, rung, begin.elapsed().as_secs_f64())?;
        Ok(Some(event))
    }

    pub(super) fn record(&mut self, event: Event<S::Genotype>) -> Result<(), SearchError> {
        self.ledger.append(&event)?;
        self.events.push(event.clone());
        self.apply(event)
    }

    pub(super) fn replay(
        &mut self,
        event: Event<S::Genotype>,
        fits: bool,
    ) -> Result<Outcome, SearchError> {
        if !fits {
            return Err(self.stray());
        }
        self.apply(event)?;
        Ok(Outcome::Complete)
    }

    /// Takes the event at the cursor into the trials.
    pub(super) fn apply(&mut self, event: Event<S::Genotype>) -> Result<(), SearchError> {
        if !trial::take(&mut self.trials, event) {
            return Err(self.stray());
        }
        self.cursor += 1;
        Ok(())
    }

    fn stray(&self) -> SearchError {
        ledger::stray(&self.dir.join("ledger.jsonl"), self.cursor + 1)
    }

    fn write_timing(&self, trial: usize, rung: usize, seconds: f64) -> Result<(), SearchError> {
        let path = self.dir.join("timings.jsonl");
        let line = format!("{{\"trial\":{trial},\"rung\":{rung},\"seconds\":{seconds:.3}}}\n");
        let mut options = OpenOptions::new();
        let written = options.append(true).create(true).open(&path);
        written
            .and_then(|mut f| f.write_all(line.as_bytes()))
            .map_err(|source| SearchError::Io {
                path,
                doing: "append a timing",
                source,
            })
    }
}
