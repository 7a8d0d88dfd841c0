//! Whether a device has what a model needs.
//!
//! It owns the comparison, for the server that loads a model and for the update that brings one; it must not know
//! what either does with the answer. `Model::parse` accepts models that no device at hand can hold.

use serde::{Deserialize, Serialize};

use crate::adapt::overlay::idle_state_bytes;
use crate::adapt::{AdaptError, MAX_CLASSES};
use crate::blob::Model;

/// Memory of a device, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Activations, the input among them.
    pub arena_bytes: usize,
    /// What is learned.
    pub state_bytes: usize,
}

/// What a model needs more of than a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unfit {
    /// Activations.
    #[error(
        "the model needs {need_bytes} bytes of arena, the device has {have_bytes}: export a smaller one"
    )]
    Arena {
        /// By the model.
        need_bytes: u32,
        /// By the device.
        have_bytes: u32,
    },
    /// State, although nothing learns yet.
    #[error(
        "the model needs {need_bytes} bytes of state, the device has {have_bytes}: export a smaller one"
    )]
    State {
        /// By the model.
        need_bytes: u32,
        /// By the device.
        have_bytes: u32,
    },
    /// Outputs; the program `infer` and the host take more.
    #[error(
        "the model has {got} outputs, {max} are taken ({MAX_CLASSES} where labels teach): use fewer"
    )]
    Classes {
        /// Of the model.
        got: u32,
        /// [`crate::adapt::MAX_OUTPUTS`], or [`crate::adapt::MAX_CLASSES`] where labels are to teach.
        max: u32,
    },
    /// Inputs of the last layer.
    #[error("the head has {got} inputs, a device that learns takes {max}: pool before the head")]
    Features {
        /// Of the model.
        got: u32,
        /// [`crate::adapt::MAX_FEATURES`]
        max: u32,
    },
    /// The device broke its own invariant.
    #[error("internal error of the device: report it with the model's blob")]
    Internal,
}

impl Room {
    /// Whether `model` can be loaded here, where nothing learns yet.
    ///
    /// # Errors
    /// The first thing that there is too little of.
    pub fn holds(&self, model: &Model<'_>) -> Result<(), Unfit> {
        self.holds_arena(model.arena_bytes())?;
        self.holds_head(model.n_classes(), model.features().len())
    }

    /// The part of [`Room::holds`] that claims tell.
    pub(crate) fn holds_head(&self, outputs: usize, features: usize) -> Result<(), Unfit> {
        let state = (idle_state_bytes(outputs, features)?, self.state_bytes);
        within(state, |need_bytes, have_bytes| Unfit::State {
            need_bytes,
            have_bytes,
        })
    }

    /// The part of [`Room::holds`] that a header tells.
    pub(crate) fn holds_arena(&self, need: usize) -> Result<(), Unfit> {
        within((need, self.arena_bytes), |need_bytes, have_bytes| {
            Unfit::Arena {
                need_bytes,
                have_bytes,
            }
        })
    }
}

fn within((need, have): (usize, usize), unfit: fn(u32, u32) -> Unfit) -> Result<(), Unfit> {
    match need <= have {
        true => Ok(()),
        false => Err(unfit(need as u32, have as u32)),
    }
}

impl From<AdaptError> for Unfit {
    fn from(error: AdaptError) -> Self {
        let pair = |got: usize, max: usize| (got as u32, max as u32);
        match error {
            AdaptError::TooManyClasses { got, max } => {
                let (got, max) = pair(got, max);
                Self::Classes { got, max }
            }
            AdaptError::TooManyFeatures { got, max } => {
                let (got, max) = pair(got, max);
                Self::Features { got, max }
            }
            _ => Self::Internal,
        }
    }
}
