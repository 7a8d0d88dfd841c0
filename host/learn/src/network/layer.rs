//! One node with numbers: convolution, classifier or batch norm, in training and in evaluation.

mod frozen;

use super::kind::Kind;
use super::param::Param;
use super::taught::{self, Reader, Tap, Taught};
use super::{Moment, Norms, numbers, vector};
use crate::local::{self, Activity};
use crate::ops::{BN_EPS, ConvParams, LearnOps, unwrap, wrap};
use crate::random::{Purpose, stream, uniform};
use crate::rule::Alignment;
use crate::{LearnError, LocalConfig, TrainConfig};
use aplysia_space::{BatchNorm, LayerParams, Network, Norm, Rule};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

/// Mean and variance per channel.
type Moments<B> = [Tensor<B, 1>; 2];

/// What a layer saw of a training batch.
#[derive(Clone, Debug)]
pub(super) struct Seen<B: LearnOps> {
    /// If there is a batch norm.
    moments: Option<Moments<B>>,
    /// Kept where a local rule needs it.
    activity: Option<Activity<B>>,
}

/// One node with numbers. `params`: the weight, then γ and β, or the bias; as far as they are trained.
#[derive(Clone, Debug)]
pub(super) struct Layer<B: LearnOps> {
    kind: Kind,
    /// None without weights.
    pub(super) taught: Option<Taught<B>>,
    pub(super) params: Vec<Param<B>>,
    /// Place of γ in `params`; β follows.
    gamma: Option<usize>,
    /// Running statistics, if there is a batch norm.
    running: Option<Moments<B>>,
    /// 1 and 0 in the place of a γ and β that are not trained.
    identity: [Tensor<B, 1>; 2],
    /// Output channels.
    c: usize,
}

impl<B: LearnOps> Layer<B> {
    /// Fresh weights `~ U(−a, a)` (see `rule`), γ = 1, β = 0, bias = 0; `layer` counts the nodes that have
    /// any. None for those that have not.
    pub(super) fn new(
        network: &Network,
        node: usize,
        layer: usize,
        config: &TrainConfig,
        device: &B::Device,
    ) -> Option<Self> {
        let (kind, norm) = Kind::new(network, node)?;
        let c = network.nodes[node].shape.c;
        let (mut params, mut taught) = (vec![], None);
        if let (Some(rule), Some((reader, fan))) = (network.rule(node), kind.reader(c)) {
            let bound = match (&reader, rule) {
                (Reader::Conv(_), Rule::SoftHebb) => {
                    config.local.softhebb_length * (3.0 / fan.fan_in as f32).sqrt()
                }
                _ => taught::options(rule, config).init.bound(fan),
            };
            let rng = &mut stream(config.seed, Purpose::Weights, layer, 0);
            let weight = uniform(rng, bound, network.n_weights(node));
            let mut weight = Param::new(weight, true, device);
            let place = (layer, network.n_classes);
            taught = Some(Taught::new(rule, (reader, fan), place, &mut weight, config));
            params.push(weight);
        }
        let gamma = (norm == Norm::Affine).then_some(params.len());
        params.extend(gamma.map(|_| Param::new(vec![1.0; c], false, device)));
        let shifted = gamma.is_some() || matches!(kind, Kind::Linear { .. });
        params.extend(shifted.then(|| Param::new(vec![0.0; c], false, device)));
        let running = || [Tensor::zeros([c], device), Tensor::ones([c], device)];
        Some(Self {
            kind,
            taught,
            params,
            gamma,
            running: (norm != Norm::None).then(running),
            identity: [Tensor::ones([c], device), Tensor::zeros([c], device)],
            c,
        })
    }

    /// Whether the weights follow a local rule. A classifier's do not: see [`local`].
    fn is_local(&self) -> bool {
        let local = self.taught.as_ref().is_some_and(|t| t.rule.is_local());
        local && matches!(self.kind, Kind::Conv(_))
    }

    /// Whether the layer waits for its turn, as those of SoftHebb do.
    pub(super) fn takes_turns(&self) -> bool {
        self.is_local()
            && self
                .taught
                .as_ref()
                .is_some_and(|t| t.rule == Rule::SoftHebb)
    }

    /// The parameters, on the tape if `tracked`.
    pub(super) fn leaves(&self, tracked: bool) -> Vec<Tensor<Autodiff<B>, 1>> {
        let leaf = |(i, p): (usize, &Param<B>)| {
            let leaf = Tensor::from_inner(p.forward.value.clone());
            if !tracked || (i == 0 && self.is_local()) {
                leaf
            } else {
                leaf.require_grad()
            }
        };
        self.params.iter().enumerate().map(leaf).collect()
    }

    /// A parameter's gradient within the limit of the rule's options.
    pub(super) fn clipped(&self, grad: Tensor<B, 1>) -> Tensor<B, 1> {
        match &self.taught {
            Some(taught) => taught.clipped(grad),
            None => grad,
        }
    }

    /// The input as the layer takes it from the tape, so that the right gradient goes back.
    pub(super) fn receive(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        taps: &mut Vec<Tap<B>>,
        now: Moment,
    ) -> Tensor<Autodiff<B>, 4> {
        match &self.taught {
            Some(taught) if !now.exact => taught.receive(x, taps),
            _ => x,
        }
    }

    /// γ and β of `of`, or 1 and 0 where they are not trained, by `constant`.
    fn affine<T: LearnOps>(
        &self,
        of: impl Fn(usize) -> Tensor<T, 1>,
        constant: impl Fn(&Tensor<B, 1>) -> Tensor<T, 1>,
    ) -> [Tensor<T, 1>; 2] {
        match self.gamma {
            Some(i) => [of(i), of(i + 1)],
            None => self.identity.each_ref().map(constant),
        }
    }

    /// Whether each of `params` is γ or β.
    pub(super) fn affine_params(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.params.len()).map(|i| self.gamma.is_some_and(|gamma| i >= gamma))
    }

    /// `scale`, `shift` of batch norm under the running statistics, `z = y·scale + shift`; γ and β without.
    fn line<T: LearnOps>(
        &self,
        [gamma, beta]: [Tensor<T, 1>; 2],
        running: Option<[Tensor<T, 1>; 2]>,
    ) -> [Tensor<T, 1>; 2] {
        let Some([mean, var]) = running else {
            return [gamma, beta];
        };
        let scale = gamma / (var + BN_EPS).sqrt();
        let shift = beta - mean * scale.clone();
        [scale, shift]
    }

    /// Training mode on the tape, with the tracked parameters `leaf`; also what it saw, if it looked.
    pub(super) fn forward(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        leaf: &[Tensor<Autodiff<B>, 1>],
        now: Moment,
    ) -> (Tensor<Autodiff<B>, 4>, Option<Seen<B>>) {
        type Ad<B> = Autodiff<B>;
        let feedback = || {
            let own = self.taught.as_ref().filter(|_| !now.exact);
            Tensor::<Ad<B>, 1>::from_inner(match own {
                Some(taught) => taught.feedback(&self.params[0], now.step),
                None => self.params[0].forward.value.clone(),
            })
        };
        if now.norms == Norms::Running && self.running.is_some() {
            return (self.frozen(x, leaf, feedback), None);
        }
        let inner = |t| wrap::<Ad<B>, 1>(t).inner();
        let affine = || {
            let [gamma, beta] = self.affine::<Ad<B>>(|i| leaf[i].clone(), constant);
            (unwrap(gamma), unwrap(beta))
        };
        match &self.kind {
            Kind::Conv(geometry) => {
                let (gamma, beta) = affine();
                let params = ConvParams {
                    weight: unwrap(leaf[0].clone()),
                    feedback: unwrap::<Ad<B>, 1>(feedback()),
                    gamma,
                    beta,
                };
                let y = Ad::<B>::conv(unwrap(x.clone()), params, geometry);
                let activity = self.is_local().then(|| Activity {
                    x: x.inner(),
                    y: wrap::<Ad<B>, 4>(y.pre).inner(),
                });
                let moments = y.moments.map(|m| m.map(inner));
                (wrap(y.out), Some(Seen { moments, activity }))
            }
            Kind::Norm => {
                let (gamma, beta) = affine();
                let [y, mean, var] = Ad::<B>::norm(unwrap(x), gamma, beta);
                let seen = Seen {
                    moments: Some([mean, var].map(inner)),
                    activity: None,
                };
                (wrap(y), Some(seen))
            }
            Kind::Linear { d_in, d_out } => (linear(x, leaf, feedback(), [*d_out, *d_in]), None),
        }
    }

    /// Evaluation mode, without tape.
    pub(super) fn infer(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let param = |i: usize| self.params[i].forward.value.clone();
        let line = || self.line::<B>(self.affine(param, Tensor::clone), self.running.clone());
        match &self.kind {
            Kind::Conv(geometry) => {
                let [scale, shift] = line().map(unwrap);
                let x = unwrap(x);
                wrap(B::conv_infer(x, unwrap(param(0)), scale, shift, geometry))
            }
            Kind::Norm => {
                let [scale, shift] = line().map(|t| t.reshape([1, 1, 1, self.c]));
                x * scale + shift
            }
            Kind::Linear { d_in, d_out } => {
                let n = x.dims()[0];
                let w = unwrap(param(0).reshape([*d_out, *d_in]));
                let y = B::linear_feedback(unwrap(x.reshape([n, *d_in])), w.clone(), w);
                let bias = param(1).reshape([1, *d_out]);
                (wrap::<B, 2>(y) + bias).reshape([n, 1, 1, *d_out])
            }
        }
    }

    /// The running mean and variance, each as it stands with what the batch had.
    pub(super) fn tracked<'a>(
        &'a mut self,
        seen: &'a Seen<B>,
    ) -> Option<impl Iterator<Item = (&'a mut Tensor<B, 1>, [FloatTensor<B>; 2])>> {
        let (running, batch) = self.running.as_mut().zip(seen.moments.as_ref())?;
        Some(running.iter_mut().zip(batch).map(|(old, new)| {
            let pair = [&*old, new].map(|t| unwrap(t.clone()));
            (old, pair)
        }))
    }

    /// One step of the layer's local rule; `factor` is the schedule's, for the rules that follow it.
    pub(super) fn learn(&mut self, seen: &Seen<B>, config: &LocalConfig, factor: f32) {
        let (Kind::Conv(g), Some(activity)) = (&self.kind, &seen.activity) else {
            return;
        };
        let softhebb = self.takes_turns();
        let w = &mut self.params[0].forward.value;
        let change = if softhebb {
            let settings = (config.softhebb_rate, config.softhebb_temperature);
            local::softhebb(activity, w, settings, g)
        } else {
            local::hebb(activity, w, config.hebb_rate * factor, g)
        };
        *w = w.clone() + change;
    }

    /// Brings the weights back to their first length where the rule's options say so.
    pub(super) fn constrain(&mut self) {
        if let Some(taught) = &self.taught {
            taught.constrain(&mut self.params[0]);
        }
    }

    /// Angle and length of the feedback at `step`; none where nothing goes down the chain.
    pub(super) fn alignment(&self, step: u64) -> Option<Alignment> {
        self.taught.as_ref()?.alignment(&self.params[0], step)
    }

    /// As plain numbers; γ and β are 1 and 0 where they are not trained.
    pub(super) fn to_params(&self) -> LayerParams {
        let of = |i: usize| self.params[i].forward.value.clone();
        let bn = self.running.as_ref().map(|[mean, var]| {
            let [gamma, beta] = self.affine::<B>(of, Tensor::clone);
            BatchNorm {
                gamma: numbers(gamma),
                beta: numbers(beta),
                mean: numbers(mean.clone()),
                var: numbers(var.clone()),
                eps: BN_EPS,
            }
        });
        let linear = matches!(self.kind, Kind::Linear { .. });
        LayerParams {
            weight: self.taught.as_ref().map_or(vec![], |_| numbers(of(0))),
            bias: if linear { numbers(of(1)) } else { vec![] },
            bn,
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
        if self.taught.is_some() {
            replace(&mut self.params[0].forward.value, &new.weight)?;
        }
        if let Kind::Linear { .. } = self.kind {
            replace(&mut self.params[1].forward.value, &new.bias)?;
        }
        let (gamma, beta) = match (&mut self.running, &new.bn) {
            (None, None) => return Ok(()),
            (Some(running), Some(bn)) => {
                replace(&mut running[0], &bn.mean)?;
                replace(&mut running[1], &bn.var)?;
                (&bn.gamma, &bn.beta)
            }
            (Some(_), None) => return Err(wrong(0, self.c)),
            (None, Some(bn)) => return Err(wrong(bn.gamma.len(), 0)),
        };
        match self.gamma {
            Some(i) => {
                replace(&mut self.params[i].forward.value, gamma)?;
                replace(&mut self.params[i + 1].forward.value, beta)
            }
            None => Ok(()),
        }
    }
}

/// `t` on the tape, without a gradient.
fn constant<B: LearnOps>(t: &Tensor<B, 1>) -> Tensor<Autodiff<B>, 1> {
    Tensor::from_inner(t.clone())
}

/// `y = W·x + b` with `W = leaf[0]` of shape `[d_out, d_in]`, `b = leaf[1]`; errors go back by `feedback`.
fn linear<B: LearnOps>(
    x: Tensor<Autodiff<B>, 4>,
    leaf: &[Tensor<Autodiff<B>, 1>],
    feedback: Tensor<Autodiff<B>, 1>,
    [d_out, d_in]: [usize; 2],
) -> Tensor<Autodiff<B>, 4> {
    let n = x.dims()[0];
    let matrix = |t: Tensor<Autodiff<B>, 1>| unwrap(t.reshape([d_out, d_in]));
    let x = unwrap(x.reshape([n, d_in]));
    let y = Autodiff::<B>::linear_feedback(x, matrix(leaf[0].clone()), matrix(feedback));
    let y = wrap::<Autodiff<B>, 2>(y) + leaf[1].clone().reshape([1, d_out]);
    y.reshape([n, 1, 1, d_out])
}
