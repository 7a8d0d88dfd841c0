//! A file that grows by whole lines: settings first, then one finished result per line.
//!
//! A line cut off by a kill is dropped and measured again; a file of other settings is refused.

use crate::run_folder;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Results of one kind, those of earlier calls included.
pub(crate) struct Lines<T> {
    path: PathBuf,
    grown: Mutex<(File, Vec<T>)>,
}

impl<T: Serialize + DeserializeOwned> Lines<T> {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// It was written with other settings, is damaged, or cannot be written.
    pub(crate) fn open<S>(path: PathBuf, settings: &S) -> Result<Self>
    where
        S: Serialize + DeserializeOwned,
    {
        let done: Vec<T> = read(&path, settings)?;
        let mut text = serde_json::to_string(settings)? + "\n";
        for line in &done {
            text += &(serde_json::to_string(line)? + "\n");
        }
        run_folder::write(&path, text.as_bytes())?;
        let file = File::options().append(true).open(&path)?;
        Ok(Self {
            path,
            grown: Mutex::new((file, done)),
        })
    }

    /// Looks at what is there.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&[T]) -> R) -> R {
        look(&self.grown.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Adds one result.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn push(&self, line: T) -> Result<()> {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(grown.0, "{}", serde_json::to_string(&line)?)
            .with_context(|| {
                format!(
                    "cannot write {}; its whole lines are kept: mend the cause, and the same command goes on",
                    self.path.display()
                )
            })?;
        grown.1.push(line);
        Ok(())
    }

    /// All results, in the order in which they were finished.
    pub(crate) fn into_done(self) -> Vec<T> {
        let grown = self.grown.into_inner();
        grown.unwrap_or_else(PoisonError::into_inner).1
    }
}

/// The whole lines of `path`, if its settings are `settings`; none without a file.
fn read<S, T>(path: &Path, settings: &S) -> Result<Vec<T>>
where
    S: Serialize + DeserializeOwned,
    T: DeserializeOwned,
{
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(vec![]);
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut lines = whole.lines();
    let Some(first) = lines.next() else {
        return Ok(vec![]);
    };
    let place = || format!("{} is damaged", path.display());
    let kept: S = serde_json::from_str(first).with_context(place)?;
    let mut differences = vec![];
    let (there, here) = (serde_json::to_value(kept)?, serde_json::to_value(settings)?);
    compare("", Some(&there), Some(&here), &mut differences);
    // A digest says less than what else has changed with it.
    let telling = differences.iter().min_by_key(|d| d.contains("sha256"));
    if let Some(difference) = telling {
        bail!(
            "{} was measured with other settings: {difference}; use them, or choose another --out",
            path.display()
        );
    }
    lines
        .map(|line| serde_json::from_str(line).with_context(place))
        .collect()
}

/// Puts every leaf below `name` in which two settings differ into `found`, in words.
fn compare(name: &str, there: Option<&Value>, here: Option<&Value>, found: &mut Vec<String>) {
    if let (Some(Value::Object(a)), Some(Value::Object(b))) = (there, here) {
        let younger = b.keys().filter(|key| !a.contains_key(*key));
        for key in a.keys().chain(younger) {
            compare(key, a.get(key), b.get(key), found);
        }
    } else if there != here {
        let text = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
        found.push(format!(
            "{name} is {} there, {} here",
            text(there),
            text(here)
        ));
    }
}
