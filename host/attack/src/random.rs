//! Every random number of an attack: a stream per purpose, image and restart, so that an image's fate
//! does not depend on its neighbours.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Where PGD starts.
    Pgd,
    /// Where TPGD starts.
    Tpgd,
    /// Where APGD starts.
    Apgd,
    /// Stripes and windows of Square.
    Square,
    /// Candidates of One-Pixel.
    OnePixel,
}

/// The generator of one stream of `seed`.
pub(crate) fn stream(seed: u64, purpose: Purpose, image: usize, restart: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose as u64) << 60 | u64::from(restart) << 40 | image as u64);
    rng
}

/// One draw of U(−1, 1).
pub(crate) fn symmetric(rng: &mut ChaCha8Rng) -> f32 {
    rng.random::<f32>() * 2.0 - 1.0
}

/// −1 or 1.
pub(crate) fn sign(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random() { 1.0 } else { -1.0 }
}

/// One draw of N(0, 1) (Box, Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    ((-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()) as f32
}
