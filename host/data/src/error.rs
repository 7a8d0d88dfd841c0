//! What can be wrong with data files, said with numbers and with the way out.

use std::path::PathBuf;

/// Why images could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file of the dataset is not there.
    #[error("{path} is missing: {expected}", path = path.display())]
    Missing {
        /// The file looked for.
        path: PathBuf,
        /// What it should be and where to get it.
        expected: String,
    },
    /// A file cannot be read or unpacked; a truncated .gz ends here.
    #[error("{path} cannot be read ({source}): {expected}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it should be and where to get it.
        expected: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A file is there, but it is another one.
    #[error(
        "{path} is a wrong file (unpacked: {got_bytes} bytes, SHA-256 {got_sha256}): {expected}",
        path = path.display()
    )]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Its unpacked length; reading stops one byte after the expected length.
        got_bytes: usize,
        /// SHA-256 of the unpacked bytes read.
        got_sha256: String,
        /// What it should be and where to get it.
        expected: String,
    },
    /// A file is not in the IDX format.
    #[error("{path} is not an IDX file of this kind: {fault}", path = path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: IdxFault,
    },
    /// The image file and the label file do not belong together.
    #[error("{n_images} images but {n_labels} labels; both files must come from the same dataset")]
    Count {
        /// Images found.
        n_images: usize,
        /// Labels found.
        n_labels: usize,
    },
    /// A label names no class.
    #[error("image {index} has label {label}, but there are {n_classes} classes")]
    Label {
        /// Which image.
        index: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        n_classes: usize,
    },
    /// The bytes do not fill the images.
    #[error("{got} bytes are not {n_images} images of {per_image} bytes")]
    Length {
        /// Bytes given.
        got: usize,
        /// Number of images.
        n_images: usize,
        /// Bytes of one image.
        per_image: usize,
    },
}

/// Why bytes are not an IDX array of `u8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxFault {
    /// The first four bytes are not `00 00 08 <dimensions>`.
    #[error("magic {got:#010x}, expected {want:#010x}")]
    Magic {
        /// Magic found, big endian; 0 when fewer than 4 bytes are there.
        got: u32,
        /// Magic expected.
        want: u32,
    },
    /// The header promises more or fewer bytes than there are.
    #[error("{got_bytes} bytes, but its header asks for {want_bytes}")]
    Length {
        /// Length found.
        got_bytes: usize,
        /// Length that follows from the header.
        want_bytes: usize,
    },
}
