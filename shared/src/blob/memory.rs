//! The way from the bytes of a blob to a model. It owns the order of the checks and where the model lies meanwhile;
//! what is checked is in `check`.

use super::graph::Graph;
use super::{BlobError, Golden, Model, check};
use crate::layer::MAX_LAYERS;

/// Where a model is parsed and stays: 1.8 kB. A [`Model`] that is handed on lies on the stack of a device twice.
pub struct ModelMemory<'a>(Model<'a>);

impl<'a> ModelMemory<'a> {
    /// Of no model yet.
    #[expect(
        clippy::new_without_default,
        reason = "it would be a second name of the same"
    )]
    pub const fn new() -> Self {
        Self(Model::empty())
    }

    /// [`Model::parse`], in this memory.
    ///
    /// # Errors
    /// As there; nothing of `blob` can be seen then.
    pub fn parse(&mut self, blob: &'a [u8]) -> Result<&Model<'a>, BlobError> {
        self.0.fill(blob)?;
        Ok(&self.0)
    }
}

impl<'a> Model<'a> {
    /// Checks everything once: header, address, CRC, graph, shapes, windows, arena places of tensors that live
    /// at one time, data ranges, and that no accumulator can leave 32 bits.
    ///
    /// `blob` may be longer than the model (a flash slot) and lies at a multiple of
    /// [`MEMORY_ALIGN`](super::MEMORY_ALIGN) bytes ([`include_blob!`](crate::include_blob)); the signature is not
    /// verified here.
    ///
    /// # Errors
    /// The first check that fails, with its numbers.
    pub fn parse(blob: &'a [u8]) -> Result<Self, BlobError> {
        let mut memory = ModelMemory::new();
        memory.parse(blob)?;
        Ok(memory.0)
    }

    #[inline(never)]
    const fn empty() -> Self {
        Self {
            graph: Graph::EMPTY,
            data: &[],
            blob_bytes: 0,
            arena_bytes: 0,
            id: [0; 16],
            counter: 0,
            labels: "",
            golden: None,
            exact: Flags([0; MAX_LAYERS.div_ceil(8)]),
        }
    }

    /// [`Model::parse`] over whatever this was.
    #[inline(never)]
    fn fill(&mut self, blob: &'a [u8]) -> Result<(), BlobError> {
        let header = check::Header::read(blob)?;
        (self.labels, self.golden) = ("", None);
        self.exact = Flags([0; MAX_LAYERS.div_ceil(8)]);
        self.data = header.data;
        self.blob_bytes = header.total_len;
        self.arena_bytes = header.arena_bytes;
        self.id = header.id;
        self.counter = header.counter;
        self.graph.fill(header.graph)?;
        self.labels = check::graph(&self.graph, header.data, header.arena_bytes)?;
        for layer in 0..self.n_layers() {
            if self.is_exact(layer) == Some(true) {
                self.exact.set(layer);
            }
        }
        if let Some(at) = header.golden {
            let offset = at as usize;
            let start = self.blob_bytes - header.data.len();
            let offset = offset
                .checked_sub(start)
                .ok_or(BlobError::Golden { offset })?;
            let tensors = [self.input(), self.features(), self.output()];
            self.golden = Some(Golden::read(header.data, offset, tensors.each_ref())?);
        }
        Ok(())
    }
}

/// One bit a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flags([u8; MAX_LAYERS.div_ceil(8)]);

impl Flags {
    #[inline]
    pub(super) fn get(&self, layer: usize) -> bool {
        let byte = self.0.get(layer / 8);
        byte.is_some_and(|byte| byte >> (layer % 8) & 1 == 1)
    }

    fn set(&mut self, layer: usize) {
        if let Some(byte) = self.0.get_mut(layer / 8) {
            *byte |= 1 << (layer % 8);
        }
    }
}
