//! Baselines of the host: the last layer in floating point over the int8 features.
//!
//! `o_c = Σ W_ci·x_i + b_c` with `x = s_x·(q − zero_point)`, `W = s_c·w`, `s_c = M_c·s_o/s_x` and
//! `b = M_c·s_o·b_int`: the int8 head without its rounding. Gradient descent: `W_c += rate·e_c·x`,
//! `b_c += rate·e_c`, `e_c = [c = y] − softmax(o)_c`. Re-centring: `x' = x − (m − m_0)`, with `m` the
//! mean over the stream so far and `m_0` that of training, the mean of the model's prototypes (classes
//! alike often).

use crate::LiveError;
use aplysia_shared::Model;
use aplysia_shared::adapt::AdaptError;
use aplysia_shared::quant::i16_at;

/// The head and what moves it.
pub(super) struct FloatHead {
    /// `[n_classes][d]`
    weights: Vec<f32>,
    biases: Vec<f32>,
    scale: f32,
    zero_point: i8,
    /// Of gradient descent, 0 = none.
    rate: f32,
    centre: Option<Centre>,
}

/// Running and source mean of the features.
struct Centre {
    source: Vec<f32>,
    sums: Vec<f32>,
    n: f32,
}

impl FloatHead {
    /// Learns by gradient descent.
    ///
    /// # Errors
    /// The last layer of `model` is not fully connected.
    pub(super) fn sgd(model: &Model<'_>, rate: f32) -> Result<Self, LiveError> {
        let base = model.constants(model.n_layers().saturating_sub(1));
        let base = base.ok_or(AdaptError::NoHead)?;
        let (input, output) = (model.features(), model.output());
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        let rows = base.weights.chunks_exact(base.fan_in.max(1));
        for (class, row) in rows.take(base.n_channels()).enumerate() {
            let (bias, multiplier, shift) = base.requant.channel(class);
            let factor = f64::from(multiplier) / 2_f64.powi(31) * 2_f64.powi(shift.into());
            let step = factor * f64::from(output.scale);
            let weight = step / f64::from(input.scale);
            weights.extend(
                row.iter()
                    .map(|&w| (weight * f64::from(w.cast_signed())) as f32),
            );
            biases.push((step * f64::from(bias)) as f32);
        }
        Ok(Self {
            weights,
            biases,
            scale: input.scale,
            zero_point: input.zero_point,
            rate,
            centre: None,
        })
    }

    /// Moves the mean of the features back; no label is used.
    ///
    /// # Errors
    /// As [`FloatHead::sgd`], or `model` has no prototypes.
    pub(super) fn recentred(model: &Model<'_>) -> Result<Self, LiveError> {
        let head = Self::sgd(model, 0.0)?;
        let prototypes = model.prototypes().ok_or(AdaptError::NoPrototypes)?;
        let (k, d) = (model.n_classes(), model.features().len());
        let mean = |i: usize| {
            let sum: f32 = (0..k)
                .map(|c| f32::from(i16_at(prototypes, c * d + i)))
                .sum();
            head.scale * sum / (128.0 * k as f32)
        };
        let centre = Centre {
            source: (0..d).map(mean).collect(),
            sums: vec![0.0; d],
            n: 0.0,
        };
        Ok(Self {
            centre: Some(centre),
            ..head
        })
    }

    fn real(&self, features: &[u8]) -> Vec<f32> {
        let value =
            |&q: &u8| self.scale * (f32::from(q.cast_signed()) - f32::from(self.zero_point));
        features.iter().map(value).collect()
    }

    fn scores(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.weights.chunks_exact(x.len().max(1));
        let score =
            |(row, b): (&[f32], &f32)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + b;
        rows.zip(&self.biases).map(score).collect()
    }

    /// Learns from one feature vector.
    pub(super) fn step(&mut self, features: &[u8], label: usize) {
        let x = self.real(features);
        if let Some(centre) = &mut self.centre {
            centre.n += 1.0;
            centre.sums.iter_mut().zip(&x).for_each(|(s, x)| *s += x);
            return;
        }
        let scores = self.scores(&x);
        let top = scores.iter().copied().fold(f32::MIN, f32::max);
        let weights: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let rows = self.weights.chunks_exact_mut(x.len().max(1));
        for (class, (row, bias)) in rows.zip(&mut self.biases).enumerate() {
            let step = self.rate * (f32::from(u8::from(class == label)) - weights[class] / sum);
            row.iter_mut().zip(&x).for_each(|(w, x)| *w += step * x);
            *bias += step;
        }
    }

    /// The class with the largest score, the first of equals.
    pub(super) fn class(&self, features: &[u8]) -> usize {
        let mut x = self.real(features);
        if let Some(centre) = self.centre.as_ref().filter(|c| c.n > 0.0) {
            for (x, (sum, source)) in x.iter_mut().zip(centre.sums.iter().zip(&centre.source)) {
                *x += source - sum / centre.n;
            }
        }
        let scores = self.scores(&x);
        (1..scores.len()).fold(0, |b, c| if scores[c] > scores[b] { c } else { b })
    }
}

#[cfg(test)]
mod tests {
    use super::FloatHead;

    #[test]
    fn a_step_is_the_gradient_of_the_cross_entropy() {
        let head = || FloatHead {
            weights: vec![0.3, -0.2, 0.1, 0.4],
            biases: vec![0.05, -0.1],
            scale: 0.5,
            zero_point: -2,
            rate: 0.001,
            centre: None,
        };
        let features = [1, 4];
        let loss = |head: &FloatHead| {
            let scores = head.scores(&head.real(&features));
            let sum: f64 = scores.iter().map(|&s| f64::from(s).exp()).sum();
            -(f64::from(scores[1]).exp() / sum).ln()
        };
        let mut stepped = head();
        stepped.step(&features, 1);
        for i in 0..4 {
            let (mut up, mut down) = (head(), head());
            up.weights[i] += 0.01;
            down.weights[i] -= 0.01;
            let gradient = (loss(&up) - loss(&down)) / 0.02;
            let step = f64::from(stepped.weights[i] - head().weights[i]) / 0.001;
            assert!((step + gradient).abs() < 1e-3, "{i}: {step} {gradient}");
        }
    }
}
