//! Square: random search by squares; asks for logits only (Andriushchenko et al. 2020, arXiv:1912.00049).

use crate::batch::{project, row, row_mut};
use crate::random::{Purpose, sign, stream};
use crate::{Batch, How, Target, margin, predicted};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Share of the pixels in the first windows.
const FIRST_SHARE: f64 = 0.8;

/// Queries of 10,000 after which the share is halved.
const HALVED_AFTER: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// Share of the pixels in the window of query `query` of `n_queries`: 0.8, halved after 10, 50, 200, 500,
/// 1000, 2000, 4000, 6000 and 8000 of 10,000 (rescaled).
pub fn window_share(query: usize, n_queries: usize) -> f64 {
    let scaled = query * 10_000 / n_queries.max(1);
    let halvings = HALVED_AFTER.iter().filter(|&&after| scaled > after).count();
    FIRST_SHARE / f64::from(1 << halvings)
}

/// Starts from vertical stripes of ±ε; each query changes a square of side `round(sqrt(share·h·w))` by ±2ε
/// per channel, clipped, and keeps it if the margin `z_y − max_{i≠y} z_i` falls. `how.n_steps` queries; an
/// image that the target gets wrong is left alone.
pub fn square(target: &dyn Target, batch: &Batch, how: &How) -> Vec<f32> {
    let (s, n, classes) = (batch.shape, batch.shape.n_values(), target.n_classes());
    let rng = |&id| stream(how.seed, Purpose::Square, id, how.restart);
    let mut rngs: Vec<ChaCha8Rng> = batch.ids.iter().map(rng).collect();
    let mut best = batch.pixels.to_vec();
    let mut margins = vec![f32::INFINITY; batch.len()];
    let mut active: Vec<usize> = (0..batch.len()).collect();
    for query in 0..how.n_steps {
        if active.is_empty() {
            break;
        }
        let side = (window_share(query, how.n_steps) * (s.h * s.w) as f64).sqrt();
        let side = (side.round() as usize).clamp(1, s.h.min(s.w));
        let mut tried = Vec::with_capacity(active.len() * n);
        for &i in &active {
            let (clean, rng) = (batch.clean(i), &mut rngs[i]);
            let mut x = row(&best, i, n).to_vec();
            if query == 0 {
                let stripes: Vec<f32> = (0..s.w * s.c).map(|_| sign(rng)).collect();
                for (at, x) in x.iter_mut().enumerate() {
                    *x = clean[at] + how.epsilon * stripes[at % (s.w * s.c)];
                }
            } else {
                let top = rng.random_range(0..=s.h - side);
                let left = rng.random_range(0..=s.w - side);
                let signs: Vec<f32> = (0..s.c).map(|_| sign(rng)).collect();
                for y in top..top + side {
                    let from = (y * s.w + left) * s.c;
                    for at in from..from + side * s.c {
                        x[at] += 2.0 * how.epsilon * signs[at % s.c];
                    }
                }
            }
            tried.extend(
                x.iter()
                    .zip(clean)
                    .map(|(&x, &clean)| project(x, clean, how.epsilon)),
            );
        }
        let logits = target.logits(&tried);
        let mut resists = vec![];
        for (at, &i) in active.iter().enumerate() {
            let logits = row(&logits, at, classes);
            let found = margin(logits, batch.labels[i]);
            if found < margins[i] {
                margins[i] = found;
                row_mut(&mut best, i, n).copy_from_slice(row(&tried, at, n));
            }
            if predicted(logits) == batch.labels[i] {
                resists.push(i);
            }
        }
        active = resists;
    }
    best
}
