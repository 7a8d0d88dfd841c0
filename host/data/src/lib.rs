//! Labelled images as they come from their publishers: loading, splits, corruptions.
//!
//! Owns [`Dataset`] (bytes and labels in memory), the Fashion-MNIST loader, the seeded split of the
//! training file and the corruptions that make shifted streams. Invariants: nothing here knows of
//! networks, of tensors or of the device; the test images are read by [`fashion_mnist::load_test`]
//! only, so that whoever does not call it cannot see them.
//!
//! Flow: **`data`** → `space` → { `learn`, `search`, `deploy` }.

pub mod corruption;
pub mod dataset;
pub mod error;
pub mod fashion_mnist;
pub mod idx;
pub mod split;

pub use corruption::{Corruption, Shift};
pub use dataset::{Dataset, ImageShape, Normalization};
pub use error::DataError;
pub use split::Splits;
