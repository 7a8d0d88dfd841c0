//! Where the pixels of images are: in memory, or in picture files that are decoded when they are read.
//!
//! The one way from an index to pixels for whoever need not have all of them at once: a training on a large
//! folder, an evaluation, statistics. Must not know of labels, classes and digests of datasets.

use crate::augmentation::CropWindow;
use crate::picture::{self, Fit};
use crate::{DataError, ImageShape};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Pixels of a number of images, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// In memory, `[n, h, w, c]` row-major (NHWC).
    Memory(&'a [u8]),
    /// In files.
    Files(Pictures<'a>),
}

/// Picture files of one folder, borrowed: squares of one side once they are read, in colour.
#[derive(Clone, Copy, Debug)]
pub struct Pictures<'a> {
    folder: &'a Folder,
    chosen: &'a [u32],
}

/// The picture files of a dataset, and how they are read.
#[derive(Debug)]
pub(crate) struct Folder {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// Files within it.
    pub(crate) files: Vec<File>,
    /// Width and height that they get.
    pub(crate) side: u32,
    /// How they get them.
    pub(crate) fit: Fit,
    /// What a file should be, and what to do if it is not.
    pub(crate) expected: String,
}

/// A file.
#[derive(Debug)]
pub(crate) struct File {
    /// Path within the dataset's folder.
    pub(crate) name: PathBuf,
    /// Its length.
    pub(crate) n_bytes: u64,
}

/// Pixels of a dataset.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Memory(Vec<u8>),
    Files {
        folder: Arc<Folder>,
        /// Positions in the folder's files.
        chosen: Vec<u32>,
        /// Once somebody wanted all of them.
        decoded: OnceLock<Vec<u8>>,
    },
}

impl<'a> From<&'a [u8]> for Pixels<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Memory(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Pixels<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Memory(bytes)
    }
}

impl<'a> Pixels<'a> {
    /// Bytes of all images, once they are read.
    pub fn n_bytes(self) -> usize {
        match self {
            Pixels::Memory(bytes) => bytes.len(),
            Pixels::Files(p) => p.chosen.len() * p.folder.image_bytes(),
        }
    }

    /// Those of the images `range`, of `image_bytes` bytes each.
    ///
    /// # Panics
    /// If the range reaches beyond the last image.
    pub fn slice(self, range: Range<usize>, image_bytes: usize) -> Self {
        match self {
            Pixels::Memory(bytes) => {
                Pixels::Memory(&bytes[range.start * image_bytes..range.end * image_bytes])
            }
            Pixels::Files(p) => Pixels::Files(Pictures {
                chosen: &p.chosen[range],
                ..p
            }),
        }
    }

    /// Image `index` in its `shape`: the whole of it as the dataset has it, or the window that `crop` chooses
    /// from its size, enlarged or made smaller to that shape. Of a file that is a window of the picture as it was
    /// taken, of an image in memory one of what is stored.
    ///
    /// # Errors
    /// The file cannot be read, decoded or fitted.
    ///
    /// # Panics
    /// If there are fewer images.
    pub fn image(
        self,
        index: usize,
        shape: ImageShape,
        crop: impl FnOnce(ImageShape) -> Option<CropWindow>,
    ) -> Result<Cow<'a, [u8]>, DataError> {
        match self {
            Pixels::Memory(bytes) => {
                let image = &bytes[index * shape.len()..][..shape.len()];
                Ok(match crop(shape) {
                    Some(window) => Cow::Owned(window.resized(shape, image)),
                    None => Cow::Borrowed(image),
                })
            }
            Pixels::Files(p) => Ok(Cow::Owned(p.folder.read(p.chosen[index], crop)?)),
        }
    }

    /// Adds to `sha` what tells these pixels from others: the bytes, or of files their names and lengths.
    pub fn identify(self, sha: &mut Sha256) {
        match self {
            Pixels::Memory(bytes) => sha.update(bytes),
            Pixels::Files(p) => {
                for &at in p.chosen {
                    let file = &p.folder.files[at as usize];
                    sha.update(format!("{} {}\n", file.name.display(), file.n_bytes));
                }
            }
        }
    }
}

impl Folder {
    /// Bytes of a picture that was read.
    fn image_bytes(&self) -> usize {
        (self.side as usize).pow(2) * 3
    }

    fn read(
        &self,
        at: u32,
        crop: impl FnOnce(ImageShape) -> Option<CropWindow>,
    ) -> Result<Vec<u8>, DataError> {
        let path = self.dir.join(&self.files[at as usize].name);
        picture::read(&path, (self.side, self.fit), crop)
            .map_err(|cause| cause.at(path, &self.expected))
    }

    /// All of `chosen`, in parallel; of several errors the first.
    fn read_all(&self, chosen: &[u32]) -> Result<Vec<u8>, DataError> {
        let (n_images, image_bytes) = (chosen.len(), self.image_bytes());
        let bytes = image_bytes.saturating_mul(n_images);
        let mut pixels = Vec::new();
        pixels
            .try_reserve_exact(bytes)
            .map_err(|_| DataError::Memory { bytes, n_images })?;
        pixels.resize(bytes, 0);
        let tasks = chosen
            .par_iter()
            .zip(pixels.par_chunks_exact_mut(image_bytes.max(1)));
        let read = |(&at, to): (&u32, &mut [u8])| match self.read(at, |_| None) {
            Ok(picture) => {
                to.copy_from_slice(&picture);
                None
            }
            Err(error) => Some(error),
        };
        tasks.find_map_first(read).map_or(Ok(pixels), Err)
    }
}

impl Stored {
    /// Those of all files of `folder`.
    pub(crate) fn files(folder: Folder) -> Self {
        Stored::Files {
            chosen: (0..folder.files.len() as u32).collect(),
            folder: Arc::new(folder),
            decoded: OnceLock::new(),
        }
    }

    pub(crate) fn pixels(&self) -> Pixels<'_> {
        match self {
            Stored::Memory(bytes) => Pixels::Memory(bytes),
            Stored::Files { folder, chosen, .. } => Pixels::Files(Pictures { folder, chosen }),
        }
    }

    /// All of them in memory, where they stay.
    ///
    /// # Errors
    /// [`DataError::Memory`], or the first file that cannot be read, decoded or fitted.
    pub(crate) fn bytes(&self) -> Result<&[u8], DataError> {
        match self {
            Stored::Memory(bytes) => Ok(bytes),
            Stored::Files {
                folder,
                chosen,
                decoded,
            } => match decoded.get() {
                Some(bytes) => Ok(bytes),
                None => {
                    let bytes = folder.read_all(chosen)?;
                    Ok(decoded.get_or_init(|| bytes))
                }
            },
        }
    }

    /// Those of the images `indices`, of `image_bytes` bytes each.
    ///
    /// # Panics
    /// If there are fewer images.
    pub(crate) fn select(&self, indices: &[usize], image_bytes: usize) -> Self {
        match self {
            Stored::Memory(bytes) => {
                let mut images = Vec::with_capacity(indices.len() * image_bytes);
                for &i in indices {
                    images.extend_from_slice(&bytes[i * image_bytes..][..image_bytes]);
                }
                Stored::Memory(images)
            }
            Stored::Files { folder, chosen, .. } => Stored::Files {
                folder: folder.clone(),
                chosen: indices.iter().map(|&i| chosen[i]).collect(),
                decoded: OnceLock::new(),
            },
        }
    }

    /// These and then those of `other`; in memory if they are not files of one folder.
    ///
    /// # Errors
    /// As [`Stored::bytes`].
    pub(crate) fn followed_by(&self, other: &Self) -> Result<Self, DataError> {
        if let (
            Stored::Files { folder, chosen, .. },
            Stored::Files {
                folder: same,
                chosen: more,
                ..
            },
        ) = (self, other)
            && Arc::ptr_eq(folder, same)
        {
            return Ok(Stored::Files {
                folder: folder.clone(),
                chosen: [&chosen[..], more].concat(),
                decoded: OnceLock::new(),
            });
        }
        let both = [self.bytes()?, other.bytes()?];
        Ok(Stored::Memory(both.concat()))
    }
}
