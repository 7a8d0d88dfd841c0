//! The images a command works on: one split and one normalization for all commands.

use crate::args::DataArgs;
use anyhow::Result;
use aplysia_data::{Corruption, Dataset, Normalization, Part, Shift, Splits};
use aplysia_deploy::InputNormalization;
use aplysia_live::evaluate::Images;
use aplysia_space::Shape;

/// Seed of the split of the training file: the same for every study and run, so that no validation
/// image of one is a training image of another.
pub(crate) const SPLIT_SEED: u64 = 1;

/// Seed of every corruption: the same changed camera for everybody.
const SHIFT_SEED: u64 = 1;

/// Training and validation images with what was measured on the training part.
pub(crate) struct TrainingImages {
    pub(crate) splits: Splits,
    pub(crate) normalization: Normalization,
}

impl TrainingImages {
    /// Loads the training images and splits them.
    pub(crate) fn load(args: &DataArgs) -> Result<Self> {
        let splits = Splits::new(&load(args, Part::Train)?, SPLIT_SEED);
        let normalization = Normalization::measure_shared(&splits.train)?;
        Ok(Self {
            splits,
            normalization,
        })
    }
}

/// Loads the test images: only final evaluations call this.
pub(crate) fn load_test(args: &DataArgs) -> Result<Dataset> {
    load(args, Part::Test)
}

fn load(args: &DataArgs, part: Part) -> Result<Dataset> {
    let dir = args.dataset.locate(args.data.as_deref())?;
    let data = args.dataset.load(&dir, part)?;
    let Some(n) = args.first_classes else {
        return Ok(data);
    };
    let known = |&i: &usize| data.labels[i] < n;
    let kept: Vec<usize> = (0..data.len()).filter(known).collect();
    Ok(data.select(&kept))
}

/// Where golden sets are taken from: all validation images in an order of `seed`, classes mixed. A stream of
/// the same seed begins with other images, so that a guard does not score what is being taught.
pub(crate) fn golden(data: &TrainingImages, seed: u64) -> Dataset {
    let validation = &data.splits.validation;
    validation.subset(validation.len(), !seed)
}

/// This shift at this severity.
pub(crate) fn shift(corruption: Corruption, severity: u8) -> Result<Shift> {
    Ok(Shift::new(corruption, severity, SHIFT_SEED)?)
}

/// The network's input shape.
pub(crate) fn shape(data: &Dataset) -> Shape {
    Shape {
        h: data.shape.h,
        w: data.shape.w,
        c: data.shape.c,
    }
}

/// The images as `deploy` takes them, all of them in memory.
///
/// # Errors
/// A picture cannot be decoded, or they do not fit the memory.
pub(crate) fn images(data: &Dataset) -> Result<Images<'_>> {
    Ok(Images {
        pixels: data.bytes()?,
        labels: &data.labels,
    })
}

/// The normalization as `deploy` takes it: [`TrainingImages`] has one for all channels.
pub(crate) fn input(normalization: &Normalization) -> InputNormalization {
    InputNormalization {
        mean_pixel: normalization.mean_pixel[0],
        std: normalization.std[0],
    }
}
