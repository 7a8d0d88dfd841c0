//! Instructions of kernels that look at the taps inside the image. It owns the counts of these taps.

use crate::kernel::dsp::WIDE;
use crate::kernel::{Src, axes};
use crate::layer::{Tensor, Window};

/// Taps inside the image over all output pixels.
pub(super) struct Inside {
    /// Output pixels.
    pub(super) pixels: u64,
    /// Rows of taps.
    pub(super) rows: u64,
    /// Taps.
    pub(super) taps: u64,
}

impl Inside {
    pub(super) fn new(window: &Window, src: &Tensor, dst: &Tensor) -> Self {
        let (rows, columns) = axes(&Src::new(src, &[]), window);
        let sum = |axis: crate::kernel::Axis, n: u16| {
            let taps = (0..usize::from(n)).map(|at| axis.taps(at).0.len() as u64);
            taps.sum::<u64>()
        };
        let rows = sum(rows, dst.h);
        Self {
            pixels: u64::from(dst.h) * u64::from(dst.w),
            rows: rows * u64::from(dst.w),
            taps: rows * sum(columns, dst.w),
        }
    }
}

/// Words of 16 channels, and of four beside them.
pub(super) fn words(c: u16) -> [u64; 2] {
    let c = usize::from(c);
    [c / WIDE, (c % WIDE).div_ceil(4)].map(|n| n as u64)
}

/// Generic: per MAC, row of taps and output, output, pixel.
pub(super) fn conv2d(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let inside = Inside::new(window, src, dst);
    let (in_ch, out_ch) = (u64::from(src.c), u64::from(dst.c));
    out_ch * (23 * inside.taps * in_ch / 4 + 67 * inside.rows + 139 * inside.pixels)
        + 67 * inside.pixels
        + 240
}

/// Per output row, pixel, word of 16 or four channels, and tap of it.
pub(super) fn max_pool(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let Inside { pixels, rows, taps } = Inside::new(window, src, dst);
    let [wide, narrow] = words(src.c);
    55 * u64::from(dst.h)
        + 67 * pixels
        + wide * (45 * pixels + 31 * taps)
        + narrow * (22 * pixels + 29 * rows + 23 * taps) / 2
        + 280
}

/// As [`max_pool`].
pub(super) fn avg_pool(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let Inside { pixels, taps, .. } = Inside::new(window, src, dst);
    let [wide, narrow] = words(src.c);
    56 * u64::from(dst.h)
        + 84 * pixels
        + wide * (85 * pixels + 16 * taps)
        + narrow * (78 * pixels + 29 * taps) / 2
        + 340
}
