//! Table of contents of the tests.

/// The source tree itself: module docs, file sizes, unfinished code, arrows between the crates.
mod tidy;
