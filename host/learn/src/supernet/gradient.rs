//! One look at a batch through the supernet: loss, and gradients by logits and weights.

use super::SupernetJob;
use super::architecture::{Draw, Layout, Tables};
use crate::network::{Mixing, Model, Moment, Norms, Table, Taped, Wanted};
use crate::ops::LearnOps;
use crate::optimizer::length;
use crate::train::{answers, loss};
use crate::{LearnError, TrainConfig};
use aplysia_space::darts::Op;
use burn::tensor::Tensor;
use std::ops::Range;

/// `R·‖v‖` of the two passes beside the weights in the second-order gradient (Liu et al. 2019).
const REACH: f32 = 0.01;

/// Normalised images with their classes.
pub(super) struct Batch {
    pub(super) pixels: Vec<f32>,
    pub(super) labels: Vec<u16>,
}

/// Where in the search a look happens.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) step: u64,
    pub(super) draw: &'a Draw,
    /// What is added to the coefficient of every identity.
    pub(super) bonus: f64,
}

/// What a look finds.
pub(super) struct Look<B: LearnOps> {
    pub(super) loss: f32,
    pub(super) n_right: u64,
    /// By the logits, if asked for.
    pub(super) by_logits: Option<Tables>,
    /// By each trained tensor, if asked for.
    pub(super) by_weights: Vec<Option<Tensor<B, 1>>>,
    pub(super) taped: Taped<B>,
}

impl<B: LearnOps> Look<B> {
    /// The look without its gradient by `logits`, and that; 0 where none was asked for.
    pub(super) fn split(mut self, logits: &Tables) -> (Self, Tables) {
        let gradient = self.by_logits.take();
        let gradient = gradient.unwrap_or_else(|| logits.with(&vec![0.0; logits.numbers().len()]));
        (self, gradient)
    }
}

/// Only the gradient by logits.
pub(super) const LOGITS: Wanted = Wanted {
    coefficients: true,
    weights: false,
};
/// Only the gradient by weights.
pub(super) const WEIGHTS: Wanted = Wanted {
    coefficients: false,
    weights: true,
};
/// Only the loss, without a tape.
pub(super) const NOTHING: Wanted = Wanted {
    coefficients: false,
    weights: false,
};
/// Both gradients.
const BOTH: Wanted = Wanted {
    coefficients: true,
    weights: true,
};

/// A supernet with numbers.
pub(super) struct Engine<'a, B: LearnOps> {
    pub(super) model: Model<B>,
    pub(super) layout: Layout,
    /// Columns of the identity.
    skips: Range<usize>,
    training: &'a TrainConfig,
    /// Whether gradients by logits are exact.
    exact: bool,
    device: B::Device,
}

impl<'a, B: LearnOps> Engine<'a, B> {
    pub(super) fn new(job: &SupernetJob<'a>, device: &B::Device) -> Self {
        let candidates = &job.supernet.candidates;
        let of_skip = |o: &Range<usize>| candidates[o.start].op == Some(Op::Skip);
        let skips = job.supernet.operations().into_iter().find(of_skip);
        Self {
            model: Model::new(&job.supernet.network, job.training, device),
            layout: Layout::new(job.supernet, job.config.partial),
            skips: skips.unwrap_or(0..0),
            training: job.training,
            exact: job.config.exact_logits,
            device: device.clone(),
        }
    }

    /// Loss and gradients of `batch` at `logits`, with the statistics of the batch.
    ///
    /// # Errors
    /// [`LearnError::Diverged`].
    pub(super) fn look(
        &self,
        batch: &Batch,
        logits: &Tables,
        wanted: Wanted,
        at: Place,
    ) -> Result<Look<B>, LearnError> {
        let q = self.layout.coefficients(logits);
        let candidates = at.draw.table(&q, (&self.skips, at.bonus));
        let whole = |table: &Vec<Vec<f64>>| -> Table {
            let row = |row: &Vec<f64>| row.iter().map(|&q| Some(q as f32)).collect();
            table.iter().map(row).collect()
        };
        let (edges, places) = (whole(&q.edges), whole(&q.places));
        let mixing = Mixing::<B>::new([&candidates, &edges, &places], wanted, &self.device);
        let now = Moment {
            seed: self.training.seed,
            step: at.step,
            drop_path: 0.0,
            norms: Norms::Batch,
            exact: wanted.coefficients && self.exact,
        };
        let images = self.model.images(batch.pixels.clone());
        let taped = self.model.forward_mixed(&mixing, images, now);
        let loss = loss::<B>(&taped, &batch.labels, self.training);
        let value = loss.clone().inner();
        let (mut by_logits, mut by_weights) = (None, vec![]);
        if wanted.coefficients || wanted.weights {
            let mut grads = loss.backward();
            if wanted.weights {
                by_weights = self.model.gradients(&taped, &mut grads);
            }
            if wanted.coefficients {
                let [candidates, edges, places] = mixing.gradients(&grads);
                let by_coefficients = Tables {
                    candidates: at.draw.gradient(candidates),
                    edges,
                    places,
                };
                by_logits = Some(self.layout.gradient(logits, &by_coefficients));
            }
        }
        // Last, as it waits for a GPU.
        let (loss, n_right) = answers(value, &taped.logits, &batch.labels, at.step)?;
        Ok(Look {
            loss,
            n_right,
            by_logits,
            by_weights,
            taped,
        })
    }

    /// The gradient of `L_valid(w − ξ(μv + ∇L_train(w, α) + λw), α)` by α, with the look at the validation
    /// batch; the second derivative by the difference of two gradients:
    /// `∂L_valid(w')/∂α − ξ·(∂L_train(w⁺)/∂α − ∂L_train(w⁻)/∂α)/2R`, `w^± = w ± R·∂L_valid(w')/∂w'`.
    ///
    /// `ξ` is `lr`, `v` the momentum, and the step is the published one, without Nesterov's look ahead. The step goes
    /// along the rules' own feedback; how it depends on α is taken from the exact gradient, if logits have that.
    /// Weights are back where they were afterwards.
    ///
    /// # Errors
    /// [`LearnError::Diverged`].
    pub(super) fn look_ahead(
        &mut self,
        (train, valid): (&Batch, &Batch),
        logits: &Tables,
        lr: f32,
        at: Place,
    ) -> Result<(Look<B>, Tables), LearnError> {
        let start: Vec<_> = self
            .model
            .params_mut()
            .map(|p| p.forward.value.clone())
            .collect();
        let found = self.around(&start, (train, valid), logits, lr, at);
        self.place(&start, |_, w| w.clone());
        found
    }

    fn around(
        &mut self,
        start: &[Tensor<B, 1>],
        (train, valid): (&Batch, &Batch),
        logits: &Tables,
        lr: f32,
        at: Place,
    ) -> Result<(Look<B>, Tables), LearnError> {
        let (momentum, decay) = (self.training.momentum, self.training.weight_decay);
        let first = self.look(train, logits, WEIGHTS, at)?.by_weights;
        let params = self.model.params_mut().zip(start).zip(&first);
        for ((p, w), grad) in params {
            let Some(grad) = grad else { continue };
            let decay = if p.decay { decay } else { 0.0 };
            let step = p.forward.velocity.clone() * momentum + grad.clone() + w.clone() * decay;
            p.forward.value = w.clone() - step * lr;
        }
        let ahead = self.look(valid, logits, BOTH, at)?;
        let direction = &ahead.by_weights;
        let reach = REACH / length(direction).max(f32::MIN_POSITIVE);
        let mut beside = |reach: f32| {
            self.place(start, |i, w| match &direction[i] {
                Some(v) => w.clone() + v.clone() * reach,
                None => w.clone(),
            });
            self.look(train, logits, LOGITS, at)
                .map(|look| look.by_logits)
        };
        let (plus, minus) = (beside(reach)?, beside(-reach)?);
        let numbers = |t: &Option<Tables>| t.as_ref().map_or(vec![], Tables::numbers);
        let factor = f64::from(lr) / (2.0 * f64::from(reach));
        let curved = numbers(&plus).into_iter().zip(numbers(&minus));
        let all = numbers(&ahead.by_logits).into_iter().zip(curved);
        let all: Vec<f64> = all.map(|(g, (p, m))| g - factor * (p - m)).collect();
        Ok((ahead, logits.with(&all)))
    }

    /// Sets every trained tensor to `value` of its number and its start.
    fn place(
        &mut self,
        start: &[Tensor<B, 1>],
        value: impl Fn(usize, &Tensor<B, 1>) -> Tensor<B, 1>,
    ) {
        let params = self.model.params_mut().zip(start).enumerate();
        params.for_each(|(i, (p, w))| p.forward.value = value(i, w));
    }
}
