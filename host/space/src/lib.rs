//! The search space: what a network is before it is trained.
//!
//! Owns the genotypes (operation and learning rule per layer), their text forms, sampling, mutation and
//! crossover, and the lowering of a genotype to the layer graph that `learn` trains and `deploy`
//! quantizes. Three spaces, one graph: `mcu` ([`genotype`], [`mcu`]), [`darts`], [`nasbench201`].
//! Invariant: knows nothing of burn, of integers, or of the device.
//!
//! Data flow: `data` → **`space`** → { `learn`, `search`, `deploy` }.

pub mod coverage;
pub mod darts;
mod design;
pub mod drawing;
pub mod gene;
pub mod genotype;
mod graph;
mod lowering;
pub mod mcu;
pub mod nasbench201;
pub mod network;
pub mod params;
pub mod plasticity;
pub mod rule;
pub mod share;
pub mod variation;

pub use coverage::Coverage;
pub use darts::DartsSpace;
pub use design::Design;
pub use gene::{Gene, Operation};
pub use genotype::{Block, BlockOp, Genotype, GenotypeError, Head, Pool, Stem};
pub use mcu::{McuSpace, SpaceError};
pub use nasbench201::NasBench201Space;
pub use network::{Mixture, Network, Node, NodeOp, Norm, Padding, Shape, Window};
pub use params::{BatchNorm, LayerParams, NetworkParams};
pub use plasticity::{Below, HeadRule, Plasticity, PlasticityBounds};
pub use rule::Rule;
pub use share::RuleShare;
