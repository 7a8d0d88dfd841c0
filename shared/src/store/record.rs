//! The 64 bytes in front of a committed snapshot.
//!
//! It owns their layout and checksum; it must not know slots or flash. All little-endian.
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

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// Length of the header, and of the blocks in which the store reads and pads.
pub(super) const BLOCK_BYTES: usize = 64;
const CRC_AT: usize = 60;
const MAGIC_AND_VERSION: [u8; 8] = *b"APLR\x01\0\0\0";
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// One committed snapshot, and what all commits together have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let mut header = [0; BLOCK_BYTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            if let Some(place) = header.get_mut(at..at + field.len()) {
                place.copy_from_slice(field);
            }
            at += field.len();
        };
        put(&MAGIC_AND_VERSION);
        put(&self.sequence.to_le_bytes());
        put(&self.bytes.to_le_bytes());
        put(&self.model);
        put(&self.erased_pages.to_le_bytes());
        put(&self.written_bytes.to_le_bytes());
        let mut digest = checksum(&header);
        digest.update(snapshot);
        if let Some(place) = header.last_chunk_mut::<4>() {
            *place = digest.finalize().to_le_bytes();
        }
        header
    }

    /// The record of `header` and the checksum that it states; none if it is no header.
    pub(super) fn decode(header: &[u8; BLOCK_BYTES]) -> Option<(Self, u32)> {
        if !header.starts_with(&MAGIC_AND_VERSION) {
            return None;
        }
        let (words, _) = header.as_chunks::<4>();
        let word = |i: usize| words.get(i).map_or(0, |&w| u32::from_le_bytes(w));
        let record = Self {
            sequence: word(2),
            model: *header.get(16..)?.first_chunk()?,
            bytes: word(3),
            erased_pages: word(8),
            written_bytes: u64::from(word(9)) | u64::from(word(10)) << 32,
        };
        Some((record, word(CRC_AT / 4)))
    }
}

/// The checksum of `header`, to be continued with the snapshot.
pub(super) fn checksum(header: &[u8; BLOCK_BYTES]) -> Digest<'static, u32, NoTable> {
    const DIGEST: &Crc<u32, NoTable> = &CRC;
    let mut digest = DIGEST.digest();
    digest.update(header.get(..CRC_AT).unwrap_or_default());
    digest
}
