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
    #[error("{path} cannot be read: {expected}", path = path.display())]
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
        "{path} is a wrong file ({got_bytes} bytes, {got_digest}): {expected}",
        path = path.display()
    )]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Its length, unpacked; reading stops one byte after the largest length that could be right.
        got_bytes: usize,
        /// Digest of the unpacked bytes read, after the name of its kind.
        got_digest: String,
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
    /// A file has the right name, but its contents are not the dataset's.
    #[error("{path} is not what it should be: {fault}; {expected}", path = path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        fault: FormatFault,
        /// What it should be and where to get it.
        expected: String,
    },
    /// The decoded images do not fit the memory.
    #[error(
        "{bytes} bytes for {n_images} images are more than this machine gives; choose a smaller side"
    )]
    Memory {
        /// Bytes of all images.
        bytes: usize,
        /// How many images there are.
        n_images: usize,
    },
    /// No dataset has this name.
    #[error("there is no dataset `{got}`; choose one of {known}")]
    Unknown {
        /// The name given.
        got: String,
        /// The names there are.
        known: &'static str,
    },
    /// Nothing says where the files are.
    #[error(
        "no folder is named for {name}: name the one that holds it with --data DIR or APLYSIA_DATA"
    )]
    Folder {
        /// The dataset.
        name: String,
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
        label: u16,
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

/// Why the contents of a file are not those of the dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatFault {
    /// Not a Python pickle of a dictionary.
    #[error("not a pickled dictionary ({why})")]
    Pickle {
        /// What the reader says.
        why: String,
    },
    /// The dictionary lacks an entry, or it holds another kind of value.
    #[error("entry `{key}` is missing or not {want}")]
    Entry {
        /// The key.
        key: String,
        /// What should be under it.
        want: &'static str,
    },
    /// More or fewer of something than there should be.
    #[error("{got} {what}, expected {want}")]
    Number {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        want: usize,
    },
    /// Not a picture, or a damaged one.
    #[error("it cannot be decoded as a picture ({why})")]
    Picture {
        /// What the decoder says.
        why: String,
    },
    /// A picture of another size.
    #[error("{got_w}×{got_h} pixels, expected {want}×{want}")]
    Side {
        /// Its width.
        got_w: u32,
        /// Its height.
        got_h: u32,
        /// Width and height expected.
        want: u32,
    },
    /// A line or folder that names no known class.
    #[error("`{got}` is not one of the {n_classes} classes")]
    Class {
        /// The name.
        got: String,
        /// How many classes are known.
        n_classes: usize,
    },
}

impl FormatFault {
    /// [`FormatFault::Number`] unless there are as many as there should be.
    pub(crate) fn unless_equal(what: &'static str, got: usize, want: usize) -> Result<(), Self> {
        if got == want {
            return Ok(());
        }
        Err(Self::Number { what, got, want })
    }
}
