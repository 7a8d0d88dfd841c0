//! A layer graph with numbers in it: [`Model`], generic over the backend.
//!
//! Owns initialisation, the forward pass in training and in evaluation mode, and the conversion to and
//! from plain numbers. Invariant: knows nothing of data, schedules or files.

use crate::LearnError;
use crate::ops::{BN_EPS, ConvGeometry, ConvParams, LearnOps, Pool, unwrap, wrap};
use crate::random::{Purpose, stream, uniform};
use crate::rule::{
    Alignment, Fan, Feedback, FeedbackScale, FeedbackSpec, dfa_conv_map, dfa_feedback,
};
use aplysia_space::{BatchNorm, LayerParams, Network, NetworkParams, NodeOp, Rule};
use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};

/// One trained tensor, flat.
#[derive(Clone, Debug)]
pub(crate) struct Param<B: LearnOps> {
    pub(crate) value: Tensor<B, 1>,
    /// Momentum of the optimizer.
    pub(crate) velocity: Tensor<B, 1>,
    /// Whether weight decay applies.
    pub(crate) decay: bool,
}

/// Running batch-norm statistics.
#[derive(Clone, Debug)]
struct Running<B: LearnOps> {
    mean: Tensor<B, 1>,
    var: Tensor<B, 1>,
}

/// What a weighted layer is.
#[derive(Clone, Debug)]
enum Kind<B: LearnOps> {
    /// Trained: weight (OIHW), γ, β.
    Conv {
        geometry: ConvGeometry,
        running: Running<B>,
    },
    /// Trained: weight `[out, in]`, bias.
    Linear { d_in: usize, d_out: usize },
}

/// One weighted layer.
#[derive(Clone, Debug)]
struct Layer<B: LearnOps> {
    kind: Kind<B>,
    feedback: Feedback<B>,
    /// `dfa` only: `[classes, elements of the input]`.
    direct: Option<Tensor<B, 2>>,
    params: Vec<Param<B>>,
}

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
    /// Batch mean and variance of each layer that has a batch norm.
    moments: Vec<Option<(Tensor<B, 1>, Tensor<B, 1>)>>,
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

impl<B: LearnOps> Param<B> {
    fn new(values: Vec<f32>, decay: bool, device: &B::Device) -> Self {
        let value = vector::<B>(values, device);
        Self {
            velocity: value.zeros_like(),
            value,
            decay,
        }
    }
}

impl<B: LearnOps> Layer<B> {
    fn new(
        network: &Network,
        node: usize,
        at: (u64, usize),
        scale: FeedbackScale,
        device: &B::Device,
    ) -> Option<Self> {
        let (input, output) = (|| network.input_shape(node), network.nodes[node].shape);
        let n_classes = network.n_classes;
        let (kind, fan, kernel, rule) = match network.nodes[node].op {
            NodeOp::Conv {
                kernel,
                stride,
                depthwise,
                relu,
                rule,
            } => {
                let input = input();
                let groups = if depthwise { input.c } else { 1 };
                let geometry = ConvGeometry {
                    input,
                    output,
                    kernel,
                    stride,
                    groups,
                    relu,
                };
                let running = Running {
                    mean: Tensor::zeros([output.c], device),
                    var: Tensor::ones([output.c], device),
                };
                (
                    Kind::Conv { geometry, running },
                    Fan::conv(&geometry),
                    kernel,
                    rule,
                )
            }
            NodeOp::Linear { rule } => {
                let (d_in, d_out) = (input().len(), output.c);
                let fan = Fan {
                    fan_in: d_in,
                    fan_out: d_out,
                };
                (Kind::Linear { d_in, d_out }, fan, 1, rule)
            }
            _ => return None,
        };
        let n = network.n_weights(node);
        let weight = uniform(&mut stream(at.0, Purpose::Weights, at.1, 0), fan.bound(), n);
        let mut params = vec![Param::new(weight, true, device)];
        match &kind {
            Kind::Conv { .. } => {
                params.push(Param::new(vec![1.0; output.c], false, device));
                params.push(Param::new(vec![0.0; output.c], false, device));
            }
            Kind::Linear { d_out, .. } => {
                params.push(Param::new(vec![0.0; *d_out], false, device));
            }
        }
        let direct = (rule == Rule::Dfa).then(|| {
            let b = dfa_feedback(n_classes, input().c, kernel, at);
            let map = match &kind {
                Kind::Conv { geometry, .. } => dfa_conv_map(geometry, n_classes, &b),
                Kind::Linear { .. } => b,
            };
            vector::<B>(map, device).reshape([n_classes, input().len()])
        });
        let feedback = Feedback::new(
            FeedbackSpec {
                rule,
                scale,
                fan,
                seed: at.0,
                layer: at.1,
            },
            n,
            device,
        );
        Some(Self {
            kind,
            feedback,
            direct,
            params,
        })
    }

    /// Batch norm in evaluation mode: scale and shift per channel.
    fn affine(&self, running: &Running<B>) -> (Tensor<B, 1>, Tensor<B, 1>) {
        let [_, gamma, beta] = &self.params[..] else {
            unreachable!("a convolution has three")
        };
        let scale = gamma.value.clone() / (running.var.clone() + BN_EPS).sqrt();
        let shift = beta.value.clone() - running.mean.clone() * scale.clone();
        (scale, shift)
    }
}

impl<B: LearnOps> Model<B> {
    /// Fresh weights from `seed`.
    pub(crate) fn new(
        network: &Network,
        seed: u64,
        scale: FeedbackScale,
        device: &B::Device,
    ) -> Self {
        let mut layers = vec![];
        let mut layer_of = vec![];
        for node in 0..network.nodes.len() {
            let layer = Layer::new(network, node, (seed, layers.len()), scale, device);
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
        let tracked = |p: &Param<B>| Tensor::<Ad<B>, 1>::from_inner(p.value.clone()).require_grad();
        let leaves: Vec<Vec<_>> = self
            .layers
            .iter()
            .map(|l| l.params.iter().map(tracked).collect())
            .collect();
        let mut moments = vec![None; self.layers.len()];
        let mut values: Vec<Tensor<Ad<B>, 4>> = vec![];
        let mut taps = vec![];
        for (i, node) in self.network.nodes.iter().enumerate() {
            let input = |j: usize| values[node.inputs[j]].clone();
            let value = if let Some(at) = self.layer_of[i] {
                let (layer, leaf) = (&self.layers[at], &leaves[at]);
                let mut x = input(0);
                if let Some(map) = &layer.direct {
                    taps.push((x.clone(), map.clone()));
                    x = x.detach();
                }
                let feedback = Tensor::from_inner(layer.feedback.at(&layer.params[0].value, step));
                match &layer.kind {
                    Kind::Conv { geometry, .. } => {
                        let params = ConvParams {
                            weight: unwrap(leaf[0].clone()),
                            feedback: unwrap::<Ad<B>, 1>(feedback),
                            gamma: unwrap(leaf[1].clone()),
                            beta: unwrap(leaf[2].clone()),
                        };
                        let y = Ad::<B>::conv(unwrap(x), params, geometry);
                        let inner = |t| wrap::<Ad<B>, 1>(t).inner();
                        moments[at] = Some((inner(y.mean), inner(y.var)));
                        wrap(y.out)
                    }
                    Kind::Linear { d_in, d_out } => {
                        let n = x.dims()[0];
                        let matrix = |t: Tensor<Ad<B>, 1>| unwrap(t.reshape([*d_out, *d_in]));
                        let y = Ad::<B>::linear_feedback(
                            unwrap(x.reshape([n, *d_in])),
                            matrix(leaf[0].clone()),
                            matrix(feedback),
                        );
                        let y = wrap::<Ad<B>, 2>(y) + leaf[1].clone().reshape([1, *d_out]);
                        y.reshape([n, 1, 1, *d_out])
                    }
                }
            } else {
                match self.unweighted(i) {
                    None if i == 0 => Tensor::from_inner(images.clone()),
                    None => input(0) + input(1),
                    Some(pool) => wrap(Ad::<B>::pool(unwrap(input(0)), pool)),
                }
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
            moments,
        }
    }

    /// The pooling of an unweighted node; none for the input and for a sum.
    fn unweighted(&self, node: usize) -> Option<Pool> {
        let all = || self.network.input_shape(node);
        match self.network.nodes[node].op {
            NodeOp::MaxPool2 => Some(Pool {
                max: true,
                window: [2, 2],
            }),
            NodeOp::AvgPool2 => Some(Pool {
                max: false,
                window: [2, 2],
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
        for (layer, moments) in self.layers.iter_mut().zip(&taped.moments) {
            if let (Kind::Conv { running, .. }, Some((mean, var))) = (&mut layer.kind, moments) {
                let mix = |old: &Tensor<B, 1>, new: &Tensor<B, 1>| {
                    old.clone() * (1.0 - rate) + new.clone() * rate
                };
                running.mean = mix(&running.mean, mean);
                running.var = mix(&running.var, var);
            }
        }
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
        let of = |layer: &Layer<B>| {
            let w = &layer.params[0].value;
            let b = numbers(layer.feedback.at(w, step));
            layer
                .direct
                .is_none()
                .then(|| Alignment::between(&b, &numbers(w.clone())))
        };
        self.layers.iter().map(of).collect()
    }

    /// The parameters as plain numbers.
    pub(crate) fn to_params(&self) -> NetworkParams {
        let layer = |l: &Layer<B>| {
            let of = |i: usize| numbers(l.params[i].value.clone());
            match &l.kind {
                Kind::Conv { running, .. } => LayerParams {
                    weight: of(0),
                    bias: vec![],
                    bn: Some(BatchNorm {
                        gamma: of(1),
                        beta: of(2),
                        mean: numbers(running.mean.clone()),
                        var: numbers(running.var.clone()),
                        eps: BN_EPS,
                    }),
                },
                Kind::Linear { .. } => LayerParams {
                    weight: of(0),
                    bias: of(1),
                    bn: None,
                },
            }
        };
        NetworkParams {
            layers: self.layers.iter().map(layer).collect(),
        }
    }

    /// Replaces the parameters (momentum is kept).
    ///
    /// # Errors
    /// [`LearnError::Params`] when a length differs from this network's.
    pub(crate) fn set_params(&mut self, params: &NetworkParams) -> Result<(), LearnError> {
        let wrong = |layer, got, want| LearnError::Params { layer, got, want };
        let (got, want) = (params.layers.len(), self.layers.len());
        if got != want {
            return Err(wrong(want, got, want));
        }
        let device = self.device.clone();
        for (at, (layer, new)) in self.layers.iter_mut().zip(&params.layers).enumerate() {
            let replace = |old: &mut Tensor<B, 1>, new: &[f32]| {
                if new.len() != old.dims()[0] {
                    return Err(wrong(at, new.len(), old.dims()[0]));
                }
                *old = vector(new.to_vec(), &device);
                Ok(())
            };
            replace(&mut layer.params[0].value, &new.weight)?;
            match (&mut layer.kind, &new.bn) {
                (Kind::Conv { running, .. }, Some(bn)) => {
                    replace(&mut layer.params[1].value, &bn.gamma)?;
                    replace(&mut layer.params[2].value, &bn.beta)?;
                    replace(&mut running.mean, &bn.mean)?;
                    replace(&mut running.var, &bn.var)?;
                }
                (Kind::Linear { .. }, None) => replace(&mut layer.params[1].value, &new.bias)?,
                (Kind::Conv { geometry, .. }, None) => return Err(wrong(at, 0, geometry.output.c)),
                (Kind::Linear { .. }, Some(bn)) => return Err(wrong(at, bn.gamma.len(), 0)),
            }
        }
        Ok(())
    }

    /// The momentum of every trained tensor.
    pub(crate) fn velocity(&self) -> Vec<Vec<f32>> {
        let all = self.layers.iter().flat_map(|l| &l.params);
        all.map(|p| numbers(p.velocity.clone())).collect()
    }

    /// Replaces the momentum.
    ///
    /// # Errors
    /// [`LearnError::Params`] when a length differs from this network's.
    pub(crate) fn set_velocity(&mut self, velocity: &[Vec<f32>]) -> Result<(), LearnError> {
        let device = self.device.clone();
        let want = self.params_mut().count();
        if velocity.len() != want {
            return Err(LearnError::Params {
                layer: 0,
                got: velocity.len(),
                want,
            });
        }
        for (at, (p, v)) in self.params_mut().zip(velocity).enumerate() {
            let want = p.value.dims()[0];
            if v.len() != want {
                return Err(LearnError::Params {
                    layer: at,
                    got: v.len(),
                    want,
                });
            }
            p.velocity = vector(v.clone(), &device);
        }
        Ok(())
    }
}

impl<B: LearnOps> Layer<B> {
    fn infer(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let weight = self.params[0].value.clone();
        match &self.kind {
            Kind::Conv { geometry, running } => {
                let (scale, shift) = self.affine(running);
                let (w, a, b) = (unwrap(weight), unwrap(scale), unwrap(shift));
                wrap(B::conv_infer(unwrap(x), w, a, b, geometry))
            }
            Kind::Linear { d_in, d_out } => {
                let n = x.dims()[0];
                let w = unwrap(weight.reshape([*d_out, *d_in]));
                let y = B::linear_feedback(unwrap(x.reshape([n, *d_in])), w.clone(), w);
                let bias = self.params[1].value.clone().reshape([1, *d_out]);
                (wrap::<B, 2>(y) + bias).reshape([n, 1, 1, *d_out])
            }
        }
    }
}
