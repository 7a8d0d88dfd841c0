//! Reading a file of a dataset with an error that says what the file should be.
//!
//! Knows nothing of formats: `expected` is the sentence of whoever knows the file.

use crate::DataError;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// At most one byte more than `max_bytes` of what `unpack` makes of the file at `path`.
///
/// # Errors
/// [`DataError::Missing`] or [`DataError::Unreadable`], both with `expected`.
pub(crate) fn read<R: Read>(
    path: &Path,
    max_bytes: usize,
    unpack: impl FnOnce(File) -> R,
    expected: &str,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        unpack(file)
            .take(max_bytes as u64 + 1)
            .read_to_end(&mut bytes)
    });
    let (path, expected, n) = (path.to_path_buf(), expected.to_string(), bytes.len());
    match read {
        Ok(_) => Ok(bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(DataError::Missing { path, expected }),
        Err(source) => Err(DataError::Unreadable {
            path,
            expected,
            source: Error::new(source.kind(), format!("{source} after {n} unpacked bytes")),
        }),
    }
}
