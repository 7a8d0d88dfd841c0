//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! Random numbers are functions of (seed, purpose, place, step), so seed and step stand for all of them,
//! the feedback of `fa` and `frsf` included; that of `kp` is state.

use crate::LearnError;
use crate::train::EpochRecord;
use aplysia_space::NetworkParams;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// State of a run after `step` optimizer steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    pub(crate) params: NetworkParams,
    /// Momentum and learned feedback, tensor by tensor.
    pub(crate) memory: Vec<Vec<f32>>,
    /// Finished epochs.
    pub(crate) history: Vec<EpochRecord>,
    /// Sum of the losses of the epoch under way.
    pub(crate) loss_sum: f64,
    /// Right answers in the epoch under way.
    pub(crate) n_right: u64,
}

impl Checkpoint {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`LearnError::Io`].
    pub(crate) fn save(&self, path: &Path) -> Result<(), LearnError> {
        let io = |source| LearnError::Io {
            path: path.into(),
            source,
        };
        let bytes = postcard::to_stdvec(self).map_err(|reason| LearnError::NotACheckpoint {
            path: path.into(),
            reason,
        })?;
        let temporary = path.with_extension("partial");
        std::fs::write(&temporary, bytes).map_err(io)?;
        std::fs::File::open(&temporary)
            .and_then(|f| f.sync_all())
            .map_err(io)?;
        std::fs::rename(&temporary, path).map_err(io)
    }

    /// Reads a file written by [`Checkpoint::save`].
    ///
    /// # Errors
    /// [`LearnError::Io`], [`LearnError::NotACheckpoint`].
    pub(crate) fn load(path: &Path) -> Result<Self, LearnError> {
        let bytes = std::fs::read(path).map_err(|source| LearnError::Io {
            path: path.into(),
            source,
        })?;
        postcard::from_bytes(&bytes).map_err(|reason| LearnError::NotACheckpoint {
            path: path.into(),
            reason,
        })
    }
}
