//! Training with burn: the learning rules, the training loop, evaluation.
//!
//! Owns everything that computes in floating point: `rule` (which feedback a layer uses), `ops` (the
//! operations, on any burn backend), `local` (weight changes without the error), `cpu` and `gpu` (fast
//! kernels), `network` (graph with numbers), `train` (the one loop), `evaluate`, `pullback` (errors of the
//! output brought back to pixels, for attacks), `supernet` (architecture search by gradients). Invariant: burn
//! is named in this crate only, and no type of burn is in the interface of `train`, `evaluate` and `pullback`:
//! parameters leave as [`aplysia_space::NetworkParams`].
//!
//! Data flow: `data` → `space` → **`learn`** → `deploy`.

mod ahead;
mod augment;
mod checkpoint;
mod config;
mod cpu;
#[macro_use]
mod device;
pub mod adaptation;
mod error;
mod evaluate;
#[cfg(feature = "_gpu")]
#[allow(
    clippy::collapsible_if,
    clippy::manual_div_ceil,
    clippy::manual_is_multiple_of,
    reason = "the language of kernels lacks the shorter forms"
)]
#[allow(
    clippy::too_many_arguments,
    reason = "a kernel takes each buffer and number by itself"
)]
pub mod gpu;
pub mod local;
mod memory;
mod network;
pub mod ops;
mod optimizer;
mod options;
mod probe;
mod pullback;
mod random;
pub mod rule;
pub mod supernet;
mod train;

/// burn itself, for tests that look at gradients.
pub use burn;

pub use augment::Augment;
pub use checkpoint::check_checkpoint;
pub use config::TrainConfig;
pub use device::Device;
pub use error::LearnError;
pub use evaluate::{Evaluation, Images, activation_ranges, evaluate, recalibrate};
pub use options::{LocalConfig, LocalFeedback, RuleOptions};
pub use probe::{BatchGradients, batch_gradients};
pub use pullback::{Pullback, Teacher, pullback};
pub use rule::{Alignment, DirectScale, FeedbackScale, Init};
pub use train::{EpochRecord, GradientNoise, Job, Progress, Trained, gradient_noise, train};
