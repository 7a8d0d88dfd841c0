//! Fashion-MNIST: 60,000 + 10,000 grey 28×28 images of 10 kinds of clothing.
//!
//! Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017 (arXiv 1708.07747). The unpacked
//! contents are checked by SHA-256, so any packing of the true files is accepted.

use crate::dataset::hex;
use crate::error::DataError;
use crate::source::Part;
use crate::{Dataset, ImageShape, file, idx};
use sha2::{Digest, Sha256};
use std::io::BufReader;
use std::path::Path;

/// Where the Debian package `dataset-fashion-mnist` puts its files.
pub const DEBIAN_DIR: &str = "/usr/share/datasets/fashion-mnist";

/// Names of the classes, by label.
pub const CLASS_NAMES: [&str; 10] = [
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// What a file must be.
#[derive(Clone, Copy, Debug)]
pub struct FileSpec {
    /// Name within the folder; it ends in `.gz`.
    pub name: &'static str,
    /// Length of the Debian package's file.
    pub gz_bytes: usize,
    /// SHA-256 of the Debian package's file.
    pub gz_sha256: &'static str,
    /// Length of the unpacked contents.
    pub bytes: usize,
    /// SHA-256 of the unpacked contents.
    pub sha256: &'static str,
}

/// The four files: training images, training labels, test images, test labels.
pub const FILES: [FileSpec; 4] = [
    FileSpec {
        name: "train-images-idx3-ubyte.gz",
        gz_bytes: 26_421_856,
        gz_sha256: "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        bytes: 47_040_016,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    FileSpec {
        name: "train-labels-idx1-ubyte.gz",
        gz_bytes: 29_491,
        gz_sha256: "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        bytes: 60_008,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    FileSpec {
        name: "t10k-images-idx3-ubyte.gz",
        gz_bytes: 4_422_079,
        gz_sha256: "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        bytes: 7_840_016,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    FileSpec {
        name: "t10k-labels-idx1-ubyte.gz",
        gz_bytes: 5_125,
        gz_sha256: "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
        bytes: 10_008,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];

impl FileSpec {
    fn expected(&self) -> String {
        format!(
            "expected {} of {} bytes, SHA-256 {} (unpacked: {} bytes, SHA-256 {}); \
             get it with `apt-get install dataset-fashion-mnist`, or name a folder that holds it \
             with --data DIR or APLYSIA_DATA",
            self.name, self.gz_bytes, self.gz_sha256, self.bytes, self.sha256
        )
    }
}

/// Reads the training files (60,000 images) or the test files (10,000). Memory: 47 MB.
///
/// # Errors
/// A file is missing, damaged or another one: the message says what it should be and where to get it.
pub fn load(dir: &Path, part: Part) -> Result<Dataset, DataError> {
    let (images, labels) = match part {
        Part::Train => (&FILES[0], &FILES[1]),
        Part::Test => (&FILES[2], &FILES[3]),
    };
    load_pair(dir, images, labels)
}

/// Reads and checks one pair of image and label file.
///
/// # Errors
/// As [`load`].
pub fn load_pair(dir: &Path, images: &FileSpec, labels: &FileSpec) -> Result<Dataset, DataError> {
    let image_bytes = read_checked(dir, images)?;
    let label_bytes = read_checked(dir, labels)?;
    let at = |spec: &FileSpec| dir.join(spec.name);
    let ([n, h, w], pixels) = idx::parse::<3>(&image_bytes).map_err(|fault| DataError::Idx {
        path: at(images),
        fault,
    })?;
    let ([n_labels], classes) = idx::parse::<1>(&label_bytes).map_err(|fault| DataError::Idx {
        path: at(labels),
        fault,
    })?;
    if n != n_labels {
        return Err(DataError::Count {
            n_images: n,
            n_labels,
        });
    }
    let class_names = CLASS_NAMES.iter().map(|s| s.to_string()).collect();
    Dataset::new(
        pixels.to_vec(),
        classes.iter().map(|&c| c.into()).collect(),
        ImageShape { h, w, c: 1 },
        class_names,
    )
}

/// Checks the four files without keeping them.
///
/// # Errors
/// The first file at fault.
pub fn check(dir: &Path) -> Result<(), DataError> {
    FILES
        .iter()
        .try_for_each(|spec| read_checked(dir, spec).map(drop))
}

/// Unpacks a file, at most one byte more than expected, and compares its SHA-256.
fn read_checked(dir: &Path, spec: &FileSpec) -> Result<Vec<u8>, DataError> {
    let path = dir.join(spec.name);
    let unpack = |file| flate2::read::MultiGzDecoder::new(BufReader::new(file));
    let bytes = file::read(&path, spec.bytes, unpack, &spec.expected())?;
    let got_sha256 = hex(&Sha256::digest(&bytes));
    if got_sha256 != spec.sha256 {
        return Err(DataError::Wrong {
            path,
            got_bytes: bytes.len(),
            got_digest: format!("SHA-256 {got_sha256}"),
            expected: spec.expected(),
        });
    }
    Ok(bytes)
}
