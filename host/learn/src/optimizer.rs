//! Stochastic gradient descent with momentum, and its schedule; Adam for short streams.
//!
//! burn's own optimizer keeps its momentum private and decays every parameter alike; here momentum is
//! part of the checkpoint, and batch norm and biases are not decayed.

use crate::network::{Moving, Param, numbers};
use crate::ops::{Descent, LearnOps, unwrap, wrap};
use burn::tensor::Tensor;

/// Settings of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sgd {
    pub(crate) lr: f32,
    pub(crate) momentum: f32,
    pub(crate) nesterov: bool,
    pub(crate) weight_decay: f32,
    /// Largest norm of the whole gradient, 0 for no limit.
    pub(crate) clip_norm: f32,
}

impl Sgd {
    /// `g' = clip(g) + λw`, `v ← μv + g'`, `w ← w − η(g' + μv)` with Nesterov's look ahead (Sutskever et al. 2013,
    /// eq. 3-4), `w ← w − ηv` without; for the weights and, under the same `clip(g)`, for a learned feedback.
    pub(crate) fn step<'a, B: LearnOps>(
        &self,
        params: impl Iterator<Item = &'a mut Param<B>>,
        grads: Vec<Option<Tensor<B, 1>>>,
    ) {
        let step = Descent {
            lr: self.lr,
            momentum: self.momentum,
            nesterov: self.nesterov,
            decay: 0.0,
            clip: self.clip_factor(&grads),
        };
        let (mut decayed, mut free) = (vec![], vec![]);
        for (p, grad) in params.zip(grads) {
            let Some(grad) = grad else { continue };
            let group = if p.decay { &mut decayed } else { &mut free };
            group.extend(p.moving().map(|m| (m, grad.clone())));
        }
        let decay = self.weight_decay;
        descend(decayed, Descent { decay, ..step });
        descend(free, step);
    }

    fn clip_factor<B: LearnOps>(&self, grads: &[Option<Tensor<B, 1>>]) -> f32 {
        if self.clip_norm <= 0.0 {
            return 1.0;
        }
        let norm = length(grads);
        if norm > self.clip_norm {
            self.clip_norm / norm
        } else {
            1.0
        }
    }
}

/// One step of all of `moving` along their gradients.
fn descend<B: LearnOps>(moving: Vec<(&mut Moving<B>, Tensor<B, 1>)>, step: Descent) {
    let (moving, grads): (Vec<_>, Vec<_>) = moving.into_iter().unzip();
    let all = moving.iter().zip(grads);
    let all = all.map(|(m, grad)| [m.value.clone(), m.velocity.clone(), grad].map(unwrap));
    let new = B::descend(all.collect(), step);
    for (m, new) in moving.into_iter().zip(new) {
        [m.value, m.velocity] = new.map(wrap);
    }
}

/// Norm of everything together. It is read back once: a GPU waits for nothing in between.
pub(crate) fn length<B: LearnOps>(vectors: &[Option<Tensor<B, 1>>]) -> f32 {
    let all: Vec<_> = vectors.iter().flatten().cloned().map(unwrap).collect();
    if all.is_empty() {
        return 0.0;
    }
    let squares = wrap::<B, 1>(B::square_sums(all));
    numbers(squares).iter().sum::<f32>().sqrt()
}

/// Adam (Kingma, Ba 2015, arXiv:1412.6980, algorithm 1) with β 0.9 and 0.999, ε 1e-8, on tensors that come in
/// the same order at every step.
pub(crate) struct Adam<B: LearnOps> {
    /// First and second moment of each.
    moments: Vec<(Tensor<B, 1>, Tensor<B, 1>)>,
    n_steps: i32,
}

impl<B: LearnOps> Default for Adam<B> {
    fn default() -> Self {
        Self {
            moments: vec![],
            n_steps: 0,
        }
    }
}

impl<B: LearnOps> Adam<B> {
    /// `m ← 0.9m + 0.1g`, `v ← 0.999v + 0.001g²`, `w ← w − η·m̂/(√v̂ + ε)` with both moments corrected for
    /// their start at 0.
    pub(crate) fn step<'a>(
        &mut self,
        params: impl Iterator<Item = (&'a mut Param<B>, Tensor<B, 1>)>,
        rate: f32,
    ) {
        self.n_steps += 1;
        let whole = |beta: f32| 1.0 - beta.powi(self.n_steps);
        for (i, (param, grad)) in params.enumerate() {
            if self.moments.len() == i {
                self.moments.push((grad.zeros_like(), grad.zeros_like()));
            }
            let (m, v) = &mut self.moments[i];
            *m = m.clone() * 0.9 + grad.clone() * 0.1;
            *v = v.clone() * 0.999 + grad.powi_scalar(2) * 0.001;
            let size = (v.clone() / whole(0.999)).sqrt() + 1e-8;
            let value = &mut param.forward.value;
            *value = value.clone() - m.clone() / whole(0.9) / size * rate;
        }
    }
}

/// Learning-rate factor at `step`: linear up to 1 over `warmup` steps, then half a cosine down to 0 at
/// `total`.
pub(crate) fn cosine(step: u64, warmup: u64, total: u64) -> f32 {
    if step < warmup {
        return warming(step, warmup);
    }
    let progress = (step - warmup) as f64 / (total.max(warmup + 1) - warmup) as f64;
    (0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())) as f32
}

/// Learning-rate factor at `step`: linear up to 1 over `warmup` steps, then `decay` to the power of the epochs done, of
/// `epoch` steps each.
pub(crate) fn exponential(step: u64, warmup: u64, (decay, epoch): (f32, u64)) -> f32 {
    if step < warmup {
        return warming(step, warmup);
    }
    decay.powf((step / epoch) as f32)
}

fn warming(step: u64, warmup: u64) -> f32 {
    (step + 1) as f32 / warmup as f32
}
