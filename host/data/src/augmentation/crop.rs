//! A window of random area and aspect ratio, resized to the whole picture (Szegedy et al. 2015).

use crate::ImageShape;
use rand::Rng;

/// Windows drawn before the whole picture is taken.
const N_TRIES: usize = 10;

/// Width by height, at least and at most.
const ASPECT: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropWindow {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows, at least 1.
    pub h: usize,
    /// Columns, at least 1.
    pub w: usize,
}

impl CropWindow {
    /// Draws a window: area `U(min_area, 1)` of the picture's, `ln(w/h) ~ U(ln 3/4, ln 4/3)`, uniform place;
    /// sides are rounded, and a window that does not fit is drawn again, at most ten times. After that it is
    /// the whole picture.
    pub fn draw(shape: ImageShape, min_area: f64, rng: &mut impl Rng) -> Self {
        let whole = (shape.h * shape.w) as f64;
        for _ in 0..N_TRIES {
            let area = whole * rng.random_range(min_area..=1.0);
            let aspect = rng.random_range(ASPECT.0.ln()..=ASPECT.1.ln()).exp();
            let h = (area / aspect).sqrt().round() as usize;
            let w = (area * aspect).sqrt().round() as usize;
            if (1..=shape.h).contains(&h) && (1..=shape.w).contains(&w) {
                return Self {
                    top: rng.random_range(0..=(shape.h - h) as u32) as usize,
                    left: rng.random_range(0..=(shape.w - w) as u32) as usize,
                    h,
                    w,
                };
            }
        }
        let (h, w) = (shape.h, shape.w);
        Self {
            top: 0,
            left: 0,
            h,
            w,
        }
    }

    /// The window of `image` `[h, w, c]`, enlarged to `shape`: bilinear between pixel centres, border
    /// pixels of the window go on beyond it. Pixel `y` of the result lies at
    /// `top + (y + 1/2)·h/H − 1/2`, as columns do.
    pub fn resized(&self, shape: ImageShape, image: &[u8]) -> Vec<u8> {
        let rows = axis(self.top, self.h, shape.h);
        let columns = axis(self.left, self.w, shape.w);
        let (w, c) = (shape.w, shape.c);
        let mut out = Vec::with_capacity(shape.len());
        for &(y0, y1, fy) in &rows {
            for &(x0, x1, fx) in &columns {
                for channel in 0..c {
                    let at = |y: usize, x: usize| f32::from(image[(y * w + x) * c + channel]);
                    let upper = at(y0, x0) + fx * (at(y0, x1) - at(y0, x0));
                    let lower = at(y1, x0) + fx * (at(y1, x1) - at(y1, x0));
                    out.push((upper + fy * (lower - upper)).round() as u8);
                }
            }
        }
        out
    }
}

/// For every pixel of the result the two of the window around it, and the weight of the second.
fn axis(first: usize, n: usize, n_out: usize) -> Vec<(usize, usize, f32)> {
    let scale = n as f32 / n_out as f32;
    let place = |i: usize| {
        let at = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, (n - 1) as f32);
        let low = at as usize;
        (first + low, first + (low + 1).min(n - 1), at - low as f32)
    };
    (0..n_out).map(place).collect()
}
