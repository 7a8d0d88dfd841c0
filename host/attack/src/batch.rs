//! Images under attack: what may be changed, and which of them are still to be moved.

use crate::{Loss, Target, predicted};

/// Height, width and channels of an image.
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
    /// Numbers of one image.
    pub fn n_values(self) -> usize {
        self.h * self.w * self.c
    }
}

/// Labelled images as they are before the attack.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// `[n, h, w, c]`, in [0, 1].
    pub pixels: &'a [f32],
    /// One class per image.
    pub labels: &'a [u16],
    /// Names of the images, by which their random numbers are drawn.
    pub ids: &'a [usize],
    /// Of every image.
    pub shape: ImageShape,
}

/// What an attack may change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Every value by so much (L∞).
    Change(f32),
    /// So many pixels, each to anything (L0).
    Pixels(usize),
}

impl Budget {
    /// How far `image` is from `clean`: largest change of a value, or number of changed pixels; infinite
    /// if a value is outside of [0, 1] or no number.
    pub fn spent(self, clean: &[f32], image: &[f32], shape: ImageShape) -> f32 {
        if !image.iter().all(|v| (0.0..=1.0).contains(v)) {
            return f32::INFINITY;
        }
        match self {
            Budget::Change(_) => {
                let change = clean.iter().zip(image).map(|(a, b)| (a - b).abs());
                change.fold(0.0, f32::max)
            }
            Budget::Pixels(_) => {
                let pixels = clean.chunks(shape.c).zip(image.chunks(shape.c));
                pixels.filter(|(a, b)| a != b).count() as f32
            }
        }
    }

    /// The most that may be spent; a change may be exceeded by the rounding of its sum, 1e-6.
    pub fn allowed(self) -> f32 {
        match self {
            Budget::Change(epsilon) => epsilon + 1e-6,
            Budget::Pixels(n) => n as f32,
        }
    }
}

/// The nearest value that is at most `epsilon` from `clean` and in [0, 1].
pub(crate) fn project(value: f32, clean: f32, epsilon: f32) -> f32 {
    value.clamp((clean - epsilon).max(0.0), (clean + epsilon).min(1.0))
}

/// −1, 0 or 1; 0 for 0, where there is no direction.
pub(crate) fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

impl Batch<'_> {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True without images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Image `i` before the attack.
    pub(crate) fn clean(&self, i: usize) -> &[f32] {
        row(self.pixels, i, self.shape.n_values())
    }
}

/// Row `i` of rows of `len`.
pub(crate) fn row(values: &[f32], i: usize, len: usize) -> &[f32] {
    &values[i * len..][..len]
}

/// Row `i` of rows of `len`, to be changed.
pub(crate) fn row_mut(values: &mut [f32], i: usize, len: usize) -> &mut [f32] {
    &mut values[i * len..][..len]
}

/// What a guide says of one image.
pub(crate) struct Answer {
    /// Index in the batch.
    pub(crate) image: usize,
    pub(crate) loss: f64,
    pub(crate) gradient: Vec<f32>,
}

/// Images as they are being changed.
pub(crate) struct Moving<'a> {
    pub(crate) batch: &'a Batch<'a>,
    /// As `batch.pixels`.
    pub(crate) x: Vec<f32>,
    /// Images that still resist.
    active: Vec<usize>,
}

impl<'a> Moving<'a> {
    /// All images, changed by `start(image, value)` within `epsilon`.
    pub(crate) fn new(
        batch: &'a Batch,
        epsilon: f32,
        mut start: impl FnMut(usize, f32) -> f32,
    ) -> Self {
        let n = batch.shape.n_values();
        let values = batch.pixels.iter().enumerate();
        let x = values.map(|(at, &v)| project(start(at / n, v), v, epsilon));
        Self {
            batch,
            x: x.collect(),
            active: (0..batch.len()).collect(),
        }
    }

    /// Loss and gradient of every image that still resists; with `stop`, one that `guide` gets wrong
    /// stays as it is from now on and is not answered for. The length of a gradient is arbitrary.
    pub(crate) fn ask(&mut self, guide: &dyn Target, loss: Loss, stop: bool) -> Vec<Answer> {
        if self.active.is_empty() {
            return vec![];
        }
        let (batch, n) = (self.batch, self.batch.shape.n_values());
        let rows = self.active.iter().map(|&i| row(&self.x, i, n));
        let pixels: Vec<f32> = rows.flatten().copied().collect();
        let mut losses = vec![];
        let (logits, gradient) = guide.pull(&pixels, &mut |logits| {
            let rows = logits.chunks(guide.n_classes());
            let errors = rows.zip(&self.active).flat_map(|(row, &i)| {
                let (value, error) = loss.at(row, batch.labels[i], i);
                losses.push(value);
                // A confident image has an error too small for f32; only signs are used.
                let largest = error.iter().fold(f64::MIN_POSITIVE, |m, e| m.max(e.abs()));
                error.into_iter().map(move |e| (e / largest) as f32)
            });
            errors.collect()
        });
        let answers = self.active.iter().zip(losses).zip(gradient.chunks(n));
        let answers = answers.zip(logits.chunks(guide.n_classes()));
        let answers = answers.filter_map(|(((&image, loss), gradient), logits)| {
            let resists = !stop || predicted(logits) == batch.labels[image];
            resists.then(|| Answer {
                image,
                loss,
                gradient: gradient.to_vec(),
            })
        });
        let answers: Vec<Answer> = answers.collect();
        self.active = answers.iter().map(|a| a.image).collect();
        answers
    }

    /// Image `i` and what it was.
    pub(crate) fn image(&mut self, i: usize) -> (&mut [f32], &'a [f32]) {
        let n = self.batch.shape.n_values();
        (row_mut(&mut self.x, i, n), row(self.batch.pixels, i, n))
    }

    /// `x ← Π(x + step·sign(g))` for every answer.
    pub(crate) fn step(&mut self, answers: &[Answer], step: f32, epsilon: f32) {
        for answer in answers {
            let (x, clean) = self.image(answer.image);
            for ((x, &clean), &g) in x.iter_mut().zip(clean).zip(&answer.gradient) {
                *x = project(*x + step * sign(g), clean, epsilon);
            }
        }
    }
}
