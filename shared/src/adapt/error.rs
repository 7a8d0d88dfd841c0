//! Why plasticity refuses.
//!
//! It owns the messages, with numbers and what to do next; it must not know how a case is found.

use crate::network::ArenaError;

/// Why plasticity refused; unless said otherwise nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AdaptError {
    /// The buffer is shorter than [`super::state_bytes`].
    #[error("state buffer has {got_bytes} bytes, {want_bytes} are needed: give a larger one")]
    Buffer {
        /// Given.
        got_bytes: usize,
        /// Needed.
        want_bytes: usize,
    },
    /// Homeostasis is configured out of range.
    #[error("momentum shift {got} is not in 1..=10: 5 follows the last 32 images")]
    Momentum {
        /// Given.
        got: u8,
    },
    /// The instar rule is configured out of range.
    #[error("instar shift {got} is not in 2..=6: 3 follows the last 8 labels of a class")]
    Shift {
        /// Given.
        got: u8,
    },
    /// The model has no prototypes.
    #[error(
        "the model holds no prototypes, as none does that was imported: export it with them, or use another head"
    )]
    NoPrototypes,
    /// The model's last layer has no weights that could learn.
    #[error("the last layer is not fully connected: use the base head")]
    NoHead,
    /// No layer of the model has source statistics.
    #[error(
        "no layer holds source statistics, as none does of a model that was imported: export the model with them, \
         or switch homeostasis off (`--no-homeostasis`)"
    )]
    NoHomeostasis,
    /// No layer below the head can learn in so little RAM.
    #[error(
        "no layer below the head learns in {ram_bytes} bytes: only pointwise and hidden fully connected layers \
         do that homeostasis leaves alone, with feedback by signs only the last of them; give more bytes, or \
         use the head `delta`"
    )]
    Deep {
        /// Given.
        ram_bytes: u32,
    },
    /// The model has too many classes to learn, or too many outputs at all.
    #[error("the model has {got} outputs, {max} are taken")]
    TooManyClasses {
        /// Outputs.
        got: usize,
        /// [`super::MAX_CLASSES`], or [`super::MAX_OUTPUTS`] where labels teach nothing.
        max: usize,
    },
    /// The head is too wide.
    #[error("the head has {got} inputs, learning takes {max}: pool before the head")]
    TooManyFeatures {
        /// Inputs.
        got: usize,
        /// [`super::MAX_FEATURES`]
        max: usize,
    },
    /// The state belongs to another base model.
    #[error("the learned state belongs to another model: reset it for this one")]
    WrongModel,
    /// There is no image the label could belong to.
    #[error("nothing inferred since the last label: infer an image first")]
    NothingInferred,
    /// A reward for a rule that needs labels.
    #[error("the head learns from labels: give the label, or configure the head `reward`")]
    NeedsLabel,
    /// No such class.
    #[error("label {got} does not exist: the model has {n_classes} classes, counted from 0")]
    Label {
        /// Given.
        got: usize,
        /// Classes.
        n_classes: usize,
    },
    /// These are not the bytes of a snapshot this version reads.
    #[error(
        "no snapshot of version 1 to 4 (version field {version}): was it made by this runtime?"
    )]
    NoSnapshot {
        /// What stands in the version field.
        version: u16,
    },
    /// A snapshot has the wrong length.
    #[error("snapshot has {got_bytes} bytes, expected {want_bytes}: send all of it")]
    SnapshotLength {
        /// Given.
        got_bytes: usize,
        /// Needed.
        want_bytes: usize,
    },
    /// A snapshot is damaged.
    #[error("snapshot has checksum {got:#010x}, states {want:#010x}: it is damaged, use another")]
    Checksum {
        /// Computed.
        got: u32,
        /// Stated.
        want: u32,
    },
    /// A whole snapshot holds what no run can have produced.
    #[error("snapshot holds impossible values: use another")]
    SnapshotContent,
    /// The model has no golden set.
    #[error("the model holds no golden set: export it with one, or learn without the guard")]
    NoGolden,
    /// The golden set cannot see what layers below the head change.
    #[error(
        "the golden set holds features, which layers below the head do not change: export it with inputs"
    )]
    GoldenFeatures,
    /// Slots without what tells domains apart.
    #[error(
        "domains are told apart by what homeostasis follows: configure it, or learn without slots"
    )]
    NoDomains,
    /// The number of slots is out of range.
    #[error("{got} slots are not in 1..=15: 3 hold three domains beside the base")]
    Slots {
        /// Given.
        got: u8,
    },
    /// The inference refused.
    #[error(transparent)]
    Arena(#[from] ArenaError),
}
