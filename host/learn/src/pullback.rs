//! A trained network as a function of pixels in [0, 1], with what its feedback brings back to them.
//!
//! For attacks: the normalisation is part of the network, batch norm uses the running statistics, and the
//! error of the output is the caller's. Under `bp` in every layer what comes back is the gradient
//! `∂(Σ e·logits)/∂pixel`; under another rule it is what the rule takes for it.

use crate::checkpoint::{self, Checkpoint};
use crate::network::{Model, check_operations, numbers};
use crate::ops::LearnOps;
use crate::{Device, LearnError, TrainConfig};
use aplysia_space::{Network, NetworkParams, Rule};
use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use std::path::Path;

/// Images computed at once by [`Pullback::logits`].
const BATCH: usize = 256;

/// A network and its way back.
pub trait Pullback {
    /// Outputs of one image.
    fn n_classes(&self) -> usize;

    /// `[n, classes]` of `pixels` `[n, h, w, c]` in [0, 1].
    fn logits(&self, pixels: &[f32]) -> Vec<f32>;

    /// Logits, and what comes back to the pixels from `error(logits)` `[n, classes]`; all images at once.
    fn pull(
        &self,
        pixels: &[f32],
        error: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>);
}

/// What the feedback of a run follows from, beside its network.
#[derive(Clone, Copy, Debug)]
pub struct Teacher<'a> {
    /// Settings of the training.
    pub config: &'a TrainConfig,
    /// Its checkpoint; read if a layer's feedback is learned (`kp`).
    pub checkpoint: &'a Path,
    /// Draws that the feedback of a random rule (`brsf`) is the mean of, at least 1. A pixel's pullback is
    /// linear in the feedback of each layer and the layers' draws are independent, so its expectation over
    /// the draws is the pullback of the expected feedback: one pass does for an attack over all of them.
    pub n_draws: u32,
}

/// `params` in `network`, whose rules send the error back; input `(255·v − mean_pixel[c])/(255·std)` for
/// a pixel `v`.
///
/// # Errors
/// The device is missing, parameters or means do not fit the network, or the checkpoint is needed and
/// cannot be read.
pub fn pullback(
    network: &Network,
    params: &NetworkParams,
    (mean_pixel, std): (&[u8], f32),
    teacher: Teacher,
    device: Device,
) -> Result<Box<dyn Pullback>, LearnError> {
    check_operations(network)?;
    let (got, want) = (mean_pixel.len(), network.nodes[0].shape.c);
    if got != want {
        let what = "mean pixels";
        return Err(LearnError::Data { what, got, want });
    }
    on_device!(device, |B, place| {
        let mut model = Model::<B>::new(network, teacher.config, &place);
        model.set_params(params)?;
        if (0..network.nodes.len()).any(|node| network.rule(node) == Some(Rule::Kp)) {
            model.set_memory(&checkpoint::read::<Checkpoint>(teacher.checkpoint)?.memory)?;
        }
        let shift = mean_pixel.iter().map(|&m| -f32::from(m) / (255.0 * std));
        let shift = TensorData::new(shift.collect(), [1, 1, 1, want]);
        Ok(Box::new(Way::<B> {
            feedback: model.mean_feedback(teacher.n_draws.max(1)),
            model,
            scale: 1.0 / std,
            shift: Tensor::from_data(shift, &place),
            n_pixels: network.nodes[0].shape.len(),
            n_classes: network.n_classes,
        }))
    })
}

struct Way<B: LearnOps> {
    model: Model<B>,
    feedback: Vec<Option<Tensor<B, 1>>>,
    /// `x = v·scale + shift`.
    scale: f32,
    shift: Tensor<B, 4>,
    /// Of one image.
    n_pixels: usize,
    n_classes: usize,
}

impl<B: LearnOps> Pullback for Way<B> {
    fn n_classes(&self) -> usize {
        self.n_classes
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let batch = |pixels: &[f32]| {
            let x = self.model.images(pixels.to_vec()) * self.scale + self.shift.clone();
            numbers(self.model.infer(x, |_, _| {}))
        };
        let batches = pixels.chunks(BATCH * self.n_pixels);
        batches.flat_map(batch).collect()
    }

    fn pull(
        &self,
        pixels: &[f32],
        error: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        let images = self.model.images(pixels.to_vec());
        let images = Tensor::<Autodiff<B>, 4>::from_inner(images).require_grad();
        let x = images.clone() * self.scale + Tensor::from_inner(self.shift.clone());
        let taped = self.model.trace(x, &self.feedback);
        let logits = numbers(taped.clone().inner());
        let n = logits.len() / self.n_classes;
        let error = TensorData::new(error(&logits), [n, self.n_classes]);
        let error = Tensor::<Autodiff<B>, 2>::from_data(error, &taped.device());
        // The second term is 0: a path to the images where the rules let nothing through.
        let sum = (taped * error).sum() + (images.clone() * 0.0).sum();
        let back = images.grad(&sum.backward());
        let back = back.map_or_else(|| vec![0.0; pixels.len()], numbers);
        (logits, back)
    }
}
