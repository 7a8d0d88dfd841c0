//! From u8 pixels to normalised batches, with augmentation.
//!
//! All draws of a batch are made in order, then the images are read and made in parallel: the
//! result depends on (seed, step) only. Where a crop may lie is known when a picture is read, so that crop and
//! colours of an image come from a stream of its own, whose seed is drawn.

use crate::LearnError;
use crate::evaluate::Images;
use crate::random::{Purpose, stream};
use aplysia_data::Pixels;
use aplysia_data::augmentation::{ColourJitter, CropWindow};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Random changes of a training image, in the order crop, colours, mirror, shift, hole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Shift by up to this many pixels in each direction; what enters is 0 after normalisation.
    pub shift: usize,
    /// Mirror left and right with probability 1/2.
    pub flip: bool,
    /// Side of a square set to 0 at a random centre; 0 for none (DeVries and Taylor 2017).
    pub cutout: usize,
    /// Smallest share of the area of a random crop that is resized to the whole image
    /// ([`CropWindow`]); 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resized_crop: f32,
    /// Ranges of brightness, contrast, saturation and hue ([`ColourJitter`]); 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub jitter: [f32; 4],
}

pub(crate) fn is_zero(share: &f32) -> bool {
    *share == 0.0
}

fn is_none(jitter: &[f32; 4]) -> bool {
    jitter.iter().all(is_zero)
}

impl Augment {
    /// No change.
    pub const NONE: Augment = Augment {
        shift: 0,
        flip: false,
        cutout: 0,
        resized_crop: 0.0,
        jitter: [0.0; 4],
    };
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            shift: 2,
            flip: true,
            ..Self::NONE
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

/// Images in memory that one task makes at least; one that has to be decoded is work enough.
const MIN_TASK: usize = 16;

impl Augment {
    /// Normalised batch of the images `indices`, `[n, h, w, c]`: the same for the same seed and step.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn batch(
        &self,
        images: &Images,
        indices: &[u32],
        (seed, step): (u64, u64),
    ) -> Result<Vec<f32>, LearnError> {
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
        let seeds = self.seeds(indices.len(), (seed, step));
        let table = images.normalisation();
        let mut batch = vec![0.0; indices.len() * s.len()];
        let draws = draws.par_iter().zip(seeds);
        let tasks = batch.par_chunks_mut(s.len()).zip(indices).zip(draws);
        let min_task = match images.pixels {
            Pixels::Memory(_) => MIN_TASK,
            Pixels::Files(_) => 1,
        };
        let tasks = tasks.with_min_len(min_task);
        let make = |((out, &i), (draw, seed)): ((&mut [f32], &u32), (&Draw, u64))| {
            let pixels = self.picture(images, i as usize, seed)?;
            self.image(images, &pixels, (*draw, &table), out);
            Ok(())
        };
        let faults = tasks.map(|task| make(task).err());
        match faults.find_map_first(|fault: Option<LearnError>| fault) {
            Some(fault) => Err(fault),
            None => Ok(batch),
        }
    }

    /// Of crop and colours of `n` images: from a stream of their own, so that without them all else stays.
    fn seeds(&self, n: usize, (seed, step): (u64, u64)) -> Vec<u64> {
        let rng = &mut stream(seed, Purpose::Augment, 1, step);
        (0..n).map(|_| rng.random()).collect()
    }

    /// An image with crop and colours.
    fn picture<'a>(
        &self,
        images: &Images<'a>,
        index: usize,
        seed: u64,
    ) -> Result<Cow<'a, [u8]>, LearnError> {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let [brightness, contrast, saturation, hue] = self.jitter.map(f64::from);
        let jitter = ColourJitter {
            brightness,
            contrast,
            saturation,
            hue,
        };
        let min_area = f64::from(self.resized_crop);
        let window = |size| (min_area > 0.0).then(|| CropWindow::draw(size, min_area, rng));
        let shape = images.image_shape();
        let mut pixels = images.pixels.image(index, shape, window)?;
        if !jitter.is_none() {
            jitter.draw(rng).apply(shape.c, pixels.to_mut());
        }
        Ok(pixels)
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
