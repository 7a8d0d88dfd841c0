//! How much the gradients of a run differ from batch to batch, at the step where its checkpoint stands.

use super::{Batches, Job, Run};
use crate::network::{check_operations, numbers};
use crate::{LearnError, ops::LearnOps};
use serde::{Deserialize, Serialize};

/// Gradients of the weights of one layer over several batches, as its rule sends them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientNoise {
    /// Weights of the layer.
    pub n_weights: usize,
    /// `Σᵢ Var(gᵢ)` over the weights `i`: unbiased variance over the batches.
    pub variance: f64,
    /// `Σᵢ mean(gᵢ)²`: the square of the length of the mean gradient.
    pub mean_square: f64,
}

/// Gradients of the next `n_batches` batches of the run of `job`, without a step between them: its own order,
/// augmentation and random feedback, its parameters and learned feedback as its checkpoint has them, or the
/// first ones without a checkpoint. Per layer with parameters; none where no gradient arrives.
///
/// # Errors
/// As [`train`](super::train); [`LearnError::Config`] for fewer than 2 batches, which have no variance.
pub fn gradient_noise(
    job: &Job,
    n_batches: usize,
) -> Result<Vec<Option<GradientNoise>>, LearnError> {
    job.config.check()?;
    check_operations(job.network)?;
    job.train.check(job.network)?;
    if n_batches < 2 {
        return Err(LearnError::Config {
            field: "n_batches",
            got: n_batches as f64,
            allowed: "2 and more",
        });
    }
    on_device!(job.device, |B, place| Run::<B>::new(job, &place)?
        .noise(n_batches))
}

/// Sums over the batches, per weight.
#[derive(Clone, Default)]
struct Sums {
    first: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn add(&mut self, gradient: &[f32]) {
        self.first.resize(gradient.len(), 0.0);
        self.squares.resize(gradient.len(), 0.0);
        for ((first, square), &g) in self.first.iter_mut().zip(&mut self.squares).zip(gradient) {
            *first += f64::from(g);
            *square += f64::from(g).powi(2);
        }
    }

    fn noise(&self, n: f64) -> Option<GradientNoise> {
        let pairs = || self.first.iter().zip(&self.squares);
        let variance = |(a, b): (&f64, &f64)| ((b - a * a / n) / (n - 1.0)).max(0.0);
        (!self.first.is_empty()).then(|| GradientNoise {
            n_weights: self.first.len(),
            variance: pairs().map(variance).sum(),
            mean_square: self.first.iter().map(|a| (a / n).powi(2)).sum(),
        })
    }
}

impl<B: LearnOps> Run<'_, B> {
    fn noise(mut self, n_batches: usize) -> Result<Vec<Option<GradientNoise>>, LearnError> {
        let mut layers: Vec<Sums> = vec![];
        for batch in Batches::new(self.job, self.step).take(n_batches) {
            let pass = self.pass(batch?);
            self.answers(&pass)?;
            layers.resize(pass.taped.leaves.len(), Sums::default());
            let mut grads = pass.grads.into_iter();
            for (sums, leaves) in layers.iter_mut().zip(&pass.taped.leaves) {
                // The weight is the first tensor of a layer.
                let mut own = grads.by_ref().take(leaves.len());
                let weight = own.next().flatten();
                own.for_each(drop);
                if let Some(gradient) = weight {
                    sums.add(&numbers(gradient));
                }
            }
            self.step += 1;
        }
        Ok(layers
            .iter()
            .map(|sums| sums.noise(n_batches as f64))
            .collect())
    }
}
