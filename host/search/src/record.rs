//! A study read without touching it: also while another process runs it, also from a read-only folder.

use crate::error::SearchError;
use crate::ledger;
use crate::strategy::Space;
use crate::study::StudyConfig;
use crate::trial::{self, Trial};
use serde::de::DeserializeOwned;
use std::path::Path;

/// What a study folder holds.
pub struct Record<S: Space> {
    /// The resolved config.
    pub config: StudyConfig<S>,
    /// The trials so far, in order.
    pub trials: Vec<Trial<S::Genotype>>,
}

impl<S: Space + DeserializeOwned> Record<S> {
    /// Reads `study.toml` and the whole lines of the ledger; a ledger not begun yet has none.
    ///
    /// # Errors
    /// No study of this space there, or a file is damaged.
    pub fn read(dir: &Path) -> Result<Self, SearchError> {
        let config = StudyConfig::read(&dir.join("study.toml"))?;
        let path = dir.join("ledger.jsonl");
        let mut trials = vec![];
        for (at, event) in ledger::read(&path)?.into_iter().enumerate() {
            if !trial::take(&mut trials, event) {
                return Err(ledger::stray(&path, at + 1));
            }
        }
        Ok(Self { config, trials })
    }

    /// The Pareto front of the fully trained trials, the best by [`crate::Score::lead`] first.
    pub fn front(&self) -> Vec<&Trial<S::Genotype>> {
        let n_rungs = self.config.halving.budgets.len();
        trial::front(&self.trials, &self.config.limits, n_rungs)
    }
}
