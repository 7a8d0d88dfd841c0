//! From u8 pixels to normalised batches, with augmentation.
//!
//! All draws of a batch are made in order from one stream, then the images are made in parallel: the
//! result depends on (seed, step) only.

use crate::evaluate::Images;
use crate::random::{Purpose, stream};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Random changes of a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Shift by up to this many pixels in each direction; what enters is 0 after normalisation.
    pub shift: usize,
    /// Mirror left and right with probability 1/2.
    pub flip: bool,
    /// Side of a square set to 0 at a random centre; 0 for none (DeVries and Taylor 2017).
    pub cutout: usize,
}

impl Augment {
    /// No change.
    pub const NONE: Augment = Augment {
        shift: 0,
        flip: false,
        cutout: 0,
    };
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            shift: 2,
            flip: true,
            cutout: 0,
        }
    }
}

/// One image's draw.
#[derive(Clone, Copy)]
struct Draw {
    dy: isize,
    dx: isize,
    flip: bool,
    hole: (usize, usize),
}

impl Augment {
    /// Normalised batch of the images `indices`, `[n, h, w, c]`.
    pub(crate) fn batch(
        &self,
        images: &Images,
        indices: &[u32],
        (seed, step): (u64, u64),
    ) -> Vec<f32> {
        let mut rng = stream(seed, Purpose::Augment, 0, step);
        let (s, reach) = (images.shape, self.shift as i32);
        let draws: Vec<Draw> = indices
            .iter()
            .map(|_| Draw {
                dy: rng.random_range(-reach..=reach) as isize,
                dx: rng.random_range(-reach..=reach) as isize,
                flip: self.flip && rng.random(),
                hole: (
                    rng.random_range(0..s.h as u32) as usize,
                    rng.random_range(0..s.w as u32) as usize,
                ),
            })
            .collect();
        let table = images.normalisation();
        let mut batch = vec![0.0; indices.len() * s.len()];
        let tasks = batch.par_chunks_mut(s.len()).zip(indices).zip(&draws);
        tasks.with_min_len(16).for_each(|((out, &i), draw)| {
            let from = i as usize * s.len();
            self.image(
                images,
                &images.pixels[from..from + s.len()],
                (*draw, &table),
                out,
            );
        });
        batch
    }

    fn image(&self, images: &Images, pixels: &[u8], (d, table): (Draw, &[f32]), out: &mut [f32]) {
        let s = images.shape;
        for y in 0..s.h {
            let Some(sy) = y.checked_add_signed(d.dy).filter(|&sy| sy < s.h) else {
                continue;
            };
            for x in 0..s.w {
                let sx = if d.flip { s.w - 1 - x } else { x };
                let Some(sx) = sx.checked_add_signed(d.dx).filter(|&sx| sx < s.w) else {
                    continue;
                };
                let half = self.cutout / 2;
                let inside =
                    |at: usize, hole: usize| at + half >= hole && at + half < hole + self.cutout;
                if inside(y, d.hole.0) && inside(x, d.hole.1) {
                    continue;
                }
                let (from, to) = ((sy * s.w + sx) * s.c, (y * s.w + x) * s.c);
                for c in 0..s.c {
                    out[to + c] = table[c * 256 + pixels[from + c] as usize];
                }
            }
        }
    }
}
