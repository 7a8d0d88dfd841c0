//! From u8 pixels to normalised batches, with augmentation.
//!
//! All draws of a batch are made in order from one stream, then the images are made in parallel: the
//! result depends on (seed, step) only.

use crate::evaluate::Images;
use crate::random::{Purpose, stream};
use aplysia_data::ImageShape;
use aplysia_data::augmentation::{ColourChange, ColourJitter, CropWindow};
use aplysia_space::Shape;
use rand::Rng;
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

fn is_zero(share: &f32) -> bool {
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

/// What happens to one image before it becomes numbers.
struct Picture {
    crop: Option<CropWindow>,
    colours: Option<ColourChange>,
}

impl Picture {
    fn of<'a>(&self, shape: Shape, pixels: &'a [u8]) -> Cow<'a, [u8]> {
        let mut changed = Cow::Borrowed(pixels);
        if let Some(window) = self.crop {
            changed = Cow::Owned(window.resized(data_shape(shape), pixels));
        }
        if let Some(colours) = self.colours {
            colours.apply(shape.c, changed.to_mut());
        }
        changed
    }
}

fn data_shape(Shape { h, w, c }: Shape) -> ImageShape {
    ImageShape { h, w, c }
}

impl Augment {
    /// Normalised batch of the images `indices`, `[n, h, w, c]`: the same for the same seed and step.
    pub fn batch(&self, images: &Images, indices: &[u32], (seed, step): (u64, u64)) -> Vec<f32> {
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
        let pictures = self.pictures(images, indices.len(), (seed, step));
        let table = images.normalisation();
        let mut batch = vec![0.0; indices.len() * s.len()];
        let draws = draws.par_iter().zip(pictures);
        let tasks = batch.par_chunks_mut(s.len()).zip(indices).zip(draws);
        tasks
            .with_min_len(16)
            .for_each(|((out, &i), (draw, picture))| {
                let from = i as usize * s.len();
                let pixels = picture.of(images.shape, &images.pixels[from..from + s.len()]);
                self.image(images, &pixels, (*draw, &table), out);
            });
        batch
    }

    /// Crops and colours of `n` images: from a stream of their own, so that without them all else stays.
    fn pictures(&self, images: &Images, n: usize, (seed, step): (u64, u64)) -> Vec<Picture> {
        let rng = &mut stream(seed, Purpose::Augment, 1, step);
        let shape = data_shape(images.shape);
        let [brightness, contrast, saturation, hue] = self.jitter.map(f64::from);
        let jitter = ColourJitter {
            brightness,
            contrast,
            saturation,
            hue,
        };
        let min_area = f64::from(self.resized_crop);
        let mut draw = || Picture {
            crop: (min_area > 0.0).then(|| CropWindow::draw(shape, min_area, rng)),
            colours: (!jitter.is_none()).then(|| jitter.draw(rng)),
        };
        (0..n).map(|_| draw()).collect()
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
