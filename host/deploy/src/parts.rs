//! The parts of a blob, and the blob of them with its model id.
//!
//! Owns the id's rule and where a golden set goes (behind all other data); it must not know where the
//! parts come from: [`crate::assemble`], [`mod@crate::import`], or a blob that exists
//! ([`crate::golden::attach`]).

use crate::DeployError;
use crate::golden::GoldenSet;
use aplysia_shared::blob::{self, HEADER_BYTES, field};
use aplysia_shared::{GraphV1, Model};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// What [`blob::encode_with_golden`] takes.
pub(crate) struct Parts {
    pub(crate) graph: GraphV1,
    pub(crate) data: Vec<u8>,
    /// Offset of the golden set in `data`.
    pub(crate) golden: Option<u32>,
    /// Update counter.
    pub(crate) counter: u64,
}

impl Parts {
    /// Graph and data of a first version without a golden set.
    pub(crate) fn new(graph: GraphV1, data: Vec<u8>) -> Self {
        Self {
            graph,
            data,
            golden: None,
            counter: 0,
        }
    }

    /// Those of a blob that exists.
    pub(crate) fn of(model: &Model<'_>, blob: &[u8]) -> Self {
        let mut parts = Self::new(model.graph(), model.data().to_vec());
        parts.counter = model.counter();
        let before = model.blob_bytes() - parts.data.len();
        let golden = blob[field::GOLDEN..HEADER_BYTES].first_chunk();
        let golden = u32::from_le_bytes(*golden.unwrap_or(&[0; 4])) as usize;
        // In the data section, as parsing has checked.
        parts.golden = golden.checked_sub(before).map(|at| at as u32);
        parts
    }

    /// Puts `bytes` in place of those at `range` of the data, not fewer, and more by a multiple of 16; moves what lies
    /// behind them.
    ///
    /// # Errors
    /// The data section would exceed 4 GiB.
    pub(crate) fn replace(&mut self, range: Range<usize>, bytes: &[u8]) -> Result<(), DeployError> {
        let more = bytes.len() - range.len();
        let (got, limit) = (self.data.len() + more, u32::MAX as usize);
        let part = "data bytes";
        if got > limit {
            return Err(DeployError::Capacity { part, got, limit });
        }
        let graph = &mut self.graph;
        let mut places = vec![&mut graph.labels.offset];
        places.extend(
            graph
                .prototypes
                .as_mut()
                .into_iter()
                .chain(&mut self.golden),
        );
        for layer in &mut graph.layers {
            places.push(&mut layer.params);
            places.extend(&mut layer.homeostasis);
        }
        for place in places {
            if *place as usize > range.start {
                *place += more as u32;
            }
        }
        self.data.splice(range, bytes.iter().copied());
        Ok(())
    }

    /// Puts `set` behind the data.
    ///
    /// # Errors
    /// The data section would exceed 4 GiB.
    pub(crate) fn add_golden(&mut self, set: &GoldenSet) -> Result<(), DeployError> {
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        let got = self.data.len();
        let limit = u32::MAX as usize;
        let part = "data bytes";
        let full = |_| DeployError::Capacity { part, got, limit };
        self.golden = Some(u32::try_from(got).map_err(full)?);
        self.data.extend(set.bytes());
        Ok(())
    }

    /// The blob without a model id, accepted by the runtime.
    ///
    /// # Errors
    /// The runtime refuses it.
    pub(crate) fn anonymous_blob(&self) -> Result<Vec<u8>, DeployError> {
        self.encode([0; 16])
    }

    /// The blob with its model id: the first 16 bytes of the SHA-256 over all that follows the header.
    ///
    /// # Errors
    /// The runtime refuses it.
    pub(crate) fn blob(&self) -> Result<Vec<u8>, DeployError> {
        let digest = Sha256::digest(&self.anonymous_blob()?[HEADER_BYTES..]);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        self.encode(id)
    }

    fn encode(&self, id: [u8; 16]) -> Result<Vec<u8>, DeployError> {
        let (graph, data) = (&self.graph, &self.data);
        let mut blob = vec![0; blob::encoded_len(graph, data.len())?];
        blob::encode_with_golden(graph, data, self.golden, id, self.counter, &mut blob)?;
        Ok(blob)
    }
}
