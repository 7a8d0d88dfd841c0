//! A study: a search as a folder that survives any interruption.
//!
//! | file | content | written |
//! |---|---|---|
//! | `study.toml` | the resolved config | once, atomically |
//! | `ledger.jsonl` | one event per line | appended, synced per event |
//! | `front.json` | Pareto front of the fully trained trials | replaced atomically |
//! | `timings.jsonl` | seconds per training | appended; not part of the result |
//! | `trials/<n>/rung<r>/` | the evaluator's checkpoints | by the evaluator |
//! | `trials/<n>/supernet<a>/` | the same, of a candidate that is learned (attempt `a`) | by the evaluator |
//!
//! Running is replaying: the search starts over each time and takes from the ledger whatever it finds
//! there instead of doing it again. Candidate `n` is drawn from ChaCha8 seeded with the study's seed, stream
//! `n`, and strategies hear whole generations only, so a resumed study makes the ledger that an
//! uninterrupted one makes.

mod propose;
mod run;

use crate::error::SearchError;
use crate::halving::Halving;
use crate::ledger::{Event, Ledger};
use crate::objective::Limits;
use crate::strategy::{Space, StrategyKind};
use crate::trial::{self, Trial};
use atomic_write_file::AtomicWriteFile;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

pub use run::{Outcome, Progress};

/// Everything that decides the result of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig<S> {
    /// Seed of the whole study, below 2⁶³ (TOML's range).
    pub seed: u64,
    /// Which strategy.
    pub strategy: StrategyKind,
    /// Number of trials.
    pub n_trials: usize,
    /// Trials of one generation, and survivors of it.
    pub population: usize,
    /// Digest of the training file.
    pub dataset_digest: String,
    /// Budgets and promotion.
    pub halving: Halving,
    /// What a network may cost.
    pub limits: Limits,
    /// The evaluator's own settings (training preset, subset sizes); kept here, not looked at.
    #[serde(default)]
    pub evaluator: toml::Table,
    /// The search space.
    pub space: S,
}

impl<S: Space> StudyConfig<S> {
    /// Trainings of the whole study; fewer if trials fail.
    pub fn n_jobs(&self) -> usize {
        let (full, rest) = (
            self.n_trials / self.population,
            self.n_trials % self.population,
        );
        full * self.halving.n_jobs(self.population) + self.halving.n_jobs(rest)
    }

    /// What is wrong with the config, if anything.
    fn fault(&self) -> Option<String> {
        let budgets = &self.halving.budgets;
        let rules = [
            (self.n_trials > 0, "n_trials must be at least 1"),
            (self.population > 0, "population must be at least 1"),
            (
                !budgets.is_empty(),
                "halving.budgets needs at least one budget",
            ),
            (
                budgets.is_sorted_by(|a, b| a < b),
                "halving.budgets, the rungs, must ascend strictly",
            ),
            (self.halving.eta >= 2, "halving.eta must be at least 2"),
            (
                (0.0..=1.0).contains(&self.limits.min_accuracy),
                "limits.min_accuracy is within 0..=1",
            ),
        ];
        let broken = rules
            .iter()
            .find(|(ok, _)| !ok)
            .map(|(_, text)| text.to_string());
        broken.or_else(|| self.space.fault())
    }
}

impl<S: Space + DeserializeOwned> StudyConfig<S> {
    /// Reads and checks `study.toml`.
    ///
    /// # Errors
    /// It is not there, or is not the config of a study of this space.
    pub(crate) fn read(path: &Path) -> Result<Self, SearchError> {
        let text = std::fs::read_to_string(path).map_err(|source| SearchError::Io {
            path: path.into(),
            doing: "read the study's config",
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|e| SearchError::Config {
            path: path.into(),
            fault: e.to_string(),
        })?;
        if let Some(fault) = config.fault() {
            return Err(SearchError::Config {
                path: path.into(),
                fault,
            });
        }
        Ok(config)
    }
}

/// An open study. Dropping it releases the lock; the folder can be opened again at any time.
pub struct Study<S: Space> {
    dir: PathBuf,
    config: StudyConfig<S>,
    ledger: Ledger,
    events: Vec<Event<S::Genotype>>,
    cursor: usize,
    trials: Vec<Trial<S::Genotype>>,
}

impl<S: Space + Clone + Serialize + DeserializeOwned + 'static> Study<S> {
    /// Makes a new study in `dir`, also where one stands that never came to a trial.
    ///
    /// # Errors
    /// `dir` already holds a study, another process has just begun one, it cannot be written, or the config is
    /// faulty.
    pub fn create(dir: &Path, config: StudyConfig<S>) -> Result<Self, SearchError> {
        let path = dir.join("study.toml");
        let faulty = |fault| SearchError::Config {
            path: path.clone(),
            fault,
        };
        if let Some(fault) = config.fault() {
            return Err(faulty(fault));
        }
        let text = toml::to_string(&config).map_err(|e| faulty(e.to_string()))?;
        let ledger = dir.join("ledger.jsonl");
        let is_empty = || std::fs::metadata(&ledger).is_ok_and(|file| file.len() == 0);
        let mut locked = None;
        if path.exists() {
            let exists = || SearchError::Exists { path: dir.into() };
            if !is_empty() || dir.join("trials").exists() {
                return Err(exists());
            }
            // Not while another process draws its first candidate, or has just drawn it.
            locked = Some(Ledger::open::<S::Genotype>(&ledger)?);
            if !is_empty() {
                return Err(exists());
            }
        }
        let io = |source| SearchError::Io {
            path: dir.into(),
            doing: "make the folder",
            source,
        };
        std::fs::create_dir_all(dir).map_err(io)?;
        replace(&path, text.as_bytes())?;
        drop(locked);
        Self::open(dir)
    }

    /// Opens the study in `dir` to continue it or to look at it.
    ///
    /// # Errors
    /// No study there, another process is running it, or a file is damaged.
    pub fn open(dir: &Path) -> Result<Self, SearchError> {
        let config = dir.join("study.toml");
        if !config.exists() {
            return Err(SearchError::Nothing { path: dir.into() });
        }
        let config = StudyConfig::read(&config)?;
        let (ledger, events) = Ledger::open(&dir.join("ledger.jsonl"))?;
        let dir = dir.to_path_buf();
        let mut study = Self {
            dir,
            config,
            ledger,
            events,
            cursor: 0,
            trials: vec![],
        };
        while let Some(event) = study.events.get(study.cursor).cloned() {
            study.apply(event)?;
        }
        Ok(study)
    }

    /// Checks that the data are those the study began with.
    ///
    /// # Errors
    /// [`SearchError::Dataset`].
    pub fn check_dataset(&self, digest: &str) -> Result<(), SearchError> {
        if self.config.dataset_digest == digest {
            return Ok(());
        }
        let (want, got) = (self.config.dataset_digest.clone(), digest.into());
        Err(SearchError::Dataset { want, got })
    }

    /// The resolved config.
    pub fn config(&self) -> &StudyConfig<S> {
        &self.config
    }

    /// The study's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The trials so far, in order.
    pub fn trials(&self) -> &[Trial<S::Genotype>] {
        &self.trials
    }

    /// The Pareto front of the fully trained trials, the best by [`crate::Score::lead`] first.
    pub fn front(&self) -> Vec<&Trial<S::Genotype>> {
        trial::front(
            &self.trials,
            &self.config.limits,
            self.config.halving.budgets.len(),
        )
    }

    /// The folder of a trial's rung.
    pub fn rung_dir(&self, trial: usize, rung: usize) -> PathBuf {
        trial_dir(&self.dir, trial).join(format!("rung{rung}"))
    }

    /// The seed of everything random in the training of a trial, below 2³².
    pub fn trial_seed(&self, trial: usize) -> u64 {
        u64::from(self.stream(trial as u64 | 1 << 63).next_u32())
    }

    fn stream(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(stream);
        rng
    }

    fn write_front(&self) -> Result<(), SearchError> {
        let path = self.dir.join("front.json");
        let mut text =
            serde_json::to_string_pretty(&self.front()).map_err(|e| SearchError::Io {
                path: path.clone(),
                doing: "write the front",
                source: e.into(),
            })?;
        text.push('\n');
        replace(&path, text.as_bytes())
    }
}

/// Writes a file so that either the old or the new content is there after a crash.
fn replace(path: &Path, content: &[u8]) -> Result<(), SearchError> {
    let write = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(content)?;
        file.commit()
    };
    write().map_err(|source| SearchError::Io {
        path: path.into(),
        doing: "replace the file",
        source,
    })
}

/// The folder of a trial, in the study's folder `dir`.
fn trial_dir(dir: &Path, trial: usize) -> PathBuf {
    dir.join("trials").join(format!("{trial:05}"))
}

/// The folder in which a trial was learned, in the study's folder `dir`; `attempt` counts what was learned for
/// it before and rejected, from 0.
pub fn learned_dir(dir: &Path, trial: usize, attempt: usize) -> PathBuf {
    trial_dir(dir, trial).join(format!("supernet{attempt}"))
}
