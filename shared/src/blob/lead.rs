//! What a header says of its blob before anything behind it is there.
//!
//! It owns the checks that need the header alone (magic, format version, runtime interface) and the checksum
//! over the whole; it must not decode the graph. [`super::Model::parse`] begins with it, and a transfer decides
//! by it whether the rest is worth sending.

use super::check::{array_at, crc32, u16_at, u32_at};
use super::{BlobError, HEADER_BYTES, MAGIC, RUNTIME_ABI, VERSION, field};

/// Fields of a header of this format and runtime interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Bytes of the whole blob.
    pub total_len: u32,
    /// Bytes of arena one inference needs.
    pub arena_bytes: u32,
    /// CRC-32 of the blob without this field and without the signature.
    pub crc: u32,
    /// Name of the model.
    pub id: [u8; 16],
    /// Update counter.
    pub counter: u64,
}

impl Lead {
    /// The fields of the header at the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// There are fewer than [`HEADER_BYTES`], they are no header, or one of another format version or of a
    /// newer runtime interface.
    pub fn read(bytes: &[u8]) -> Result<Self, BlobError> {
        let header = bytes.first_chunk::<HEADER_BYTES>();
        let header = header.ok_or(BlobError::Truncated {
            got_bytes: bytes.len(),
            want_bytes: HEADER_BYTES,
        })?;
        if !header.starts_with(&MAGIC) {
            return Err(BlobError::Magic);
        }
        let [got, want] = [u16_at(header, field::VERSION), VERSION];
        if got != want {
            return Err(BlobError::Version { got, want });
        }
        let [got, want] = [RUNTIME_ABI, u16_at(header, field::MIN_ABI)];
        if got < want {
            return Err(BlobError::Abi { got, want });
        }
        Ok(Self {
            total_len: u32_at(header, field::TOTAL_LEN),
            arena_bytes: u32_at(header, field::ARENA_BYTES),
            crc: u32_at(header, field::CRC),
            id: array_at(header, field::ID),
            counter: u64::from_le_bytes(array_at(header, field::COUNTER)),
        })
    }

    /// The blob of this header at the start of `bytes`, if all of it is there and its checksum is right.
    ///
    /// # Errors
    /// [`BlobError::Truncated`] or [`BlobError::Crc`].
    pub fn intact<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], BlobError> {
        let want_bytes = self.total_len as usize;
        let blob = bytes.get(..want_bytes).ok_or(BlobError::Truncated {
            got_bytes: bytes.len(),
            want_bytes,
        })?;
        let (got, want) = (crc32(blob), self.crc);
        match got == want {
            true => Ok(blob),
            false => Err(BlobError::Crc { got, want }),
        }
    }
}
