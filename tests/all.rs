//! Table of contents of the tests.

/// The source tree itself: module docs, file sizes, unfinished code, arrows between the crates.
mod tidy;
/// Learning on the device: rules against their equations, state, snapshots, extremes.
mod adapt;
/// A small random network that can learn, for the tests of plasticity.
mod toy;
