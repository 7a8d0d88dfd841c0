//! Adam over the logits of an architecture (Kingma and Ba 2015), the L2 penalty in the gradient.

use serde::{Deserialize, Serialize};

// β₁ and β₂ of the published searches, and what keeps the division finite.
const BETA_1: f64 = 0.5;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// What Adam remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Adam {
    step: i32,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    /// `g ← g + λα`, `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`,
    /// `α ← α − η·m̂/(sqrt(v̂) + ε)` with `m̂ = m/(1 − β₁ᵗ)`, `v̂ = v/(1 − β₂ᵗ)`.
    pub(super) fn step(&mut self, logits: &mut [f64], grad: &[f64], lr: f64, decay: f64) {
        self.mean.resize(logits.len(), 0.0);
        self.square.resize(logits.len(), 0.0);
        self.step += 1;
        let (bias_1, bias_2) = (1.0 - BETA_1.powi(self.step), 1.0 - BETA_2.powi(self.step));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((a, g), (m, v)) in logits.iter_mut().zip(grad).zip(moments) {
            let g = g + decay * *a;
            *m = BETA_1 * *m + (1.0 - BETA_1) * g;
            *v = BETA_2 * *v + (1.0 - BETA_2) * g * g;
            *a -= lr * (*m / bias_1) / ((*v / bias_2).sqrt() + EPSILON);
        }
    }
}
