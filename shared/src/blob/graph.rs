//! The graph of a parsed blob: decoded once if it is small, layer by layer where it lies if it is large.
//!
//! It owns the decoding and must not know the checks. A graph of up to [`HELD`] tensors and layers, as
//! most devices have, costs nothing to look at; a larger one would take 13 kB of RAM, so that only the
//! places of its tensors and layers are kept, 1 kB, and each is decoded when it is used.

use serde::de::DeserializeOwned;

use super::BlobError;
use crate::cascade::Lookup;
use crate::layer::{
    Cascade, GraphV1, Labels, Layer, MAX_CASCADES, MAX_LAYERS, MAX_TENSORS, Tensor,
};

/// Most tensors, and most layers, that are held decoded.
const HELD: usize = 32;
/// Versions of the graph, the first byte; the second has cascades behind the labels.
const V1: u32 = 0;
const V2: u32 = 1;

/// A whole graph.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Graph<'a> {
    items: Items<'a>,
    /// Tensor the caller fills.
    pub(super) input: u8,
    /// Tensor the caller reads.
    pub(super) output: u8,
    /// Offset of the class means.
    pub(super) prototypes: Option<u32>,
    /// Class names.
    pub(super) labels: Labels,
    /// Layers that run together.
    pub(super) cascades: heapless::Vec<Cascade, MAX_CASCADES>,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap, and both are smaller than the graph of the largest model"
)]
enum Items<'a> {
    Held {
        tensors: heapless::Vec<Tensor, HELD>,
        layers: heapless::Vec<Layer, HELD>,
    },
    Lying {
        bytes: &'a [u8],
        tensors: heapless::Vec<u16, MAX_TENSORS>,
        layers: heapless::Vec<u16, MAX_LAYERS>,
    },
}

/// What is left to decode.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    #[inline(never)]
    fn next<T: DeserializeOwned>(&mut self) -> Result<T, BlobError> {
        let (value, rest) =
            postcard::take_from_bytes(self.rest).map_err(|_| BlobError::GraphEncoding)?;
        self.rest = rest;
        Ok(value)
    }

    fn each<T: DeserializeOwned>(
        &mut self,
        mut keep: impl FnMut(usize, T) -> Option<()>,
    ) -> Result<(), BlobError> {
        let n: u32 = self.next()?;
        for _ in 0..n {
            let left = self.rest.len();
            keep(left, self.next()?).ok_or(BlobError::GraphEncoding)?;
        }
        Ok(())
    }
}

impl<'a> Graph<'a> {
    /// Nothing yet: see [`Graph::fill`].
    pub(super) const EMPTY: Self = Self {
        items: Items::Held {
            tensors: heapless::Vec::new(),
            layers: heapless::Vec::new(),
        },
        input: 0,
        output: 0,
        prototypes: None,
        labels: Labels { offset: 0, len: 0 },
        cascades: heapless::Vec::new(),
    };

    /// The graph behind its version, and whether that is one with cascades.
    fn start(bytes: &'a [u8]) -> Result<(Reader<'a>, bool), BlobError> {
        let mut reader = Reader { rest: bytes };
        match reader.next::<u32>()? {
            V1 => Ok((reader, false)),
            V2 => Ok((reader, true)),
            _ => Err(BlobError::GraphEncoding),
        }
    }

    /// Whether tensors and layers can be held.
    #[inline(never)]
    fn is_small(bytes: &'a [u8]) -> Result<bool, BlobError> {
        let (mut reader, _) = Self::start(bytes)?;
        let (mut n_tensors, mut n_layers) = (0, 0);
        reader.each(|_, _: Tensor| {
            n_tensors += 1;
            Some(())
        })?;
        reader.each(|_, _: Layer| {
            n_layers += 1;
            Some(())
        })?;
        Ok(n_tensors <= HELD && n_layers <= HELD)
    }

    /// Decodes `bytes`, all of which are the graph, in the place of what was here.
    ///
    /// # Errors
    /// `bytes` are no graph, or a longer one than the format's.
    #[inline(never)]
    pub(super) fn fill(&mut self, bytes: &'a [u8]) -> Result<(), BlobError> {
        self.items = match Self::is_small(bytes)? {
            true => Self::EMPTY.items,
            false => Items::Lying {
                bytes,
                tensors: heapless::Vec::new(),
                layers: heapless::Vec::new(),
            },
        };
        self.cascades.clear();
        let (mut reader, has_cascades) = Self::start(bytes)?;
        match &mut self.items {
            Items::Held { tensors, layers } => {
                reader.each(|_, tensor| tensors.push(tensor).ok())?;
                reader.each(|_, layer| layers.push(layer).ok())?;
            }
            Items::Lying {
                tensors, layers, ..
            } => {
                let place = |left: usize| u16::try_from(bytes.len() - left).ok();
                reader.each(|left, _: Tensor| tensors.push(place(left)?).ok())?;
                reader.each(|left, _: Layer| layers.push(place(left)?).ok())?;
            }
        }
        (self.input, self.output, self.prototypes, self.labels) = reader.next()?;
        if has_cascades {
            let cascades = &mut self.cascades;
            reader.each(|_, cascade| cascades.push(cascade).ok())?;
            // Without any it would have two encodings.
            if cascades.is_empty() {
                return Err(BlobError::GraphEncoding);
            }
        }
        match reader.rest.len() {
            0 => Ok(()),
            unused_bytes => Err(BlobError::GraphLength { unused_bytes }),
        }
    }

    /// Whether tensors and layers are held decoded.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.items, Items::Held { .. })
    }

    /// Number of tensors.
    pub(super) fn n_tensors(&self) -> usize {
        match &self.items {
            Items::Held { tensors, .. } => tensors.len(),
            Items::Lying { tensors, .. } => tensors.len(),
        }
    }

    /// Number of layers.
    #[inline]
    pub(super) fn n_layers(&self) -> usize {
        match &self.items {
            Items::Held { layers, .. } => layers.len(),
            Items::Lying { layers, .. } => layers.len(),
        }
    }

    /// Tensor `index`, if there is one.
    #[inline(never)]
    pub(super) fn tensor(&self, index: u8) -> Option<Tensor> {
        match &self.items {
            Items::Held { tensors, .. } => tensors.get(usize::from(index)).copied(),
            Items::Lying { bytes, tensors, .. } => decode(bytes, tensors, index.into()),
        }
    }

    /// Layer `index`, if there is one.
    #[inline(never)]
    pub(super) fn layer(&self, index: usize) -> Option<Layer> {
        match &self.items {
            Items::Held { layers, .. } => layers.get(index).copied(),
            Items::Lying { bytes, layers, .. } => decode(bytes, layers, index),
        }
    }

    /// As [`Graph::tensor`], without a copy of one that is held.
    #[inline]
    pub(super) fn tensor_in<'s>(
        &'s self,
        index: u8,
        decoded: &'s mut Option<Tensor>,
    ) -> Option<&'s Tensor> {
        match &self.items {
            Items::Held { tensors, .. } => tensors.get(usize::from(index)),
            Items::Lying { bytes, tensors, .. } => {
                *decoded = decode(bytes, tensors, index.into());
                decoded.as_ref()
            }
        }
    }

    /// As [`Graph::layer`], without a copy of one that is held.
    #[inline]
    pub(super) fn layer_in<'s>(
        &'s self,
        index: usize,
        decoded: &'s mut Option<Layer>,
    ) -> Option<&'s Layer> {
        match &self.items {
            Items::Held { layers, .. } => layers.get(index),
            Items::Lying { bytes, layers, .. } => {
                *decoded = decode(bytes, layers, index);
                decoded.as_ref()
            }
        }
    }

    /// All of it, as it was encoded.
    pub(super) fn to_owned(&self) -> GraphV1 {
        let layers = (0..self.n_layers()).filter_map(|i| self.layer(i));
        GraphV1 {
            tensors: (0..=u8::MAX).map_while(|i| self.tensor(i)).collect(),
            layers: layers.collect(),
            input: self.input,
            output: self.output,
            prototypes: self.prototypes,
            labels: self.labels,
            cascades: self.cascades.clone(),
        }
    }
}

impl Lookup for Graph<'_> {
    fn layer(&self, index: usize) -> Option<Layer> {
        Graph::layer(self, index)
    }
    fn tensor(&self, index: u8) -> Option<Tensor> {
        Graph::tensor(self, index)
    }
}

#[inline(never)]
fn decode<T: DeserializeOwned>(bytes: &[u8], places: &[u16], index: usize) -> Option<T> {
    let place = usize::from(*places.get(index)?);
    let (value, _) = postcard::take_from_bytes(bytes.get(place..)?).ok()?;
    Some(value)
}
