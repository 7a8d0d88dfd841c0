//! Batch files of small colour images: one file, many images, planes R, G, B of each.
//!
//! Two encodings of the same thing: records (label bytes, then the planes) and a pickled dictionary.
//! Must not know class names nor which batches make a dataset. Used by [`crate::cifar`] and
//! [`crate::imagenet16`].

use crate::dataset::hex;
use crate::error::FormatFault;
use crate::pickle::Dictionary;
use crate::{DataError, ImageShape, file};
use md5::{Digest, Md5};
use std::path::Path;

/// A pickle is not read any further.
pub(crate) const MAX_PICKLE_BYTES: usize = 1 << 30;

/// What a batch file must be.
#[derive(Clone, Copy, Debug)]
pub struct BatchFile {
    /// Name within the folder.
    pub name: &'static str,
    /// Images in it; `None` for a pickle whose digest says enough.
    pub n_images: Option<usize>,
    /// MD5 of the file, where it is known.
    pub md5: Option<&'static str>,
}

/// How a batch file holds its images.
#[derive(Clone, Copy, Debug)]
pub enum Encoding {
    /// Records of `label_bytes` bytes, the last of which is the label, and the planes.
    Binary {
        /// 1 for CIFAR-10, 2 (coarse, fine) for CIFAR-100.
        label_bytes: usize,
    },
    /// A pickled dictionary with the planes under `data` and the labels as a list.
    Pickle {
        /// Key of the labels.
        labels: &'static str,
    },
}

/// Images and labels as they stand in the file.
pub(crate) struct Batch {
    /// Planes, `[n, c, h, w]`.
    planes: Vec<u8>,
    /// `[n]`.
    pub(crate) labels: Vec<u16>,
    shape: ImageShape,
}

/// What all files of a dataset have in common.
#[derive(Clone, Copy)]
pub(crate) struct Kind<'a> {
    pub(crate) shape: ImageShape,
    pub(crate) encoding: Encoding,
    /// Where to get the files.
    pub(crate) source: &'a str,
}

impl Kind<'_> {
    /// Length of the file, where it follows from the number of images.
    fn n_bytes(&self, file: &BatchFile) -> Option<usize> {
        match self.encoding {
            Encoding::Binary { label_bytes } => {
                Some(file.n_images? * (label_bytes + self.shape.len()))
            }
            Encoding::Pickle { .. } => None,
        }
    }

    fn expected(&self, file: &BatchFile) -> String {
        let mut text = format!("expected {}", file.name);
        if let Some(n_bytes) = self.n_bytes(file) {
            text += &format!(" of {n_bytes} bytes");
        }
        if let Some(n) = file.n_images {
            text += &format!(" with {n} images of {} bytes", self.shape.len());
        }
        if let Some(md5) = file.md5 {
            text += &format!(", MD5 {md5}");
        }
        format!("{text}; {}", self.source)
    }

    /// Reads and checks a file of `dir`. Takes three times the file's size in memory for a moment.
    pub(crate) fn read(&self, dir: &Path, spec: &BatchFile) -> Result<Batch, DataError> {
        let path = dir.join(spec.name);
        let expected = self.expected(spec);
        let n_bytes = self.n_bytes(spec);
        let max_bytes = n_bytes.unwrap_or(MAX_PICKLE_BYTES);
        let bytes = file::read(&path, max_bytes, |file| file, &expected)?;
        let got_md5 = || hex(&Md5::digest(&bytes));
        if n_bytes.is_some_and(|n| n != bytes.len()) || spec.md5.is_some_and(|md5| md5 != got_md5())
        {
            return Err(DataError::Wrong {
                path,
                got_bytes: bytes.len(),
                got_digest: format!("MD5 {}", got_md5()),
                expected,
            });
        }
        self.parse(&bytes, spec).map_err(|fault| DataError::Format {
            path,
            fault,
            expected,
        })
    }

    fn parse(&self, bytes: &[u8], spec: &BatchFile) -> Result<Batch, FormatFault> {
        let shape = self.shape;
        let (planes, labels) = match self.encoding {
            Encoding::Binary { label_bytes } => records(bytes, shape, label_bytes),
            Encoding::Pickle { labels } => {
                let dictionary = Dictionary::parse(bytes)?;
                let planes = dictionary.rows("data", shape.len())?.to_vec();
                (planes, dictionary.numbers(labels)?)
            }
        };
        let n = planes.len() / shape.len();
        FormatFault::unless_equal("images", n, spec.n_images.unwrap_or(n))?;
        FormatFault::unless_equal("labels", labels.len(), n)?;
        Ok(Batch {
            planes,
            labels,
            shape,
        })
    }
}

fn records(bytes: &[u8], shape: ImageShape, label_bytes: usize) -> (Vec<u8>, Vec<u16>) {
    let (mut planes, mut labels) = (Vec::new(), Vec::new());
    for record in bytes.chunks_exact(label_bytes + shape.len()) {
        let (label, image) = record.split_at(label_bytes);
        labels.push(label.last().map_or(0, |&l| l.into()));
        planes.extend_from_slice(image);
    }
    (planes, labels)
}

impl Batch {
    /// Appends image `index`, `[h, w, c]`, to `images`.
    pub(crate) fn push_image(&self, index: usize, images: &mut Vec<u8>) {
        let (n, plane) = (self.shape.len(), self.shape.h * self.shape.w);
        let image = &self.planes[index * n..][..n];
        let start = images.len();
        images.resize(start + n, 0);
        for (channel, values) in image.chunks_exact(plane).enumerate() {
            let to = images[start + channel..].iter_mut().step_by(self.shape.c);
            to.zip(values).for_each(|(to, &value)| *to = value);
        }
    }
}
