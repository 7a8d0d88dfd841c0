//! The IDX format of MNIST and its successors.
//!
//! Big endian: `00 00 08 N` (08 = unsigned byte, N = number of dimensions), N × u32 sizes, then the
//! bytes in row-major order. Source: Y. LeCun, C. Cortes, "The MNIST database", section "File formats".

use crate::error::IdxFault;

/// Splits an IDX array of `u8` with `N` dimensions into its sizes and its bytes.
///
/// # Errors
/// Another magic, or a length that differs from the header's.
pub fn parse<const N: usize>(bytes: &[u8]) -> Result<([usize; N], &[u8]), IdxFault> {
    let word = |i: usize| {
        let b = bytes.get(4 * i..4 * i + 4)?;
        Some(u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    };
    let want = 0x0800 + N as u32;
    let got = word(0).unwrap_or(0);
    if got != want {
        return Err(IdxFault::Magic { got, want });
    }
    let header = 4 * (N + 1);
    let mut sizes = [0; N];
    let mut want_bytes = 1_usize;
    for (i, size) in sizes.iter_mut().enumerate() {
        let got_bytes = bytes.len();
        *size = word(i + 1).ok_or(IdxFault::Length {
            got_bytes,
            want_bytes: header,
        })? as usize;
        want_bytes = want_bytes.saturating_mul(*size);
    }
    want_bytes = want_bytes.saturating_add(header);
    if bytes.len() != want_bytes {
        return Err(IdxFault::Length {
            got_bytes: bytes.len(),
            want_bytes,
        });
    }
    Ok((sizes, &bytes[header..]))
}
