//! Images, labels and their statistics.

use crate::pixels::{Folder, Stored};
use crate::{DataError, Pixels, Shift, split};
use sha2::{Digest, Sha256};

/// Height, width and channels of every image of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Height in pixels.
    pub h: usize,
    /// Width in pixels.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl ImageShape {
    /// Bytes of one image.
    pub fn len(self) -> usize {
        self.h * self.w * self.c
    }
    /// True when a dimension is zero.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Pictures that statistics are taken from where they are files: the mean of so many, whose own means have a standard
/// deviation of 35 of 255, has a standard error of 1.1.
const N_SAMPLE: usize = 1024;

/// Of them read at once.
const SAMPLE_BATCH: usize = 64;

/// Seed of which they are.
const SAMPLE_SEED: u64 = 1;

/// Labelled images of one shape.
#[derive(Clone, Debug)]
pub struct Dataset {
    images: Stored,
    /// One class index per image.
    pub labels: Vec<u16>,
    /// Shape of every image.
    pub shape: ImageShape,
    /// One name per class.
    pub class_names: Vec<String>,
    /// SHA-256 (hexadecimal) over shape, class names, images (of files names and lengths) and labels (one byte
    /// each up to 256 classes, else two, little endian).
    pub digest: String,
}

/// Equal if the digests are.
impl PartialEq for Dataset {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Dataset {
    /// Checks that the parts fit and computes the digest.
    ///
    /// # Errors
    /// [`DataError::Length`] or [`DataError::Label`].
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u16>,
        shape: ImageShape,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let (n_images, per_image) = (labels.len(), shape.len());
        if images.len() != n_images * per_image {
            return Err(DataError::Length {
                got: images.len(),
                n_images,
                per_image,
            });
        }
        Self::checked(Stored::Memory(images), labels, shape, class_names)
    }

    /// Every file of `folder` with its label.
    ///
    /// # Errors
    /// [`DataError::Label`].
    pub(crate) fn of_files(
        folder: Folder,
        labels: Vec<u16>,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let side = folder.side as usize;
        let shape = ImageShape {
            h: side,
            w: side,
            c: 3,
        };
        Self::checked(Stored::files(folder), labels, shape, class_names)
    }

    fn checked(
        images: Stored,
        labels: Vec<u16>,
        shape: ImageShape,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let n_classes = class_names.len();
        if let Some(index) = labels.iter().position(|&l| usize::from(l) >= n_classes) {
            return Err(DataError::Label {
                index,
                label: labels[index],
                n_classes,
            });
        }
        Ok(Self::hashed(images, labels, shape, class_names))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.class_names.len()
    }

    /// The pixels, to be read image by image.
    pub fn pixels(&self) -> Pixels<'_> {
        self.images.pixels()
    }

    /// All pixels, `[n, h, w, c]` row-major (NHWC). Pictures in files are decoded by the first call, in parallel, and
    /// stay in memory.
    ///
    /// # Errors
    /// [`DataError::Memory`], or the first file that cannot be read, decoded or fitted.
    pub fn bytes(&self) -> Result<&[u8], DataError> {
        self.images.bytes()
    }

    /// The pixels of every image, `[h, w, c]`.
    ///
    /// # Errors
    /// As [`Dataset::bytes`].
    pub fn images(&self) -> Result<impl Iterator<Item = &[u8]>, DataError> {
        Ok(self.bytes()?.chunks_exact(self.shape.len().max(1)))
    }

    /// The images at `indices`, in that order, as a dataset of their own.
    ///
    /// # Panics
    /// If an index is `>= len()`.
    pub fn select(&self, indices: &[usize]) -> Self {
        let images = self.images.select(indices, self.shape.len());
        let labels = indices.iter().map(|&i| self.labels[i]).collect();
        self.with_images(images, labels)
    }

    /// At most `n` images drawn by `seed` without replacement, classes in proportion
    /// ([`split::stratified_order`]); a smaller subset is a prefix of a larger one.
    pub fn subset(&self, n: usize, seed: u64) -> Self {
        let order = split::stratified_order(&self.labels, seed);
        self.select(&order[..n.min(order.len())])
    }

    /// These images and then those of `other`, which are of the same shape and classes.
    ///
    /// # Errors
    /// As [`Dataset::bytes`], where they are not files of one folder.
    pub(crate) fn followed_by(&self, other: &Self) -> Result<Self, DataError> {
        Ok(self.with_images(
            self.images.followed_by(&other.images)?,
            [&self.labels[..], &other.labels].concat(),
        ))
    }

    /// Every image after the corruption, in memory; labels and order stay.
    ///
    /// # Errors
    /// As [`Dataset::bytes`].
    pub fn shifted(&self, shift: &Shift) -> Result<Self, DataError> {
        let mut images = Vec::with_capacity(self.pixels().n_bytes());
        for (i, image) in (0..).zip(self.images()?) {
            images.extend(shift.apply(self.shape, i, image));
        }
        Ok(self.with_images(Stored::Memory(images), self.labels.clone()))
    }

    /// Every image in the middle of a black square of `side` pixels: Fashion-MNIST as 32×32.
    ///
    /// An odd margin is one pixel wider on the right and below. A side smaller than the image's
    /// leaves that dimension as it is.
    ///
    /// # Errors
    /// As [`Dataset::bytes`].
    pub fn padded(&self, side: usize) -> Result<Self, DataError> {
        let ImageShape { h, w, c } = self.shape;
        let shape = ImageShape {
            h: side.max(h),
            w: side.max(w),
            c,
        };
        let (top, left) = ((shape.h - h) / 2, (shape.w - w) / 2);
        let mut images = vec![0; self.len() * shape.len()];
        for (to, image) in images
            .chunks_exact_mut(shape.len().max(1))
            .zip(self.images()?)
        {
            for (y, row) in image.chunks_exact((w * c).max(1)).enumerate() {
                to[((top + y) * shape.w + left) * c..][..w * c].copy_from_slice(row);
            }
        }
        let (labels, names) = (self.labels.clone(), self.class_names.clone());
        Ok(Self::hashed(Stored::Memory(images), labels, shape, names))
    }

    fn with_images(&self, images: Stored, labels: Vec<u16>) -> Self {
        Self::hashed(images, labels, self.shape, self.class_names.clone())
    }

    /// Parts that fit, with their digest.
    fn hashed(
        images: Stored,
        labels: Vec<u16>,
        shape: ImageShape,
        class_names: Vec<String>,
    ) -> Self {
        let mut set = Self {
            images,
            labels,
            shape,
            class_names,
            digest: String::new(),
        };
        set.digest = set.hash();
        set
    }

    fn hash(&self) -> String {
        let mut sha = Sha256::new();
        let ImageShape { h, w, c } = self.shape;
        sha.update(format!("{h} {w} {c}\n{}\n", self.class_names.join("\n")));
        self.pixels().identify(&mut sha);
        let label_bytes = if self.n_classes() <= 256 { 1 } else { 2 };
        for label in &self.labels {
            sha.update(&label.to_le_bytes()[..label_bytes]);
        }
        hex(&sha.finalize())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Per-channel input normalization `x = (p − mean_pixel)/(255·std)` for a pixel `p` in 0..=255.
///
/// The mean is rounded to a whole pixel value so that the int8 input `q = p − 128` has scale
/// `1/(255·std)` and zero point `mean_pixel − 128` exactly. An int8 tensor has one scale and one zero
/// point, so a network that goes to the device needs the same numbers in every channel
/// ([`Normalization::measure_shared`], [`Normalization::is_shared`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// `round(mean of the pixels)` per channel, in 0..=255.
    pub mean_pixel: Vec<u8>,
    /// Standard deviation of `p/255` about the unrounded mean, per channel (population).
    pub std: Vec<f32>,
}

impl Normalization {
    /// Measures each channel of `train` (the training part only: validation and test must not be seen).
    ///
    /// Sums are exact integers, so the result does not depend on order or machine. A channel that
    /// never varies gets `std = 1/255`. Of pictures in files 1024 are read, drawn by a seed, classes in proportion:
    /// the same of the same files.
    ///
    /// # Errors
    /// One of them cannot be read, decoded or fitted.
    pub fn measure(train: &Dataset) -> Result<Self, DataError> {
        Self::of_groups(train, train.shape.c)
    }

    /// Measures all channels of `train` together: every channel gets the same mean and deviation.
    /// Equal to [`Normalization::measure`] for one channel.
    ///
    /// # Errors
    /// As [`Normalization::measure`].
    pub fn measure_shared(train: &Dataset) -> Result<Self, DataError> {
        let one = Self::of_groups(train, 1)?;
        Ok(Self {
            mean_pixel: vec![one.mean_pixel[0]; train.shape.c],
            std: vec![one.std[0]; train.shape.c],
        })
    }

    /// True when all channels have the same mean and deviation, as an int8 input needs.
    pub fn is_shared(&self) -> bool {
        self.mean_pixel.windows(2).all(|m| m[0] == m[1])
            && self.std.windows(2).all(|s| s[0] == s[1])
    }

    /// Mean and deviation of the bytes whose index is equal modulo `n_groups`.
    fn of_groups(train: &Dataset, n_groups: usize) -> Result<Self, DataError> {
        let mut sums = vec![Sum::default(); n_groups];
        match train.pixels() {
            Pixels::Memory(bytes) => add(&mut sums, bytes),
            Pixels::Files(_) => {
                let order = split::stratified_order(&train.labels, SAMPLE_SEED);
                let sample = &order[..N_SAMPLE.min(order.len())];
                for some in sample.chunks(SAMPLE_BATCH) {
                    add(&mut sums, train.select(some).bytes()?);
                }
            }
        }
        Ok(Self {
            mean_pixel: sums.iter().map(|s| s.mean().round() as u8).collect(),
            std: sums.iter().map(Sum::std).collect(),
        })
    }
}

/// Of bytes.
#[derive(Clone, Default)]
struct Sum {
    n: u64,
    first: u64,
    squares: u64,
}

impl Sum {
    fn mean(&self) -> f64 {
        self.first as f64 / self.n.max(1) as f64
    }

    /// Of a 255th of the bytes.
    fn std(&self) -> f32 {
        let variance = self.squares as f64 / self.n.max(1) as f64 - self.mean().powi(2);
        (variance.max(1.0).sqrt() / 255.0) as f32
    }
}

/// Adds every byte to the sum of its index modulo their number.
fn add(sums: &mut [Sum], bytes: &[u8]) {
    for values in bytes.chunks_exact(sums.len().max(1)) {
        for (sum, &p) in sums.iter_mut().zip(values) {
            sum.n += 1;
            sum.first += u64::from(p);
            sum.squares += u64::from(p) * u64::from(p);
        }
    }
}
