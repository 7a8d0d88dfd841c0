//! What a search by supernet needs to go on as if it had never stopped.

use super::SupernetJob;
use super::run::State;
use crate::checkpoint::{Identity, hex, images_digest};
use aplysia_space::NetworkParams;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// State of a search after some steps.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) identity: Identity,
    pub(super) params: NetworkParams,
    /// Momentum and learned feedback, tensor by tensor.
    pub(super) memory: Vec<Vec<f32>>,
    pub(super) state: State,
}

/// What the bits of a search follow from.
pub(super) fn identity(job: &SupernetJob) -> Identity {
    let network = Sha256::digest(format!("{:?}", job.supernet));
    Identity::new([
        ("seed", job.training.seed.to_string()),
        ("device", format!("{:?}", job.device)),
        ("supernet", hex(&network)),
        ("search", format!("{:?}", job.config)),
        ("training", training(job)),
        ("number of images", job.images.len().to_string()),
        ("images", images_digest(&job.images)),
    ])
}

/// Settings of the weights' training; those added later only where they count, so that older checkpoints still match.
fn training(job: &SupernetJob) -> String {
    let training = job.training;
    let all = format!("{training:?}");
    // Nothing here follows it.
    let without = all.replace(&format!(", lr_decay: {:?}", training.lr_decay), "");
    match training.nesterov {
        true => without.replace(", nesterov: true", ""),
        false => without,
    }
}
