//! A blob for processors that multiply one number at a time.
//!
//! Owns the change of form: packed weights whose window is all of the input become the paired ones of
//! `aplysia_shared::kernel::dsp::paired`, in their place; all else stays, and so do length, costs in memory and
//! every output bit. It must not know layers beyond that. Flow: [`mod@crate::import`] → **`pair`** → blob.

use crate::parts::Parts;
use crate::{Costs, DeployError, Export};
use aplysia_shared::kernel::dsp::packing::{BLOCK, Depth, MAX_WHOLE};
use aplysia_shared::kernel::dsp::paired::{is_split, swap};
use aplysia_shared::{Model, Op, Tensor};

/// `blob` with paired weights wherever the fast kernel takes them, and their proof holds; under another model id and
/// unsigned if there are any, else as it is.
///
/// # Errors
/// The runtime refuses `blob`.
pub fn pair(blob: &[u8]) -> Result<Vec<u8>, DeployError> {
    let model = Model::parse(blob)?;
    let mut parts = Parts::of(&model, blob);
    let mut changed = false;
    for (i, layer) in parts.graph.layers.iter_mut().enumerate() {
        let (Op::PackedConv2d(window), Some(constants)) = (layer.op, model.constants(i)) else {
            continue;
        };
        let tensor = |index: u8| model.tensor(index);
        let [src, dst] = [layer.inputs[0], layer.output].map(tensor);
        let size = |t: Tensor| [t.h, t.w].map(usize::from);
        let sizes = src.zip(dst).map(|(src, dst)| [size(src), size(dst)]);
        let whole = sizes.is_some_and(|[src, dst]| window.is_whole(src, dst));
        let depth = src.map_or(0, |t| Depth::new(&window, t.c.into()).len());
        let short = (1..=MAX_WHOLE).contains(&depth);
        if !(whole && short && constants.packed.is_some_and(|packed| packed.exact)) {
            continue;
        }
        let mut weights = constants.weights.to_vec();
        swap(&mut weights);
        let mut blocks = weights.chunks_exact(BLOCK * depth);
        if !blocks.all(|block| (0..BLOCK).all(|lane| is_split(block, depth, lane))) {
            continue;
        }
        let start = constants.weights.as_ptr().addr() - model.data().as_ptr().addr();
        parts.data[start..][..weights.len()].copy_from_slice(&weights);
        layer.op = Op::PairedConv2d(window);
        changed = true;
    }
    match changed {
        true => parts.blob(),
        false => Ok(blob.to_vec()),
    }
}

impl Export {
    /// As [`pair`] has it.
    ///
    /// # Errors
    /// The runtime refuses the blob.
    pub fn paired(self) -> Result<Self, DeployError> {
        let blob = pair(&self.blob)?;
        let model = Model::parse(&blob)?;
        let (costs, model_id) = (Costs::of(&model), model.id());
        Ok(Self {
            blob,
            costs,
            model_id,
            ..self
        })
    }
}
