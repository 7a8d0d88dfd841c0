//! A task small enough for tests of training: which quadrant is brighter?

use aplysia_learn::Images;
use aplysia_space::Shape;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const SHAPE: Shape = Shape { h: 8, w: 8, c: 1 };
pub(crate) const CLASSES: usize = 4;

/// Noisy images whose class is the quadrant that is brighter than the rest.
pub(crate) struct Quadrants {
    pub(crate) pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Quadrants {
    pub(crate) fn new(n: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let labels: Vec<u16> = (0..n).map(|i| (i % CLASSES) as u16).collect();
        let pixels = labels.iter().flat_map(|&label| {
            let noise: Vec<u8> = (0..SHAPE.len()).map(|_| rng.random_range(0..120)).collect();
            noise.into_iter().enumerate().map(move |(i, p)| {
                let quadrant = i / SHAPE.w / 4 * 2 + i % SHAPE.w / 4;
                if quadrant == usize::from(label) {
                    p + 60
                } else {
                    p
                }
            })
        });
        Self {
            pixels: pixels.collect(),
            labels,
        }
    }

    pub(crate) fn images(&self) -> Images<'_> {
        let (pixels, labels) = (self.pixels[..].into(), &self.labels[..]);
        Images {
            pixels,
            labels,
            shape: SHAPE,
            mean_pixel: &[75],
            std: 0.17,
        }
    }
}
