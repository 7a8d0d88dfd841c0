//! The messages by which a device gets another model.
//!
//! It owns what is asked and answered; what they do is `receiver`'s, and the slots are [`crate::update`]'s.
//!
//! ```text
//! Status ─▶ Begin ─▶ Pages ─▶ Chunk … ─▶ Pages ─▶ Activate ─▶ Restart ═▶ (Infer) ─▶ Confirm
//!                      ▲        │ line, power, either side gone
//!                      └────────┘ Begin again, then only the pages that differ
//! ```

use crate::blob::Lead;
use crate::claims::{Claims, Unmet};
use crate::room::Unfit;
use crate::update::State;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Most pages that one [`Progress::Pages`] tells of.
pub const MAX_PAGES: usize = 64;

/// What the host asks about another model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Transfer<'a> {
    /// Where the update stands. Answered by [`Progress::Status`].
    Status,
    /// Opens a transfer or goes on with it: is this blob taken, as far as header, digest and claims tell? Erases
    /// nothing. Answered by [`Progress::Status`].
    Begin {
        /// The first [`crate::blob::HEADER_BYTES`] of the blob.
        header: &'a [u8],
        /// SHA-256 of everything behind them.
        digest: [u8; 32],
        /// What is sent behind the blob, [`Claims::encode`], as a part of it.
        claims: Claims,
    },
    /// What the slot holds of the blob begun. Answered by [`Progress::Pages`].
    Pages {
        /// Index of the first page wanted.
        first: u32,
    },
    /// Bytes of the blob begun: from the start of a page on, which is erased first, or where the last chunk
    /// ended in that page. Answered by [`Progress::Written`].
    Chunk {
        /// Of the first byte in the blob.
        offset: u32,
        /// Whole words; the last ones of the blob are filled up with any bytes.
        bytes: &'a [u8],
    },
    /// Checks the whole blob and has the next start try it. Answered by [`Progress::Status`].
    Activate,
    /// Starts anew, as an update needs it: to try a model, or to give up the one on trial. Answered by
    /// [`Progress::Restarting`], after which the device is gone for a moment.
    Restart,
    /// Keeps the model on trial. Answered by [`Progress::Status`].
    Confirm,
}

/// What the device answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Progress {
    /// Where the update stands.
    Status(TransferStatus),
    /// What the slot holds.
    Pages {
        /// Index of the first page.
        first: u32,
        /// CRC-32 (IEEE) of each page, the last one as far as the blob goes; none behind the blob's end.
        crcs: Vec<u32, MAX_PAGES>,
    },
    /// The chunk is in the slot.
    Written {
        /// Behind its last byte.
        next: u32,
    },
    /// The device starts anew right after this.
    Restarting,
}

/// Where the running model lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// There is none.
    Nowhere,
    /// In the partition that came with the program.
    BuiltIn,
    /// In this slot.
    Slot(u8),
}

/// Which blob, as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the model.
    pub model_id: [u8; 16],
    /// Its update counter.
    pub counter: u64,
    /// CRC-32 of the blob without its signature.
    pub crc: u32,
}

impl From<Lead> for Identity {
    fn from(lead: Lead) -> Self {
        Self {
            model_id: lead.id,
            counter: lead.counter,
            crc: lead.crc,
        }
    }
}

/// Where the update stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferStatus {
    /// Of the running model.
    pub origin: Origin,
    /// What became of the model sent last: nothing, to be tried by the next start, or running on trial.
    pub state: State,
    /// This start gave up a model that was on trial and not confirmed.
    pub reverted: bool,
    /// The running model.
    pub running: Option<Identity>,
    /// What the slot holds that transfers go to, whole or not.
    pub candidate: Option<Identity>,
    /// Least update counter that is taken.
    pub least_counter: u64,
    /// Whether the program was built with a public key; without one it takes anybody's models.
    pub keyed: bool,
    /// Longest blob, without claims.
    pub slot_bytes: u32,
    /// Bytes of a page.
    pub page_bytes: u32,
    /// Bytes of a word: chunks are multiples of it.
    pub word_bytes: u32,
}

/// Why a step of a transfer is refused; the running model stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TransferRefusal {
    /// The program has no slots.
    #[error("this device has no model slots: give it a model with its program")]
    NoSlots,
    /// The other slot is the way back.
    #[error("a model is pending or on trial: confirm it, or restart the device to go on")]
    Trial,
    /// Nothing to confirm, and no reason to restart.
    #[error("no model is pending or on trial: send and activate one first")]
    NoTrial,
    /// Since the start no blob was begun.
    #[error("no transfer is open: begin it (again, after a restart)")]
    NotBegun,
    /// The header has another length.
    #[error("a header of {got_bytes} bytes, a blob's has {want_bytes}")]
    Header {
        /// Received.
        got_bytes: u32,
        /// Of every header.
        want_bytes: u32,
    },
    /// The first bytes are no header.
    #[error("no model blob: send a file that `aplysia export` or `aplysia import` wrote")]
    Magic,
    /// Another format version.
    #[error("blob format {got}, the device reads {want}: export for this firmware, or update it")]
    Version {
        /// Of the blob.
        got: u16,
        /// Of the device.
        want: u16,
    },
    /// A newer runtime interface.
    #[error("the model needs runtime interface {want}, the device has {got}: update its firmware")]
    Abi {
        /// Of the device.
        got: u16,
        /// Of the blob.
        want: u16,
    },
    /// Too long, or shorter than a header.
    #[error("the blob has {got_bytes} bytes, a slot takes {max_bytes}: export a smaller model")]
    Length {
        /// Of the blob.
        got_bytes: u32,
        /// Of a slot.
        max_bytes: u32,
    },
    /// Older than what the device has or had.
    #[error(
        "update counter {got}, the device takes {want} and newer: sign the model with `aplysia model sign --counter {want}`"
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
    /// The signature is zeros.
    #[error("the model is unsigned: sign it with `aplysia model sign`")]
    Unsigned,
    /// Changed, or another key's.
    #[error(
        "the signature is not of this device's key, this model and its claims: sign it with `aplysia model sign --key` \
         and that key, again if an older version signed it"
    )]
    Signature,
    /// The program's key is none.
    #[error(
        "the device was built with a public key that is none: build its firmware with what `aplysia key show` prints"
    )]
    Key,
    /// Not words of one page, or outside the blob.
    #[error("{bytes} bytes at {offset}: send whole words within one page and the blob")]
    Place {
        /// In the blob.
        offset: u32,
        /// How many.
        bytes: u32,
    },
    /// Neither a page's start nor where the last chunk ended.
    #[error("a chunk at {offset}: go on at {next}, or begin a page again")]
    Order {
        /// Received.
        offset: u32,
        /// Where the last chunk ended.
        next: u32,
    },
    /// The slot does not hold the blob begun.
    #[error("the slot holds no whole blob: ask which pages differ, send them and activate again")]
    Damaged,
    /// The blob is whole, and no model that this runtime accepts.
    #[error(
        "the runtime refuses the model: check it with `aplysia inspect`, or update the firmware"
    )]
    Unsound,
    /// Too many golden samples come out wrong.
    #[error(
        "only {right} of {n_samples} golden samples come out right on the device: export the model again"
    )]
    SelfTest {
        /// Right ones.
        right: u16,
        /// All.
        n_samples: u16,
    },
    /// The flash failed or read back damaged.
    #[error("the flash failed: try again, and replace the device if it stays")]
    Flash,
}
