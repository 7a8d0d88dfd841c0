//! Architecture search by a supernet: weights and the numbers of the architecture are trained in turn, and
//! what the architecture favours at the end is the genotype.
//!
//! Owns the searches that need gradients or a trained supernet: [`search`] runs one, checkpointed like a
//! training. `architecture` has the numbers, `gradient` one look at a batch, `run` the loop, `evolution` logits
//! without gradients, `stability` the early stop. Invariants: a supernet is always seen with the batch norm
//! statistics of the batch (each mixture of candidates has its own), and half of the images teach the weights,
//! the other half the architecture.
//!
//! Gradients by logits (and so the curvature of [`Stop::Eigenvalue`]) are exact, whatever rules teach the weights,
//! unless [`SupernetConfig::exact_logits`] is off: then they come down through each layer's own feedback, as
//! published, and are pseudo-gradients in all but the last cells. (To second order the weights' direction stays
//! within the limits that a rule's options set.) A rule has no part in the forward pass, so that its logit compares
//! the weights that it has trained so far.
//!
//! Differences from the published searches, all by intent: the layers outside of the edges (stem, preprocessing,
//! FactorizedReduce, classifier) have logits of rules, too, unless [`SupernetConfig::search_places`] is off or the
//! coverage leaves them to back-propagation, as published; logits are factored into operation and rule unless
//! [`SupernetConfig::flat`] says otherwise; one rule is drawn per operation, edge and step unless
//! [`SupernetConfig::sample_rules`] is off; weights follow the optimizer of [`crate::train()`] (a
//! cosine per step instead of per epoch); batches of the architecture are taken in shuffled order
//! instead of drawn with replacement; of EG-NAS more, see `evolution`. Sources: Liu et al. 2019 (*DARTS*), Xu et
//! al. 2020 (*PC-DARTS*), Cai et al. 2024 (*EG-NAS*), Zela et al. 2020 (*RobustDARTS*), Chu et al. 2021
//! (*DARTS-*), Chen et al. 2019 (*P-DARTS*).

mod adam;
mod architecture;
mod checkpoint;
mod config;
mod evolution;
mod gradient;
mod memory;
mod probe;
mod run;
pub mod stability;

pub use architecture::{Draw, Layout, Tables};
pub use config::{Stop, SupernetConfig};
pub use evolution::{Cma, EvolutionConfig, fitness, likeness, towards};
pub use memory::peak_bytes;
pub use probe::{Glance, glance};
pub use run::{Found, SupernetEpoch, SupernetProgress, search};

use crate::{Device, Images, TrainConfig};
use aplysia_space::darts::Supernet;
use std::path::Path;

/// What to search on what.
#[derive(Clone, Copy, Debug)]
pub struct SupernetJob<'a> {
    /// The supernet.
    pub supernet: &'a Supernet,
    /// Images, halved by the seed.
    pub images: Images<'a>,
    /// How weights are trained; `epochs`, `schedule_epochs`, `warmup` and `drop_path` are not looked at.
    pub training: &'a TrainConfig,
    /// How the architecture is.
    pub config: &'a SupernetConfig,
    /// Where to compute.
    pub device: Device,
    /// Written after every epoch and when the observer stops the search; if it exists, the search goes
    /// on from it.
    pub checkpoint: Option<&'a Path>,
}
