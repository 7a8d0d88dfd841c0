//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! Random numbers are functions of (seed, purpose, place, step), so seed and step stand for all of them,
//! the feedback of `fa` and `frsf` included; that of `kp` is state. Everything else that the run's bits
//! follow from is kept as its [`Identity`], and a job with another one is refused.

use crate::evaluate::Images;
use crate::train::{EpochRecord, Job};
use crate::{Augment, LearnError, TrainConfig};
use aplysia_space::{Network, NetworkParams, NodeOp};
use atomic_write_file::AtomicWriteFile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// What a run is made of, as names and values, by importance.
///
/// `epochs` is not part of it, only the length of the schedule: a run may go on for longer on the same
/// schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity(Vec<(String, String)>);

impl Identity {
    /// Of these names and values, by importance.
    pub(crate) fn new<const N: usize>(entries: [(&str, String); N]) -> Self {
        let all = entries.into_iter();
        Self(all.map(|(name, value)| (name.into(), value)).collect())
    }

    /// Reads all training images in memory, of files the names: about 0.2 s for 50,000 of 28×28.
    pub(crate) fn of(job: &Job) -> Self {
        // A new setting must not be forgotten here: the compiler asks for it.
        let TrainConfig {
            epochs: _,
            schedule_epochs: _,
            batch,
            lr,
            warmup,
            lr_decay,
            momentum,
            nesterov,
            weight_decay,
            clip_norm,
            label_smoothing,
            auxiliary_weight,
            drop_path,
            augment:
                Augment {
                    shift,
                    flip,
                    cutout,
                    resized_crop,
                    jitter,
                },
            feedback_scale,
            rules: options,
            local,
            seed,
        } = job.config;
        let entries = [
            ("seed", seed.to_string()),
            ("device", format!("{:?}", job.device)),
            ("rules", rules(job.network)),
            (
                "network",
                hex(&Sha256::digest(format!("{:?}", job.network))),
            ),
            (
                "epochs of the schedule",
                job.config.n_schedule().to_string(),
            ),
            ("batch", batch.to_string()),
            ("lr", lr.to_string()),
            ("warmup", warmup.to_string()),
            ("momentum", momentum.to_string()),
            ("weight_decay", weight_decay.to_string()),
            ("clip_norm", clip_norm.to_string()),
            ("label_smoothing", label_smoothing.to_string()),
            (
                "augment",
                format!("Augment {{ shift: {shift}, flip: {flip}, cutout: {cutout} }}"),
            ),
            ("feedback_scale", feedback_scale.to_string()),
            ("rule options", format!("{options:?}")),
            ("local rules", format!("{local:?}")),
            ("number of training images", job.train.len().to_string()),
            ("training images", images_digest(&job.train)),
        ];
        // Settings added later are recorded only where they count, so that older checkpoints still match.
        let younger = [
            (
                "auxiliary_weight",
                auxiliary_weight.to_string(),
                job.network.auxiliary.is_some(),
            ),
            ("drop_path", drop_path.to_string(), *drop_path > 0.0),
            (
                "resized_crop",
                resized_crop.to_string(),
                *resized_crop > 0.0,
            ),
            ("jitter", format!("{jitter:?}"), *jitter != [0.0; 4]),
            ("nesterov", nesterov.to_string(), !nesterov),
            ("lr_decay", lr_decay.to_string(), *lr_decay > 0.0),
        ];
        let younger = younger.into_iter().filter(|(.., counts)| *counts);
        let all = entries
            .into_iter()
            .chain(younger.map(|(name, value, _)| (name, value)));
        Self(all.map(|(name, value)| (name.into(), value)).collect())
    }

    /// # Errors
    /// [`LearnError::OtherRun`] names the first entry in which `self`, read from `path`, differs from `here`.
    pub(crate) fn check(&self, here: &Self, path: &Path) -> Result<(), LearnError> {
        let value = |entries: &[(String, String)], field: &str| {
            let found = entries.iter().find(|(name, _)| name == field);
            found.map_or("not set".to_string(), |(_, value)| value.clone())
        };
        let mut fields = here.0.iter().chain(&self.0).map(|(field, _)| field);
        match fields.find(|field| value(&self.0, field) != value(&here.0, field)) {
            None => Ok(()),
            Some(field) => Err(LearnError::OtherRun {
                path: path.into(),
                field: field.clone(),
                there: value(&self.0, field),
                here: value(&here.0, field),
            }),
        }
    }
}

fn rules(network: &Network) -> String {
    let rule = |op: &NodeOp| match op {
        NodeOp::Conv { rule, .. } | NodeOp::Linear { rule } => Some(rule.to_string()),
        _ => None,
    };
    let rules: Vec<String> = network.nodes.iter().filter_map(|n| rule(&n.op)).collect();
    rules.join(",")
}

/// SHA-256 of pixels, labels (one byte each where all fit, else two) and normalisation.
pub(crate) fn images_digest(images: &Images) -> String {
    let mut sha = Sha256::new();
    images.pixels.identify(&mut sha);
    let label_bytes = if images.labels.iter().all(|&l| l < 256) {
        1
    } else {
        2
    };
    for label in images.labels {
        sha.update(&label.to_le_bytes()[..label_bytes]);
    }
    sha.update(images.mean_pixel);
    sha.update(images.std.to_le_bytes());
    hex(&sha.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// State of a run after `step` optimizer steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) identity: Identity,
    pub(crate) step: u64,
    pub(crate) params: NetworkParams,
    /// Momentum and learned feedback, tensor by tensor.
    pub(crate) memory: Vec<Vec<f32>>,
    /// Finished epochs.
    pub(crate) history: Vec<EpochRecord>,
    /// Sum of the losses of the epoch under way.
    pub(crate) loss_sum: f64,
    /// Right answers in the epoch under way.
    pub(crate) n_right: u64,
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`LearnError::Unwritten`].
pub(crate) fn write<T: Serialize>(state: &T, path: &Path) -> Result<(), LearnError> {
    let io = |source| LearnError::Unwritten {
        path: path.into(),
        source,
    };
    let bytes = postcard::to_stdvec(state).map_err(|reason| LearnError::NotACheckpoint {
        path: path.into(),
        reason,
    })?;
    let mut file = AtomicWriteFile::open(path).map_err(io)?;
    file.write_all(&bytes).map_err(io)?;
    file.commit().map_err(io)
}

/// Checks that `path` holds a checkpoint of a training, whole.
///
/// # Errors
/// [`LearnError::Io`], [`LearnError::NotACheckpoint`].
pub fn check_checkpoint(path: &Path) -> Result<(), LearnError> {
    read::<Checkpoint>(path).map(|_| ())
}

/// Reads a file written by [`write()`].
///
/// # Errors
/// [`LearnError::Io`], [`LearnError::NotACheckpoint`].
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, LearnError> {
    let bytes = std::fs::read(path).map_err(|source| LearnError::Io {
        path: path.into(),
        source,
    })?;
    postcard::from_bytes(&bytes).map_err(|reason| LearnError::NotACheckpoint {
        path: path.into(),
        reason,
    })
}
