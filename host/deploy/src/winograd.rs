//! A blob in fewer instructions for more flash.
//!
//! Owns the change of form: packed 3×3 convolutions get the transformed weights of
//! `aplysia_shared::kernel::dsp::winograd`, those first that save most instructions a byte; all else stays, every
//! output bit included. It must not know layers beyond that. Flow: blob → **`winograd`** → blob in more flash.

use crate::parts::Parts;
use crate::{Costs, DeployError, Export};
use aplysia_shared::kernel::dsp::packing::{self, BLOCK, Depth};
use aplysia_shared::kernel::dsp::winograd::{block_bytes, place, takes, transform};
use aplysia_shared::{Model, Op};

/// `blob` in at most `flash_bytes`, another model then, unsigned; as it is if no layer can have the form, or none has
/// room for it. Layers that run together or follow the camera stay as they are. No two sections of its data share a
/// byte, as of all blobs that this crate makes.
///
/// # Errors
/// The runtime refuses `blob`.
pub fn within(blob: &[u8], flash_bytes: usize) -> Result<Vec<u8>, DeployError> {
    let model = Model::parse(blob)?;
    let all: Vec<usize> = (0..model.n_layers())
        .filter(|&i| can(&model, i).is_some())
        .collect();
    if all.is_empty() {
        return Ok(blob.to_vec());
    }
    let most = with(&model, blob, &all)?;
    let fast = Model::parse(&most)?;
    let saved = |i: usize| {
        let [before, after] = [&model, &fast].map(|model| model.layer_cost(i).instructions);
        before.saturating_sub(after)
    };
    let more = |i: usize| {
        let bytes = |model: &Model<'_>| model.constants(i).map_or(0, |c| c.weights.len());
        bytes(&fast) - bytes(&model)
    };
    let mut order: Vec<usize> = all.into_iter().filter(|&i| saved(i) > 0).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(saved(i) * 1000 / more(i) as u64));
    let (mut best, mut chosen) = (blob.to_vec(), vec![]);
    for i in order {
        chosen.push(i);
        // Larger offsets may take a byte more of the graph, too.
        let found = with(&model, blob, &chosen)?;
        if found.len() <= flash_bytes {
            best = found;
        } else {
            chosen.pop();
        }
    }
    Ok(best)
}

/// Whether some layer of `model` can have the form.
pub fn is_for(model: &Model<'_>) -> bool {
    (0..model.n_layers()).any(|i| can(model, i).is_some())
}

impl Export {
    /// As [`within`] has it, all layers that gain by it if `flash_bytes` is none.
    ///
    /// # Errors
    /// [`DeployError::Flash`] if it needs more as it is; the runtime refuses the blob.
    pub fn in_flash(mut self, flash_bytes: Option<usize>) -> Result<Self, DeployError> {
        let most = flash_bytes.unwrap_or(usize::MAX);
        let got = self.blob.len();
        if got > most {
            return Err(DeployError::Flash {
                got,
                flash_bytes: most,
            });
        }
        self.blob = within(&self.blob, most)?;
        let model = Model::parse(&self.blob)?;
        (self.costs, self.model_id) = (Costs::of(&model), model.id());
        Ok(self)
    }
}

/// The weights of layer `i` in the packed form, their layout and the channels of input and output, if they can be
/// transformed.
fn can<'a>(model: &Model<'a>, i: usize) -> Option<(&'a [u8], Depth, [usize; 2])> {
    let layer = model.layer(i)?;
    let Op::PackedConv2d(window) = layer.op else {
        return None;
    };
    let [src, dst] = [model.tensor(layer.inputs[0])?, model.tensor(layer.output)?];
    let constants = model.constants(i)?;
    let alone = layer.homeostasis.is_none() && model.cascade_of(i).is_none();
    let exact = constants.packed?.exact;
    (alone && exact && takes(&window, &src, &dst)).then(|| {
        let channels = [src.c, dst.c].map(usize::from);
        (
            constants.weights,
            Depth::new(&window, channels[0]),
            channels,
        )
    })
}

/// `blob`, which is of `model`, with the layers `chosen` transformed.
fn with(model: &Model<'_>, blob: &[u8], chosen: &[usize]) -> Result<Vec<u8>, DeployError> {
    let mut parts = Parts::of(model, blob);
    for &i in chosen {
        let Some((packed, depth, channels)) = can(model, i) else {
            continue;
        };
        let weights = transformed(packed, depth, channels);
        let start = packed.as_ptr().addr() - model.data().as_ptr().addr();
        let params = model.layer(i).map_or(0, |layer| layer.params);
        let layer = &mut parts.graph.layers[i];
        if let Op::PackedConv2d(window) = layer.op {
            layer.op = Op::WinogradConv2d(window);
        }
        // Those in front of it may have grown.
        let start = start + (layer.params - params) as usize;
        parts.replace(start..start + packed.len(), &weights)?;
    }
    parts.blob()
}

/// Packed weights of so many input and output channels in the transformed form.
pub fn transformed(packed: &[u8], depth: Depth, [in_ch, out_ch]: [usize; 2]) -> Vec<u8> {
    let bytes = block_bytes(in_ch);
    let mut weights = vec![0; bytes * out_ch / BLOCK];
    let blocks = weights.chunks_exact_mut(bytes);
    for (block, from) in blocks.zip(packed.chunks_exact(depth.block_bytes())) {
        for (lane, c) in (0..BLOCK).flat_map(|lane| (0..in_ch).map(move |c| (lane, c))) {
            let filter = std::array::from_fn(|tap| {
                // Packed weights that parsing took are in range.
                packing::weight(from, depth.of(tap * in_ch + c), lane) as i8
            });
            for (product, w) in transform(&filter).into_iter().enumerate() {
                let at = place(product, (c, in_ch), lane);
                block[at..at + 2].copy_from_slice(&w.to_le_bytes());
            }
        }
    }
    weights
}
