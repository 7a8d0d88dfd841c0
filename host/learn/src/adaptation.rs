//! A trained network that goes on learning from a stream, in floating point: the baselines of learning on
//! a device.
//!
//! Owns the rules [`StreamRule`] and the order of their steps. It must not know integers, devices or where
//! a stream comes from. Every rule learns with exact gradients, whatever rules trained the network. Flow:
//! trained parameters, stream → **[`adapt`]** → parameters after some images → [`crate::evaluate()`].
//!
//! [`StreamRule::Reestimate`], [`StreamRule::Entropy`] and [`StreamRule::Batches`] replace the running
//! statistics by those of all images seen so far, taken as one batch, whenever parameters leave.

use crate::evaluate::Images;
use crate::network::{Model, Moment, Norms, check_operations};
use crate::ops::LearnOps;
use crate::optimizer::{Adam, Sgd};
use crate::train::cross_entropy;
use crate::{Augment, Device, LearnError, TrainConfig};
use aplysia_space::{Network, NetworkParams, NodeOp, Rule};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};

/// What a stream changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamRule {
    /// Nothing.
    Nothing,
    /// The statistics of batch norm, without labels (Li et al. 2016, arXiv:1603.04779).
    Reestimate,
    /// γ and β of batch norm, without labels: Adam (β 0.9 and 0.999, ε 1e-8, no decay) on the entropy
    /// `−(1/n) Σ p·log p` of one batch after the other, under the batch's statistics; one step per batch.
    /// TENT (Wang et al. 2021, arXiv:2006.10726), whose settings on CIFAR-10-C are rate 0.001 and batches of
    /// 200; here batches of [`ENTROPY_BATCH`], as the shortest stream has no more.
    Entropy {
        /// Learning rate.
        rate: f32,
    },
    /// Every weight, bias, γ and β: plain gradient descent on the cross-entropy, one step per label, under
    /// the running statistics, which stay.
    Labels {
        /// Learning rate.
        rate: f32,
    },
    /// As [`StreamRule::Labels`], one step per [`LABEL_BATCH`] labels, under the batch's statistics.
    Batches {
        /// Learning rate.
        rate: f32,
    },
}

/// Images of a step of [`StreamRule::Entropy`].
pub const ENTROPY_BATCH: usize = 50;
/// Images of a step of [`StreamRule::Batches`].
pub const LABEL_BATCH: usize = 10;

impl StreamRule {
    fn batch(self) -> usize {
        match self {
            StreamRule::Entropy { .. } => ENTROPY_BATCH,
            StreamRule::Batches { .. } => LABEL_BATCH,
            StreamRule::Nothing | StreamRule::Reestimate | StreamRule::Labels { .. } => 1,
        }
    }

    fn norms(self) -> Norms {
        match self {
            StreamRule::Nothing | StreamRule::Labels { .. } => Norms::Running,
            _ => Norms::Batch,
        }
    }
}

/// The parameters after each of `checkpoints` images that `stream` has; labels are those of `stream`.
/// A rest of a batch before a checkpoint is a smaller batch.
///
/// # Errors
/// The device is missing, parameters or images do not fit the network, or the parameters diverged.
pub fn adapt(
    network: &Network,
    params: &NetworkParams,
    rule: StreamRule,
    stream: Images<'_>,
    checkpoints: &[usize],
    device: Device,
) -> Result<Vec<NetworkParams>, LearnError> {
    check_operations(network)?;
    stream.check(network)?;
    let network = exact(network.clone());
    on_device!(device, |B, place| {
        let mut model = Model::<B>::new(&network, &TrainConfig::default(), &place);
        model.set_params(params)?;
        follow(model, rule, stream, checkpoints)
    })
}

/// The same graph, every layer of which hands down the exact gradient.
fn exact(mut network: Network) -> Network {
    for node in &mut network.nodes {
        if let NodeOp::Conv { rule, .. } | NodeOp::Linear { rule } = &mut node.op {
            *rule = Rule::Bp;
        }
    }
    network
}

fn follow<B: LearnOps>(
    mut model: Model<B>,
    rule: StreamRule,
    stream: Images<'_>,
    checkpoints: &[usize],
) -> Result<Vec<NetworkParams>, LearnError> {
    let mut adam = Adam::default();
    let (mut seen, mut kept) = (0, vec![]);
    for &end in checkpoints.iter().filter(|&&end| end <= stream.len()) {
        while seen < end {
            let next = (seen + rule.batch()).min(end);
            let batch = stream.slice(seen..next);
            match rule {
                StreamRule::Nothing | StreamRule::Reestimate => {}
                StreamRule::Entropy { rate } => {
                    lower_entropy(&mut model, batch, &mut adam, rate)?;
                }
                StreamRule::Labels { rate } | StreamRule::Batches { rate } => {
                    descend(&mut model, batch, rule.norms(), rate)?;
                }
            }
            seen = next;
        }
        kept.push(match rule.norms() {
            Norms::Running => model.to_params(),
            Norms::Batch => reestimated(&model, stream.slice(0..seen))?,
        });
    }
    let all = kept.iter().flat_map(|params| &params.layers);
    match all.flat_map(|layer| &layer.weight).all(|w| w.is_finite()) {
        true => Ok(kept),
        false => Err(LearnError::Diverged { step: seen as u64 }),
    }
}

fn now(norms: Norms) -> Moment {
    Moment {
        norms,
        ..Moment::default()
    }
}

fn pixels<B: LearnOps>(model: &Model<B>, images: Images<'_>) -> Result<Tensor<B, 4>, LearnError> {
    let all: Vec<u32> = (0..images.len() as u32).collect();
    Ok(model.images(Augment::NONE.batch(&images, &all, (0, 0))?))
}

/// The parameters with the statistics of `images` as one batch.
fn reestimated<B: LearnOps>(
    model: &Model<B>,
    images: Images<'_>,
) -> Result<NetworkParams, LearnError> {
    let mut model = model.clone();
    let taped = model.forward(pixels(&model, images)?, now(Norms::Batch));
    model.track(&taped, 1.0);
    Ok(model.to_params())
}

fn descend<B: LearnOps>(
    model: &mut Model<B>,
    images: Images<'_>,
    norms: Norms,
    rate: f32,
) -> Result<(), LearnError> {
    let taped = model.forward(pixels(model, images)?, now(norms));
    let loss = cross_entropy::<B>(taped.logits.clone(), images.labels, 0.0);
    let grads = model.gradients(&taped, &mut loss.backward());
    let sgd = Sgd {
        lr: rate,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        clip_norm: 0.0,
    };
    sgd.step(model.params_mut(), grads);
    Ok(())
}

fn lower_entropy<B: LearnOps>(
    model: &mut Model<B>,
    images: Images<'_>,
    adam: &mut Adam<B>,
    rate: f32,
) -> Result<(), LearnError> {
    let taped = model.forward(pixels(model, images)?, now(Norms::Batch));
    let loss = entropy::<B>(taped.logits.clone());
    let grads = model.gradients(&taped, &mut loss.backward());
    let affine = model.affine();
    let params = model.params_mut().zip(affine).zip(grads);
    let affine =
        params.filter_map(|((param, affine), grad)| Some((param, grad.filter(|_| affine)?)));
    adam.step(affine, rate);
    Ok(())
}

/// `−(1/n) Σ p·log p`, `p = softmax(logits)`.
fn entropy<B: LearnOps>(logits: Tensor<Autodiff<B>, 2>) -> Tensor<Autodiff<B>, 1> {
    let n = logits.dims()[0];
    let p = softmax(logits.clone(), 1);
    (log_softmax(logits, 1) * p).sum() / -(n as f32)
}
