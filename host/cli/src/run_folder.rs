//! The folder of one training run, written by `train`, read by `evaluate` and `export`.
//!
//! `genotype.toml`, `checkpoint.bin` (to go on), and, once finished, `run.json` (settings, data digest,
//! history) and `params.json` (the numbers).

use crate::args::DataArgs;
use anyhow::{Context, Result, ensure};
use aplysia_learn::{EpochRecord, TrainConfig};
use aplysia_space::{Design, NetworkParams, RuleShare};
use atomic_write_file::AtomicWriteFile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A finished run.
pub(crate) struct RunFolder {
    pub(crate) design: Design,
    pub(crate) record: RunRecord,
    pub(crate) params: NetworkParams,
}

/// What made the parameters.
#[derive(Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// Settings of the training.
    pub(crate) config: TrainConfig,
    /// File that the options of the rules came from.
    #[serde(default)]
    pub(crate) rule_options: Option<PathBuf>,
    /// Data set trained on; none in records of earlier versions.
    #[serde(default)]
    pub(crate) dataset: Option<String>,
    /// How many of its classes, if not all.
    #[serde(default)]
    pub(crate) first_classes: Option<u16>,
    /// SHA-256 of the images trained on.
    pub(crate) data_sha256: String,
    /// Whether the validation images are among them.
    #[serde(default)]
    pub(crate) with_validation: bool,
    /// Training images used.
    pub(crate) n_train: usize,
    /// The share of the weights that each rule trained; empty in records of earlier versions.
    #[serde(default)]
    pub(crate) rule_share: RuleShare,
    /// One entry per epoch.
    pub(crate) history: Vec<EpochRecord>,
    /// Wall-clock seconds of the training.
    pub(crate) train_s: f64,
}

impl RunFolder {
    /// Reads a finished run.
    ///
    /// # Errors
    /// A file is missing (the training is not finished) or damaged.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(dir.join("genotype.toml")).with_context(|| {
            format!(
                "{} is not a run folder; give one that `aplysia train --out` wrote",
                dir.display()
            )
        })?;
        Ok(Self {
            design: Design::from_toml(&text)?,
            record: read(&dir.join("run.json"))?,
            params: read(&dir.join("params.json"))?,
        })
    }

    /// [`RunFolder::load`], and makes sure that `data` is what the run was trained on.
    ///
    /// # Errors
    /// As [`RunFolder::load`]; other data.
    pub(crate) fn load_for(dir: &Path, data: &DataArgs) -> Result<Self> {
        let run = Self::load(dir)?;
        let record = &run.record;
        let Some(dataset) = &record.dataset else {
            return Ok(run);
        };
        let flags = |dataset: &str, first_classes: Option<u16>| match first_classes {
            None => format!("--dataset {dataset}"),
            Some(n) => format!("--dataset {dataset} --first-classes {n}"),
        };
        let there = flags(dataset, record.first_classes);
        let here = flags(&data.dataset.to_string(), data.first_classes);
        ensure!(
            there == here,
            "{} was trained with {there}, here it is {here}: give what it was trained with",
            dir.display()
        );
        Ok(run)
    }

    /// Writes the two files of a finished run.
    pub(crate) fn save(dir: &Path, record: &RunRecord, params: &NetworkParams) -> Result<()> {
        write(&dir.join("params.json"), &serde_json::to_vec(params)?)?;
        write(&dir.join("run.json"), &serde_json::to_vec_pretty(record)?)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| {
        format!(
            "cannot read {}; is the training finished? `aplysia train` goes on",
            path.display()
        )
    })?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{} is damaged; the same `aplysia train` command writes it again from the checkpoint",
            path.display()
        )
    })
}

/// Makes a folder for results, and those that it is in.
///
/// # Errors
/// It cannot be made, or something else has its name.
pub(crate) fn make(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| {
        format!(
            "cannot make the folder {}: give another one, or mend the cause",
            dir.display()
        )
    })
}

/// Checks that [`write()`] can write to `path`, before work is done for it.
///
/// # Errors
/// The folder is missing, or nobody may write there.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    // Never committed: what is there stays.
    open(path)
        .map(drop)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Begins a file in the place of `path`, or of what that leads to. Of a device, a pipe or `/dev/stdout` nothing is
/// replaced: they are no files.
fn open(path: &Path) -> io::Result<AtomicWriteFile> {
    match path.canonicalize() {
        Ok(there) if there.is_file() => AtomicWriteFile::open(there),
        Ok(_) => Err(io::Error::other("it is no file: give the name of one")),
        Err(_) => AtomicWriteFile::open(path),
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = open(path)?;
        file.write_all(bytes)?;
        file.commit()
    };
    write().with_context(|| {
        format!(
            "cannot write {}; what was there is unchanged: mend the cause, and give the same command again",
            path.display()
        )
    })
}
