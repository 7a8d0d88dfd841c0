//! The append-only record of a study: one JSON line per event, on disk before the next step begins.
//!
//! Lines hold nothing that differs between two runs of the same study, so two ledgers can be compared
//! byte by byte. A last line without its newline, or one that cannot be read, was torn by a crash and
//! is cut off on opening; nothing else is ever changed.

use crate::error::SearchError;
use crate::objective::Costs;
use aplysia_space::RuleShare;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<G> {
    /// A candidate within the limits was chosen.
    Trial {
        /// Number of the trial.
        trial: usize,
        /// Its generation.
        generation: usize,
        /// Candidates rejected before it.
        n_rejected: usize,
        /// What it costs.
        costs: Costs,
        /// The candidate.
        genotype: G,
        /// The share of its weights that each rule trains; empty (and not written) in ledgers of earlier versions.
        #[serde(default, skip_serializing_if = "RuleShare::is_empty")]
        rule_share: RuleShare,
    },
    /// A training ended with a score.
    Score {
        /// Which trial.
        trial: usize,
        /// On which rung.
        rung: usize,
        /// Trained up to here.
        budget: u64,
        /// Validation accuracy, 0..=1.
        accuracy: f64,
        /// The same on shifted images after learning on the device, if the study asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        adapted: Option<f64>,
    },
    /// A training failed; the trial is out.
    Failed {
        /// Which trial.
        trial: usize,
        /// On which rung.
        rung: usize,
        /// Why.
        error: String,
    },
}

/// An open, locked ledger.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Length of the whole lines; what is beyond was left by a failed append.
    n_good: u64,
}

impl Ledger {
    /// Opens or creates the ledger, cuts a torn tail off and returns the events.
    ///
    /// # Errors
    /// Locked by another process, unreadable, or damaged before its last line.
    pub fn open<G: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<Event<G>>), SearchError> {
        let io = |doing| {
            move |source| SearchError::Io {
                path: path.into(),
                doing,
                source,
            }
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(io("open the ledger"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SearchError::Locked { path: path.into() }),
            Err(TryLockError::Error(e)) => return Err(io("lock the ledger")(e)),
        }
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(0))
            .map_err(io("read the ledger"))?;
        file.read_to_end(&mut bytes)
            .map_err(io("read the ledger"))?;
        let (events, n_good) = parse(path, &bytes)?;
        if n_good < bytes.len() {
            file.set_len(n_good as u64)
                .map_err(io("cut a torn line off"))?;
            file.sync_all().map_err(io("cut a torn line off"))?;
        }
        let (path, n_good) = (path.into(), n_good as u64);
        Ok((Self { path, file, n_good }, events))
    }

    /// Appends an event and waits until it is on disk.
    ///
    /// # Errors
    /// The disk is full, say. What was written of the line is cut off before the next append or
    /// on the next opening.
    pub fn append<G: Serialize>(&mut self, event: &Event<G>) -> Result<(), SearchError> {
        let mut write = || {
            let mut line = serde_json::to_string(event)?;
            line.push('\n');
            self.file.set_len(self.n_good)?;
            self.file.write_all(line.as_bytes())?;
            self.file.sync_data()?;
            self.n_good += line.len() as u64;
            Ok(())
        };
        let (path, doing) = (self.path.clone(), "append to the ledger");
        write().map_err(|source| SearchError::Io {
            path,
            doing,
            source,
        })
    }
}

/// A child that was forked but has not begun its own program still shares the file, and closing it here would
/// leave the lock with the child: unlocking does not.
impl Drop for Ledger {
    fn drop(&mut self) {
        // Where the lock cannot be given up, it ends with the process.
        let _ = self.file.unlock();
    }
}

/// The events of the ledger at `path`, which is neither locked nor changed; a torn last line is left out.
///
/// # Errors
/// Unreadable, or damaged before its last line.
pub fn read<G: DeserializeOwned>(path: &Path) -> Result<Vec<Event<G>>, SearchError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(source) => {
            return Err(SearchError::Io {
                path: path.into(),
                doing: "read the ledger",
                source,
            });
        }
    };
    Ok(parse(path, &bytes)?.0)
}

/// The error of a line, counted from 1, that cannot follow the lines before it.
pub(crate) fn stray(path: &Path, line: usize) -> SearchError {
    SearchError::Ledger {
        path: path.into(),
        line,
        fault: "this event does not follow from study.toml and the lines before it".into(),
    }
}

/// The events and the length of the part of `bytes` that holds them.
fn parse<G: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
) -> Result<(Vec<Event<G>>, usize), SearchError> {
    let mut events = vec![];
    let mut n_good = 0;
    while let Some(length) = bytes[n_good..].iter().position(|&b| b == b'\n') {
        let end = n_good + length + 1;
        match serde_json::from_slice(&bytes[n_good..end]) {
            Ok(event) => events.push(event),
            Err(_) if end == bytes.len() => break,
            Err(e) => {
                let (line, fault) = (events.len() + 1, e.to_string());
                return Err(SearchError::Ledger {
                    path: path.into(),
                    line,
                    fault,
                });
            }
        }
        n_good = end;
    }
    Ok((events, n_good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_ledger_is_free_although_a_child_shares_its_file() {
        let path = std::env::temp_dir().join(format!("ledger-{}.jsonl", std::process::id()));
        let (ledger, _) = Ledger::open::<u32>(&path).unwrap();
        assert!(matches!(
            Ledger::open::<u32>(&path),
            Err(SearchError::Locked { .. })
        ));
        let shared = ledger.file.try_clone().unwrap();
        drop(ledger);
        let again = Ledger::open::<u32>(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(again.is_ok());
        drop(shared);
    }
}
