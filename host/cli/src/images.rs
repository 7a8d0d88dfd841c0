//! The images a command works on: one split and one normalization for all commands.

use crate::args::DataArgs;
use anyhow::Result;
use aplysia_data::{Dataset, Normalization, Shift, Splits, fashion_mnist};
use aplysia_deploy::InputNormalization;
use aplysia_deploy::evaluate::Images;
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
    /// Loads the training file and splits it.
    pub(crate) fn load(args: &DataArgs) -> Result<Self> {
        let dir = fashion_mnist::locate(args.data.as_deref());
        let splits = Splits::new(&fashion_mnist::load_train(&dir)?, SPLIT_SEED);
        let normalization = Normalization::measure(&splits.train);
        Ok(Self {
            splits,
            normalization,
        })
    }
}

/// Loads the test images: only final evaluations call this.
pub(crate) fn load_test(args: &DataArgs) -> Result<Dataset> {
    Ok(fashion_mnist::load_test(&fashion_mnist::locate(
        args.data.as_deref(),
    ))?)
}

/// The shift of this name and severity.
pub(crate) fn shift(corruption: &str, severity: u8) -> Result<Shift> {
    Ok(Shift::new(corruption.parse()?, severity, SHIFT_SEED)?)
}

/// The network's input shape.
pub(crate) fn shape(data: &Dataset) -> Shape {
    Shape {
        h: data.shape.h,
        w: data.shape.w,
        c: data.shape.c,
    }
}

/// The images as `deploy` takes them.
pub(crate) fn images(data: &Dataset) -> Images<'_> {
    Images {
        pixels: &data.images,
        labels: &data.labels,
    }
}

/// The normalization as `deploy` takes it (one channel).
pub(crate) fn input(normalization: &Normalization) -> InputNormalization {
    InputNormalization {
        mean_pixel: normalization.mean_pixel[0],
        std: normalization.std[0],
    }
}
