//! What can be wrong with a network on its way to the device.

/// Why a network cannot be deployed. The numbers say what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The genotype is not a network.
    #[error(transparent)]
    Genotype(#[from] aplysia_space::GenotypeError),
    /// A layer that the runtime cannot compute.
    #[error("{node}: operation `{op}` cannot be computed on the device")]
    Unsupported {
        /// Which node.
        node: String,
        /// What it computes.
        op: String,
    },
    /// The input's standard deviation must be positive.
    #[error("input standard deviation {std}; give the data set's, which is positive")]
    Std {
        /// The value given.
        std: f32,
    },
    /// One activation range per node is needed.
    #[error("{got} activation ranges for {want} nodes; calibrate the same network")]
    Ranges {
        /// Ranges given.
        got: usize,
        /// Nodes of the network.
        want: usize,
    },
    /// An activation range is not finite or upside down.
    #[error("{node}: activation range [{lo}, {hi}]; calibrate on at least one finite batch")]
    Range {
        /// Which node.
        node: String,
        /// Smallest value.
        lo: f32,
        /// Largest value.
        hi: f32,
    },
    /// One parameter set per weighted node is needed.
    #[error(
        "parameters of {got} layers for {want} weighted nodes; load the checkpoint of this genotype"
    )]
    Layers {
        /// Layers given.
        got: usize,
        /// Weighted nodes.
        want: usize,
    },
    /// A parameter vector has the wrong length.
    #[error("{node}: {got} values of {part}, {want} needed; load the checkpoint of this genotype")]
    Length {
        /// Which node.
        node: String,
        /// Which vector.
        part: &'static str,
        /// Its length.
        got: usize,
        /// The length the network needs.
        want: usize,
    },
    /// A parameter is infinite or not a number.
    #[error("{node}: a parameter is not finite; training has diverged")]
    NotFinite {
        /// Which node.
        node: String,
    },
    /// Something does not fit the blob format.
    #[error("{part}: {got}, but the blob format holds at most {limit}")]
    Capacity {
        /// What there is too much of.
        part: &'static str,
        /// How much.
        got: usize,
        /// How much fits.
        limit: usize,
    },
    /// A golden set cannot have so many samples.
    #[error(
        "a golden set of {got} samples: take 1 to {limit}, what the format and the images hold"
    )]
    Golden {
        /// Wanted.
        got: usize,
        /// Most that are possible.
        limit: usize,
    },
    /// The model has a golden set already.
    #[error("the model has a golden set already: use the blob that was exported without one")]
    GoldenTwice,
    /// The blob cannot be written or is not accepted by the runtime.
    #[error("the runtime refuses the blob")]
    Blob(#[from] aplysia_shared::blob::BlobError),
    /// A layer of the blob is not accepted by the runtime.
    #[error("the runtime refuses the layer that writes `{name}`")]
    Layer {
        /// Index of the tensor it writes.
        tensor: u8,
        /// Name of that tensor.
        name: String,
        /// Why; the layer's number counts in the order of execution.
        #[source]
        fault: aplysia_shared::blob::BlobError,
    },
    /// The model needs more RAM than it may have.
    #[error(
        "the model needs an arena of {least} bytes, the least that was found, {ram_bytes} are allowed: allow more, or `least`"
    )]
    Ram {
        /// Fewest bytes found.
        least: u64,
        /// Most that are allowed.
        ram_bytes: usize,
    },
    /// The blob needs more flash than it may have.
    #[error("the blob takes {got} bytes, {flash_bytes} are allowed: allow more")]
    Flash {
        /// Its bytes.
        got: usize,
        /// Most that are allowed.
        flash_bytes: usize,
    },
    /// The arena is too small for the model.
    #[error("the model does not run in this arena")]
    Arena(#[from] aplysia_shared::ArenaError),
    /// The model cannot learn so.
    #[error("the model cannot learn so on the device")]
    Adapt(#[from] aplysia_shared::adapt::AdaptError),
    /// The blob does not run, or not on these images.
    #[error(transparent)]
    Live(#[from] aplysia_live::LiveError),
    /// The model card is not the expected TOML.
    #[error("model card: {0}")]
    Card(String),
}

impl DeployError {
    /// The runtime has no kernel for `node`.
    pub(crate) fn unsupported(node: &aplysia_space::Node) -> Self {
        Self::Unsupported {
            node: node.name.clone(),
            op: node.op.to_string(),
        }
    }
}
