//! When a search has gone on for too long: the curvature of the validation loss in the logits rises before
//! the identity takes over.
//!
//! Source: Zela et al. 2020, *Understanding and robustifying differentiable architecture search*
//! (RobustDARTS): dominant eigenvalue of `∇²_α L`, moving means of 5 evaluations, stop when the mean exceeds
//! 1.3 times that of 4 evaluations before.

use crate::random::{Purpose, normal, stream};

/// Evaluations in a mean.
const WINDOW: usize = 5;

/// Evaluations back to what a mean is compared with, and to which a stopped search returns.
pub const LOOK_BACK: usize = 4;

/// Rise that stops.
const RISE: f64 = 1.3;

/// Distance of the two gradients of a product with the Hessian.
const REACH: f64 = 0.05;

/// The eigenvalue of largest absolute value of the Hessian at `at`, by power iteration on
/// `Hv ≈ (g(α + εv) − g(α − εv))/2ε`, `‖v‖ = 1`: the Rayleigh quotient after `iterations` products.
///
/// # Errors
/// What `gradient` returns.
pub fn dominant_eigenvalue<E>(
    at: &[f64],
    (seed, iterations): (u64, usize),
    mut gradient: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
) -> Result<f64, E> {
    let rng = &mut stream(seed, Purpose::Curvature, 0, 0);
    let mut v: Vec<f64> = at.iter().map(|_| normal(rng)).collect();
    let mut eigenvalue = 0.0;
    for _ in 0..iterations {
        let length = dot(&v, &v).sqrt();
        if length == 0.0 {
            return Ok(0.0);
        }
        v.iter_mut().for_each(|v| *v /= length);
        let mut beside = |sign: f64| {
            let moved = at.iter().zip(&v).map(|(a, v)| a + sign * REACH * v);
            gradient(&moved.collect::<Vec<_>>())
        };
        let (up, down) = (beside(1.0)?, beside(-1.0)?);
        let product = up.iter().zip(down).map(|(u, d)| (u - d) / (2.0 * REACH));
        let product: Vec<f64> = product.collect();
        eigenvalue = dot(&v, &product);
        v = product;
    }
    Ok(eigenvalue)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Whether the search is to return to where it was [`LOOK_BACK`] evaluations before the last of
/// `eigenvalues`, taken in order. The first means have fewer values than [`WINDOW`].
pub fn is_sharpening(eigenvalues: &[f64]) -> bool {
    let mean = |n: usize| {
        let window = &eigenvalues[n.saturating_sub(WINDOW)..n];
        window.iter().map(|e| e.abs()).sum::<f64>() / window.len() as f64
    };
    let n = eigenvalues.len();
    n > LOOK_BACK && mean(n) > RISE * mean(n - LOOK_BACK)
}
