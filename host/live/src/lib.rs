//! A blob at work: on the host by the device's own kernels, and on a device over its line.
//!
//! Owns the evaluation of images and of inputs from files (`samples`, `npy`), learning from streams (`adaptation`,
//! `guarded`), the client of a device, emulated or not (`device`, `update`), host and device compared (`comparison`),
//! and learning beside its baselines (`adapt_bench`). Invariant: knows nothing of genotypes, of how a blob is made, or
//! of data sets; it receives a model and images, and everything integer runs through `aplysia_shared`.
//!
//! Data flow: blob, images → **`live`** → accuracies, costs; `deploy` asks it what a blob is worth.

pub mod adapt_bench;
pub mod adaptation;
pub mod comparison;
pub mod device;
mod error;
pub mod evaluate;
pub mod flash;
pub mod guarded;
pub mod npy;
pub mod samples;
pub mod update;

pub use adaptation::{Adapted, adapt, adapt_device};
pub use comparison::{Comparison, compare};
pub use error::LiveError;
pub use evaluate::{Evaluation, evaluate};
