//! Trained network → the blob that is released.
//!
//! Owns the order of the steps: quantize, assemble, measure the statistics of on-device learning with
//! the int8 model itself, assemble again with them, add the golden set.

use crate::assemble::{Assembly, Content, assemble};
use crate::golden::GoldenSet;
use crate::plan::Plan;
use crate::quantize::{InputNormalization, quantize};
use crate::statistics::{Statistics, measure};
use crate::{Costs, DeployError};
use aplysia_live::evaluate::Images;
use aplysia_shared::Model;
use aplysia_space::{Network, NetworkParams};

/// What the numbers of a quantized network are derived from.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    /// How pixels become inputs.
    pub input: InputNormalization,
    /// One per node: smallest and largest output over training images, after the activation.
    pub ranges: &'a [(f32, f32)],
    /// Training images for the statistics of on-device learning; may be empty.
    pub images: Images<'a>,
    /// Images that the golden set is taken from, in this order: training or validation, never test
    /// images; may be empty if `Content::golden` is none.
    pub golden: Images<'a>,
}

/// A finished blob.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// What the device runs.
    pub blob: Vec<u8>,
    /// Where its activations live.
    pub plan: Plan,
    /// Name of each activation.
    pub names: Vec<String>,
    /// The memory map as text: every activation with its place and lifetime, by the node it comes from.
    pub map: String,
    /// What it costs; equals [`crate::cost_of_network`] of the untrained network.
    pub costs: Costs,
    /// First 16 bytes of the SHA-256 over graph and data.
    pub model_id: [u8; 16],
}

impl Export {
    /// The blob of `assembly` with its costs.
    ///
    /// # Errors
    /// A capacity of the format is exceeded, or the runtime refuses the blob.
    pub(crate) fn of(assembly: Assembly) -> Result<Self, DeployError> {
        let blob = assembly.parts.blob()?;
        let model = Model::parse(&blob)?;
        let (costs, model_id) = (Costs::of(&model), model.id());
        Ok(Self {
            blob,
            map: assembly.map(),
            plan: assembly.plan,
            names: assembly.names,
            costs,
            model_id,
        })
    }

    /// The model id in hexadecimal.
    pub fn model_id_hex(&self) -> String {
        hex(&self.model_id)
    }
}

/// Lower-case hexadecimal: model ids, as cards and the command line show them, and keys.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Quantizes and assembles a trained network.
///
/// # Errors
/// Parameters, ranges or images do not fit the network; a capacity of the format is exceeded; or the
/// runtime refuses the blob.
pub fn export(
    network: &Network,
    params: &NetworkParams,
    calibration: Calibration<'_>,
    content: &Content,
) -> Result<Export, DeployError> {
    let quantized = quantize(network, params, calibration.input, calibration.ranges)?;
    let neutral = Statistics::placeholder(network, content);
    let first = assemble(network, &quantized, &neutral, content)?
        .parts
        .anonymous_blob()?;
    let first = Model::parse(&first)?;
    let statistics = measure(network, &first, calibration.images, content)?;
    let mut assembly = assemble(network, &quantized, &statistics, content)?;
    if let Some(spec) = content.golden {
        let set = GoldenSet::choose(&first, calibration.golden, spec)?;
        assembly.parts.add_golden(&set)?;
    }
    Export::of(assembly)
}
