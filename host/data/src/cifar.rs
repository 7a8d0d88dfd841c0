//! CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images of 32×32 pixels.
//!
//! The publisher's binary and python versions hold the same images in the same order, and load as equal
//! datasets. CIFAR-100 is read with its 100 fine labels. Memory: 154 MB for the training file; while a
//! file is read three times its size more (93 MB for a batch of CIFAR-10, 461 MB for CIFAR-100).
//!
//! Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; formats and MD5
//! of the archives: <https://www.cs.toronto.edu/~kriz/cifar.html>; MD5 of the pickles: torchvision's
//! `cifar.py`. No digest is known for the single files of the binary versions: their lengths are exact.

use crate::batch::{self, BatchFile, Encoding, Kind};
use crate::error::FormatFault;
use crate::pickle::Dictionary;
use crate::source::Part;
use crate::{DataError, Dataset, ImageShape, file};
use std::path::{Path, PathBuf};

/// Shape of every image.
pub const SHAPE: ImageShape = ImageShape { h: 32, w: 32, c: 3 };

/// One of the archives that the publisher offers.
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    /// Name of the archive.
    pub name: &'static str,
    /// MD5 of the archive.
    pub md5: &'static str,
    /// The folder it unpacks to.
    pub folder: &'static str,
    /// How its batch files hold the images.
    pub encoding: Encoding,
    /// Training files, in order.
    pub train: &'static [BatchFile],
    /// Test file.
    pub test: &'static [BatchFile],
    /// Where the class names stand.
    pub names: NamesFile,
}

/// The file with the class names: one per line, or a list in a pickle.
#[derive(Clone, Copy, Debug)]
pub struct NamesFile {
    /// Name within the folder.
    pub name: &'static str,
    /// Key of the list, in the python versions.
    pub key: &'static str,
    /// How many classes there are.
    pub n_classes: usize,
}

const fn batch(name: &'static str, n: usize, md5: Option<&'static str>) -> BatchFile {
    BatchFile {
        name,
        n_images: Some(n),
        md5,
    }
}

/// CIFAR-10's archives.
pub const CIFAR10: [Archive; 2] = [
    Archive {
        name: "cifar-10-binary.tar.gz",
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
        folder: "cifar-10-batches-bin",
        encoding: Encoding::Binary { label_bytes: 1 },
        train: &[
            batch("data_batch_1.bin", 10_000, None),
            batch("data_batch_2.bin", 10_000, None),
            batch("data_batch_3.bin", 10_000, None),
            batch("data_batch_4.bin", 10_000, None),
            batch("data_batch_5.bin", 10_000, None),
        ],
        test: &[batch("test_batch.bin", 10_000, None)],
        names: NamesFile {
            name: "batches.meta.txt",
            key: "",
            n_classes: 10,
        },
    },
    Archive {
        name: "cifar-10-python.tar.gz",
        md5: "c58f30108f718f92721af3b95e74349a",
        folder: "cifar-10-batches-py",
        encoding: Encoding::Pickle { labels: "labels" },
        train: &[
            batch(
                "data_batch_1",
                10_000,
                Some("c99cafc152244af753f735de768cd75f"),
            ),
            batch(
                "data_batch_2",
                10_000,
                Some("d4bba439e000b95fd0a9bffe97cbabec"),
            ),
            batch(
                "data_batch_3",
                10_000,
                Some("54ebc095f3ab1f0389bbae665268c751"),
            ),
            batch(
                "data_batch_4",
                10_000,
                Some("634d18415352ddfa80567beed471001a"),
            ),
            batch(
                "data_batch_5",
                10_000,
                Some("482c414d41f54cd18b22e5b47cb7c3cb"),
            ),
        ],
        test: &[batch(
            "test_batch",
            10_000,
            Some("40351d587109b95175f43aff81a1287e"),
        )],
        names: NamesFile {
            name: "batches.meta",
            key: "label_names",
            n_classes: 10,
        },
    },
];

/// CIFAR-100's archives.
pub const CIFAR100: [Archive; 2] = [
    Archive {
        name: "cifar-100-binary.tar.gz",
        md5: "03b5dce01913d631647c71ecec9e9cb8",
        folder: "cifar-100-binary",
        encoding: Encoding::Binary { label_bytes: 2 },
        train: &[batch("train.bin", 50_000, None)],
        test: &[batch("test.bin", 10_000, None)],
        names: NamesFile {
            name: "fine_label_names.txt",
            key: "",
            n_classes: 100,
        },
    },
    Archive {
        name: "cifar-100-python.tar.gz",
        md5: "eb9058c3a382ffc7106e4002c42a8d85",
        folder: "cifar-100-python",
        encoding: Encoding::Pickle {
            labels: "fine_labels",
        },
        train: &[batch(
            "train",
            50_000,
            Some("16019d7e3df5f24257cddd939b257f8d"),
        )],
        test: &[batch(
            "test",
            10_000,
            Some("f0ef6b0ae62326f3e7ffdfab6717acfc"),
        )],
        names: NamesFile {
            name: "meta",
            key: "fine_label_names",
            n_classes: 100,
        },
    },
];

impl Archive {
    fn source(&self) -> String {
        format!(
            "unpack {} (MD5 {}) of https://www.cs.toronto.edu/~kriz/cifar.html and name its folder \
             {} or the one around it with --data DIR or APLYSIA_DATA",
            self.name, self.md5, self.folder
        )
    }

    /// The folder of this archive at or within `dir`.
    fn find(&self, dir: &Path) -> Option<PathBuf> {
        let first = self.train.first()?.name;
        let mut folders = [dir.to_path_buf(), dir.join(self.folder)].into_iter();
        folders.find(|folder| folder.join(first).exists())
    }

    /// Reads one part from the unpacked archive at `folder`.
    ///
    /// # Errors
    /// A file is missing, damaged or another one.
    pub fn load(&self, folder: &Path, part: Part) -> Result<Dataset, DataError> {
        let source = self.source();
        let class_names = self.names.read(folder, self.encoding, &source)?;
        let files = match part {
            Part::Train => self.train,
            Part::Test => self.test,
        };
        let kind = Kind {
            shape: SHAPE,
            encoding: self.encoding,
            source: &source,
        };
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for file in files {
            let batch = kind.read(folder, file)?;
            (0..batch.labels.len()).for_each(|i| batch.push_image(i, &mut images));
            labels.extend(&batch.labels);
        }
        Dataset::new(images, labels, SHAPE, class_names)
    }
}

impl NamesFile {
    fn read(
        &self,
        folder: &Path,
        encoding: Encoding,
        source: &str,
    ) -> Result<Vec<String>, DataError> {
        let path = folder.join(self.name);
        let expected = format!(
            "expected {} with {} class names; {source}",
            self.name, self.n_classes
        );
        let bytes = file::read(&path, batch::MAX_PICKLE_BYTES, |file| file, &expected)?;
        let names = match encoding {
            Encoding::Binary { .. } => Ok(lines(&bytes)),
            Encoding::Pickle { .. } => {
                Dictionary::parse(&bytes).and_then(|dictionary| dictionary.texts(self.key))
            }
        };
        names
            .and_then(|names| {
                FormatFault::unless_equal("class names", names.len(), self.n_classes)?;
                Ok(names)
            })
            .map_err(|fault| DataError::Format {
                path,
                fault,
                expected,
            })
    }
}

/// The lines that are not empty.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(String::from).collect()
}

/// Reads one part of a dataset from whichever of its archives is unpacked at `dir`, the first first.
///
/// # Errors
/// No archive is there, or as [`Archive::load`].
pub fn load(dir: &Path, archives: &[Archive; 2], part: Part) -> Result<Dataset, DataError> {
    for archive in archives {
        if let Some(folder) = archive.find(dir) {
            return archive.load(&folder, part);
        }
    }
    let [binary, python] = archives;
    Err(DataError::Missing {
        path: dir.join(binary.folder),
        expected: format!("{}; or {}", binary.source(), python.source()),
    })
}
