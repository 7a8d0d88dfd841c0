//! What can go wrong in training.

use std::path::PathBuf;

/// Why training or evaluation did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// Not the name of a device.
    #[error("unknown device `{0}`; use cpu, ndarray, cuda or wgpu")]
    UnknownDevice(String),
    /// No usable GPU.
    #[error("--device cuda needs {0}, which is missing here; use --device cpu")]
    NoCuda(&'static str),
    /// No Vulkan here.
    #[error("--device wgpu needs {0}, which is missing here; use --device cpu")]
    NoWgpu(&'static str),
    /// Numbers that do not belong to this network.
    #[error("parameters of another network: layer {layer} has {got} numbers, {want} needed")]
    Params {
        /// Weighted layer, or the number of layers if that differs.
        layer: usize,
        /// Numbers given.
        got: usize,
        /// Numbers needed.
        want: usize,
    },
    /// A supernet where a network is needed.
    #[error("{node}: a mixture of operations belongs to a supernet; choose one of them first")]
    Mixture {
        /// Which node.
        node: String,
    },
    /// A rule whose layers learn one after the other, in a supernet.
    #[error(
        "softhebb trains layer after layer, which a supernet has no time for; leave it out of --rules"
    )]
    InTurns,
    /// The evolution of an architecture has broken down.
    #[error(
        "the evolution of the architecture has lost its numbers after {generations} generations; lower sigma"
    )]
    Evolution {
        /// Generations before.
        generations: usize,
    },
    /// The supernet and the numbers of its architecture do not fit together.
    #[error(transparent)]
    Space(#[from] aplysia_space::SpaceError),
    /// Pixels, labels and network do not fit together.
    #[error("{what}: {got} given, {want} needed")]
    Data {
        /// Which quantity.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        want: usize,
    },
    /// Images that cannot be read.
    #[error(transparent)]
    Images(#[from] aplysia_data::DataError),
    /// A setting out of its range.
    #[error("{field} = {got} is out of range; allowed: {allowed}")]
    Config {
        /// Which setting.
        field: &'static str,
        /// Its value.
        got: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The loss is not a number any more.
    #[error("the loss is not finite at step {step}; lower the learning rate or clip the gradient")]
    Diverged {
        /// The optimizer step.
        step: u64,
    },
    /// A checkpoint made with other settings, another network or other images.
    #[error(
        "{}: checkpoint of another run: {field} is {there} there, {here} here; \
         use its settings, or remove it to start again",
        path.display()
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: String,
        /// Its value in the checkpoint.
        there: String,
        /// Its value in the job.
        here: String,
    },
    /// A file that is not a checkpoint.
    #[error("{}: not a checkpoint ({reason}); remove it to start again", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: postcard::Error,
    },
    /// Writing failed; the file is as it was before.
    #[error(
        "{}: cannot be written; what was saved before is whole: make room, and the same command goes on from there",
        path.display()
    )]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Reading failed.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}
