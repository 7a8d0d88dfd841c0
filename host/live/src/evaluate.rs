//! The int8 model on the host: the device's own inference, in parallel over images.
//!
//! Owns no arithmetic: every score is `aplysia_shared::infer`'s.

use crate::LiveError;
use aplysia_shared::{Model, infer};
use rayon::prelude::*;

/// Labelled images, u8 pixels NHWC.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// `[n][h][w][c]`, 0..=255.
    pub pixels: &'a [u8],
    /// `[n]`, class of each image.
    pub labels: &'a [u16],
}

impl<'a> Images<'a> {
    /// No images.
    pub const NONE: Images<'static> = Images {
        pixels: &[],
        labels: &[],
    };

    /// Each image with its label, `image_bytes` pixels at a time.
    ///
    /// # Panics
    /// If `image_bytes` is 0.
    pub fn iter(&self, image_bytes: usize) -> impl Iterator<Item = (&'a [u8], &'a u16)> {
        self.pixels.chunks_exact(image_bytes).zip(self.labels)
    }

    /// Checks that these images fit `model`.
    ///
    /// # Errors
    /// The number of bytes, or a label that is not a class.
    pub fn check(&self, model: &Model<'_>) -> Result<(), LiveError> {
        self.check_sizes(model.input().len(), model.n_classes())
    }

    /// Checks that these images have `want_bytes` pixels each and labels below `n_classes`.
    ///
    /// # Errors
    /// As [`Images::check`].
    pub fn check_sizes(&self, want_bytes: usize, n_classes: usize) -> Result<(), LiveError> {
        let n = self.labels.len();
        if self.pixels.len() != want_bytes * n {
            return Err(LiveError::Images {
                got_bytes: self.pixels.len(),
                want_bytes,
                n,
            });
        }
        match self
            .labels
            .iter()
            .position(|&l| usize::from(l) >= n_classes)
        {
            None => Ok(()),
            Some(index) => Err(LiveError::Label {
                label: self.labels[index],
                index,
                n_classes,
            }),
        }
    }
}

/// Pixels as the model's input: `q = p − 128`.
pub fn input_of_pixels(pixels: &[u8]) -> Vec<i8> {
    pixels.iter().map(|&p| (p ^ 0x80).cast_signed()).collect()
}

/// The class with the largest score, the first of equals; 0 for no scores.
pub fn argmax(scores: &[i8]) -> usize {
    let best = scores
        .iter()
        .enumerate()
        .rev()
        .max_by_key(|&(_, score)| score);
    best.map_or(0, |(class, _)| class)
}

/// Predictions of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Class predicted for each image.
    pub predictions: Vec<u16>,
    /// `[n][n_classes]` int8 scores.
    pub scores: Vec<i8>,
    /// How many predictions equal the label.
    pub n_correct: usize,
}

impl Evaluation {
    /// Counts the predictions that equal their label.
    pub fn new(predictions: Vec<u16>, scores: Vec<i8>, labels: &[u16]) -> Self {
        let n_correct = predictions
            .iter()
            .zip(labels)
            .filter(|(p, l)| p == l)
            .count();
        Self {
            predictions,
            scores,
            n_correct,
        }
    }

    /// Share of correct predictions in percent; 0 without images.
    pub fn accuracy_pct(&self) -> f64 {
        100.0 * self.n_correct as f64 / self.predictions.len().max(1) as f64
    }
}

/// Runs `model` on every image.
///
/// # Errors
/// Images or labels do not fit the model.
pub fn evaluate(model: &Model<'_>, images: Images<'_>) -> Result<Evaluation, LiveError> {
    images.check(model)?;
    let n_classes = model.n_classes();
    let mut scores = vec![0; images.labels.len() * n_classes];
    scores
        .par_chunks_mut(n_classes)
        .zip(images.pixels.par_chunks(model.input().len()))
        .try_for_each_init(
            || vec![0; model.arena_bytes()],
            |arena, (scores, pixels)| infer(model, arena, &input_of_pixels(pixels), scores),
        )?;
    let predictions: Vec<u16> = scores
        .chunks_exact(n_classes)
        .map(|s| argmax(s) as u16)
        .collect();
    Ok(Evaluation::new(predictions, scores, images.labels))
}
