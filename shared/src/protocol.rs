//! The serial protocol: what the host asks and the device answers, one frame each.
//!
//! `frame` turns bytes into messages, this file says what the messages are, `server` answers
//! them. A message is the postcard encoding of a [`Request`] or a [`Response`]; every request,
//! and every damaged frame, gets exactly one response. Owns the meaning of the messages; it must
//! not know a UART, a clock or where memory comes from: the firmware (or a test) supplies them.

mod frame;
mod loaded;
mod receiver;
mod refusal;
mod scores;
mod server;
mod transfer;
mod watched;

pub use frame::{CRC_BYTES, Decoder, FrameError, decode, send};
pub use receiver::{Receiver, Transfers};
pub use refusal::Refusal;
pub use scores::Scores;
pub use server::{Buffers, MAX_FAILED_STARTS, Machine, Server};
pub use transfer::{
    Identity, MAX_PAGES, Origin, Progress, Transfer, TransferRefusal, TransferStatus,
};

use crate::adapt::domains::{self, Domains};
use crate::adapt::guard::{Commit, Limits, Report, Rollback, Verdict};
use crate::adapt::schedule::{Schedule, Spent};
use crate::adapt::{Config, Counters, MAX_OUTPUTS};
use crate::store::Record;
use heapless::String;
use serde::{Deserialize, Serialize};

/// Version of the messages. A device and a host that differ must not go on after `Hello`.
///
/// 2 adds the guard and the store: `Guard`, `Check`, `Commit`, and more in `Learned` and `Stats`. 3 adds
/// `Reward`, `Schedule`, `Attend`, three heads, more in `Inference`, `Learned` and `Stats`, and `Transfer`. 4 adds
/// `Domains`, and more in `Stats`. 5 adds to `Domains` whether the base is sealed. 6 adds `Input`, for images that
/// are longer than a frame, and its refusal; no limit but the arena's is left for them. 7 adds
/// to `Transfer` the claims of a model, in `Begin` and behind the blob, and two refusals, and to [`Boot`] `SetAside`.
/// 8 has one refusal for all claims that do not hold, [`Unmet`](crate::claims::Unmet), and other inputs of a self-test.
/// `Hello` is encoded alike in every version, so that a mismatch is always seen.
pub const VERSION: u16 = 8;

/// Largest message from the host: 4,064 pixels, [`MAX_PIXELS`], and what goes around them.
pub const MAX_REQUEST_BYTES: usize = 4096;

/// Most pixels in one message; longer images come in parts, see [`Request::Input`].
pub const MAX_PIXELS: usize = MAX_REQUEST_BYTES - 32;

/// Bytes of learned state in one `Snapshot` response, at most.
pub const CHUNK_BYTES: usize = 1024;

/// Largest message from the device: a chunk of state, or all scores, and what goes around it.
pub const MAX_RESPONSE_BYTES: usize = CHUNK_BYTES + 64;

const _: () = assert!(MAX_OUTPUTS <= CHUNK_BYTES);

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
        /// `[h][w][c]`, 0..=255; the device subtracts 128 to get the model's int8 input. Behind
        /// [`Request::Input`]: what is left of the image.
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
    /// Watches what is learned by these limits from now on, counters at zero, or no longer; a restart goes on by what
    /// was committed. Answered by [`Response::Done`].
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
    /// Learns by this schedule from now on, its counters at zero; a restart goes on by what was committed. Answered by
    /// [`Response::Done`].
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
    /// Pixels of the image that [`Request::Infer`] will classify, for one that is longer than a message. They come
    /// in order; any other request in between forgets them. Answered by [`Response::Done`].
    Input {
        /// First of these pixels in the image; 0 begins another one.
        offset: u32,
        /// As of [`Request::Infer`].
        pixels: &'a [u8],
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
    Inference(Inference<'a>),
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
    /// [`Request::Attend`], [`Request::Domains`] and [`Request::Input`].
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
pub struct Inference<'a> {
    /// Best class.
    pub class: u16,
    /// Instructions of the inference, conversion of pixels and framing left out.
    pub instructions: u32,
    /// Whether its label, or a reward, would be learned.
    pub wanted: bool,
    /// One score per class, `[n_classes]`: see `adapt::Plastic::scores`.
    #[serde(borrow)]
    pub scores: Scores<'a>,
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
    /// This commit was put in place, under its terms. Where it scored below the floor, the guard's report has a
    /// rollback from the start on.
    Restored {
        /// Its number.
        sequence: u32,
    },
    /// Dropped: it belongs to another model.
    OtherModel {
        /// Its number.
        sequence: u32,
    },
    /// Dropped: it is whole, but no state this program can hold, or, under its guard, score.
    Unfit {
        /// Its number.
        sequence: u32,
    },
    /// Dropped: the flash could not be read.
    Unreadable,
    /// Left in the store by this start: [`MAX_FAILED_STARTS`] in a row had ended in a reset with it, before an image
    /// was classified.
    SetAside {
        /// Its number.
        sequence: u32,
    },
}
