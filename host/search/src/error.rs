//! What ends a search before it is complete. The study folder stays resumable after each of them.

use std::path::PathBuf;

/// Why a study cannot be made, opened or continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A file operation failed, e.g. the disk is full.
    #[error(
        "{path}: cannot {doing}; the study can be resumed once this is mended",
        path = path.display()
    )]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The folder holds no study.
    #[error("{path} holds no study; begin one without --resume", path = path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The folder already holds a study.
    #[error(
        "{path} already holds a study: give the folder and --resume alone to go on with it, or choose another folder",
        path = path.display()
    )]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process works on this study.
    #[error("{path} is locked: another process is running this study", path = path.display())]
    Locked {
        /// The ledger.
        path: PathBuf,
    },
    /// `study.toml` is not what this program writes.
    #[error("{path}: {fault}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        fault: String,
    },
    /// A line before the last cannot be read.
    #[error(
        "{path}, line {line}: {fault}; only a torn last line can be mended, so cut the file before \
         this line to repeat the search from there",
        path = path.display()
    )]
    Ledger {
        /// The ledger.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        fault: String,
    },
    /// The dataset is not the one the study began with.
    #[error("the study was made with dataset {want}, but this is {got}; give the same files")]
    Dataset {
        /// Digest in `study.toml`.
        want: String,
        /// Digest of the data given.
        got: String,
    },
    /// The limits leave nothing.
    #[error(
        "trial {trial}: none of {tries} candidates was new and within the limits; {nearest}: raise a limit or \
         widen the space (before its first trial a search takes other settings in the same folder)"
    )]
    NoCandidate {
        /// The trial that could not begin.
        trial: usize,
        /// Candidates drawn.
        tries: usize,
        /// What the nearest of them exceeds, in words.
        nearest: String,
    },
    /// What the supernets learn does not keep the limits.
    #[error(
        "trial {trial}: the networks of {tries} supernets exceed the limits; {nearest}: give another study \
         higher ones"
    )]
    Learned {
        /// The trial that could not begin.
        trial: usize,
        /// Supernets trained.
        tries: usize,
        /// What the nearest of them exceeds, in words.
        nearest: String,
    },
    /// The evaluator cannot go on with any trial.
    #[error("training cannot go on")]
    Evaluator(#[source] Box<dyn std::error::Error + Send + Sync>),
}
