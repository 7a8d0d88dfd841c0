//! What can be wrong while a model is at work.

/// Why a model cannot be run, taught or replaced. The numbers say what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The images do not fit the network.
    #[error(
        "{n} images of {got_bytes} bytes in all, but the network takes {want_bytes} bytes each: give the \
         dataset that the network was made for, or files of its inputs where a command has `--input`"
    )]
    Images {
        /// Bytes given.
        got_bytes: usize,
        /// Bytes of one image.
        want_bytes: usize,
        /// Labels given.
        n: usize,
    },
    /// A label is not a class of the network.
    #[error("label {label} at index {index}; the network has {n_classes} classes")]
    Label {
        /// The label.
        label: u16,
        /// Where.
        index: usize,
        /// Classes of the network.
        n_classes: usize,
    },
    /// A label that the line cannot carry.
    #[error("label {label}, but a device learns classes below 256")]
    WideLabel {
        /// The label.
        label: u16,
    },
    /// The host's copy of the store has no room.
    #[error("the store does not open on the host: please report this")]
    Store,
    /// The bytes are no model that the runtime takes.
    #[error("the runtime refuses the blob")]
    Blob(#[from] aplysia_shared::blob::BlobError),
    /// The arena is too small for the model.
    #[error("the model does not run in this arena")]
    Arena(#[from] aplysia_shared::ArenaError),
    /// The model cannot learn so, or the learned state is not this model's.
    #[error("the model cannot learn so on the device")]
    Adapt(#[from] aplysia_shared::adapt::AdaptError),
    /// The device, or the line to it.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// The device started with its old model again.
    #[error(
        "the device gave the new model up and runs its old one: try again, and read what the device says beside the line if it stays"
    )]
    GivenUp,
    /// The device computes something else.
    #[error("the device gives {device:?}, the host {host:?}: please report this with the blob")]
    Differs {
        /// Scores of the device.
        device: Vec<i8>,
        /// Scores of the host.
        host: Vec<i8>,
    },
}
