//! Why an update is refused.
//!
//! It owns the messages, with numbers and what to do next; it must not know how a case is found.

use crate::blob::BlobError;
use crate::claims::Unmet;
use crate::network::ArenaError;
use crate::room::Unfit;
use crate::signature::TrustError;
use crate::store::StoreError;

/// Why an update is refused; the model in use stays. `E` is the flash driver's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UpdateError<E> {
    /// The flash driver failed.
    #[error("the flash failed ({0:?}): restart, and replace the device if it stays")]
    Flash(E),
    /// The boot record cannot be kept.
    #[error("boot record: {0}")]
    Record(#[from] StoreError<E>),
    /// A part of the flash is not where it can be.
    #[error(
        "{start:#x}..{end:#x} is empty, overlaps, or ends off a page of {page_bytes} bytes: fix the memory map"
    )]
    Layout {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
        /// What the flash erases at once.
        page_bytes: usize,
    },
    /// The other slot is the way back.
    #[error("a model is on trial: confirm it, or restart to give it up")]
    Trial,
    /// Nothing to confirm.
    #[error("no model is on trial: send one and restart")]
    NoTrial,
    /// The blob does not fit in a slot.
    #[error("the model has {got_bytes} bytes, a slot {max_bytes}")]
    Length {
        /// Of the blob.
        got_bytes: u32,
        /// Of the slot.
        max_bytes: u32,
    },
    /// The bytes cannot be written there.
    #[error(
        "{bytes} bytes at {offset}: give whole words of {word_bytes} within one page of {page_bytes} and the slot"
    )]
    Place {
        /// In the blob.
        offset: u32,
        /// How many.
        bytes: u32,
        /// What the flash writes at once.
        word_bytes: usize,
        /// What it erases at once.
        page_bytes: usize,
    },
    /// The blob is not newer than the newest model that the device has had; without a key, older.
    #[error(
        "update counter {got}, the device takes {want} and newer: sign the model with a counter of at least that"
    )]
    Counter {
        /// Of the blob.
        got: u64,
        /// Least.
        want: u64,
    },
    /// The device has less than the model needs.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// What is claimed of the model does not hold here.
    #[error(transparent)]
    Unmet(#[from] Unmet),
    /// The model does not work here.
    #[error("only {right} of {n_samples} golden samples are right on this device: export it again")]
    SelfTest {
        /// Right ones.
        right: u16,
        /// All.
        n_samples: u16,
    },
    /// No claims, or damaged ones, behind the blob.
    #[error("no claims lie behind the model: send it again, as `aplysia device update` does")]
    Unclaimed,
    /// Not signed, or not rightly.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The blob is damaged or for another runtime.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The self-test has too small an arena.
    #[error(transparent)]
    Arenas(#[from] ArenaError),
}
