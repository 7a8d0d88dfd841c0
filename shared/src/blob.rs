//! The wire form of a model and its checked view.
//!
//! It owns the header layout ([`field`]), the encoder and [`Model::parse`], after which nothing inside
//! the blob can make inference fail; it must not know kernels or learning rules. `deploy` calls
//! [`encode()`], host and firmware call [`Model::parse`]. Byte tables and version rules: `FORMAT.md`.

mod aligned;
mod check;
mod constants;
mod encode;
mod error;
mod golden;
mod graph;
mod lead;
mod memory;

pub use aligned::{Aligned, MEMORY_ALIGN};
pub use encode::{encode, encode_with_golden, encoded_len, set_counter, set_signature};
pub use error::BlobError;
pub use golden::{Golden, GoldenKind, MAX_GOLDEN};
pub use lead::Lead;
pub use memory::ModelMemory;

use serde::Serialize;

use constants::{constants, homeostasis, section};
use graph::Graph;
use memory::Flags;

use crate::cascade::Stages;
use crate::kernel::dsp::Packed;
use crate::layer::{Cascade, GraphV1, Layer, MAX_CASCADES, Tensor};
use crate::quant::{Requant, i32_at};

/// Bytes of the header; the graph follows.
pub const HEADER_BYTES: usize = 128;
/// First bytes of every blob.
pub const MAGIC: [u8; 8] = *b"APLYSIA\0";
/// Format version this crate writes and reads.
pub const VERSION: u16 = 1;
/// Runtime interface this crate offers; a blob asks for at least a certain one. 2 adds [`crate::Op::PackedConv2d`], 3
/// [`crate::Op::Softmax`], models whose last layer is not fully connected, classes without names, and the golden set, 4
/// [`crate::Op::Place`], more than 48 tensors or layers, and outputs over inputs, 5 [`crate::Op::PairedConv2d`], 6
/// packed convolutions of more than 1024 depths or of a row of more than 64 whose input channels are no multiple of 4,
/// 7 weights of -128, 8 [cascades](crate::cascade), 9 [`crate::Op::WinogradConv2d`].
pub const RUNTIME_ABI: u16 = 9;
/// Alignment of the data section in the blob and of the blob's length, in bytes.
pub const ALIGN: usize = 16;

/// First byte of each header field; all integers are little-endian.
pub mod field {
    /// `[u8; 8]`, [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// u16, format version.
    pub const VERSION: usize = 8;
    /// u16, smallest runtime interface that can run the blob.
    pub const MIN_ABI: usize = 10;
    /// u32, bytes of the whole blob, a multiple of 16.
    pub const TOTAL_LEN: usize = 12;
    /// u32, bytes of the encoded graph, which starts at 128.
    pub const GRAPH_LEN: usize = 16;
    /// u32, first byte of the data section, a multiple of 16.
    pub const DATA_OFFSET: usize = 20;
    /// u32, bytes of the data section; it ends the blob.
    pub const DATA_LEN: usize = 24;
    /// u32, bytes of arena one inference needs.
    pub const ARENA_BYTES: usize = 28;
    /// u32, CRC-32 (IEEE) of the blob without this field and without the signature.
    pub const CRC: usize = 32;
    /// `[u8; 16]`, name of the model.
    pub const ID: usize = 36;
    /// u64, update counter; a device refuses to go back.
    pub const COUNTER: usize = 52;
    /// u32, first byte of the golden set in the blob, a multiple of 4; 0 = none.
    pub const GOLDEN: usize = 60;
    /// `[u8; 64]`, Ed25519 signature, see [`crate::signature`]; zeros if unsigned.
    pub const SIGNATURE: usize = 64;
}

/// What postcard encodes: the variant number is the graph's version.
#[derive(Clone, Debug, PartialEq, Serialize)]
enum Blob {
    V1(GraphV1),
    V2(GraphV1, heapless::Vec<Cascade, MAX_CASCADES>),
}

impl Blob {
    /// In the first version that can hold it.
    fn of(graph: &GraphV1) -> Self {
        match graph.cascades.is_empty() {
            true => Self::V1(graph.clone()),
            false => Self::V2(graph.clone(), graph.cascades.clone()),
        }
    }
}

/// Constants of a weighted layer, as bytes of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants<'a> {
    /// i8, layout of the operator.
    pub weights: &'a [u8],
    /// One entry per output channel.
    pub requant: Requant<'a>,
    /// Weights of one output channel.
    pub fan_in: usize,
    /// Of a layer whose weights lie in blocks.
    pub packed: Option<Packed<'a>>,
}

impl Constants<'_> {
    /// Output channels.
    pub fn n_channels(&self) -> usize {
        self.requant.shift.len()
    }
}

/// Statistics of a layer's bias-free accumulators in training, O entries each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Homeostasis<'a> {
    /// i32 LE × O, mean.
    pub mean: &'a [u8],
    /// i32 LE × O, mean absolute deviation, at least 1.
    pub deviation: &'a [u8],
}

/// A blob that passed every check. It borrows the constants and holds the decoded graph (1.7 KiB), or,
/// of more than 32 tensors or layers, where they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Model<'a> {
    graph: Graph<'a>,
    data: &'a [u8],
    blob_bytes: usize,
    arena_bytes: usize,
    id: [u8; 16],
    counter: u64,
    labels: &'a str,
    golden: Option<Golden<'a>>,
    /// Packed layers whose constants the fast kernels take without a further look.
    exact: Flags,
}

impl<'a> Model<'a> {
    /// Bytes of arena one inference needs.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }
    /// Bytes of the blob.
    pub fn blob_bytes(&self) -> usize {
        self.blob_bytes
    }
    /// Name of the model.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }
    /// Update counter.
    pub fn counter(&self) -> u64 {
        self.counter
    }
    /// The data section, padding included.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }
    /// The graph as it was encoded, 13 kB of it.
    pub fn graph(&self) -> GraphV1 {
        self.graph.to_owned()
    }
    /// Whether tensors and layers are held decoded.
    pub(crate) fn is_held(&self) -> bool {
        self.graph.is_held()
    }
    /// Number of layers.
    #[inline]
    pub fn n_layers(&self) -> usize {
        self.graph.n_layers()
    }
    /// Layer `index` in execution order, if there is one.
    #[inline]
    pub fn layer(&self, index: usize) -> Option<Layer> {
        self.graph.layer(index)
    }
    /// As [`Model::layer`], in `decoded` if it is not held.
    #[inline]
    pub(crate) fn layer_in<'s>(
        &'s self,
        index: usize,
        decoded: &'s mut Option<Layer>,
    ) -> Option<&'s Layer> {
        self.graph.layer_in(index, decoded)
    }
    /// As [`Model::tensor`], in `decoded` if it is not held.
    #[inline]
    pub(crate) fn tensor_in<'s>(
        &'s self,
        index: u8,
        decoded: &'s mut Option<Tensor>,
    ) -> Option<&'s Tensor> {
        self.graph.tensor_in(index, decoded)
    }
    /// Layers that run together, in their order.
    pub fn cascades(&self) -> &[Cascade] {
        &self.graph.cascades
    }
    /// The cascade that layer `layer` is one of.
    #[inline]
    pub fn cascade_of(&self, layer: usize) -> Option<&Cascade> {
        Cascade::of(&self.graph.cascades, layer)
    }
    /// The rows of `cascade`, one of this model's.
    pub(crate) fn stages(&self, cascade: &Cascade) -> Option<Stages> {
        Stages::new(cascade, &self.graph)
    }
    /// Layers in execution order.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = Layer> + use<'_, 'a> {
        (0..self.n_layers()).filter_map(|index| self.layer(index))
    }
    /// Activation `index`, if there is one.
    #[inline]
    pub fn tensor(&self, index: u8) -> Option<Tensor> {
        self.graph.tensor(index)
    }
    /// Activations.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor> + use<'_, 'a> {
        (0..=u8::MAX).map_while(|index| self.tensor(index))
    }
    /// What [`crate::infer`] takes.
    pub fn input(&self) -> Tensor {
        self.known(self.graph.input)
    }
    /// What [`crate::infer`] gives.
    pub fn output(&self) -> Tensor {
        self.known(self.graph.output)
    }
    /// Input of the last layer.
    pub fn features(&self) -> Tensor {
        let head = self.layer(self.n_layers().saturating_sub(1));
        self.known(head.map_or(self.graph.input, |l| l.inputs[0]))
    }
    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.output().c.into()
    }
    /// Name of `class`; empty if there is no such class.
    pub fn label(&self, class: usize) -> &'a str {
        self.labels.split('\n').nth(class).unwrap_or("")
    }
    /// Constants of layer `layer`; none if it has no weights.
    pub fn constants(&self, layer: usize) -> Option<Constants<'a>> {
        self.constants_of(layer, &self.layer(layer)?)
    }
    /// Constants of `layer`, which is layer `index` of this model; none if it has no weights.
    pub(crate) fn constants_of(&self, index: usize, layer: &Layer) -> Option<Constants<'a>> {
        let mut found = constants(&self.graph, self.data, layer)?;
        if let Some(packed) = &mut found.packed {
            packed.exact = self.exact.get(index);
        }
        Some(found)
    }
    /// Whether the fast kernels are exact for every channel of the packed layer `index`.
    fn is_exact(&self, index: usize) -> Option<bool> {
        let layer = self.layer(index)?;
        let found = self.constants_of(index, &layer)?;
        let src = self.tensor(layer.inputs[0])?;
        let proved = found.packed?.proved(&found.requant, src.zero_point.into());
        Some(proved.exact)
    }
    /// Training statistics of layer `layer`, if the blob has them.
    pub fn homeostasis(&self, layer: usize) -> Option<Homeostasis<'a>> {
        homeostasis(&self.graph, self.data, &self.layer(layer)?)
    }
    /// Class means of the features, if the blob has them: i16 LE `[n_classes][d]`, mean of
    /// `q − zero_point` times 128.
    pub fn prototypes(&self) -> Option<&'a [u8]> {
        let n = self.n_classes().checked_mul(self.features().len())?;
        section(self.data, self.graph.prototypes?, n.checked_mul(2)?)
    }
    /// Labelled samples to measure learning on, if the blob has them.
    pub fn golden(&self) -> Option<Golden<'a>> {
        self.golden
    }

    /// Tensor `index`; an empty one if there is none, which parsing excludes.
    fn known(&self, index: u8) -> Tensor {
        const NONE: Tensor = Tensor {
            h: 0,
            w: 0,
            c: 0,
            scale: 1.0,
            zero_point: 0,
            offset: 0,
        };
        self.tensor(index).unwrap_or(NONE)
    }
}

/// Length of the blob at the start of `bytes`, as its header says; nothing else of it is checked.
///
/// # Errors
/// It is no blob, or `bytes` end before it does.
pub fn total_len(bytes: &[u8]) -> Result<usize, BlobError> {
    let truncated = |want_bytes| BlobError::Truncated {
        got_bytes: bytes.len(),
        want_bytes,
    };
    let header = bytes
        .first_chunk::<HEADER_BYTES>()
        .ok_or(truncated(HEADER_BYTES))?;
    if !header.starts_with(&MAGIC) {
        return Err(BlobError::Magic);
    }
    let len = i32_at(header, field::TOTAL_LEN / 4).cast_unsigned() as usize;
    match (HEADER_BYTES..=bytes.len()).contains(&len) {
        true => Ok(len),
        false => Err(truncated(len.max(HEADER_BYTES))),
    }
}
