//! Corruptions that move light between pixels: blur, rotation, translation.

use super::pixel::to_pixel;
use crate::ImageShape;
use rand::Rng;

/// Separable Gaussian blur with `sigma` in pixels, radius `⌈3σ⌉`, border pixel repeated.
pub(super) fn blur(shape: ImageShape, image: &[u8], sigma: f64) -> Vec<u8> {
    let ImageShape { h, w, c } = shape;
    let radius = (3.0 * sigma).ceil() as isize;
    let weight = |d: isize| (-0.5 * (d as f64 / sigma).powi(2)).exp();
    let total: f64 = (-radius..=radius).map(weight).sum();
    let kernel: Vec<(isize, f64)> = (-radius..=radius).map(|d| (d, weight(d) / total)).collect();
    let inside = |i: usize, d: isize, n: usize| i.saturating_add_signed(d).min(n - 1);
    let source: Vec<f64> = image.iter().map(|&p| f64::from(p) / 255.0).collect();
    let pass = |from: &[f64], down: bool| -> Vec<f64> {
        let at = |i: usize, d: isize| {
            let (y, x, ch) = (i / (w * c), i / c % w, i % c);
            let (y, x) = if down {
                (inside(y, d, h), x)
            } else {
                (y, inside(x, d, w))
            };
            from[(y * w + x) * c + ch]
        };
        let one = |i: usize| kernel.iter().map(|&(d, k)| k * at(i, d)).sum();
        (0..h * w * c).map(one).collect()
    };
    pass(&pass(&source, false), true)
        .into_iter()
        .map(to_pixel)
        .collect()
}

/// Rotation by `degrees` about the centre, to a side drawn from `camera`.
pub(super) fn rotate(
    shape: ImageShape,
    image: &[u8],
    degrees: f64,
    camera: &mut impl Rng,
) -> Vec<u8> {
    let angle = sign(camera) * degrees.to_radians();
    let (sin, cos) = angle.sin_cos();
    let (cy, cx) = ((shape.h as f64 - 1.0) / 2.0, (shape.w as f64 - 1.0) / 2.0);
    warp(shape, image, |y, x| {
        let (dy, dx) = (y - cy, x - cx);
        (cy + cos * dy - sin * dx, cx + sin * dy + cos * dx)
    })
}

/// Translation by `pixels` along both axes, to sides drawn from `camera`.
pub(super) fn translate(
    shape: ImageShape,
    image: &[u8],
    pixels: f64,
    camera: &mut impl Rng,
) -> Vec<u8> {
    let (dy, dx) = (sign(camera) * pixels, sign(camera) * pixels);
    warp(shape, image, |y, x| (y - dy, x - dx))
}

fn sign(camera: &mut impl Rng) -> f64 {
    if camera.random() { 1.0 } else { -1.0 }
}

/// Reads each output pixel at the input place that `source` gives for it, bilinear, 0 outside.
fn warp(shape: ImageShape, image: &[u8], source: impl Fn(f64, f64) -> (f64, f64)) -> Vec<u8> {
    let ImageShape { h, w, c } = shape;
    let read = |y: f64, x: f64, ch: usize| {
        let within = y >= 0.0 && x >= 0.0 && y < h as f64 && x < w as f64;
        if within {
            f64::from(image[(y as usize * w + x as usize) * c + ch])
        } else {
            0.0
        }
    };
    let mut out = Vec::with_capacity(h * w * c);
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
        let (sy, sx) = source(y as f64, x as f64);
        let (fy, fx) = (sy - sy.floor(), sx - sx.floor());
        let (y0, x0) = (sy.floor(), sx.floor());
        for ch in 0..c {
            let top = (1.0 - fx) * read(y0, x0, ch) + fx * read(y0, x0 + 1.0, ch);
            let bottom = (1.0 - fx) * read(y0 + 1.0, x0, ch) + fx * read(y0 + 1.0, x0 + 1.0, ch);
            out.push(to_pixel(((1.0 - fy) * top + fy * bottom) / 255.0));
        }
    }
    out
}
