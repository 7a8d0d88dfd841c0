//! Copies and rows of bytes in which the compiler finds nothing that could panic.
//!
//! It owns what lengths known only at run time ask for, and must not know what the bytes mean. The standard
//! library's own functions panic on unequal lengths and on rows of no bytes: where the compiler cannot prove that
//! there are none, the panic is in the program, and with it the message (`tests/device_image.rs`).

use core::slice::{ChunksExact, ChunksExactMut};

/// Copies `from` to the start of `to`, as far as both go.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    let n = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
        to.copy_from_slice(from);
    }
}

/// The whole rows of `bytes` bytes in `data`; none for 0.
pub(crate) fn rows(data: &[u8], bytes: usize) -> ChunksExact<'_, u8> {
    match bytes {
        // A maximum with 1 in its place leaves a panic in the program.
        0 => [].chunks_exact(1),
        _ => data.chunks_exact(bytes),
    }
}

/// [`rows`] to be changed.
pub(crate) fn rows_mut(data: &mut [u8], bytes: usize) -> ChunksExactMut<'_, u8> {
    match bytes {
        0 => [].chunks_exact_mut(1),
        _ => data.chunks_exact_mut(bytes),
    }
}
