//! A layer graph with numbers in it: [`Model`], generic over the backend.
//!
//! Owns initialisation, the forward pass in training and in evaluation mode, and the conversion to and
//! from plain numbers. Invariant: knows nothing of data, schedules or files.

mod layer;
mod param;

use crate::ops::{LearnOps, Pool, unwrap, wrap};
use crate::{Alignment, LearnError, LocalConfig, TrainConfig, local};
use aplysia_space::{Network, NetworkParams, NodeOp, Norm, Padding, Window};
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use layer::{Layer, Seen};
pub(crate) use param::{Moving, Param};

/// A network with parameters on a backend.
#[derive(Clone, Debug)]
pub(crate) struct Model<B: LearnOps> {
    network: Network,
    layers: Vec<Layer<B>>,
    /// Layer of each node.
    layer_of: Vec<Option<usize>>,
    device: B::Device,
}

/// The tape's view of one step.
pub(crate) struct Taped<B: LearnOps> {
    /// `[n, classes]`.
    pub(crate) logits: Tensor<Autodiff<B>, 2>,
    /// The tracked parameters, layer by layer.
    pub(crate) leaves: Vec<Vec<Tensor<Autodiff<B>, 1>>>,
    /// What each convolution layer saw.
    seen: Vec<Option<Seen<B>>>,
}

/// Checks that every operation of `network` can be computed here.
///
/// # Errors
/// [`LearnError::Unsupported`] names the first that cannot.
pub(crate) fn check_operations(network: &Network) -> Result<(), LearnError> {
    let can = |op| {
        matches!(
            op,
            NodeOp::Input
                | NodeOp::Conv {
                    dilation: 1,
                    padding: Padding::Same,
                    norm: Norm::Affine,
                    ..
                }
                | NodeOp::MaxPool(Window::HALVE)
                | NodeOp::AvgPool(Window::HALVE)
                | NodeOp::Add
                | NodeOp::GlobalAvgPool
                | NodeOp::Linear { .. }
        )
    };
    match network.nodes.iter().find(|node| !can(node.op)) {
        None => Ok(()),
        Some(node) => Err(LearnError::Unsupported {
            node: node.name.clone(),
            op: node.op.to_string(),
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

impl<B: LearnOps> Model<B> {
    /// Fresh weights.
    pub(crate) fn new(network: &Network, config: &TrainConfig, device: &B::Device) -> Self {
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
            device: device.clone(),
        }
    }

    /// All trained tensors, layer by layer.
    pub(crate) fn params_mut(&mut self) -> impl Iterator<Item = &mut Param<B>> {
        self.layers.iter_mut().flat_map(|l| &mut l.params)
    }

    /// Images `[n, h, w, c]` on this model's device.
    pub(crate) fn images(&self, values: Vec<f32>) -> Tensor<B, 4> {
        let s = self.network.nodes[0].shape;
        let shape = [values.len() / s.len(), s.h, s.w, s.c];
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    /// Forward pass with batch statistics, on the tape. `step` chooses the feedback of `brsf`.
    pub(crate) fn forward(&self, images: Tensor<B, 4>, step: u64) -> Taped<B> {
        type Ad<B> = Autodiff<B>;
        let leaves: Vec<Vec<_>> = self.layers.iter().map(Layer::leaves).collect();
        let mut seen = vec![None; self.layers.len()];
        let mut values: Vec<Tensor<Ad<B>, 4>> = vec![];
        let mut taps = vec![];
        for (i, node) in self.network.nodes.iter().enumerate() {
            let input = |j: usize| values[node.inputs[j]].clone();
            let value = match (self.layer_of[i], self.unweighted(i)) {
                (Some(at), _) => {
                    let x = self.layers[at].receive(input(0), &mut taps);
                    let y;
                    (y, seen[at]) = self.layers[at].forward(x, &leaves[at], step);
                    y
                }
                (None, Some(pool)) => wrap(Ad::<B>::pool(unwrap(input(0)), pool)),
                (None, None) if i == 0 => Tensor::from_inner(images.clone()),
                (None, None) => input(0) + input(1),
            };
            values.push(value);
        }
        let last = values.pop().expect("a network has nodes");
        let mut logits = last.flatten::<2>(1, 3);
        for (hidden, map) in taps {
            let map = Tensor::<Ad<B>, 2>::from_inner(map);
            logits = wrap(Ad::<B>::dfa_tap(
                unwrap(logits),
                unwrap(hidden),
                unwrap(map),
            ));
        }
        Taped {
            logits,
            leaves,
            seen,
        }
    }

    /// The pooling of an unweighted node; none for the input and for a sum.
    fn unweighted(&self, node: usize) -> Option<Pool> {
        let all = || self.network.input_shape(node);
        match self.network.nodes[node].op {
            NodeOp::MaxPool(w) => Some(Pool {
                max: true,
                window: [w.kernel; 2],
            }),
            NodeOp::AvgPool(w) => Some(Pool {
                max: false,
                window: [w.kernel; 2],
            }),
            NodeOp::GlobalAvgPool => Some(Pool {
                max: false,
                window: [all().h, all().w],
            }),
            _ => None,
        }
    }

    /// Moves the running statistics towards the batch's by `rate`.
    pub(crate) fn track(&mut self, taped: &Taped<B>, rate: f32) {
        for (layer, seen) in self.layers.iter_mut().zip(&taped.seen) {
            if let Some(seen) = seen {
                layer.track(seen, rate);
            }
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

    /// Forward pass in evaluation mode, without tape; `observe` sees every node's output.
    pub(crate) fn infer(
        &self,
        images: Tensor<B, 4>,
        mut observe: impl FnMut(usize, &Tensor<B, 4>),
    ) -> Tensor<B, 2> {
        let mut values: Vec<Tensor<B, 4>> = vec![];
        for (i, node) in self.network.nodes.iter().enumerate() {
            let input = |j: usize| values[node.inputs[j]].clone();
            let value = match (
                self.layer_of[i].map(|l| &self.layers[l]),
                self.unweighted(i),
            ) {
                (Some(layer), _) => layer.infer(input(0)),
                (None, Some(pool)) => wrap(B::pool_forward(unwrap(input(0)), pool)),
                (None, None) if i == 0 => images.clone(),
                (None, None) => input(0) + input(1),
            };
            observe(i, &value);
            values.push(value);
        }
        values.pop().expect("a network has nodes").flatten(1, 3)
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
