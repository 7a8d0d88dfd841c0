//! The images that learning on the device is tried on: streams, and what they are measured on.

use crate::images::TrainingImages;
use anyhow::Result;
use aplysia_data::{Corruption, Dataset, Normalization, Shift};

/// Streams and what they are measured on, which share no image.
pub(crate) struct Pools {
    /// Streams are drawn from these.
    pub(crate) stream: Dataset,
    /// Measured on, clean.
    pub(crate) test: Dataset,
    /// Of the training part.
    pub(crate) normalization: Normalization,
}

/// Which shift, and the seed of camera, stream and stochastic rounding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) corruption: Corruption,
    pub(crate) severity: u8,
    pub(crate) seed: u32,
}

impl Place {
    /// As [`aplysia_live::adapt_bench::summary::Group::cell`].
    pub(crate) fn cell(&self) -> (&'static str, u8, u32) {
        (self.corruption.name(), self.severity, self.seed)
    }
}

impl Pools {
    /// `n` validation images to measure on, at most half of them, and streams from the rest: no test image is seen.
    pub(crate) fn of_validation(data: &TrainingImages, n: usize) -> Self {
        let validation = &data.splits.validation;
        let order = validation.subset(validation.len(), 1);
        let n = n.min(order.len() / 2);
        let indices: Vec<usize> = (0..order.len()).collect();
        Self {
            stream: order.select(&indices[n..]),
            test: order.select(&indices[..n]),
            normalization: data.normalization.clone(),
        }
    }

    /// The stream of `n` images at `place`, and the images that it is measured on.
    ///
    /// # Errors
    /// No such severity, or a picture that cannot be decoded.
    pub(crate) fn shifted(&self, place: Place, n: usize) -> Result<(Dataset, Dataset)> {
        let seed = u64::from(place.seed);
        let shift = Shift::new(place.corruption, place.severity, seed)?;
        let stream = self.stream.subset(n, seed).shifted(&shift)?;
        Ok((stream, self.test.shifted(&shift)?))
    }
}
