//! The runtime that host and device share, byte for byte: model format, integer kernels, inference.
//!
//! It owns the wire form of a model ([`blob`]), the checks that make a model trustworthy
//! ([`blob::Model::parse`]), the integer arithmetic ([`quant`], [`kernel`]) and its execution
//! ([`network`]). It must not know how a model was found, trained or quantized, it allocates nothing
//! and it has no `unsafe` outside of the instruction sets of [`kernel::dsp`]. Data flow: `deploy` encodes a blob,
//! host and firmware parse and run it.
#![no_std]
#![deny(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]

pub mod adapt;
pub mod blob;
mod bytes;
pub mod cascade;
pub mod claims;
pub mod cost;
mod header;
pub mod kernel;
pub mod layer;
pub mod network;
pub mod protocol;
pub mod quant;
pub mod rng;
pub mod room;
mod scratch;
pub mod signature;
pub mod store;
pub mod update;

pub use blob::{BlobError, Constants, Homeostasis, Model, ModelMemory};
pub use claims::{Claims, Unmet};
pub use layer::{
    AddScales, Cascade, Clamp, GraphV1, Labels, Layer, Op, Placing, Scaling, Tensor, Window,
};
pub use network::{ArenaError, Hooks, LayerHooks, held, infer, infer_with, sums};
pub use quant::Requant;
pub use room::{Room, Unfit};
