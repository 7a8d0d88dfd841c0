//! The images that cells are cut from.

use crate::args::adapt_bench::AdaptBenchArgs;
use crate::images::{self, TrainingImages};
use anyhow::Result;
use aplysia_data::{Corruption, Dataset, Normalization, Shift};

/// Streams and what they are measured on, which share no image.
pub(super) struct Pools {
    /// Streams are drawn from these.
    pub(super) stream: Dataset,
    /// Measured on, clean.
    pub(super) test: Dataset,
    /// Of the training part.
    pub(super) normalization: Normalization,
}

/// Which shift, and the seed of camera, stream and stochastic rounding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) corruption: Corruption,
    pub(super) severity: u8,
    pub(super) seed: u32,
}

impl Place {
    /// Every corruption under every severity and seed asked for.
    pub(super) fn all(args: &AdaptBenchArgs) -> impl Iterator<Item = Place> + '_ {
        let pairs =
            (1..=args.seeds).flat_map(|seed| args.severities.iter().map(move |s| (seed, *s)));
        pairs.flat_map(|(seed, severity)| {
            Corruption::ALL.into_iter().map(move |corruption| Place {
                corruption,
                severity,
                seed,
            })
        })
    }

    /// As [`aplysia_deploy::adapt_bench::summary::Group::cell`].
    pub(super) fn cell(&self) -> (&'static str, u8, u32) {
        (self.corruption.name(), self.severity, self.seed)
    }
}

impl Pools {
    /// Test images, or with `--validation` a part of the validation images, and streams from the rest.
    ///
    /// # Errors
    /// Missing data.
    pub(super) fn load(args: &AdaptBenchArgs) -> Result<Self> {
        let data = TrainingImages::load(&args.data)?;
        let (validation, normalization) = (data.splits.validation, data.normalization);
        if !args.validation {
            return Ok(Self {
                stream: validation,
                test: images::load_test(&args.data)?.subset(args.test_images, 1),
                normalization,
            });
        }
        let order = validation.subset(validation.len(), 1);
        let n = args.test_images.min(order.len() / 2);
        let indices: Vec<usize> = (0..order.len()).collect();
        Ok(Self {
            stream: order.select(&indices[n..]),
            test: order.select(&indices[..n]),
            normalization,
        })
    }

    /// The stream of `n` images at `place`, and the images that it is measured on.
    ///
    /// # Errors
    /// No such severity.
    pub(super) fn shifted(&self, place: Place, n: usize) -> Result<(Dataset, Dataset)> {
        let seed = u64::from(place.seed);
        let shift = Shift::new(place.corruption, place.severity, seed)?;
        let stream = self.stream.subset(n, seed).shifted(&shift);
        Ok((stream, self.test.shifted(&shift)))
    }
}
