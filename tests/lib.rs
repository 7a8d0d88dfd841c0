//! The test crate has no library: see `all.rs`.
