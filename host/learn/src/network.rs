//! A layer graph with numbers in it: [`Model`], generic over the backend.
//!
//! Owns initialisation, the forward pass in training and in evaluation mode, and the conversion to and
//! from plain numbers. Invariant: knows nothing of data, schedules or files.

mod kind;
mod layer;
mod mixing;
mod param;
mod plain;
mod route;
mod taught;
mod trace;

use crate::memory::keep_freed;
use crate::ops::{LearnOps, unwrap, wrap};
use crate::{Alignment, LearnError, LocalConfig, TrainConfig, local};
use aplysia_space::{Network, NetworkParams, NodeOp};
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData, Transaction};
use layer::{Layer, Seen};
pub(crate) use mixing::{Mixing, Table, Wanted};
pub(crate) use param::{Moving, Param};
use route::Route;
use taught::Tap;

/// A network with parameters on a backend.
#[derive(Clone, Debug)]
pub(crate) struct Model<B: LearnOps> {
    network: Network,
    layers: Vec<Layer<B>>,
    /// Layer of each node.
    layer_of: Vec<Option<usize>>,
    /// The way of a pass that shows every node.
    route: Route,
    /// The way of a pass on the tape, without mixtures.
    shared: Route,
    device: B::Device,
}

/// The statistics that batch norm divides by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Norms {
    /// Those of the batch.
    #[default]
    Batch,
    /// The running ones, as constants.
    Running,
}

/// What a training pass depends on beside images and numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Seed of the run.
    pub(crate) seed: u64,
    /// Optimizer steps done: chooses the feedback of `brsf` and what drop-path drops.
    pub(crate) step: u64,
    /// Probability that drop-path drops a map.
    pub(crate) drop_path: f32,
    /// Of batch norm.
    pub(crate) norms: Norms,
    /// Whether every layer hands the exact gradient down, whatever its rule.
    pub(crate) exact: bool,
}

/// The tape's view of one step.
pub(crate) struct Taped<B: LearnOps> {
    /// `[n, classes]`.
    pub(crate) logits: Tensor<Autodiff<B>, 2>,
    /// Those of the auxiliary head, if there is one.
    pub(crate) auxiliary: Option<Tensor<Autodiff<B>, 2>>,
    /// The tracked parameters, layer by layer.
    pub(crate) leaves: Vec<Vec<Tensor<Autodiff<B>, 1>>>,
    /// What each layer with statistics saw.
    seen: Vec<Option<Seen<B>>>,
}

/// Checks that every operation of `network` can be computed here.
///
/// # Errors
/// [`LearnError::Mixture`] names the first mixture: a supernet is no network to be trained alone.
pub(crate) fn check_operations(network: &Network) -> Result<(), LearnError> {
    let mixture = |op| matches!(op, NodeOp::Mix { .. });
    match network.nodes.iter().find(|node| mixture(node.op)) {
        None => Ok(()),
        Some(node) => Err(LearnError::Mixture {
            node: node.name.clone(),
        }),
    }
}

fn vector<B: LearnOps>(values: Vec<f32>, device: &B::Device) -> Tensor<B, 1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// The numbers of a tensor.
pub(crate) fn numbers<B: LearnOps, const D: usize>(t: Tensor<B, D>) -> Vec<f32> {
    t.into_data()
        .convert::<f32>()
        .into_vec()
        .unwrap_or_default()
}

/// [`numbers`] of several, read back together: a GPU is waited for once.
pub(crate) fn numbers_of<B: LearnOps>(tensors: Vec<Tensor<B, 1>>) -> Vec<Vec<f32>> {
    if tensors.is_empty() {
        return vec![];
    }
    let all = tensors.into_iter();
    let all = all.fold(Transaction::<B>::default(), Transaction::register);
    let plain = |data: TensorData| data.convert::<f32>().into_vec().unwrap_or_default();
    all.execute().into_iter().map(plain).collect()
}

impl<B: LearnOps> Model<B> {
    /// Fresh weights.
    pub(crate) fn new(network: &Network, config: &TrainConfig, device: &B::Device) -> Self {
        keep_freed();
        let mut layers = vec![];
        let mut layer_of = vec![];
        for node in 0..network.nodes.len() {
            let layer = Layer::new(network, node, layers.len(), config, device);
            layer_of.push(layer.is_some().then_some(layers.len()));
            layers.extend(layer);
        }
        Self {
            network: network.clone(),
            layers,
            layer_of,
            route: Route::new(network),
            shared: Route::shared(network, |_, _| true),
            device: device.clone(),
        }
    }

    /// All trained tensors, layer by layer.
    pub(crate) fn params_mut(&mut self) -> impl Iterator<Item = &mut Param<B>> {
        self.layers.iter_mut().flat_map(|l| &mut l.params)
    }

    /// Whether each of [`Model::params_mut`] is γ or β of a batch norm.
    pub(crate) fn affine(&self) -> Vec<bool> {
        self.layers.iter().flat_map(Layer::affine_params).collect()
    }

    /// Images `[n, h, w, c]` on this model's device.
    pub(crate) fn images(&self, values: Vec<f32>) -> Tensor<B, 4> {
        let s = self.network.nodes[0].shape;
        let shape = [values.len() / s.len(), s.h, s.w, s.c];
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    /// Forward pass on the tape.
    pub(crate) fn forward(&self, images: Tensor<B, 4>, now: Moment) -> Taped<B> {
        self.pass(&self.shared, |_, _| None, true, (images, now))
    }

    /// Forward pass along `route`; `mix` computes the nodes that are mixtures. Weights are on the tape
    /// if `tracked`.
    fn pass(
        &self,
        route: &Route,
        mix: impl Fn(usize, Vec<Tensor<Autodiff<B>, 4>>) -> Option<Tensor<Autodiff<B>, 4>>,
        tracked: bool,
        (images, now): (Tensor<B, 4>, Moment),
    ) -> Taped<B> {
        let n = images.dims()[0];
        let leaves: Vec<Vec<_>> = self.layers.iter().map(|l| l.leaves(tracked)).collect();
        let mut seen = vec![None; self.layers.len()];
        let (mut taps, mut taps_aside) = (vec![], vec![]);
        let mut auxiliary = None;
        let images = Tensor::from_inner(images);
        let logits = self.walk(
            route,
            |i| route.main[i] || route.aside[i],
            images,
            |i, mut inputs| {
                let node = &self.network.nodes[i];
                let value = if let Some(at) = self.layer_of[i] {
                    let taps = if route.main[i] {
                        &mut taps
                    } else {
                        &mut taps_aside
                    };
                    let x = self.layers[at].receive(inputs.remove(0), taps, now);
                    let y;
                    (y, seen[at]) = self.layers[at].forward(x, &leaves[at], now);
                    y
                } else if let NodeOp::Mix { .. } = node.op {
                    let s = node.shape;
                    let nothing = || Tensor::zeros([n, s.h, s.w, s.c], &self.device);
                    mix(i, inputs).unwrap_or_else(nothing)
                } else {
                    let from = (!node.inputs.is_empty()).then(|| self.network.input_shape(i));
                    let y = plain::compute(node, from, (n, &self.device), inputs);
                    match node.op {
                        NodeOp::DropPath => plain::dropped(y, i, now),
                        _ => y,
                    }
                };
                if self.network.auxiliary == Some(i) {
                    auxiliary = Some(value.clone());
                }
                value
            },
        );
        Taped {
            logits: tapped(logits.flatten::<2>(1, 3), taps),
            auxiliary: auxiliary.map(|y| tapped(y.flatten::<2>(1, 3), taps_aside)),
            leaves,
            seen,
        }
    }

    /// The values of all nodes of `route` for which `wanted` holds, each let go after its last use; gives
    /// the last.
    fn walk<T: LearnOps>(
        &self,
        route: &Route,
        wanted: impl Fn(usize) -> bool,
        images: Tensor<T, 4>,
        mut compute: impl FnMut(usize, Vec<Tensor<T, 4>>) -> Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        let mut values: Vec<Option<Tensor<T, 4>>> = vec![None; self.network.nodes.len()];
        values[0] = Some(images);
        for (i, reads) in route.inputs.iter().enumerate().skip(1) {
            if !wanted(i) {
                continue;
            }
            let inputs = reads.iter();
            let inputs = inputs.map(|&j| values[j].clone().expect("read before its last use"));
            let inputs = inputs.collect();
            for &j in reads.iter().filter(|&&j| route.last_reader[j] == i) {
                values[j] = None;
            }
            values[i] = Some(compute(i, inputs));
        }
        let last = values.pop().flatten();
        last.expect("the last node is the classifier")
    }

    /// Moves the running statistics towards the batch's by `rate`.
    pub(crate) fn track(&mut self, taped: &Taped<B>, rate: f32) {
        let layers = self.layers.iter_mut().zip(&taped.seen);
        let pairs = layers.filter_map(|(layer, seen)| layer.tracked(seen.as_ref()?));
        let (running, pairs): (Vec<_>, Vec<_>) = pairs.flatten().unzip();
        for (running, mixed) in running.into_iter().zip(B::blend(pairs, rate)) {
            *running = wrap(mixed);
        }
    }

    /// The gradient of every trained tensor; none where nothing reaches it, and for the weights that
    /// follow a local rule.
    pub(crate) fn gradients(
        &self,
        taped: &Taped<B>,
        grads: &mut <Autodiff<B> as AutodiffBackend>::Gradients,
    ) -> Vec<Option<Tensor<B, 1>>> {
        let mut all = vec![];
        for (layer, leaves) in self.layers.iter().zip(&taped.leaves) {
            let of = |leaf: &Tensor<Autodiff<B>, 1>| leaf.grad_remove(grads);
            let found: Vec<_> = leaves.iter().map(of).collect();
            all.extend(found.into_iter().map(|g| g.map(|g| layer.clipped(g))));
        }
        all
    }

    /// One step of every local rule after `step` of `n_steps`; `factor` is the schedule's.
    pub(crate) fn learn_locally(
        &mut self,
        taped: &Taped<B>,
        config: &LocalConfig,
        (step, n_steps, factor): (u64, u64, f32),
    ) {
        let n_waiting = self.layers.iter().filter(|l| l.takes_turns()).count();
        let turn = local::turn(step, n_steps, config.softhebb_share, n_waiting);
        let mut place = 0;
        for (layer, seen) in self.layers.iter_mut().zip(&taped.seen) {
            let waits = layer.takes_turns();
            if let (Some(seen), true) = (seen, !waits || turn == Some(place)) {
                layer.learn(seen, config, factor);
            }
            place += usize::from(waits);
        }
    }

    /// Brings weights back to their first length where the rule's options say so.
    pub(crate) fn constrain(&mut self) {
        self.layers.iter_mut().for_each(Layer::constrain);
    }

    /// Forward pass in evaluation mode, without tape; `observe` sees the output of every node that the
    /// classifier needs.
    pub(crate) fn infer(
        &self,
        images: Tensor<B, 4>,
        mut observe: impl FnMut(usize, &Tensor<B, 4>),
    ) -> Tensor<B, 2> {
        let n = images.dims()[0];
        observe(0, &images);
        let last = self.walk(
            &self.route,
            |i| self.route.main[i],
            images,
            |i, mut inputs| {
                let node = &self.network.nodes[i];
                let value = if let Some(at) = self.layer_of[i] {
                    self.layers[at].infer(inputs.remove(0))
                } else {
                    let from = (!node.inputs.is_empty()).then(|| self.network.input_shape(i));
                    plain::compute(node, from, (n, &self.device), inputs)
                };
                observe(i, &value);
                value
            },
        );
        last.flatten(1, 3)
    }

    /// Angle and length of every layer's feedback at `step`; none where the rule has no `B` like `W`.
    pub(crate) fn alignment(&self, step: u64) -> Vec<Option<Alignment>> {
        self.layers
            .iter()
            .map(|layer| layer.alignment(step))
            .collect()
    }

    /// The parameters as plain numbers.
    pub(crate) fn to_params(&self) -> NetworkParams {
        NetworkParams {
            layers: self.layers.iter().map(Layer::to_params).collect(),
        }
    }

    /// Replaces the parameters (momentum is kept).
    ///
    /// # Errors
    /// [`LearnError::Params`] when a length differs from this network's.
    pub(crate) fn set_params(&mut self, params: &NetworkParams) -> Result<(), LearnError> {
        let (got, want) = (params.layers.len(), self.layers.len());
        if got != want {
            return Err(LearnError::Params {
                layer: want,
                got,
                want,
            });
        }
        let mut layers = self.layers.iter_mut().zip(&params.layers).enumerate();
        layers.try_for_each(|(at, (layer, new))| layer.set_params(at, new))
    }

    /// What the next step depends on beside the parameters: momentum, and learned feedback with its own.
    pub(crate) fn memory(&mut self) -> Vec<Vec<f32>> {
        let all = self.params_mut().flat_map(Param::memory);
        all.map(|t| numbers(t.clone())).collect()
    }

    /// Replaces what [`Model::memory`] gives.
    ///
    /// # Errors
    /// [`LearnError::Params`] when a length differs from this network's.
    pub(crate) fn set_memory(&mut self, memory: &[Vec<f32>]) -> Result<(), LearnError> {
        let device = self.device.clone();
        let want = self.params_mut().flat_map(Param::memory).count();
        let wrong = |layer, got, want| LearnError::Params { layer, got, want };
        if memory.len() != want {
            return Err(wrong(0, memory.len(), want));
        }
        let own = self.params_mut().flat_map(Param::memory);
        for (at, (own, new)) in own.zip(memory).enumerate() {
            let want = own.dims()[0];
            if new.len() != want {
                return Err(wrong(at, new.len(), want));
            }
            *own = vector(new.clone(), &device);
        }
        Ok(())
    }
}

/// `logits` with the direct feedback of `taps`.
fn tapped<B: LearnOps>(
    mut logits: Tensor<Autodiff<B>, 2>,
    taps: Vec<Tap<B>>,
) -> Tensor<Autodiff<B>, 2> {
    for (hidden, map) in taps {
        let map = unwrap(Tensor::<Autodiff<B>, 2>::from_inner(map));
        logits = wrap(Autodiff::<B>::dfa_tap(unwrap(logits), unwrap(hidden), map));
    }
    logits
}
