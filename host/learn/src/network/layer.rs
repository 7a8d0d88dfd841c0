//! One weighted layer: its numbers, its feedback, and how it runs in training and in evaluation.

use super::param::{Moving, Param};
use super::{numbers, vector};
use crate::local::{self, Activity};
use crate::ops::{BN_EPS, ConvGeometry, ConvParams, LearnOps, unwrap, wrap};
use crate::random::{Purpose, stream, uniform};
use crate::rule::{Alignment, Fan, Feedback, FeedbackSpec};
use crate::rule::{dfa_conv_map, dfa_feedback};
use crate::{LearnError, LocalConfig, RuleOptions, TrainConfig};
use aplysia_space::{BatchNorm, LayerParams, Network, NodeOp, Rule};
use burn::backend::Autodiff;
use burn::tensor::Tensor;

/// Mean and variance per channel.
type Moments<B> = (Tensor<B, 1>, Tensor<B, 1>);

/// What a convolution layer saw of a training batch.
#[derive(Clone, Debug)]
pub(super) struct Seen<B: LearnOps> {
    moments: Moments<B>,
    /// Kept where a local rule needs it.
    activity: Option<Activity<B>>,
}

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
    rule: Rule,
    options: RuleOptions,
    feedback: Feedback<B>,
    /// Whether nothing goes down the chain.
    cut: bool,
    /// Direct feedback only: `[classes, elements of the input]`.
    direct: Option<Tensor<B, 2>>,
    pub(super) params: Vec<Param<B>>,
    /// Length of the first weights.
    first_norm: Tensor<B, 1>,
}

/// A hidden input and the map that brings the error to it directly.
pub(super) type Tap<B> = (Tensor<Autodiff<B>, 4>, Tensor<B, 2>);

impl<B: LearnOps> Layer<B> {
    /// Fresh weights `~ U(−a, a)` (see `rule`), γ = 1, β = 0, bias = 0; `layer` counts weighted nodes.
    /// None for unweighted ones.
    pub(super) fn new(
        network: &Network,
        node: usize,
        layer: usize,
        config: &TrainConfig,
        device: &B::Device,
    ) -> Option<Self> {
        let rule = network.rule(node)?;
        let (kind, fan) = Kind::new(network, node, device)?;
        let n = network.n_weights(node);
        let options = config.rules.get(&rule).copied().unwrap_or_default();
        let bound = match (&kind, rule) {
            (Kind::Conv { .. }, Rule::SoftHebb) => {
                config.local.softhebb_length * (3.0 / fan.fan_in as f32).sqrt()
            }
            _ => options.init.bound(fan),
        };
        let rng = &mut stream(config.seed, Purpose::Weights, layer, 0);
        let weight = uniform(rng, bound, n);
        let mut params = vec![Param::new(weight, true, device)];
        let n_out = network.nodes[node].shape.c;
        if let Kind::Conv { .. } = kind {
            params.push(Param::new(vec![1.0; n_out], false, device));
        }
        params.push(Param::new(vec![0.0; n_out], false, device));
        let down = match rule.is_local() {
            true => config.local.feedback.rule(),
            false => Some(rule),
        };
        let place = (config.seed, layer);
        let direct =
            (down == Some(Rule::Dfa)).then(|| kind.direct(network.n_classes, place, device));
        let spec = FeedbackSpec {
            rule: down.unwrap_or(Rule::Bp),
            scale: config.feedback_scale,
            init: options.init,
            fan,
            seed: config.seed,
            layer,
        };
        let feedback = Feedback::new(spec, n, device);
        params[0].feedback = feedback.first().map(Moving::new);
        Some(Self {
            kind,
            rule,
            options,
            feedback,
            cut: down.is_none() || direct.is_some(),
            direct,
            first_norm: norm(&params[0].forward.value),
            params,
        })
    }

    /// Whether the weights follow a local rule. A classifier's do not: see [`local`].
    pub(super) fn is_local(&self) -> bool {
        self.rule.is_local() && matches!(self.kind, Kind::Conv { .. })
    }

    /// Whether the layer waits for its turn, as those of SoftHebb do.
    pub(super) fn takes_turns(&self) -> bool {
        self.is_local() && self.rule == Rule::SoftHebb
    }

    /// The parameters on the tape.
    pub(super) fn leaves(&self) -> Vec<Tensor<Autodiff<B>, 1>> {
        let leaf = |(i, p): (usize, &Param<B>)| {
            let leaf = Tensor::from_inner(p.forward.value.clone());
            if i == 0 && self.is_local() {
                leaf
            } else {
                leaf.require_grad()
            }
        };
        self.params.iter().enumerate().map(leaf).collect()
    }

    /// A parameter's gradient within the limit of the options.
    pub(super) fn clipped(&self, grad: Tensor<B, 1>) -> Tensor<B, 1> {
        match self.options.gradient_clip {
            limit if limit > 0.0 => grad.clamp(-limit, limit),
            _ => grad,
        }
    }

    /// The input as the layer takes it from the tape, so that the right gradient goes back.
    pub(super) fn receive(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        taps: &mut Vec<Tap<B>>,
    ) -> Tensor<Autodiff<B>, 4> {
        let limit = self.options.gradient_clip;
        let x = match limit > 0.0 {
            true => wrap(Autodiff::<B>::clip_gradient(unwrap(x), limit)),
            false => x,
        };
        taps.extend(self.direct.clone().map(|map| (x.clone(), map)));
        if self.cut { x.detach() } else { x }
    }

    /// The feedback `B` at `step`.
    fn feedback(&self, step: u64) -> Tensor<B, 1> {
        let Param {
            forward, feedback, ..
        } = &self.params[0];
        let learned = feedback.as_ref().map(|b| &b.value);
        self.feedback.at(&forward.value, learned, step)
    }

    /// Training mode on the tape, with the tracked parameters `leaf`; also what it saw.
    pub(super) fn forward(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        leaf: &[Tensor<Autodiff<B>, 1>],
        step: u64,
    ) -> (Tensor<Autodiff<B>, 4>, Option<Seen<B>>) {
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
                let y = Ad::<B>::conv(unwrap(x.clone()), params, geometry);
                let inner = |t| wrap::<Ad<B>, 1>(t).inner();
                let activity = self.is_local().then(|| Activity {
                    x: x.inner(),
                    y: wrap::<Ad<B>, 4>(y.pre).inner(),
                });
                let moments = (inner(y.mean), inner(y.var));
                (wrap(y.out), Some(Seen { moments, activity }))
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
    pub(super) fn track(&mut self, seen: &Seen<B>, rate: f32) {
        let batch = &seen.moments;
        if let Kind::Conv { running, .. } = &mut self.kind {
            let mix = |old: &Tensor<B, 1>, new: &Tensor<B, 1>| {
                old.clone() * (1.0 - rate) + new.clone() * rate
            };
            *running = (mix(&running.0, &batch.0), mix(&running.1, &batch.1));
        }
    }

    /// One step of the layer's local rule; `factor` is the schedule's, for the rules that follow it.
    pub(super) fn learn(&mut self, seen: &Seen<B>, config: &LocalConfig, factor: f32) {
        let (Kind::Conv { geometry: g, .. }, Some(activity)) = (&self.kind, &seen.activity) else {
            return;
        };
        let w = &mut self.params[0].forward.value;
        let change = match self.rule {
            Rule::SoftHebb => {
                let settings = (config.softhebb_rate, config.softhebb_temperature);
                local::softhebb(activity, w, settings, g)
            }
            _ => local::hebb(activity, w, config.hebb_rate * factor, g),
        };
        *w = w.clone() + change;
    }

    /// Brings the weights back to their first length where the options say so.
    pub(super) fn constrain(&mut self) {
        if self.options.constrain_weights {
            let w = &mut self.params[0];
            let factor = self.first_norm.clone() / (norm(&w.forward.value) + f32::MIN_POSITIVE);
            for m in w.moving() {
                m.value = m.value.clone() * factor.clone();
            }
        }
    }

    /// Angle and length of the feedback at `step`; none where nothing goes down the chain.
    pub(super) fn alignment(&self, step: u64) -> Option<Alignment> {
        let compare = || {
            let w = self.params[0].forward.value.clone();
            Alignment::between(&numbers(self.feedback(step)), &numbers(w))
        };
        (!self.cut).then(compare)
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

fn norm<B: LearnOps>(w: &Tensor<B, 1>) -> Tensor<B, 1> {
    w.clone().powi_scalar(2).sum().sqrt()
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
    fn direct(&self, n_classes: usize, at: (u64, usize), device: &B::Device) -> Tensor<B, 2> {
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
