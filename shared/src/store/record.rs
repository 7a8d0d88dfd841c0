//! The 64 bytes in front of a committed snapshot.
//!
//! It owns their layout; it must not know slots or flash. All little-endian.
//!
//! | byte | field |
//! |---|---|
//! | 0 | magic `APLR` |
//! | 4 | version u16 = 1 |
//! | 6 | zero u16 |
//! | 8 | sequence number u32 |
//! | 12 | length of the snapshot in bytes u32 |
//! | 16 | id of the base model, 16 bytes |
//! | 32 | pages erased u32 |
//! | 36 | bytes written u64 |
//! | 44 | zero, 16 bytes |
//! | 60 | CRC-32 (IEEE) of bytes 0–59, then of the snapshot u32 |
//! | 64 | snapshot, then `0xFF` to a multiple of 64 bytes |

use crate::header::{CRC_WORD, HEADER_BYTES, sealed};
use crate::quant::i32_at;
use serde::{Deserialize, Serialize};

/// Length of the header, and of the blocks in which the store reads and pads.
pub(super) const BLOCK_BYTES: usize = HEADER_BYTES;
const MAGIC_AND_VERSION: [u8; 8] = *b"APLR\x01\0\0\0";

/// One committed snapshot, and what all commits together have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    /// Number of the commit, the first is 1; wraps.
    pub sequence: u32,
    /// [`crate::Model::id`] of the base model.
    pub model: [u8; 16],
    /// Length of the snapshot.
    pub bytes: u32,
    /// Pages erased up to this commit, itself included; stops at its maximum. A commit that a power
    /// cut ended is not in it.
    pub erased_pages: u32,
    /// Bytes written up to this commit, headers and padding included; stops at its maximum.
    pub written_bytes: u64,
}

impl Record {
    /// Bytes of flash that header and snapshot take.
    pub(super) fn footprint(bytes: u32) -> u64 {
        (BLOCK_BYTES as u64 + u64::from(bytes)).next_multiple_of(BLOCK_BYTES as u64)
    }

    /// Whether this commit is younger than `other`; at most 2^31 commits lie between them.
    pub(super) fn follows(&self, other: &Self) -> bool {
        self.sequence.wrapping_sub(other.sequence).cast_signed() > 0
    }

    /// The header of this record and `snapshot`.
    pub(super) fn encode(&self, snapshot: &[u8]) -> [u8; BLOCK_BYTES] {
        let fields: [&[u8]; 6] = [
            &MAGIC_AND_VERSION,
            &self.sequence.to_le_bytes(),
            &self.bytes.to_le_bytes(),
            &self.model,
            &self.erased_pages.to_le_bytes(),
            &self.written_bytes.to_le_bytes(),
        ];
        sealed(&fields, snapshot)
    }

    /// The record of `header` and the checksum that it states; none if it is no header of this version.
    pub(super) fn decode(header: &[u8; BLOCK_BYTES]) -> Option<(Self, u32)> {
        let zeros = header.get(44..60)?;
        if !header.starts_with(&MAGIC_AND_VERSION) || zeros.iter().any(|&byte| byte != 0) {
            return None;
        }
        let word = |i: usize| i32_at(header, i).cast_unsigned();
        let record = Self {
            sequence: word(2),
            model: *header.get(16..)?.first_chunk()?,
            bytes: word(3),
            erased_pages: word(8),
            written_bytes: u64::from(word(9)) | u64::from(word(10)) << 32,
        };
        Some((record, word(CRC_WORD)))
    }
}
