//! ImageNet16-120: ImageNet at 16×16 pixels, classes 1 to 120, as NAS-Bench-201 uses it.
//!
//! 151,700 training images; the 6,000 validation images serve as test images (NAS-Bench-201 halves
//! them; our validation part comes from the training images, as for every dataset). The labels in the
//! files are 1 to 1000 and name no class in words, so a class is named by its label. Memory: 117 MB, and
//! three times a file (about 300 MB) more while it is read.
//!
//! Sources: P. Chrabaszcz, I. Loshchilov, F. Hutter, "A downsampled variant of ImageNet", 2017
//! (arXiv 1707.08819); X. Dong, Y. Yang, "NAS-Bench-201", ICLR 2020 (arXiv 2001.00326); MD5 of the
//! files: the published loader of NAS-Bench-201 (AutoDL-Projects, `DownsampledImageNet.py`).

use crate::batch::{BatchFile, Encoding, Kind};
use crate::error::FormatFault;
use crate::source::Part;
use crate::{DataError, Dataset, ImageShape};
use std::path::Path;

/// Shape of every image.
pub const SHAPE: ImageShape = ImageShape { h: 16, w: 16, c: 3 };

/// Labels 1 to 120 of the files are kept and become the classes 0 to 119.
pub const N_CLASSES: u16 = 120;

/// Files of one part and the number of their images whose label is kept.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// In order.
    pub files: &'static [BatchFile],
    /// Images with a label in 1..=120.
    pub n_kept: usize,
}

const fn batch(name: &'static str, md5: &'static str) -> BatchFile {
    BatchFile {
        name,
        n_images: None,
        md5: Some(md5),
    }
}

/// The training files.
pub const TRAIN: Files = Files {
    files: &[
        batch("train_data_batch_1", "27846dcaa50de8e21a7d1a35f30f0e91"),
        batch("train_data_batch_2", "c7254a054e0e795c69120a5727050e3f"),
        batch("train_data_batch_3", "4333d3df2e5ffb114b05d2ffc19b1e87"),
        batch("train_data_batch_4", "1620cdf193304f4a92677b695d70d10f"),
        batch("train_data_batch_5", "348b3c2fdbb3940c4e9e834affd3b18d"),
        batch("train_data_batch_6", "6e765307c242a1b3d7d5ef9139b48945"),
        batch("train_data_batch_7", "564926d8cbf8fc4818ba23d2faac7564"),
        batch("train_data_batch_8", "f4755871f718ccb653440b9dd0ebac66"),
        batch("train_data_batch_9", "bb6dd660c38c58552125b1a92f86b5d4"),
        batch("train_data_batch_10", "8f03f34ac4b42271a294f91bf480f29b"),
    ],
    n_kept: 151_700,
};

/// The validation file, our test part.
pub const TEST: Files = Files {
    files: &[batch("val_data", "3410e3017fdaefba8d5073aaa65e4bd6")],
    n_kept: 6_000,
};

const SOURCE: &str = "get the 16×16 archives (python pickles) of the downsampled ImageNet at \
                      https://image-net.org/download-images, unpack all files into one folder and \
                      name it with --data DIR or APLYSIA_DATA";

const KIND: Kind<'static> = Kind {
    shape: SHAPE,
    encoding: Encoding::Pickle { labels: "labels" },
    source: SOURCE,
};

/// Reads one part.
///
/// # Errors
/// As [`load_files`].
pub fn load(dir: &Path, part: Part) -> Result<Dataset, DataError> {
    match part {
        Part::Train => load_files(dir, &TRAIN),
        Part::Test => load_files(dir, &TEST),
    }
}

/// Reads the images of classes 1 to 120 from some files.
///
/// # Errors
/// A file is missing, damaged or another one, or the number of images kept is wrong.
pub fn load_files(dir: &Path, files: &Files) -> Result<Dataset, DataError> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for file in files.files {
        let batch = KIND.read(dir, file)?;
        for (i, &label) in batch.labels.iter().enumerate() {
            if (1..=N_CLASSES).contains(&label) {
                batch.push_image(i, &mut images);
                labels.push(label - 1);
            }
        }
    }
    FormatFault::unless_equal("images of classes 1 to 120", labels.len(), files.n_kept).map_err(
        |fault| DataError::Format {
            path: dir.to_path_buf(),
            fault,
            expected: SOURCE.into(),
        },
    )?;
    let names = (1..=N_CLASSES).map(|label| label.to_string()).collect();
    Dataset::new(images, labels, SHAPE, names)
}
