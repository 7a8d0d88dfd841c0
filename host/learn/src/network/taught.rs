//! How the weights of one layer are taught: its rule, its feedback, and what goes down from it.
//!
//! Knows neither the operation nor its numbers; the layer hands its first parameter, the weights, in.

use super::param::Param;
use super::{numbers, vector};
use crate::ops::{ConvGeometry, LearnOps, unwrap, wrap};
use crate::rule::{Alignment, Fan, Feedback, FeedbackSpec};
use crate::rule::{dfa_conv_map, dfa_feedback};
use crate::{RuleOptions, TrainConfig};
use aplysia_space::Rule;
use burn::backend::Autodiff;
use burn::tensor::Tensor;

/// A hidden input and the map that brings the error to it directly.
pub(super) type Tap<B> = (Tensor<Autodiff<B>, 4>, Tensor<B, 2>);

/// Steps from here on belong to [`Taught::mean_feedback`].
const FIRST_DRAW: u64 = 1 << 39;

/// The teaching of one layer.
#[derive(Clone, Debug)]
pub(super) struct Taught<B: LearnOps> {
    pub(super) rule: Rule,
    options: RuleOptions,
    feedback: Feedback<B>,
    /// Whether nothing goes down the chain.
    cut: bool,
    /// Direct feedback only: `[classes, elements of the input]`.
    direct: Option<Tensor<B, 2>>,
    /// Length of the first weights.
    first_norm: Tensor<B, 1>,
}

/// What the weights of a layer belong to.
pub(super) enum Reader<'a> {
    /// A convolution.
    Conv(&'a ConvGeometry),
    /// A linear layer with so many inputs.
    Linear(usize),
}

impl<B: LearnOps> Taught<B> {
    /// The teaching of layer `layer` with `weight` of `fan`; a learned feedback is put into `weight`.
    pub(super) fn new(
        rule: Rule,
        (reader, fan): (Reader, Fan),
        (layer, n_classes): (usize, usize),
        weight: &mut Param<B>,
        config: &TrainConfig,
    ) -> Self {
        let device = weight.forward.value.device();
        let n = weight.forward.value.dims()[0];
        let options = options(rule, config);
        let down = match rule.is_local() {
            true => config.local.feedback.rule(),
            false => Some(rule),
        };
        let draw = (options, (config.seed, layer));
        let direct = (down == Some(Rule::Dfa)).then(|| reader.direct(n_classes, draw, &device));
        let spec = FeedbackSpec {
            rule: down.unwrap_or(Rule::Bp),
            scale: config.feedback_scale,
            init: options.init,
            fan,
            seed: config.seed,
            layer,
        };
        let feedback = Feedback::new(spec, n, &device);
        weight.learn_feedback(feedback.first());
        Self {
            rule,
            options,
            feedback,
            cut: down.is_none() || direct.is_some(),
            direct,
            first_norm: norm(&weight.forward.value),
        }
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
        self.pass(x, taps)
    }

    /// [`Taught::receive`] without the limit of the options.
    pub(super) fn pass(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        taps: &mut Vec<Tap<B>>,
    ) -> Tensor<Autodiff<B>, 4> {
        taps.extend(self.direct.clone().map(|map| (x.clone(), map)));
        if self.cut { x.detach() } else { x }
    }

    /// The feedback `B` at `step`.
    pub(super) fn feedback(&self, weight: &Param<B>, step: u64) -> Tensor<B, 1> {
        let learned = weight.feedback.as_ref().map(|b| &b.value);
        self.feedback.at(&weight.forward.value, learned, step)
    }

    /// The mean of the feedback over `n` draws at steps that no training reaches, if it is random; else the
    /// feedback.
    pub(super) fn mean_feedback(&self, weight: &Param<B>, n: u32) -> Tensor<B, 1> {
        let at = |draw: u32| self.feedback(weight, FIRST_DRAW + u64::from(draw));
        match self.feedback.is_random() {
            true => (1..n).fold(at(0), |sum, draw| sum + at(draw)) / n as f32,
            false => at(0),
        }
    }

    /// Brings the weights back to their first length where the options say so.
    pub(super) fn constrain(&self, weight: &mut Param<B>) {
        if self.options.constrain_weights {
            let length = norm(&weight.forward.value) + f32::MIN_POSITIVE;
            let factor = self.first_norm.clone() / length;
            for m in weight.moving() {
                m.value = m.value.clone() * factor.clone();
            }
        }
    }

    /// Angle and length of the feedback at `step`; none where nothing goes down the chain.
    pub(super) fn alignment(&self, weight: &Param<B>, step: u64) -> Option<Alignment> {
        let compare = || {
            let w = weight.forward.value.clone();
            Alignment::between(&numbers(self.feedback(weight, step)), &numbers(w))
        };
        (!self.cut).then(compare)
    }
}

/// The options of the layers that carry `rule`.
pub(super) fn options(rule: Rule, config: &TrainConfig) -> RuleOptions {
    config.rules.get(&rule).copied().unwrap_or_default()
}

fn norm<B: LearnOps>(w: &Tensor<B, 1>) -> Tensor<B, 1> {
    w.clone().powi_scalar(2).sum().sqrt()
}

impl Reader<'_> {
    /// The map of direct feedback.
    fn direct<B: LearnOps>(
        &self,
        n_classes: usize,
        (options, at): (RuleOptions, (u64, usize)),
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let init = options.init;
        let (map, len) = match self {
            Reader::Conv(g) => {
                let b = dfa_feedback(n_classes, (g.input.c, g.kernel), init, at);
                let map = dfa_conv_map(g, n_classes, &b, options.direct_scale);
                (map, g.input.len())
            }
            Reader::Linear(d_in) => (dfa_feedback(n_classes, (*d_in, 1), init, at), *d_in),
        };
        vector::<B>(map, device).reshape([n_classes, len])
    }
}
