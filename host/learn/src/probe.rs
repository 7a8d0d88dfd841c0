//! One look at a network under training: the gradients of a batch as the rules send them.
//!
//! For tests, and for measuring how gradients of different rules vary.

use crate::evaluate::Images;
use crate::network::{Model, Moment, Norms, check_operations, numbers};
use crate::train::loss;
use crate::{Augment, Device, LearnError, TrainConfig};
use aplysia_space::{Network, NetworkParams};
use burn::tensor::ElementConversion;

/// Loss and gradients of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchGradients {
    /// With label smoothing and the auxiliary head's share.
    pub loss: f32,
    /// Per node with parameters (the order of [`NetworkParams::layers`]) and trained tensor (weight, then γ
    /// and β, or the bias); none where no gradient arrives.
    pub layers: Vec<Vec<Option<Vec<f32>>>>,
}

/// The gradients of all `images` as one batch, as they are, at the first step of a run with `config`:
/// without augmentation and drop-path.
///
/// # Errors
/// The device is missing, or parameters or images do not fit the network.
pub fn batch_gradients(
    network: &Network,
    params: &NetworkParams,
    images: Images,
    config: &TrainConfig,
    device: Device,
) -> Result<BatchGradients, LearnError> {
    check_operations(network)?;
    images.check(network)?;
    on_device!(device, |B, place| {
        let mut model = Model::<B>::new(network, config, &place);
        model.set_params(params)?;
        let all: Vec<u32> = (0..images.len() as u32).collect();
        let pixels = Augment::NONE.batch(&images, &all, (config.seed, 0))?;
        let now = Moment {
            seed: config.seed,
            step: 0,
            drop_path: 0.0,
            norms: Norms::Batch,
            exact: false,
        };
        let taped = model.forward(model.images(pixels), now);
        let loss = loss::<B>(&taped, images.labels, config);
        let mut grads = loss.backward();
        let found = model.gradients(&taped, &mut grads);
        let mut found = found.into_iter().map(|grad| grad.map(numbers::<B, 1>));
        let layers = taped.leaves.iter();
        let layers = layers.map(|leaves| found.by_ref().take(leaves.len()).collect());
        Ok(BatchGradients {
            layers: layers.collect(),
            loss: loss.into_scalar().elem::<f32>(),
        })
    })
}
