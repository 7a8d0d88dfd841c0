//! Every random number of training: a stream per purpose and place, so that nothing depends on the
//! order of use, and a run can be resumed from its step number alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// First weights; `place` is the layer.
    Weights,
    /// Fixed feedback; `place` is the layer.
    Feedback,
    /// Feedback redrawn each step; `place` is the layer.
    StepFeedback,
    /// Order of the images; `time` is the epoch.
    Order,
    /// Augmentation; `time` is the step.
    Augment,
    /// What drop-path drops; `place` is the node, `time` the step.
    DropPath,
    /// First logits of an architecture.
    Architecture,
    /// Which images teach the weights and which the architecture; for the latter their order, `time` is
    /// the epoch; `place` tells the two apart.
    Halves,
    /// The candidates that a step computes; `time` is the step, or with `place` 1 the batch of an
    /// evolution.
    Candidates,
    /// The evolution of an architecture.
    Evolution,
    /// First direction of the search for the strongest curvature.
    Curvature,
}

/// The generator of one stream of `seed`.
pub(crate) fn stream(seed: u64, purpose: Purpose, place: usize, time: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose as u64) << 56 | (place as u64) << 40 | time);
    rng
}

/// `n` draws of U(−bound, bound).
pub(crate) fn uniform(rng: &mut ChaCha8Rng, bound: f32, n: usize) -> Vec<f32> {
    (0..n)
        .map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound)
        .collect()
}

/// A draw of N(0, 1) (Box and Muller 1958, one of the pair).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
