//! The seam to training and deployment: what a study asks of the outside.

use crate::objective::{Costs, Score};
use aplysia_space::RuleShare;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Knows what a genotype costs and how to train it.
pub trait Evaluate<G> {
    /// Costs without training. An error rejects the candidate.
    ///
    /// # Errors
    /// Why this genotype cannot be deployed.
    fn cost(&self, genotype: &G) -> Result<Costs, String>;

    /// The share of its weights that each rule trains, for the record.
    ///
    /// # Errors
    /// Why this genotype is no network.
    fn rule_share(&self, genotype: &G) -> Result<RuleShare, String>;

    /// Trains up to `job.budget` and measures accuracy on the validation part.
    ///
    /// The result must be a function of genotype, seed, budgets and data. `job.dir` may hold remains of
    /// an interrupted run of the same job, to be used or overwritten.
    ///
    /// # Errors
    /// See [`TrainError`].
    fn train(&mut self, job: &Job<'_, G>) -> Result<Score, TrainError>;

    /// Learns a candidate, for the strategies that say so ([`crate::StrategyKind::is_learned`]).
    ///
    /// The result must be a function of seed and data. `proposal.dir` may hold remains of an interrupted
    /// call, to be used or overwritten.
    ///
    /// # Errors
    /// See [`TrainError`]. An evaluator that does not say otherwise learns nothing.
    fn propose(&mut self, proposal: &Proposal<'_>) -> Result<G, TrainError> {
        let _ = proposal;
        Err(TrainError::Failed(
            "this evaluator learns no candidates".into(),
        ))
    }
}

/// One candidate to be learned.
#[derive(Clone, Debug)]
pub struct Proposal<'a> {
    /// Number of the trial.
    pub trial: usize,
    /// Seed of everything random in it.
    pub seed: u64,
    /// An existing folder for its checkpoints: `trials/<trial>/supernet<attempt>`.
    pub dir: PathBuf,
    /// When it becomes true, save what helps to resume and return [`TrainError::Interrupted`].
    pub stop: &'a AtomicBool,
}

/// One training: a trial on one rung.
#[derive(Clone, Debug)]
pub struct Job<'a, G> {
    /// Number of the trial.
    pub trial: usize,
    /// What to train.
    pub genotype: &'a G,
    /// Seed of everything random in this trial, the same on every rung.
    pub seed: u64,
    /// Rung, from 0.
    pub rung: usize,
    /// Train up to here, counted from the start of training (the evaluator's unit).
    pub budget: u64,
    /// Where training of this rung began, i.e. the budget of the previous rung, or 0.
    pub budget_done: u64,
    /// An existing folder for this job's checkpoints: `trials/<trial>/rung<rung>`.
    pub dir: PathBuf,
    /// The folder of the previous rung, whose final checkpoint this job continues.
    pub previous: Option<PathBuf>,
    /// When it becomes true, save what helps to resume and return [`TrainError::Interrupted`].
    pub stop: &'a AtomicBool,
}

/// Why a training gave no score.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The stop flag was seen; the job will be repeated or continued on resume.
    #[error("interrupted")]
    Interrupted,
    /// This trial cannot be trained (it diverged, say); the search goes on without it. The text goes
    /// to the ledger, so it must not hold times or addresses.
    #[error("{0}")]
    Failed(String),
    /// No trial can be trained now (disk full, device lost); the search ends, resumable.
    #[error("{0}")]
    Fatal(Box<dyn std::error::Error + Send + Sync>),
}
