//! A classifier of which everything is known: logits linear in the pixels. The oracle of the attacks.

use aplysia_attack::{Batch, ImageShape, Target};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;

pub(crate) const SHAPE: ImageShape = ImageShape { h: 6, w: 5, c: 2 };

/// `z = W v + b`; its gradient times `honesty`, which is 1 unless it lies.
pub(crate) struct Linear {
    pub(crate) weights: Vec<Vec<f32>>,
    pub(crate) bias: Vec<f32>,
    pub(crate) honesty: f32,
    /// Every image it was asked for logits of.
    pub(crate) asked: RefCell<Vec<Vec<f32>>>,
}

impl Linear {
    pub(crate) fn random(n_classes: usize, seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        Self {
            weights: (0..n_classes).map(|_| draw(SHAPE.n_values())).collect(),
            bias: vec![0.0; n_classes],
            honesty: 1.0,
            asked: RefCell::default(),
        }
    }

    fn score(&self, image: &[f32]) -> Vec<f32> {
        let dot = |w: &Vec<f32>| w.iter().zip(image).map(|(w, v)| w * v).sum::<f32>();
        let scores = self.weights.iter().map(dot);
        scores.zip(&self.bias).map(|(z, b)| z + b).collect()
    }

    /// The smallest margin `z_y − z_o` to class `other` that any image within ε of `clean` and in [0, 1] has.
    pub(crate) fn worst(&self, clean: &[f32], label: u16, other: usize, epsilon: f32) -> f32 {
        let y = usize::from(label);
        let values = clean.iter().enumerate().map(|(i, &v)| {
            let slope = self.weights[y][i] - self.weights[other][i];
            let (low, high) = ((v - epsilon).max(0.0), (v + epsilon).min(1.0));
            if slope > 0.0 {
                slope * low
            } else {
                slope * high
            }
        });
        values.sum::<f32>() + self.bias[y] - self.bias[other]
    }
}

impl Target for Linear {
    fn n_classes(&self) -> usize {
        self.weights.len()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let images = pixels.chunks(SHAPE.n_values());
        self.asked
            .borrow_mut()
            .extend(images.clone().map(<[f32]>::to_vec));
        images.flat_map(|image| self.score(image)).collect()
    }

    fn pull(
        &self,
        pixels: &[f32],
        error: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        let images = pixels.chunks(SHAPE.n_values());
        let logits: Vec<f32> = images.flat_map(|image| self.score(image)).collect();
        let errors = error(&logits);
        let back = errors.chunks(self.n_classes()).flat_map(|error| {
            let at = |i: usize| {
                let terms = error.iter().zip(&self.weights).map(|(e, w)| e * w[i]);
                self.honesty * terms.sum::<f32>()
            };
            (0..SHAPE.n_values()).map(at).collect::<Vec<_>>()
        });
        let back = back.collect();
        (logits, back)
    }
}

/// Random images that the victim gets right, as labels are its answers.
pub(crate) struct Answered {
    pub(crate) pixels: Vec<f32>,
    pub(crate) labels: Vec<u16>,
    pub(crate) ids: Vec<usize>,
}

impl Answered {
    pub(crate) fn new(victim: &Linear, n: usize, seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let pixels: Vec<f32> = (0..n * SHAPE.n_values()).map(|_| rng.random()).collect();
        let images = pixels.chunks(SHAPE.n_values());
        let labels = images.map(|image| aplysia_attack::predicted(&victim.score(image)));
        let labels = labels.collect();
        Self {
            pixels,
            labels,
            ids: (0..n).map(|i| 7 * i + 3).collect(),
        }
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            pixels: &self.pixels,
            labels: &self.labels,
            ids: &self.ids,
            shape: SHAPE,
        }
    }
}
