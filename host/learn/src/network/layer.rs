//! One weighted layer: its numbers, its feedback, and how it runs in training and in evaluation.

use super::{numbers, vector};
use crate::LearnError;
use crate::ops::{BN_EPS, ConvGeometry, ConvParams, LearnOps, unwrap, wrap};
use crate::random::{Purpose, stream, uniform};
use crate::rule::{Alignment, Fan, Feedback, FeedbackScale, FeedbackSpec};
use crate::rule::{dfa_conv_map, dfa_feedback};
use aplysia_space::{BatchNorm, LayerParams, Network, NodeOp, Rule};
use burn::backend::Autodiff;
use burn::tensor::Tensor;

/// Numbers under momentum, flat.
#[derive(Clone, Debug)]
pub(crate) struct Moving<B: LearnOps> {
    pub(crate) value: Tensor<B, 1>,
    pub(crate) velocity: Tensor<B, 1>,
}

impl<B: LearnOps> Moving<B> {
    fn new(value: Tensor<B, 1>) -> Self {
        Self {
            velocity: value.zeros_like(),
            value,
        }
    }
}

/// One trained tensor.
#[derive(Clone, Debug)]
pub(crate) struct Param<B: LearnOps> {
    pub(crate) forward: Moving<B>,
    /// The feedback of `kp`, moved by the gradient of `forward`.
    pub(crate) feedback: Option<Moving<B>>,
    /// Whether weight decay applies.
    pub(crate) decay: bool,
}

impl<B: LearnOps> Param<B> {
    fn new(values: Vec<f32>, decay: bool, device: &B::Device) -> Self {
        Self {
            forward: Moving::new(vector(values, device)),
            feedback: None,
            decay,
        }
    }

    /// What the optimizer moves.
    pub(crate) fn moving(&mut self) -> impl Iterator<Item = &mut Moving<B>> {
        std::iter::once(&mut self.forward).chain(&mut self.feedback)
    }

    /// What a checkpoint keeps beside the network's parameters.
    pub(super) fn memory(&mut self) -> impl Iterator<Item = &mut Tensor<B, 1>> {
        let learned = self.feedback.iter_mut();
        std::iter::once(&mut self.forward.velocity)
            .chain(learned.flat_map(|b| [&mut b.value, &mut b.velocity]))
    }
}

/// Mean and variance per channel.
pub(super) type Moments<B> = (Tensor<B, 1>, Tensor<B, 1>);

/// What a weighted layer is.
#[derive(Clone, Debug)]
enum Kind<B: LearnOps> {
    /// Trained: weight (OIHW), γ, β. Tracked: running batch-norm statistics.
    Conv {
        geometry: ConvGeometry,
        running: Moments<B>,
    },
    /// Trained: weight `[out, in]`, bias.
    Linear { d_in: usize, d_out: usize },
}

/// One weighted layer.
#[derive(Clone, Debug)]
pub(super) struct Layer<B: LearnOps> {
    kind: Kind<B>,
    feedback: Feedback<B>,
    /// `dfa` only: `[classes, elements of the input]`.
    pub(super) direct: Option<Tensor<B, 2>>,
    pub(super) params: Vec<Param<B>>,
}

/// Place of a layer: the run's seed and the layer's number.
type Place = (u64, usize);

impl<B: LearnOps> Layer<B> {
    /// Fresh weights `~ U(−a, a)` (see `rule`), γ = 1, β = 0, bias = 0. None for unweighted nodes.
    pub(super) fn new(
        network: &Network,
        node: usize,
        at: Place,
        scale: FeedbackScale,
        device: &B::Device,
    ) -> Option<Self> {
        let rule = network.rule(node)?;
        let (kind, fan) = Kind::new(network, node, device)?;
        let n = network.n_weights(node);
        let weight = uniform(&mut stream(at.0, Purpose::Weights, at.1, 0), fan.bound(), n);
        let mut params = vec![Param::new(weight, true, device)];
        let n_out = network.nodes[node].shape.c;
        if let Kind::Conv { .. } = kind {
            params.push(Param::new(vec![1.0; n_out], false, device));
        }
        params.push(Param::new(vec![0.0; n_out], false, device));
        let direct = (rule == Rule::Dfa).then(|| kind.direct(network.n_classes, at, device));
        let spec = FeedbackSpec {
            rule,
            scale,
            fan,
            seed: at.0,
            layer: at.1,
        };
        let feedback = Feedback::new(spec, n, device);
        params[0].feedback = feedback.first().map(Moving::new);
        Some(Self {
            kind,
            feedback,
            direct,
            params,
        })
    }

    /// The feedback `B` at `step`.
    fn feedback(&self, step: u64) -> Tensor<B, 1> {
        let Param {
            forward, feedback, ..
        } = &self.params[0];
        let learned = feedback.as_ref().map(|b| &b.value);
        self.feedback.at(&forward.value, learned, step)
    }

    /// Training mode on the tape, with the tracked parameters `leaf`; also the batch's statistics.
    pub(super) fn forward(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        leaf: &[Tensor<Autodiff<B>, 1>],
        step: u64,
    ) -> (Tensor<Autodiff<B>, 4>, Option<Moments<B>>) {
        type Ad<B> = Autodiff<B>;
        let feedback = self.feedback(step);
        let feedback = Tensor::<Ad<B>, 1>::from_inner(feedback);
        match &self.kind {
            Kind::Conv { geometry, .. } => {
                let params = ConvParams {
                    weight: unwrap(leaf[0].clone()),
                    feedback: unwrap::<Ad<B>, 1>(feedback),
                    gamma: unwrap(leaf[1].clone()),
                    beta: unwrap(leaf[2].clone()),
                };
                let y = Ad::<B>::conv(unwrap(x), params, geometry);
                let inner = |t| wrap::<Ad<B>, 1>(t).inner();
                (wrap(y.out), Some((inner(y.mean), inner(y.var))))
            }
            Kind::Linear { d_in, d_out } => {
                let n = x.dims()[0];
                let matrix = |t: Tensor<Ad<B>, 1>| unwrap(t.reshape([*d_out, *d_in]));
                let x = unwrap(x.reshape([n, *d_in]));
                let y = Ad::<B>::linear_feedback(x, matrix(leaf[0].clone()), matrix(feedback));
                let y = wrap::<Ad<B>, 2>(y) + leaf[1].clone().reshape([1, *d_out]);
                (y.reshape([n, 1, 1, *d_out]), None)
            }
        }
    }

    /// Evaluation mode, without tape.
    pub(super) fn infer(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let param = |i: usize| self.params[i].forward.value.clone();
        let weight = param(0);
        match &self.kind {
            Kind::Conv {
                geometry,
                running: (mean, var),
            } => {
                let scale = param(1) / (var.clone() + BN_EPS).sqrt();
                let shift = param(2) - mean.clone() * scale.clone();
                let (w, a, b) = (unwrap(weight), unwrap(scale), unwrap(shift));
                wrap(B::conv_infer(unwrap(x), w, a, b, geometry))
            }
            Kind::Linear { d_in, d_out } => {
                let n = x.dims()[0];
                let w = unwrap(weight.reshape([*d_out, *d_in]));
                let y = B::linear_feedback(unwrap(x.reshape([n, *d_in])), w.clone(), w);
                let bias = param(1).reshape([1, *d_out]);
                (wrap::<B, 2>(y) + bias).reshape([n, 1, 1, *d_out])
            }
        }
    }

    /// Moves the running statistics towards the batch's by `rate`.
    pub(super) fn track(&mut self, batch: &Moments<B>, rate: f32) {
        if let Kind::Conv { running, .. } = &mut self.kind {
            let mix = |old: &Tensor<B, 1>, new: &Tensor<B, 1>| {
                old.clone() * (1.0 - rate) + new.clone() * rate
            };
            *running = (mix(&running.0, &batch.0), mix(&running.1, &batch.1));
        }
    }

    /// Angle and length of the feedback at `step`; none for `dfa`.
    pub(super) fn alignment(&self, step: u64) -> Option<Alignment> {
        let compare = || {
            let w = self.params[0].forward.value.clone();
            Alignment::between(&numbers(self.feedback(step)), &numbers(w))
        };
        self.direct.is_none().then(compare)
    }

    /// As plain numbers.
    pub(super) fn to_params(&self) -> LayerParams {
        let of = |i: usize| numbers(self.params[i].forward.value.clone());
        match &self.kind {
            Kind::Conv {
                running: (mean, var),
                ..
            } => LayerParams {
                weight: of(0),
                bias: vec![],
                bn: Some(BatchNorm {
                    gamma: of(1),
                    beta: of(2),
                    mean: numbers(mean.clone()),
                    var: numbers(var.clone()),
                    eps: BN_EPS,
                }),
            },
            Kind::Linear { .. } => LayerParams {
                weight: of(0),
                bias: of(1),
                bn: None,
            },
        }
    }

    /// Replaces the numbers of layer `at` (momentum is kept).
    ///
    /// # Errors
    /// [`LearnError::Params`] when a length differs.
    pub(super) fn set_params(&mut self, at: usize, new: &LayerParams) -> Result<(), LearnError> {
        let wrong = |got, want| LearnError::Params {
            layer: at,
            got,
            want,
        };
        let replace = |old: &mut Tensor<B, 1>, new: &[f32]| {
            if new.len() != old.dims()[0] {
                return Err(wrong(new.len(), old.dims()[0]));
            }
            *old = vector(new.to_vec(), &old.device());
            Ok(())
        };
        replace(&mut self.params[0].forward.value, &new.weight)?;
        match (&mut self.kind, &new.bn) {
            (Kind::Conv { running, .. }, Some(bn)) => {
                replace(&mut self.params[1].forward.value, &bn.gamma)?;
                replace(&mut self.params[2].forward.value, &bn.beta)?;
                replace(&mut running.0, &bn.mean)?;
                replace(&mut running.1, &bn.var)
            }
            (Kind::Linear { .. }, None) => replace(&mut self.params[1].forward.value, &new.bias),
            (Kind::Conv { geometry, .. }, None) => Err(wrong(0, geometry.output.c)),
            (Kind::Linear { .. }, Some(bn)) => Err(wrong(bn.gamma.len(), 0)),
        }
    }
}

impl<B: LearnOps> Kind<B> {
    fn new(network: &Network, node: usize, device: &B::Device) -> Option<(Self, Fan)> {
        let (input, output) = (network.input_shape(node), network.nodes[node].shape);
        match network.nodes[node].op {
            NodeOp::Conv {
                kernel,
                stride,
                depthwise,
                relu,
                ..
            } => {
                let groups = if depthwise { input.c } else { 1 };
                let geometry = ConvGeometry {
                    input,
                    output,
                    kernel,
                    stride,
                    groups,
                    relu,
                };
                let c = [output.c];
                let running = (Tensor::zeros(c, device), Tensor::ones(c, device));
                Some((Kind::Conv { geometry, running }, Fan::conv(&geometry)))
            }
            NodeOp::Linear { .. } => {
                let (d_in, d_out) = (input.len(), output.c);
                Some((
                    Kind::Linear { d_in, d_out },
                    Fan {
                        fan_in: d_in,
                        fan_out: d_out,
                    },
                ))
            }
            _ => None,
        }
    }

    /// The map of direct feedback.
    fn direct(&self, n_classes: usize, at: Place, device: &B::Device) -> Tensor<B, 2> {
        let (map, len) = match self {
            Kind::Conv { geometry: g, .. } => {
                let b = dfa_feedback(n_classes, g.input.c, g.kernel, at);
                (dfa_conv_map(g, n_classes, &b), g.input.len())
            }
            Kind::Linear { d_in, .. } => (dfa_feedback(n_classes, *d_in, 1, at), *d_in),
        };
        vector::<B>(map, device).reshape([n_classes, len])
    }
}
