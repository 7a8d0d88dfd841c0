//! Headers of 64 bytes in front of a body, closed by a checksum over both.
//!
//! It owns the CRC-32 (IEEE) in the last 4 bytes, over the 60 bytes before it and then the body; it must
//! not know what the fields mean. Used by what is learned (`adapt`) and what is committed ([`crate::store`]).

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// Length of a header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Index of the checksum among the header's words.
pub(crate) const CRC_WORD: usize = HEADER_BYTES / 4 - 1;
/// CRC-32 (IEEE), computed bit by bit.
pub(crate) const CRC: &Crc<u32, NoTable> = &Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The header of `body`: `fields` one after another, zeros behind them, the checksum.
pub(crate) fn sealed(fields: &[&[u8]], body: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    for (place, &byte) in header.iter_mut().zip(fields.iter().copied().flatten()) {
        *place = byte;
    }
    let mut digest = digest(&header);
    digest.update(body);
    if let Some(place) = header.last_chunk_mut::<4>() {
        *place = digest.finalize().to_le_bytes();
    }
    header
}

/// The checksum over `header` without its last 4 bytes, to be continued with the body.
pub(crate) fn digest(header: &[u8; HEADER_BYTES]) -> Digest<'static, u32, NoTable> {
    let mut digest = CRC.digest();
    digest.update(header.get(..4 * CRC_WORD).unwrap_or_default());
    digest
}

/// The checksum over `bytes` alone.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}
