//! Datasets that are folders of pictures: Tiny-ImageNet, ImageNet and the like.
//!
//! A class is named by its folder (`n01443537` in ImageNet); classes and files are in the order of their
//! names, so labels and order do not depend on the machine. The published test images have no labels:
//! the validation pictures are the test part. Pictures are decoded when they are read, so that only their names
//! and labels are in memory; [`Dataset::digest`] covers names and lengths of the files. Whoever needs all pixels at
//! once ([`Dataset::bytes`]) gets `n · side² · 3` bytes: 1.23 GB of Tiny-ImageNet's training part, 193 GB of
//! ImageNet's at side 224.
//!
//! Sources: Y. Le, X. Yang, "Tiny ImageNet visual recognition challenge", 2015, tiny-imagenet-200.zip;
//! O. Russakovsky et al., "ImageNet large scale visual recognition challenge", 2015 (arXiv 1409.0575).

use crate::error::FormatFault;
use crate::picture::Fit;
use crate::pixels::{File, Folder};
use crate::source::Part;
use crate::{DataError, Dataset, file};
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

/// Pictures of a dataset.
struct Listing<'a> {
    dir: &'a Path,
    files: Vec<File>,
    labels: Vec<u16>,
    /// What they should be and where to get them.
    source: &'static str,
}

/// One part of a folder `train/CLASS/*`, `val/CLASS/*` as squares of `side` pixels: each picture
/// scaled until its shorter side fits (triangle filter), then cropped in the middle.
///
/// # Errors
/// A folder is missing or empty, or a class of `val` is none of `train`.
pub fn load(dir: &Path, part: Part, side: u32) -> Result<Dataset, DataError> {
    let names = class_folders(&dir.join("train"))?;
    let folder = match part {
        Part::Train => dir.join("train"),
        Part::Test => dir.join("val"),
    };
    let mut listing = Listing::new(dir, FOLDER_SOURCE);
    for class in class_folders(&folder)? {
        let label = label_of(&names, &class, &folder, FOLDER_SOURCE)?;
        listing.add_class(&folder.join(&class), label)?;
    }
    listing.dataset(side, Fit::ScaleAndCrop, names)
}

/// One part of Tiny-ImageNet, whose numbers are those of `spec`.
///
/// # Errors
/// A list or picture is missing, a list is damaged, or there are more or fewer than there should be.
pub fn load_tiny(dir: &Path, part: Part, spec: &TinySpec) -> Result<Dataset, DataError> {
    let list = dir.join("wnids.txt");
    let mut names = read_lines(&list)?;
    names.sort_unstable();
    check_number("classes", names.len(), spec.n_classes, &list)?;
    let mut listing = Listing::new(dir, TINY_SOURCE);
    match part {
        Part::Train => {
            for (class, label) in names.iter().zip(0..) {
                let folder = dir.join("train").join(class).join("images");
                listing.add_class(&folder, label)?;
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
                let images = dir.join("val/images");
                listing.add(&images.join(name.unwrap_or_default()), label)?;
            }
            let n = listing.files.len();
            check_number("validation pictures", n, spec.n_test, &annotations)?;
        }
    }
    listing.dataset(spec.side, Fit::Exact, names)
}

impl<'a> Listing<'a> {
    fn new(dir: &'a Path, source: &'static str) -> Self {
        Self {
            dir,
            files: vec![],
            labels: vec![],
            source,
        }
    }

    /// Adds the pictures of one class in the order of their names.
    fn add_class(&mut self, folder: &Path, label: u16) -> Result<(), DataError> {
        let is_picture = |path: &PathBuf| {
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            ["jpg", "jpeg"].contains(&ending.to_ascii_lowercase().as_str())
        };
        let mut files: Vec<PathBuf> = entries(folder, self.source)?;
        files.retain(is_picture);
        files.sort_unstable();
        if files.is_empty() {
            return Err(DataError::Missing {
                path: folder.join("*.JPEG"),
                expected: self.source.into(),
            });
        }
        files.iter().try_for_each(|path| self.add(path, label))
    }

    /// Adds a picture, which is there.
    fn add(&mut self, path: &Path, label: u16) -> Result<(), DataError> {
        let there = std::fs::metadata(path).map_err(|e| unread(path, self.expected(), e))?;
        self.labels.push(label);
        self.files.push(File {
            name: path.strip_prefix(self.dir).unwrap_or(path).into(),
            n_bytes: there.len(),
        });
        Ok(())
    }

    /// What every file should be.
    fn expected(&self) -> String {
        let source = self.source;
        format!("expected a JPEG picture (convert PNG files to JPEG); {source}")
    }

    fn dataset(self, side: u32, fit: Fit, class_names: Vec<String>) -> Result<Dataset, DataError> {
        let folder = Folder {
            expected: self.expected(),
            dir: self.dir.into(),
            files: self.files,
            side,
            fit,
        };
        Dataset::of_files(folder, self.labels, class_names)
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
    read().map_err(|e| unread(folder, source.into(), e))
}

/// The error of what cannot be read at `path`.
fn unread(path: &Path, expected: String, source: std::io::Error) -> DataError {
    let path = path.to_path_buf();
    match source.kind() {
        std::io::ErrorKind::NotFound => DataError::Missing { path, expected },
        _ => DataError::Unreadable {
            path,
            expected,
            source,
        },
    }
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
