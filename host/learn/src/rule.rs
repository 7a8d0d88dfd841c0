//! The learning rules: how a weighted layer's weights change, and what it hands down.
//!
//! Owns the feedback tensor `B` per weighted layer; the local updates are in [`crate::local`].
//!
//! | rule | `ΔW` | feedback `B` | state | local? | extra cost per step | source |
//! |---|---|---|---|---|---|---|
//! | `bp` | `dW` | `W` | none | no: exact weights go down | none | Rumelhart, Hinton, Williams 1986 |
//! | `fa` | `dW` | `M`, drawn once | `M` | no: error from above | none | Lillicrap et al. 2016, Nat. Commun. 7:13276 |
//! | `usf` | `dW` | `s·sign(W)` | none | no: error, signs go down | 1 pass over `W` | Liao, Leibo, Poggio 2016, AAAI |
//! | `brsf` | `dW` | `abs(M_t)∘sign(W)` | none | no: error, signs go down | 1 draw per weight | Moskovitz et al. 2018, arXiv:1812.06488 |
//! | `frsf` | `dW` | `abs(M)∘sign(W)`, `M` drawn once | `abs(M)` | no: error, signs go down | 1 pass over `W` | same |
//! | `dfa` | `dW` | `e·B`, `e = ∂L/∂logits`, `B` drawn once; convolution: `T-conv(B, e)/(h·w)` | `[classes, input]` map | no: error of the output, no chain | `classes·input` MACs per image | Nøkland 2016, NeurIPS |
//! | `kp` | `dW` | learns: `ΔB = ΔW` | `B`, its momentum | no: error from above | 1 optimizer step over `B` | Kolen, Pollack 1994; Akrout et al. 2019, arXiv:1904.05391 |
//! | `hebb` | `mean ŷ_i (p̂ − Σ_j ŷ_j W_j)` | of choice | none | yes: input and response | 1 weight gradient, 3 passes over the response | Oja 1989; the layer of BioNAS, arXiv:2507.13485 |
//! | `softhebb` | `Σ z_i (p − y_i W_i)`, scaled | of choice | none | yes: input and response | as `hebb`, one layer at a time | Journé et al. 2023, arXiv:2209.11883 |
//!
//! `dW = −corr(x, δ_y)` is the weight gradient of all rules that are not local, with `δ_y` as it arrives;
//! what goes down is `δ_x = T-conv(B, δ_y)`. ReLU, batch norm (with γ and β) and pooling keep their exact
//! derivatives under every rule. All but the local ones need the activations of the forward pass until
//! the error arrives (not local in time). A local layer hands down by [`crate::LocalFeedback`], by
//! default as `usf` does, so that layers of other rules below it learn; its weights take no part.
//!
//! Validation accuracy in percent after epochs 1, 2 and 3 of a schedule of 4, every layer with the one rule (7
//! layers, 0.44 M MACs, 15,000 Fashion-MNIST images, lr 0.1, batch 128, feedback of the weights' length, seed 0
//! only): `bp` 70.1, 75.9, 80.0; `usf` 70.7, 76.1, 77.7; `kp` 63.3, 73.9, 75.8; `softhebb` 18.1, 50.3, 58.6 and
//! 61.4 after epoch 4; `fa` 35.1, 49.4 and `hebb` 53.1, stopped there. `softhebb` has 39 steps per layer there
//! and its weights still have lengths of 3 to 6 instead of 1.
//!
//! What BioNAS published as Hebbian convolution is mended here: the update keeps the order of the
//! weights (its transpose was scrambled), is a mean over patches instead of a sum, decays (there 87 to
//! 98 % of the weights stood at the clamp after 40 steps), happens in training steps only, moves the one
//! weight tensor that checkpoints hold, and hands down by a feedback of choice instead of `Wᵀ`.
//! Differences from SoftHebb as published: zero padding, uniform first weights, batch norm and ReLU in
//! the place of the triangle activation, and all other layers train meanwhile.
//!
//! Scale: `W, M ~ U(−a, a)` with `a` of [`Init`], and `s = a/√3`, the standard deviation of that draw; `fan_in
//! = in_ch/groups·k²`, `fan_out = out_ch·k²` (not divided by groups). Then `rms(B) = s` for every rule at the
//! start, and the angle between `B` and `W` is 0° (bp), 90° (fa, kp), arccos(√3/2) = 30° (usf), arccos(3/4) =
//! 41.4° (brsf, frsf).
//!
//! Every `B` but that of `kp` is a function of (seed, layer, step) and `W`, so it needs no place in a
//! checkpoint; the step advances with the optimizer only, so `brsf` is frozen in evaluation.
//!
//! Kolen-Pollack: `W` and `B` are moved by the same gradient under the same momentum μ, rate η and
//! decay λ, so their difference obeys `v ← μv + λ(B − W)`, `B − W ← (B − W) − η(λ(B − W) + μv)` whatever
//! the gradient is, and shrinks by about `1 − ηλ/(1 − μ)` per step. Both synapses see the same pre- and
//! postsynaptic signals; no weight is transported. Without decay the difference stays as it was drawn.

use crate::ops::{ConvGeometry, LearnOps, unwrap, wrap};
use crate::random::{Purpose, stream, uniform};
use aplysia_space::Rule;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Size of the neighbourhoods of a weighted layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    /// Weights into one output: `in_ch / groups · k²`.
    pub fan_in: usize,
    /// Weights out of one input, groups ignored: `out_ch · k²`.
    pub fan_out: usize,
}

impl Fan {
    /// Of a convolution.
    pub fn conv(g: &ConvGeometry) -> Self {
        let kk = g.kernel * g.kernel;
        Self {
            fan_in: g.input.c / g.groups * kk,
            fan_out: g.output.c * kk,
        }
    }
}

/// The draw U(−a, a) of first weights and feedback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// `a = sqrt(6/(fan_in + fan_out))` (Glorot, Bengio 2010).
    #[default]
    Xavier,
    /// `a = 1/sqrt(fan_in)` (He et al. 2015 with slope √5, the usual first weights elsewhere).
    Kaiming,
}

impl Init {
    /// `a`.
    pub fn bound(self, fan: Fan) -> f32 {
        match self {
            Init::Xavier => (6.0 / (fan.fan_in + fan.fan_out) as f32).sqrt(),
            Init::Kaiming => 1.0 / (fan.fan_in as f32).sqrt(),
        }
    }

    /// `s = a/√3`, the standard deviation of the draw.
    pub fn std(self, fan: Fan) -> f32 {
        match self {
            Init::Xavier => (2.0 / (fan.fan_in + fan.fan_out) as f32).sqrt(),
            Init::Kaiming => 1.0 / (3.0 * fan.fan_in as f32).sqrt(),
        }
    }
}

/// How long `B` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedbackScale {
    /// The fixed scale of the module documentation.
    #[default]
    Fixed,
    /// `‖B‖ = ‖W‖` at every step (Moskovitz et al. 2018, "strict" normalisation): one number per layer is
    /// transported; not for `dfa`, whose `B` belongs to the output's error and stays as drawn. Trains better in
    /// depth with batch norm, where weights grow and the fixed scale does not follow: validation accuracy on
    /// Fashion-MNIST with the fixed scale, then with this one: `fa` 66 %, 75 %; `usf` 81.9 %, 83.1 % (6 layers,
    /// 0.27 M MACs, 5 epochs); `usf` 85.9 %, 87.7 % (DS-CNN of 10 layers, 0.84 M MACs, 4 epochs); lr 0.1, batch
    /// 128, seed 0.
    WeightNorm,
}

impl FeedbackScale {
    /// The name used in text forms and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            FeedbackScale::Fixed => "fixed",
            FeedbackScale::WeightNorm => "weight-norm",
        }
    }
}

impl std::fmt::Display for FeedbackScale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for FeedbackScale {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        [FeedbackScale::Fixed, FeedbackScale::WeightNorm]
            .into_iter()
            .find(|scale| scale.name() == s)
            .ok_or_else(|| format!("unknown feedback scale `{s}`; use fixed or weight-norm"))
    }
}

/// How well the feedback of a layer agrees with its weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// `arccos(⟨B, W⟩ / (‖B‖·‖W‖))`, 0 to 180.
    pub angle_deg: f32,
    /// `‖B‖ / ‖W‖`.
    pub norm_ratio: f32,
}

impl Alignment {
    /// Between two tensors of equal length, summed in f64.
    pub fn between(feedback: &[f32], weight: &[f32]) -> Self {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum()
        };
        let (b, w) = (dot(feedback, feedback).sqrt(), dot(weight, weight).sqrt());
        let cosine = (dot(feedback, weight) / (b * w)).clamp(-1.0, 1.0);
        Self {
            angle_deg: cosine.acos().to_degrees() as f32,
            norm_ratio: (b / w) as f32,
        }
    }
}

/// What fixes a layer's feedback.
#[derive(Clone, Copy, Debug)]
pub struct FeedbackSpec {
    /// The rule.
    pub rule: Rule,
    /// Length of `B`.
    pub scale: FeedbackScale,
    /// First weights and feedback.
    pub init: Init,
    /// Neighbourhoods of the layer.
    pub fan: Fan,
    /// Seed of the run.
    pub seed: u64,
    /// Place among the weighted layers.
    pub layer: usize,
}

/// The source of one layer's feedback.
#[derive(Clone, Debug)]
pub struct Feedback<B: LearnOps> {
    spec: FeedbackSpec,
    /// `M` of `fa`, the first `B` of `kp`, `|M|` of `frsf`.
    fixed: Option<Tensor<B, 1>>,
}

impl<B: LearnOps> Feedback<B> {
    /// Draws what is drawn once, for a layer of `n` weights.
    pub fn new(spec: FeedbackSpec, n: usize, device: &B::Device) -> Self {
        let mut rng = stream(spec.seed, Purpose::Feedback, spec.layer, 0);
        let mut draw = || uniform(&mut rng, spec.init.bound(spec.fan), n);
        let fixed = match spec.rule {
            Rule::Fa | Rule::Kp => Some(draw()),
            Rule::Frsf => Some(draw().into_iter().map(f32::abs).collect()),
            _ => None,
        };
        let fixed = fixed.map(|m| Tensor::from_data(TensorData::new(m, [n]), device));
        Self { spec, fixed }
    }

    /// Where the learned feedback of `kp` starts; none for the other rules.
    pub fn first(&self) -> Option<Tensor<B, 1>> {
        self.fixed.clone().filter(|_| self.spec.rule == Rule::Kp)
    }

    /// Whether `B` is another one at every step, whatever the weights do.
    pub fn is_random(&self) -> bool {
        self.spec.rule == Rule::Brsf
    }

    /// `B` for weights `w` (flat) at optimizer step `step`; `learned` is what `kp` has made of
    /// [`Feedback::first`]. `dfa` has none of this shape and returns `w`: its layer hands nothing down
    /// the chain.
    pub fn at(&self, w: &Tensor<B, 1>, learned: Option<&Tensor<B, 1>>, step: u64) -> Tensor<B, 1> {
        let signs = |m: Tensor<B, 1>| wrap(B::signs_by(unwrap(w.clone()), unwrap(m)));
        let b = match (self.spec.rule, learned.or(self.fixed.as_ref())) {
            (Rule::Fa | Rule::Kp, Some(m)) => m.clone(),
            (Rule::Frsf, Some(m)) => signs(m.clone()),
            (Rule::Usf, _) => {
                let size = self.spec.init.std(self.spec.fan);
                wrap(B::signs(unwrap(w.clone()), size))
            }
            (Rule::Brsf, _) => {
                let n = w.dims()[0];
                let mut rng = stream(self.spec.seed, Purpose::StepFeedback, self.spec.layer, step);
                let m = uniform(&mut rng, self.spec.init.bound(self.spec.fan), n);
                let m = m.into_iter().map(f32::abs).collect();
                signs(Tensor::from_data(TensorData::new(m, [n]), &w.device()))
            }
            _ => return w.clone(),
        };
        match self.spec.scale {
            FeedbackScale::Fixed => b,
            FeedbackScale::WeightNorm => {
                let norm = |t: Tensor<B, 1>| t.powi_scalar(2).sum().sqrt();
                let ratio = norm(w.clone()) / norm(b.clone()).add_scalar(f32::MIN_POSITIVE);
                b * ratio
            }
        }
    }
}

/// How long the direct feedback of a convolution with `h×w` output pixels is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectScale {
    /// `δ_x = T-conv(B, e)/(h·w)`: exactly the gradient that `x` would have from a classifier of its own, the mean
    /// over all output pixels of `B∗x`. Our networks end in such a mean, whose derivative divides the error that
    /// back-propagation sends down, too.
    #[default]
    Mean,
    /// `δ_x = T-conv(B, e)`, as published for convolutions (BioTorch): `h·w` times as long, so that under one limit
    /// on the norm of the whole gradient (`clip_norm`) layers of small maps, and the classifier, stand still.
    Sum,
}

impl DirectScale {
    /// The factor for so many output pixels.
    fn factor(self, n_pixels: usize) -> f32 {
        match self {
            DirectScale::Mean => 1.0 / n_pixels as f32,
            DirectScale::Sum => 1.0,
        }
    }
}

/// The map `[classes, h·w·in_ch]` (NHWC per class) by which `dfa` sends the error to the input of a
/// convolution: T-conv of the error, held constant over all output pixels, through a random
/// `B [classes, in_ch, k, k] ~ U(−a, a)` with `a` of [`Init`], `fan_in = in_ch·k²`, `fan_out = classes·k²`; times
/// the factor of `scale`.
pub fn dfa_conv_map(
    g: &ConvGeometry,
    n_classes: usize,
    feedback: &[f32],
    scale: DirectScale,
) -> Vec<f32> {
    let (k, d, pad, input) = (g.kernel, g.dilation, g.pad, g.input);
    let factor = scale.factor(g.output.h * g.output.w);
    let mut map = vec![0.0; n_classes * input.len()];
    for (class, map) in map.chunks_mut(input.len()).enumerate() {
        let taps = (0..g.output.h * g.output.w).flat_map(|p| (0..k * k).map(move |t| (p, t)));
        for (pixel, tap) in taps {
            let y = (pixel / g.output.w * g.stride + tap / k * d).checked_sub(pad);
            let x = (pixel % g.output.w * g.stride + tap % k * d).checked_sub(pad);
            let (Some(y), Some(x)) = (y, x) else { continue };
            if y >= input.h || x >= input.w {
                continue;
            }
            for c in 0..input.c {
                let b = feedback[(class * input.c + c) * k * k + tap];
                map[(y * input.w + x) * input.c + c] += b * factor;
            }
        }
    }
    map
}

/// The random `B` of a `dfa` layer, `[classes, in_ch, k, k]` flat (a linear layer has `k = 1`): the draw `init`
/// from (seed, layer) `at`.
pub fn dfa_feedback(
    n_classes: usize,
    (in_ch, kernel): (usize, usize),
    init: Init,
    at: (u64, usize),
) -> Vec<f32> {
    let kk = kernel * kernel;
    let fan = Fan {
        fan_in: in_ch * kk,
        fan_out: n_classes * kk,
    };
    let mut rng = stream(at.0, Purpose::Feedback, at.1, 0);
    uniform(&mut rng, init.bound(fan), n_classes * in_ch * kk)
}
