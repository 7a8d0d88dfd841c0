//! Corruptions of single pixels: curves, noise, dead elements.

use crate::ImageShape;
use rand::Rng;

/// `x` in 0..=1 to a pixel value, clipped and rounded.
pub(super) fn to_pixel(x: f64) -> u8 {
    (x.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// The same function on every value.
pub(super) fn curve(image: &[u8], f: impl Fn(f64) -> f64) -> Vec<u8> {
    let table: [u8; 256] = std::array::from_fn(|p| to_pixel(f(p as f64 / 255.0)));
    image.iter().map(|&p| table[usize::from(p)]).collect()
}

/// Adds `sigma` times a standard normal value (Box-Muller) to every value.
pub(super) fn noise(image: &[u8], sigma: f64, rng: &mut impl Rng) -> Vec<u8> {
    let mut normal = || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
    };
    image
        .iter()
        .map(|&p| to_pixel(f64::from(p) / 255.0 + sigma * normal()))
        .collect()
}

/// Each pixel is dead with probability `fraction`; all its channels then read 0 or all 255.
///
/// The draws do not depend on `fraction`, so the dead pixels of a milder severity are among those of a
/// stronger one.
pub(super) fn dead_pixels(
    shape: ImageShape,
    image: &[u8],
    fraction: f64,
    rng: &mut impl Rng,
) -> Vec<u8> {
    let mut out = image.to_vec();
    for pixel in out.chunks_exact_mut(shape.c.max(1)) {
        let (dead, stuck) = (rng.random::<f64>() < fraction, stuck_value(rng));
        if dead {
            pixel.fill(stuck);
        }
    }
    out
}

/// The first `n` columns of a random order are dead, each reading 0 or 255.
pub(super) fn dead_columns(
    shape: ImageShape,
    image: &[u8],
    n: usize,
    rng: &mut impl Rng,
) -> Vec<u8> {
    let ImageShape { h, w, c } = shape;
    let mut columns: Vec<(u64, u8, usize)> = (0..w)
        .map(|x| (rng.random(), stuck_value(rng), x))
        .collect();
    columns.sort_unstable();
    let mut out = image.to_vec();
    for &(_, stuck, x) in columns.iter().take(n) {
        for y in 0..h {
            out[(y * w + x) * c..][..c].fill(stuck);
        }
    }
    out
}

fn stuck_value(rng: &mut impl Rng) -> u8 {
    if rng.random() { 255 } else { 0 }
}
