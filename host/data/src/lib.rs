//! Labelled images as they come from their publishers: loading, splits, corruptions.
//!
//! Owns [`Dataset`] (labels, and [`Pixels`] in memory or in picture files), the loaders behind [`Source`], the
//! training part, the corruptions that make shifted streams, and the random crops and colours of
//! training. Invariants: nothing here knows of
//! networks, of tensors or of the device; the test images are read for [`Part::Test`] only, so that
//! whoever does not ask for it cannot see them.
//!
//! Data flow: **`data`** → `space` → { `learn`, `search`, `deploy` }.

pub mod source;

pub mod fashion_mnist;
pub mod idx;

pub mod batch;
pub mod cifar;
pub mod imagenet16;
mod pickle;

pub mod image_folder;
mod picture;
pub mod pixels;

pub mod augmentation;
pub mod corruption;
pub mod dataset;
pub mod error;
mod file;
pub mod split;

pub use corruption::{Corruption, Shift};
pub use dataset::{Dataset, ImageShape, Normalization};
pub use error::{DataError, FormatFault};
pub use pixels::Pixels;
pub use source::{Part, Source};
pub use split::Splits;
