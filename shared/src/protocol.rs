//! The serial protocol: what the host asks and the device answers, one frame each.
//!
//! `frame` turns bytes into messages, this file says what the messages are, `server` answers
//! them. A message is the postcard encoding of a [`Request`] or a [`Response`]; every request,
//! and every damaged frame, gets exactly one response. Owns the meaning of the messages; it must
//! not know a UART, a clock or where memory comes from: the firmware (or a test) supplies them.

mod frame;
mod loaded;
mod receiver;
mod server;
mod transfer;
mod watched;

pub use frame::{CRC_BYTES, Decoder, FrameError, decode, send};
pub use receiver::{Receiver, Transfers};
pub use server::{Buffers, Machine, Server};
pub use transfer::{
    Identity, MAX_PAGES, Origin, Progress, Transfer, TransferRefusal, TransferStatus,
};

use crate::adapt::domains::{self, Domains};
use crate::adapt::guard::{Commit, Limits, Report, Rollback, Verdict};
use crate::adapt::schedule::{Schedule, Spent};
use crate::adapt::{Config, Counters};
use crate::room::Unfit;
use crate::store::Record;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Version of the messages. A device and a host that differ must not go on after `Hello`.
///
/// 2 adds the guard and the store: `Guard`, `Check`, `Commit`, and more in `Learned` and `Stats`. 3 adds
/// `Reward`, `Schedule`, `Attend`, three heads, more in `Inference`, `Learned` and `Stats`, and `Transfer`. 4 adds
/// `Domains`, and more in `Stats`. 5 adds to `Domains` whether the base is sealed.
/// `Hello` is encoded alike in every version, so that a mismatch is always seen.
pub const VERSION: u16 = 5;

/// Largest message from the host: the pixels of 4,064 bytes and what goes around them.
pub const MAX_REQUEST_BYTES: usize = 4096;

/// Bytes of learned state in one `Snapshot` response, at most.
pub const CHUNK_BYTES: usize = 1024;

/// Largest message from the device: a chunk of state and what goes around it.
pub const MAX_RESPONSE_BYTES: usize = CHUNK_BYTES + 64;

/// Most classes a response can score.
pub const MAX_CLASSES: usize = crate::adapt::MAX_CLASSES;

/// Most bytes of a board's name.
pub const MAX_NAME_BYTES: usize = 32;

/// What the host asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who is there? Answered by [`Response::Hello`].
    Hello,
    /// Which model? Answered by [`Response::Info`].
    Info,
    /// Sets what learns from now on and forgets what was learned; the guard starts anew by the same
    /// limits. Answered by [`Response::Done`].
    Configure {
        /// The rules.
        config: Config,
        /// Of the random numbers of stochastic rounding.
        seed: u32,
    },
    /// Classifies one image. Answered by [`Response::Inference`].
    Infer {
        /// `[h][w][c]`, 0..=255; the device subtracts 128 to get the model's int8 input.
        pixels: &'a [u8],
        /// Whether the unlabelled statistics of homeostasis follow this image.
        observe: bool,
    },
    /// Learns the label of the image inferred last. Answered by [`Response::Learned`].
    Learn {
        /// Class, `0..n_classes`.
        label: u8,
    },
    /// Costs so far. Answered by [`Response::Stats`].
    Stats,
    /// A chunk of the learned state. Answered by [`Response::Snapshot`].
    Snapshot {
        /// First byte wanted; past the end gives an empty chunk.
        offset: u32,
    },
    /// Forgets everything learned. Answered by [`Response::Done`].
    Reset,
    /// Watches what is learned by these limits from now on, counters at zero, or no longer. Answered by
    /// [`Response::Done`].
    Guard {
        /// How careful; none = no guard.
        limits: Option<Limits>,
    },
    /// Scores what is learned now, and takes it back if it is below the floor. Answered by
    /// [`Response::Checked`].
    Check,
    /// Scores what is learned and, if it stays, makes it what the next start finds. Answered by
    /// [`Response::Committed`].
    Commit,
    /// Learns whether the class of the image inferred last was right. Answered by [`Response::Learned`].
    Reward {
        /// It was.
        right: bool,
    },
    /// Learns by this schedule from now on, its counters at zero. Answered by [`Response::Done`].
    Schedule {
        /// When and how much.
        schedule: Schedule,
    },
    /// Learn from the next images: for the schedule `Asked`. Answered by [`Response::Done`].
    Attend {
        /// How many.
        images: u32,
    },
    /// About another model for the device. Answered by [`Response::Transfer`].
    Transfer(Transfer<'a>),
    /// Keeps a state per domain from now on, slots empty, or no longer. Answered by [`Response::Done`].
    Domains {
        /// How many, and how they are told apart; none = no slots.
        domains: Option<Domains>,
    },
}

/// What the device answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Response<'a> {
    /// To [`Request::Hello`].
    Hello(Hello),
    /// To [`Request::Info`].
    Info(Info),
    /// To [`Request::Infer`].
    Inference(Inference),
    /// To [`Request::Learn`] and [`Request::Reward`].
    Learned(Update),
    /// To [`Request::Stats`].
    Stats(Stats),
    /// To [`Request::Snapshot`].
    Snapshot {
        /// Size of the whole learned state.
        total_bytes: u32,
        /// From the offset asked for, at most [`CHUNK_BYTES`].
        bytes: &'a [u8],
    },
    /// To [`Request::Configure`], [`Request::Reset`], [`Request::Guard`], [`Request::Schedule`],
    /// [`Request::Attend`] and [`Request::Domains`].
    Done,
    /// The request was refused; nothing changed.
    Error(Refusal),
    /// To [`Request::Check`].
    Checked(Verdict),
    /// To [`Request::Commit`].
    Committed(Commit),
    /// To [`Request::Transfer`].
    Transfer(Progress),
}

/// The device and its program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the device.
    pub protocol: u16,
    /// Version of the runtime, which a blob may demand.
    pub abi: u16,
    /// Name of the board.
    pub board: String<MAX_NAME_BYTES>,
    /// Size of the receive buffer, message and checksum.
    pub max_request_bytes: u32,
    /// Whether a valid model is loaded.
    pub has_model: bool,
}

/// The loaded model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// First 16 bytes of the SHA-256 over graph and data.
    pub model_id: [u8; 16],
    /// Length of the blob.
    pub blob_bytes: u32,
    /// Arena the model needs.
    pub arena_bytes: u32,
    /// `[h, w, c]` of the input.
    pub input: [u16; 3],
    /// Number of classes.
    pub n_classes: u16,
    /// Multiplications of one inference.
    pub macs: u64,
    /// Instructions of one inference as the cost model predicts them.
    pub instructions: u64,
}

/// One classified image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// Best class.
    pub class: u16,
    /// Instructions of the inference, conversion of pixels and framing left out.
    pub instructions: u32,
    /// Whether its label, or a reward, would be learned.
    pub wanted: bool,
    /// One score per class, `[n_classes]`: see `adapt::Plastic::scores`.
    pub scores: Vec<i8, MAX_CLASSES>,
}

/// One learned label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Whether the prediction was right before the update.
    pub correct: bool,
    /// Whether there was an update: the schedule wanted it.
    pub learned: bool,
    /// Instructions of the update, without the check.
    pub instructions: u32,
    /// What the guard said.
    pub verdict: Verdict,
}

/// Costs since the device started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// What was seen and learned since the last configuration or reset.
    pub counters: Counters,
    /// CRC-32 of the learned state; equal states have equal digests on host and device.
    pub state_digest: u32,
    /// Frames that were damaged, or held no request.
    pub bad_frames: u32,
    /// Instructions of the last inference.
    pub infer_instructions: u32,
    /// Instructions of the last update.
    pub update_instructions: u32,
    /// Most stack in use so far.
    pub stack_bytes: u32,
    /// Arena in use by the model.
    pub arena_bytes: u32,
    /// State in use by what learns.
    pub state_bytes: u32,
    /// Of the guard and the store.
    pub guard: GuardStats,
    /// When and how much is learned.
    pub schedule: Schedule,
    /// What that has come to; estimates stand beside the instructions counted above.
    pub spent: Spent,
    /// Of domain slots; none without them.
    pub domains: Option<DomainStats>,
}

/// Domain slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DomainStats {
    /// In force.
    pub settings: Domains,
    /// Since they were asked for or emptied.
    pub report: domains::Report,
}

/// The guard and the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardStats {
    /// In force; none = no guard.
    pub limits: Option<Limits>,
    /// Since the guard was made: samples, baseline, last score, checks, rollbacks, commits.
    pub report: Report,
    /// Why and to what the state was taken back last.
    pub last_rollback: Option<Rollback>,
    /// What the start found in flash.
    pub boot: Boot,
    /// The newest record in flash, with pages erased and bytes written by all commits so far.
    pub newest: Option<Record>,
    /// Instructions of the last check, a rollback included.
    pub check_instructions: u32,
}

/// What the device found in its store when it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Boot {
    /// No commit.
    #[default]
    Empty,
    /// This commit is in place.
    Restored {
        /// Its number.
        sequence: u32,
    },
    /// Dropped: it belongs to another model.
    OtherModel {
        /// Its number.
        sequence: u32,
    },
    /// Dropped: it is whole, but no state this program can hold.
    Unfit {
        /// Its number.
        sequence: u32,
    },
    /// Dropped: the flash could not be read.
    Unreadable,
}

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
    #[error("learning needs {need_bytes} bytes of state, the device has {have_bytes}")]
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
    #[error("no layer below the head learns in the RAM given: give more, or use the head `delta`")]
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
}
