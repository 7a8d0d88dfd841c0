//! Datasets that are folders of pictures: Tiny-ImageNet, ImageNet and the like.
//!
//! A class is named by its folder (`n01443537` in ImageNet); classes and files are in the order of their
//! names, so labels and order do not depend on the machine. The published test images have no labels:
//! the validation pictures are the test part. [`Dataset::digest`] covers the decoded pixels.
//!
//! Memory: `n · side² · 3` bytes: 1.23 GB for Tiny-ImageNet's training part (100,000 at 64×64), 15.7 GB
//! for ImageNet's (1,281,167) at side 64 and 193 GB at side 224.
//!
//! Sources: Y. Le, X. Yang, "Tiny ImageNet visual recognition challenge", 2015, tiny-imagenet-200.zip;
//! O. Russakovsky et al., "ImageNet large scale visual recognition challenge", 2015 (arXiv 1409.0575).

use crate::error::FormatFault;
use crate::picture::{self, Fit};
use crate::source::Part;
use crate::{DataError, Dataset, ImageShape, file};
use std::path::{Path, PathBuf};

/// What must be in Tiny-ImageNet's folder.
#[derive(Clone, Copy, Debug)]
pub struct TinySpec {
    /// Classes listed in `wnids.txt`.
    pub n_classes: usize,
    /// Pictures in `train/CLASS/images`, all classes together.
    pub n_train: usize,
    /// Pictures listed in `val/val_annotations.txt`.
    pub n_test: usize,
    /// Side of every picture.
    pub side: u32,
}

/// Tiny-ImageNet as published.
pub const TINY_IMAGENET: TinySpec = TinySpec {
    n_classes: 200,
    n_train: 100_000,
    n_test: 10_000,
    side: 64,
};

const TINY_SOURCE: &str = "unpack tiny-imagenet-200.zip (248,100,043 bytes, MD5 \
                           90528d7ca1a48142e341f4ef8d21d0de) of \
                           http://cs231n.stanford.edu/tiny-imagenet-200.zip and name its folder \
                           tiny-imagenet-200 with --data DIR or APLYSIA_DATA";

const FOLDER_SOURCE: &str = "name a folder with --data DIR or APLYSIA_DATA that holds train/CLASS/*.JPEG \
                             and val/CLASS/*.JPEG; sort ImageNet's validation pictures into one \
                             folder per class first";

/// A list text file of Tiny-ImageNet is not read any further.
const MAX_LIST_BYTES: usize = 1 << 26;

/// Pictures to decode.
#[derive(Default)]
struct Listing {
    files: Vec<PathBuf>,
    labels: Vec<u16>,
}

/// Reads one part of a folder `train/CLASS/*`, `val/CLASS/*` as squares of `side` pixels: each picture
/// scaled until its shorter side fits (triangle filter), then cropped in the middle.
///
/// # Errors
/// A folder is missing or empty, a class of `val` is none of `train`, a picture cannot be decoded, or
/// the pixels do not fit the memory.
pub fn load(dir: &Path, part: Part, side: u32) -> Result<Dataset, DataError> {
    let names = class_folders(&dir.join("train"))?;
    let folder = match part {
        Part::Train => dir.join("train"),
        Part::Test => dir.join("val"),
    };
    let mut listing = Listing::default();
    for class in class_folders(&folder)? {
        let label = label_of(&names, &class, &folder, FOLDER_SOURCE)?;
        listing.add_class(&folder.join(&class), label, FOLDER_SOURCE)?;
    }
    listing.decode(side, Fit::ScaleAndCrop, (names, FOLDER_SOURCE))
}

/// Reads one part of Tiny-ImageNet, whose numbers are those of `spec`.
///
/// # Errors
/// A list or picture is missing, damaged or of another size, or there are more or fewer than there
/// should be.
pub fn load_tiny(dir: &Path, part: Part, spec: &TinySpec) -> Result<Dataset, DataError> {
    let list = dir.join("wnids.txt");
    let mut names = read_lines(&list)?;
    names.sort_unstable();
    check_number("classes", names.len(), spec.n_classes, &list)?;
    let mut listing = Listing::default();
    match part {
        Part::Train => {
            for (class, label) in names.iter().zip(0..) {
                let folder = dir.join("train").join(class).join("images");
                listing.add_class(&folder, label, TINY_SOURCE)?;
            }
            let n = listing.files.len();
            check_number("training pictures", n, spec.n_train, &dir.join("train"))?;
        }
        Part::Test => {
            let annotations = dir.join("val/val_annotations.txt");
            for line in read_lines(&annotations)? {
                let mut fields = line.split('\t');
                let (name, class) = (fields.next(), fields.next().unwrap_or_default());
                let label = label_of(&names, class, &annotations, TINY_SOURCE)?;
                listing.labels.push(label);
                let images = dir.join("val/images");
                listing.files.push(images.join(name.unwrap_or_default()));
            }
            let n = listing.files.len();
            check_number("validation pictures", n, spec.n_test, &annotations)?;
        }
    }
    listing.decode(spec.side, Fit::Exact, (names, TINY_SOURCE))
}

impl Listing {
    /// Adds the pictures of one class in the order of their names.
    fn add_class(&mut self, folder: &Path, label: u16, source: &str) -> Result<(), DataError> {
        let is_picture = |path: &PathBuf| {
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            ["jpg", "jpeg"].contains(&ending.to_ascii_lowercase().as_str())
        };
        let mut files: Vec<PathBuf> = entries(folder, source)?;
        files.retain(is_picture);
        files.sort_unstable();
        if files.is_empty() {
            return Err(DataError::Missing {
                path: folder.join("*.JPEG"),
                expected: source.into(),
            });
        }
        self.labels.extend(files.iter().map(|_| label));
        self.files.extend(files);
        Ok(())
    }

    fn decode(
        self,
        side: u32,
        fit: Fit,
        (class_names, source): (Vec<String>, &str),
    ) -> Result<Dataset, DataError> {
        let expected = format!("expected a JPEG picture (convert PNG files to JPEG); {source}");
        let images = picture::decode_all(&self.files, side, fit, &expected)?;
        let shape = ImageShape {
            h: side as usize,
            w: side as usize,
            c: 3,
        };
        Dataset::new(images, self.labels, shape, class_names)
    }
}

/// Names of the folders in `folder`, sorted.
fn class_folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut paths = entries(folder, FOLDER_SOURCE)?;
    paths.retain(|path| path.is_dir());
    let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    let mut names: Vec<String> = paths.iter().filter_map(name).collect();
    names.sort_unstable();
    if names.is_empty() {
        return Err(DataError::Missing {
            path: folder.join("CLASS"),
            expected: FOLDER_SOURCE.into(),
        });
    }
    Ok(names)
}

/// Everything in a folder, in no order.
fn entries(folder: &Path, source: &str) -> Result<Vec<PathBuf>, DataError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect()
    };
    read().map_err(|e| {
        let (path, expected) = (folder.to_path_buf(), source.to_string());
        match e.kind() {
            std::io::ErrorKind::NotFound => DataError::Missing { path, expected },
            _ => DataError::Unreadable {
                path,
                expected,
                source: e,
            },
        }
    })
}

/// Where `class` stands in the sorted `names`.
fn label_of(names: &[String], class: &str, at: &Path, source: &str) -> Result<u16, DataError> {
    let index = names.binary_search_by(|name| name.as_str().cmp(class)).ok();
    index
        .and_then(|i| u16::try_from(i).ok())
        .ok_or_else(|| DataError::Format {
            path: at.to_path_buf(),
            fault: FormatFault::Class {
                got: class.into(),
                n_classes: names.len(),
            },
            expected: source.into(),
        })
}

fn check_number(what: &'static str, got: usize, want: usize, path: &Path) -> Result<(), DataError> {
    FormatFault::unless_equal(what, got, want).map_err(|fault| DataError::Format {
        path: path.to_path_buf(),
        fault,
        expected: TINY_SOURCE.into(),
    })
}

fn read_lines(path: &Path) -> Result<Vec<String>, DataError> {
    let bytes = file::read(path, MAX_LIST_BYTES, |file| file, TINY_SOURCE)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .filter(|l| !l.is_empty())
        .map(String::from)
        .collect())
}
