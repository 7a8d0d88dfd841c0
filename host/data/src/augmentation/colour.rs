//! Random brightness, contrast, saturation and hue, in random order (Howard 2013; the ranges are named as
//! in torchvision's `ColorJitter`).

use rand::Rng;
use rand::seq::SliceRandom;

/// Weights of red, green and blue in a grey value (ITU-R BT.601).
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// How far colours are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColourJitter {
    /// Factor `U(max(0, 1 − b), 1 + b)` on every value.
    pub brightness: f64,
    /// Factor of the same range on the distance to the picture's mean grey.
    pub contrast: f64,
    /// Factor of the same range on the distance to the pixel's own grey.
    pub saturation: f64,
    /// Turn of the hue `U(−h, h)`, 1 being the whole circle; at most 0.5.
    pub hue: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

/// One draw of a [`ColourJitter`]: steps in their order with factor or turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourChange([(Step, f32); 4]);

impl ColourJitter {
    /// Whether nothing changes.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Draws a change.
    pub fn draw(&self, rng: &mut impl Rng) -> ColourChange {
        let mut factor = |range: f64| rng.random_range((1.0 - range).max(0.0)..=1.0 + range) as f32;
        let mut steps = [
            (Step::Brightness, factor(self.brightness)),
            (Step::Contrast, factor(self.contrast)),
            (Step::Saturation, factor(self.saturation)),
            (Step::Hue, rng.random_range(-self.hue..=self.hue) as f32),
        ];
        steps.shuffle(rng);
        ColourChange(steps)
    }
}

impl ColourChange {
    /// Changes `image`, pixels of `channels` values; values stay within 0..=255 after every step. Saturation
    /// and hue need three channels and leave others as they are.
    pub fn apply(&self, channels: usize, image: &mut [u8]) {
        let mut values: Vec<f32> = image.iter().map(|&p| f32::from(p) / 255.0).collect();
        for &(step, amount) in &self.0 {
            match step {
                Step::Brightness => mix(&mut values, |_| 0.0, amount, channels),
                Step::Contrast => {
                    let pixels = values.chunks_exact(channels.max(1));
                    let n = pixels.len().max(1) as f32;
                    let mean = pixels.map(grey).sum::<f32>() / n;
                    mix(&mut values, |_| mean, amount, channels);
                }
                Step::Saturation if channels == 3 => mix(&mut values, grey, amount, channels),
                Step::Hue if channels == 3 => {
                    values.chunks_exact_mut(3).for_each(|p| turn(p, amount));
                }
                Step::Saturation | Step::Hue => {}
            }
        }
        for (p, v) in image.iter_mut().zip(values) {
            *p = (v * 255.0).round() as u8;
        }
    }
}

fn grey(pixel: &[f32]) -> f32 {
    match pixel {
        [r, g, b] => GREY[0] * r + GREY[1] * g + GREY[2] * b,
        _ => pixel.iter().sum::<f32>() / pixel.len().max(1) as f32,
    }
}

/// `v ← o + f·(v − o)` within 0..=1, `o` of each pixel.
fn mix(values: &mut [f32], other: impl Fn(&[f32]) -> f32, factor: f32, channels: usize) {
    for pixel in values.chunks_exact_mut(channels.max(1)) {
        let other = other(pixel);
        for v in pixel {
            *v = (other + factor * (*v - other)).clamp(0.0, 1.0);
        }
    }
}

/// Turns the hue of a pixel by `turn` of the circle: hue from the largest and smallest value, which stay,
/// and back.
fn turn(pixel: &mut [f32], turn: f32) {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]];
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = max - min;
    if chroma == 0.0 {
        return;
    }
    let sextant = if max == r {
        (g - b) / chroma
    } else if max == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    let hue = (sextant + 6.0 * turn).rem_euclid(6.0);
    let middle = min + chroma * (1.0 - (hue % 2.0 - 1.0).abs());
    let turned = match hue as usize {
        0 => [max, middle, min],
        1 => [middle, max, min],
        2 => [min, max, middle],
        3 => [min, middle, max],
        4 => [middle, min, max],
        _ => [max, min, middle],
    };
    pixel.copy_from_slice(&turned);
}
