//! The search space: what a network is before it is trained.
//!
//! Owns the genotype (operation and learning rule per layer), its text form, sampling, mutation and
//! crossover, and the lowering of a genotype to the layer graph that `learn` trains and `deploy`
//! quantizes. Invariant: knows nothing of burn, of integers, or of the device.
//!
//! Flow: `data` → **`space`** → { `learn`, `search`, `deploy` }.

pub mod drawing;
pub mod genotype;
pub mod mcu;
pub mod network;
pub mod params;
pub mod rule;
pub mod variation;

pub use genotype::{Block, BlockOp, Genotype, GenotypeError, Head, Pool, Stem};
pub use mcu::{McuSpace, SpaceError};
pub use network::{Network, Node, NodeOp, Shape};
pub use params::{BatchNorm, LayerParams, NetworkParams};
pub use rule::Rule;
