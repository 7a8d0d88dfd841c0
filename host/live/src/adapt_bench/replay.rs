//! Some images of a stream on a device and on the host: the same state, and what it costs there.

use super::Method;
use crate::LiveError;
use crate::adaptation::{Instructions, see};
use crate::device::{Device, Line};
use crate::evaluate::Images;
use crate::flash::MemoryFlash;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Plastic, state_bytes};
use aplysia_shared::store::Store;
use serde::{Deserialize, Serialize};

/// What a device counted, and both digests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// [`Method::name`].
    pub method: String,
    /// Images seen.
    pub n: usize,
    /// CRC-32 of the learned state on the device.
    pub device_digest: u32,
    /// The same on the host.
    pub host_digest: u32,
    /// Mean instructions of an image, homeostasis following it if the method says so.
    pub image: f64,
    /// Mean instructions of a label; 0 where none teaches anything.
    pub label: f64,
    /// Bytes written to the flash by a commit, header and padding included.
    pub commit_bytes: u64,
}

/// `method` on `stream`, on both; none for a baseline of the host.
///
/// # Errors
/// The stream does not fit the model, it cannot learn so, or the line fails.
pub fn replay<T: Line>(
    device: &mut Device<T>,
    model: &Model<'_>,
    method: &Method,
    seed: u32,
    stream: Images<'_>,
) -> Result<Option<Replayed>, LiveError> {
    stream.check(model)?;
    let Some(config) = method.config() else {
        return Ok(None);
    };
    let mut buffer = vec![0; state_bytes(model, &config)?];
    let mut arena = vec![0; model.arena_bytes()];
    let mut plastic = Plastic::new(model, config, seed, &mut buffer)?;
    device.guard(None)?;
    device.configure(config, seed)?;
    let (mut image, mut label_cost) = (Instructions::default(), Instructions::default());
    for (pixels, &label) in stream.iter(model.input().len()) {
        let observe = method.observes();
        see(&mut plastic, model, &mut arena, (pixels, observe))?;
        image.add(device.infer(pixels, observe)?.instructions);
        if method.learns_labels() {
            plastic.learn(model, usize::from(label))?;
            let label = u8::try_from(label).map_err(|_| LiveError::WideLabel { label })?;
            label_cost.add(device.learn(label)?.instructions);
        }
    }
    let mut store = MemoryFlash::holding(&[]);
    let end = MemoryFlash::BYTES;
    let mut store = Store::open(&mut store, 0..end).map_err(|_| LiveError::Store)?;
    let commit = store.commit(model.id(), plastic.snapshot());
    Ok(Some(Replayed {
        method: method.name.into(),
        n: stream.labels.len(),
        device_digest: device.stats()?.state_digest,
        host_digest: plastic.digest(),
        image: image.mean(),
        label: label_cost.mean(),
        commit_bytes: commit.map_err(|_| LiveError::Store)?.written_bytes,
    }))
}
