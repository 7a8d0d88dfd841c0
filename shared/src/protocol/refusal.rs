//! Why a device refuses a request. Owns the words, each with what to do next.

use super::{FrameError, TransferRefusal, VERSION};
use crate::room::Unfit;
use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The frame was damaged.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A sound frame of `bytes` bytes that is no request of this version.
    #[error("unknown request of {bytes} bytes: does the host speak protocol {VERSION}?")]
    Unknown {
        /// Length of the message.
        bytes: u32,
    },
    /// There is no valid model in the model partition, and none in a slot.
    #[error("no model: load a valid blob into the device's model partition and restart it")]
    NoModel,
    /// An image of the wrong size.
    #[error("image of {got_bytes} bytes: the model takes {want_bytes}, [h][w][c]")]
    BadLength {
        /// Pixels received.
        got_bytes: u32,
        /// Pixels of the model's input.
        want_bytes: u32,
    },
    /// There is no image the label could belong to.
    #[error("nothing inferred since the last update: send an image before its label")]
    NothingInferred,
    /// No such class.
    #[error("label {label}: the model has {n_classes} classes, counted from 0")]
    BadLabel {
        /// Label received.
        label: u8,
        /// Classes of the model.
        n_classes: u16,
    },
    /// The learned state of this configuration does not fit.
    #[error(
        "learning needs {need_bytes} bytes of state, the device has {have_bytes}: give it fewer domain slots or layers"
    )]
    StateTooSmall {
        /// Needed by the configuration.
        need_bytes: u32,
        /// Given by the program.
        have_bytes: u32,
    },
    /// A number of the configuration is out of its range.
    #[error(
        "configuration out of range: momentum shift is 1..=10, instar shift 2..=6, slots 1..=15"
    )]
    BadConfig,
    /// Prototypes are to learn, and the model has none.
    #[error("the model holds no prototypes: export it with them, or use another head")]
    NoPrototypes,
    /// Channels are to keep their statistics, and the model has none to start from.
    #[error("the model holds no statistics for homeostasis: export it with them, or leave it out")]
    NoHomeostasis,
    /// The guard has nothing to score.
    #[error("the model holds no golden set: export it with --golden, or learn without the guard")]
    NoGolden,
    /// The golden set cannot see what layers below the head change.
    #[error(
        "the golden set holds features, which layers below the head do not change: export it with inputs"
    )]
    GoldenFeatures,
    /// A check or commit without a guard.
    #[error("no guard: set its limits first, since nothing is committed unscored")]
    NoGuard,
    /// What was learned does not fit a slot of the store.
    #[error("the learned state has {need_bytes} bytes, a slot of the store takes {have_bytes}")]
    StoreTooSmall {
        /// Of the snapshot.
        need_bytes: u32,
        /// Of a slot.
        have_bytes: u32,
    },
    /// The flash failed or read back damaged.
    #[error("the flash failed: what was committed before stays, try again or replace the device")]
    Flash,
    /// A reward for a rule that needs labels.
    #[error("the head learns from labels: send the label, or configure the head `reward`")]
    NeedsLabel,
    /// No layer below the head can learn in the RAM of the configuration.
    #[error(
        "no layer below the head learns so: give more RAM, the feedback `random`, or use the head `delta`"
    )]
    NoDeep,
    /// The device broke its own invariant.
    #[error("internal error of the device: report it with the model's blob")]
    Internal,
    /// The model in the model partition is sound and too large for the device, which therefore runs none.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A step of a transfer is refused.
    #[error(transparent)]
    Transfer(#[from] TransferRefusal),
    /// Slots without what tells domains apart.
    #[error(
        "domains are told apart by what homeostasis follows: configure it, or learn without slots"
    )]
    NoDomains,
    /// Pixels that do not continue the image.
    #[error(
        "pixels from {offset} on, {next} was next: begin the image at 0, with no other request between its parts"
    )]
    InputOrder {
        /// Given.
        offset: u32,
        /// Pixels placed so far.
        next: u32,
    },
}
