//! What a network costs on the device, known before it is trained.
//!
//! Owns no formula: it assembles the real blob with placeholder numbers and measures it, so that the
//! prediction equals the export by construction. Instruction counts are the kernels' own
//! (`aplysia_shared::cost`).

use crate::DeployError;
use crate::assemble::{Content, assemble, placeholder};
use crate::golden::GoldenSet;
use crate::statistics::Statistics;
use aplysia_shared::Model;
use aplysia_space::{Genotype, Network, Shape};
use serde::{Deserialize, Serialize};

/// Costs of one model, predicted or exported.
///
/// A golden set is in `flash_bytes` if and only if the model's `Content` has one; `golden_bytes` says so
/// and how much it is. `Content::new`, which searches use, has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Length of the blob, the golden set included if there is one.
    pub flash_bytes: u64,
    /// Of these, the golden set; 0 = the model has none. Cards written before there were any lack it.
    #[serde(default)]
    pub golden_bytes: u64,
    /// Arena that inference needs.
    pub ram_bytes: u64,
    /// Multiply-accumulates per inference.
    pub macs: u64,
    /// Estimated instructions per inference.
    pub instructions: u64,
}

impl Costs {
    /// Measures a parsed model.
    pub fn of(model: &Model<'_>) -> Self {
        Self {
            flash_bytes: model.blob_bytes() as u64,
            golden_bytes: model.golden().map_or(0, |golden| golden.bytes() as u64),
            ram_bytes: model.arena_bytes() as u64,
            macs: model.macs(),
            instructions: model.instructions(),
        }
    }
}

/// Costs of a genotype for inputs of shape `input`; the number of classes is that of
/// `content.class_names`.
///
/// # Errors
/// The genotype is not valid or exceeds the blob format.
pub fn cost(genotype: &Genotype, input: Shape, content: &Content) -> Result<Costs, DeployError> {
    let network = Network::lower(genotype, input, content.class_names.len())?;
    cost_of_network(&network, content)
}

/// Costs of an untrained network.
///
/// # Errors
/// The network exceeds the blob format.
pub fn cost_of_network(network: &Network, content: &Content) -> Result<Costs, DeployError> {
    let blob = untrained_blob(network, content)?;
    Ok(Costs::of(&Model::parse(&blob)?))
}

/// The blob of an untrained network: its layers, placeholders for its numbers.
///
/// # Errors
/// The network exceeds the blob format.
pub fn untrained_blob(network: &Network, content: &Content) -> Result<Vec<u8>, DeployError> {
    let statistics = Statistics::placeholder(network, content);
    let mut parts = assemble(network, &placeholder(network)?, &statistics, content)?.parts;
    if let Some(spec) = content.golden {
        parts.add_golden(&GoldenSet::placeholder(network, spec))?;
    }
    parts.anonymous_blob()
}
