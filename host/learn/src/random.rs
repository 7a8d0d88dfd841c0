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
