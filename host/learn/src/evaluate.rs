//! Evaluation: accuracy, predictions and activation ranges of trained parameters.

use crate::ahead::ahead;
use crate::network::{Model, Moment, check_operations, numbers};
use crate::{Augment, Device, LearnError, TrainConfig};
use aplysia_data::{ImageShape, Pixels};
use aplysia_space::{Network, NetworkParams, Shape};

/// Images evaluated at once.
const BATCH: usize = 256;
/// Images whose statistics [`recalibrate`] takes at once.
const RECALIBRATION_BATCH: usize = 128;

/// Labelled images, borrowed. Normalisation: `x = (p − mean_pixel[c]) / (255·std)`.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// NHWC.
    pub pixels: Pixels<'a>,
    /// One class per image.
    pub labels: &'a [u16],
    /// Shape of one image.
    pub shape: Shape,
    /// One integer pixel value per channel: what becomes 0.
    pub mean_pixel: &'a [u8],
    /// Standard deviation of pixel / 255.
    pub std: f32,
}

impl<'a> Images<'a> {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True without images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images `range`.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Images<'a> {
        let n = self.shape.len();
        Images {
            pixels: self.pixels.slice(range.clone(), n),
            labels: &self.labels[range],
            ..*self
        }
    }

    /// Value of every pixel: `[channel][256]`.
    pub(crate) fn normalisation(&self) -> Vec<f32> {
        let scale = 1.0 / (255.0 * self.std);
        let channel = |&m: &u8| (0..256).map(move |p| (p as f32 - f32::from(m)) * scale);
        self.mean_pixel.iter().flat_map(channel).collect()
    }

    /// Shape of one image, as [`aplysia_data`] has it.
    pub(crate) fn image_shape(&self) -> ImageShape {
        let Shape { h, w, c } = self.shape;
        ImageShape { h, w, c }
    }

    /// All images as numbers, in batches of `len`.
    ///
    /// # Errors
    /// One of them cannot be read.
    fn normalised(self, len: usize) -> impl Iterator<Item = Result<Vec<f32>, LearnError>> + Send {
        (0..self.len()).step_by(len).map(move |start| {
            let range = start..(start + len).min(self.len());
            let indices: Vec<u32> = range.map(|i| i as u32).collect();
            Augment::NONE.batch(&self, &indices, (0, 0))
        })
    }

    /// Checks lengths against each other and against `network`.
    ///
    /// # Errors
    /// [`LearnError::Data`] names the first length that does not fit.
    pub(crate) fn check(&self, network: &Network) -> Result<(), LearnError> {
        let input = network.nodes[0].shape;
        let largest = self.labels.iter().max().map_or(0, |&l| usize::from(l) + 1);
        for (what, got, want) in [
            ("image height", self.shape.h, input.h),
            ("image width", self.shape.w, input.w),
            ("image channels", self.shape.c, input.c),
            ("pixels", self.pixels.n_bytes(), self.len() * input.len()),
            ("mean pixels", self.mean_pixel.len(), input.c),
            ("classes", largest.max(network.n_classes), network.n_classes),
        ] {
            if got != want {
                return Err(LearnError::Data { what, got, want });
            }
        }
        if self.is_empty() {
            return Err(LearnError::Data {
                what: "images",
                got: 0,
                want: 1,
            });
        }
        Ok(())
    }
}

/// Result of [`evaluate`].
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Right answers.
    pub n_correct: usize,
    /// The class of every image.
    pub predictions: Vec<u16>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
}

impl Evaluation {
    /// Share of right answers in percent.
    pub fn accuracy_pct(&self) -> f64 {
        100.0 * self.n_correct as f64 / self.predictions.len().max(1) as f64
    }
}

/// Runs `params` on `images` with running batch-norm statistics.
///
/// # Errors
/// The device is missing, or parameters or images do not fit the network.
pub fn evaluate(
    network: &Network,
    params: &NetworkParams,
    images: Images,
    device: Device,
) -> Result<Evaluation, LearnError> {
    check_operations(network)?;
    images.check(network)?;
    on_device!(device, |B, place| {
        let mut model = Model::<B>::new(network, &TrainConfig::default(), &place);
        model.set_params(params)?;
        evaluate_model(&model, images, network.n_classes)
    })
}

/// Most images that [`recalibrate`] looks at.
const RECALIBRATION: usize = 2048;

/// `params` with the batch-norm statistics of the weights as they are: the mean over batches of 128 of the first
/// 2,048 `images`, which are to be training images in random order.
///
/// Within a schedule the running statistics lag behind the weights, by some rules more than by others, so that
/// networks stopped there must not be compared by them. Source: Y. Wu, J. Johnson, "Rethinking 'Batch' in
/// BatchNorm" (arXiv 2105.07576), section 3.2, PreciseBN.
///
/// # Errors
/// As [`evaluate`].
pub fn recalibrate(
    network: &Network,
    params: &NetworkParams,
    images: Images,
    device: Device,
) -> Result<NetworkParams, LearnError> {
    check_operations(network)?;
    images.check(network)?;
    let n = images.len().min(RECALIBRATION);
    on_device!(device, |B, place| {
        let mut model = Model::<B>::new(network, &TrainConfig::default(), &place);
        model.set_params(params)?;
        let batches = images.slice(0..n).normalised(RECALIBRATION_BATCH);
        for (i, batch) in batches.enumerate() {
            let taped = model.forward(model.images(batch?), Moment::default());
            model.track(&taped, 1.0 / (i + 1) as f32);
        }
        Ok(model.to_params())
    })
}

/// [`evaluate`] on a model that is already on its device.
///
/// # Errors
/// An image cannot be read.
pub(crate) fn evaluate_model<B: crate::ops::LearnOps>(
    model: &Model<B>,
    images: Images,
    n_classes: usize,
) -> Result<Evaluation, LearnError> {
    let mut logits = Vec::with_capacity(images.len() * n_classes);
    ahead(images.normalised(BATCH), |batches| {
        for batch in batches {
            logits.extend(numbers(model.infer(model.images(batch?), |_, _| {})));
        }
        Ok::<_, LearnError>(())
    })?;
    let predictions = argmax(&logits, n_classes);
    let n_correct = predictions
        .iter()
        .zip(images.labels)
        .filter(|(p, l)| p == l)
        .count();
    Ok(Evaluation {
        n_correct,
        predictions,
        logits,
    })
}

/// The first largest of every row.
pub(crate) fn argmax(logits: &[f32], n_classes: usize) -> Vec<u16> {
    let best =
        |row: &[f32]| (1..row.len()).fold(0, |b, i| if row[i] > row[b] { i } else { b }) as u16;
    logits.chunks(n_classes).map(best).collect()
}

/// Smallest and largest value of every node's output (after the activation) over `images`.
///
/// # Errors
/// As [`evaluate`].
pub fn activation_ranges(
    network: &Network,
    params: &NetworkParams,
    images: Images,
    device: Device,
) -> Result<Vec<(f32, f32)>, LearnError> {
    check_operations(network)?;
    images.check(network)?;
    on_device!(device, |B, place| {
        let mut model = Model::<B>::new(network, &TrainConfig::default(), &place);
        model.set_params(params)?;
        let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); network.nodes.len()];
        for batch in images.normalised(BATCH) {
            model.infer(model.images(batch?), |node, values| {
                let (min, max) = &mut ranges[node];
                for v in numbers(values.clone()) {
                    *min = min.min(v);
                    *max = max.max(v);
                }
            });
        }
        Ok(ranges)
    })
}
