//! Finished units of a study, one whole line each: `units.jsonl`.

use crate::args::DataArgs;
use crate::images::TrainingImages;
use crate::lines::Lines;
use crate::run_folder;
use anyhow::{Context, Result};
use aplysia_deploy::hex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the units of a file have in common.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Common {
    dataset: String,
    /// Digest of the training part.
    images: String,
}

#[derive(Serialize, Deserialize)]
struct Unit {
    key: String,
    /// Wall-clock; part of no result.
    seconds: f64,
    found: serde_json::Value,
}

/// The units of a folder.
pub(super) struct Units(Lines<Unit>);

/// A name from all that a unit follows from.
pub(super) fn key(parts: &[&str]) -> String {
    parts.join(" | ")
}

/// Flags as they stand in a key: behind a file that they name, the digest of what it holds.
pub(super) fn told(flags: &str) -> String {
    let word = |word: &str| {
        let name = word.rsplit('=').next().unwrap_or(word);
        match std::fs::read(name) {
            Ok(bytes) => format!("{word} ({})", &hex(&Sha256::digest(bytes))[..8]),
            Err(_) => word.to_string(),
        }
    };
    flags.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The folder of the unit `key`, told apart from those of other settings by its digest.
pub(super) fn folder(kind: &str, name: &str, key: &str) -> PathBuf {
    let digest = hex(&Sha256::digest(key));
    Path::new(kind).join(format!("{name}-{}", &digest[..8]))
}

impl Units {
    /// Opens or makes the file in `dir`.
    ///
    /// # Errors
    /// Units of other images, a damaged line, a full disk.
    pub(super) fn open(dir: &Path, args: &DataArgs, data: &TrainingImages) -> Result<Self> {
        run_folder::make(dir)?;
        let common = Common {
            dataset: args.dataset.to_string(),
            images: data.splits.train.digest.clone(),
        };
        Ok(Self(Lines::open(dir.join("units.jsonl"), &common)?))
    }

    /// Whether the unit is finished.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0
            .with(|units| units.iter().any(|unit| unit.key == key))
    }

    /// What the unit came to, if it is finished.
    pub(super) fn known<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let found = |units: &[Unit]| {
            let unit = units.iter().find(|unit| unit.key == key)?;
            Some(unit.found.clone())
        };
        serde_json::from_value(self.0.with(found)?).ok()
    }

    /// What the unit came to; `make`s it if it is not finished.
    ///
    /// # Errors
    /// Those of `make`, which name the unit; a full disk.
    pub(super) fn get<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if let Some(known) = self.known(key) {
            return Ok(known);
        }
        let title = || key.split(" | ").take(5).collect::<Vec<_>>().join(", ");
        let start = Instant::now();
        let found = make().with_context(title)?;
        let seconds = start.elapsed().as_secs_f64();
        self.0.push(Unit {
            key: key.into(),
            seconds,
            found: serde_json::to_value(&found)?,
        })?;
        say!("{} ({seconds:.1} s)", title());
        Ok(found)
    }
}
