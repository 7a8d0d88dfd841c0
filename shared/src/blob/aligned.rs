//! Where a blob may lie in memory.
//!
//! It owns the alignment that the kernels need and a way to get it at compile time: `include_bytes!` alone puts a blob
//! at any address, where words of constants are read byte by byte, at two to four times the instructions, or fault.

use super::BlobError;

/// The address of a blob is a multiple of this, in bytes: the kernels read constants as words.
pub const MEMORY_ALIGN: usize = 4;

/// `T` at a multiple of 16 bytes, which is also what a line of a flash cache has at least on most chips; for arenas,
/// buffers and blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// The bytes of a file as a `&'static [u8]` that [`Model::parse`](crate::Model::parse) takes: `include_bytes!`, at a
/// multiple of 16 bytes. The path is relative to the source file, as there.
///
/// ```
/// use aplysia_shared::blob::Aligned;
/// use aplysia_shared::{Model, include_blob, infer};
///
/// static BLOB: &[u8] = include_blob!("../../../tests/blobs/v1-tiny.blob");
///
/// let model = Model::parse(BLOB)?;
/// let mut arena = Aligned([0; 1024]);
/// let arena = arena.0.get_mut(..model.arena_bytes()).ok_or("the arena is too small")?;
/// let input = [0; 6 * 6 * 2];
/// let mut scores = [0; 3];
/// infer(&model, arena, &input, &mut scores)?;
/// assert_eq!(model.label(0), "shirt");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! include_blob {
    ($path:expr $(,)?) => {{
        static BLOB: &$crate::blob::Aligned<[u8]> = &$crate::blob::Aligned(*include_bytes!($path));
        &BLOB.0
    }};
}

/// # Errors
/// `blob` lies elsewhere.
pub(super) fn check(blob: &[u8]) -> Result<(), BlobError> {
    match blob.as_ptr().addr() % MEMORY_ALIGN {
        0 => Ok(()),
        over_bytes => Err(BlobError::Alignment { over_bytes }),
    }
}
