//! Images, labels and their statistics in memory.

use crate::{DataError, Shift, split};
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

/// Labelled images of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Pixels, `[n, h, w, c]` row-major (NHWC).
    pub images: Vec<u8>,
    /// One class index per image.
    pub labels: Vec<u16>,
    /// Shape of every image.
    pub shape: ImageShape,
    /// One name per class.
    pub class_names: Vec<String>,
    /// SHA-256 (hexadecimal) over shape, class names, images and labels (one byte each up to 256
    /// classes, else two, little endian).
    pub digest: String,
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

    /// Pixels of image `index`, `[h, w, c]`.
    ///
    /// # Panics
    /// If `index >= len()`.
    pub fn image(&self, index: usize) -> &[u8] {
        let n = self.shape.len();
        &self.images[index * n..][..n]
    }

    /// The images at `indices`, in that order, as a dataset of their own.
    ///
    /// # Panics
    /// If an index is `>= len()`.
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut images = Vec::with_capacity(indices.len() * self.shape.len());
        for &i in indices {
            images.extend_from_slice(self.image(i));
        }
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
    pub(crate) fn followed_by(&self, other: &Self) -> Self {
        self.with_images(
            [&self.images[..], &other.images].concat(),
            [&self.labels[..], &other.labels].concat(),
        )
    }

    /// Every image after the corruption; labels and order stay.
    pub fn shifted(&self, shift: &Shift) -> Self {
        let mut images = Vec::with_capacity(self.images.len());
        for i in 0..self.len() {
            images.extend(shift.apply(self.shape, i as u64, self.image(i)));
        }
        self.with_images(images, self.labels.clone())
    }

    /// Every image in the middle of a black square of `side` pixels: Fashion-MNIST as 32×32.
    ///
    /// An odd margin is one pixel wider on the right and below. A side smaller than the image's
    /// leaves that dimension as it is.
    pub fn padded(&self, side: usize) -> Self {
        let ImageShape { h, w, c } = self.shape;
        let shape = ImageShape {
            h: side.max(h),
            w: side.max(w),
            c,
        };
        let (top, left) = ((shape.h - h) / 2, (shape.w - w) / 2);
        let mut images = vec![0; self.len() * shape.len()];
        for (to, i) in images.chunks_exact_mut(shape.len().max(1)).zip(0..) {
            for (y, row) in self.image(i).chunks_exact((w * c).max(1)).enumerate() {
                to[((top + y) * shape.w + left) * c..][..w * c].copy_from_slice(row);
            }
        }
        Self::hashed(images, self.labels.clone(), shape, self.class_names.clone())
    }

    fn with_images(&self, images: Vec<u8>, labels: Vec<u16>) -> Self {
        Self::hashed(images, labels, self.shape, self.class_names.clone())
    }

    /// Parts that fit, with their digest.
    fn hashed(
        images: Vec<u8>,
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
        sha.update(&self.images);
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
    /// never varies gets `std = 1/255`.
    pub fn measure(train: &Dataset) -> Self {
        Self::of_groups(train, train.shape.c)
    }

    /// Measures all channels of `train` together: every channel gets the same mean and deviation.
    /// Equal to [`Normalization::measure`] for one channel.
    pub fn measure_shared(train: &Dataset) -> Self {
        let one = Self::of_groups(train, 1);
        Self {
            mean_pixel: vec![one.mean_pixel[0]; train.shape.c],
            std: vec![one.std[0]; train.shape.c],
        }
    }

    /// True when all channels have the same mean and deviation, as an int8 input needs.
    pub fn is_shared(&self) -> bool {
        self.mean_pixel.windows(2).all(|m| m[0] == m[1])
            && self.std.windows(2).all(|s| s[0] == s[1])
    }

    /// Mean and deviation of the bytes whose index is equal modulo `n_groups`.
    fn of_groups(train: &Dataset, n_groups: usize) -> Self {
        let n = (train.images.len() / n_groups.max(1)).max(1) as f64;
        let (mut sum, mut squares) = (vec![0_u64; n_groups], vec![0_u64; n_groups]);
        for values in train.images.chunks_exact(n_groups.max(1)) {
            for (group, &p) in values.iter().enumerate() {
                sum[group] += u64::from(p);
                squares[group] += u64::from(p) * u64::from(p);
            }
        }
        let mean = |group: usize| sum[group] as f64 / n;
        let std = |group: usize| {
            let variance = squares[group] as f64 / n - mean(group) * mean(group);
            (variance.max(1.0).sqrt() / 255.0) as f32
        };
        Self {
            mean_pixel: (0..n_groups).map(|g| mean(g).round() as u8).collect(),
            std: (0..n_groups).map(std).collect(),
        }
    }
}
