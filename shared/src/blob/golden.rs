//! The golden set: labelled samples in the blob, on which a device measures what it has learned.
//!
//! It owns their layout and checks (table in `FORMAT.md`); it must not know how they are scored. Flow:
//! `deploy` chooses and writes them, [`super::Model::parse`] checks them, `adapt::guard` scores them.

use super::BlobError;
use crate::layer::Tensor;
use crate::quant::i16_at;

/// Runtime interface from which on a blob may have a golden set.
pub(super) const GOLDEN_ABI: u16 = 3;
/// Most samples of a golden set.
pub const MAX_GOLDEN: usize = 256;

/// What the samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoldenKind {
    /// Inputs of the model: they see all that is learned, and cost one inference each.
    Inputs,
    /// Inputs of the last layer: they see what its weights learn, and cost that layer each.
    Features,
}

/// Labelled samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Golden<'a> {
    kind: GoldenKind,
    labels: &'a [u8],
    samples: &'a [u8],
}

impl<'a> Golden<'a> {
    /// What the samples are.
    pub fn kind(&self) -> GoldenKind {
        self.kind
    }
    /// Number of samples, `1 ..= 256`.
    pub fn n_samples(&self) -> u16 {
        u16::try_from(self.labels.len()).unwrap_or(u16::MAX)
    }
    /// Length in the blob: kind, number, padded labels and samples.
    pub fn bytes(&self) -> usize {
        4 + self.labels.len().next_multiple_of(4) + self.samples.len()
    }
    /// Each label with its sample, i8 as bytes.
    pub fn samples(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let len = self.samples.len() / self.labels.len().max(1);
        let labels = self.labels.iter().map(|&label| usize::from(label));
        labels.zip(self.samples.chunks_exact(len.max(1)))
    }

    /// The set at `offset` of the data section, if everything in it is in range.
    pub(super) fn read(
        data: &'a [u8],
        offset: usize,
        [input, features, output]: [&Tensor; 3],
    ) -> Result<Self, BlobError> {
        let fault = BlobError::Golden { offset };
        let section = data.get(offset..).ok_or(fault)?;
        let (head, rest) = section.split_at_checked(4).ok_or(fault)?;
        let (kind, len) = match i16_at(head, 0) {
            0 => (GoldenKind::Inputs, input.len()),
            1 => (GoldenKind::Features, features.len()),
            _ => return Err(fault),
        };
        let n = usize::try_from(i16_at(head, 1)).map_err(|_| fault)?;
        let (padded, rest) = rest.split_at_checked(n.next_multiple_of(4)).ok_or(fault)?;
        let (labels, padding) = padded.split_at_checked(n).ok_or(fault)?;
        let known = labels.iter().all(|&label| u16::from(label) < output.c);
        let in_range = (1..=MAX_GOLDEN).contains(&n) && offset.is_multiple_of(4);
        if !known || !in_range || padding.iter().any(|&byte| byte != 0) {
            return Err(fault);
        }
        let bytes = n.checked_mul(len).ok_or(fault)?;
        Ok(Self {
            kind,
            labels,
            samples: rest.get(..bytes).ok_or(fault)?,
        })
    }
}

/// What the header says about a golden set: its first byte in the blob.
pub(super) fn place(min_abi: u16, word: u32) -> Result<Option<u32>, BlobError> {
    match word {
        0 => Ok(None),
        _ if min_abi < GOLDEN_ABI => Err(BlobError::Reserved),
        at => Ok(Some(at)),
    }
}
