//! Integer kernels, one file per operator, and what they have in common.
//!
//! It owns the views kernels work on and must not know the blob, the arena or who gave the constants.
//! Kernels are total: a slice that does not fit its shape gives a wrong result, never a panic.
//! Activations are NHWC i8 with N = 1, `real = scale · (q − zero_point)`; weights are i8
//! with zero point 0. `raw = Σ (q − zero_point) · w` always leaves the bias out.
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation)]

use core::ops::Range;

use crate::layer::{Clamp, Tensor};
use crate::quant::{Requant, requantize};

pub mod dsp;
pub mod generic;
pub mod over;
pub mod sums;

/// The kernels of this build: `dsp` (Cortex-M with the DSP extension; `build.rs` has how it is recognised), `multiply`
/// (other Cortex-M: 2.2 times its instructions on an M3, 5.3 on an M0+, for the released network), `sse2` (x86-64) or
/// `portable` (plain Rust).
pub const KERNELS: &str = if cfg!(dsp) {
    "dsp"
} else if cfg!(multiply) {
    "multiply"
} else if cfg!(target_arch = "x86_64") {
    "sse2"
} else {
    "portable"
};

/// An input tensor.
#[derive(Clone, Copy, Debug)]
pub struct Src<'a> {
    /// `[h][w][c]`.
    pub data: &'a [i8],
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// The `q` of real 0.
    pub zero_point: i32,
}

impl<'a> Src<'a> {
    /// `data` in the shape of `tensor`.
    pub fn new(tensor: &Tensor, data: &'a [i8]) -> Self {
        Self {
            data,
            h: tensor.h.into(),
            w: tensor.w.into(),
            c: tensor.c.into(),
            zero_point: tensor.zero_point.into(),
        }
    }

    /// `len` values from pixel `(y, x)` on; empty if they are not all there.
    #[inline]
    pub(crate) fn run(&self, y: usize, x: usize, len: usize) -> &'a [i8] {
        let start = (y * self.w + x) * self.c;
        self.data.get(start..start + len).unwrap_or(&[])
    }
}

/// An output tensor and its activation.
#[derive(Debug)]
pub struct Dst<'a> {
    /// `[h][w][c]`, overwritten.
    pub data: &'a mut [i8],
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// The `q` of real 0.
    pub zero_point: i32,
    /// Limits of every output.
    pub clamp: Clamp,
}

impl<'a> Dst<'a> {
    /// `data` in the shape of `tensor`.
    pub fn new(tensor: &Tensor, data: &'a mut [i8], clamp: Clamp) -> Self {
        Self {
            data,
            h: tensor.h.into(),
            w: tensor.w.into(),
            c: tensor.c.into(),
            zero_point: tensor.zero_point.into(),
            clamp,
        }
    }

    /// Every pixel as `(y, x, channels)`, row by row.
    pub(crate) fn pixels(&mut self) -> impl Iterator<Item = (usize, usize, &mut [i8])> {
        let w = self.w.max(1);
        let pixels = self.data.chunks_exact_mut(self.c.max(1));
        pixels.enumerate().map(move |(i, p)| (i / w, i % w, p))
    }
}

/// A tensor that a layer reads and writes in one place.
#[derive(Debug)]
pub struct Over<'a> {
    /// The input, `[h][w][c]`; the output at its start.
    pub data: &'a mut [i8],
    /// Height and width of the input.
    pub from: [usize; 2],
    /// Height and width of the output, not larger.
    pub to: [usize; 2],
    /// Channels of both.
    pub c: usize,
    /// Zero points of input and output.
    pub zero_points: [i32; 2],
    /// Limits of every output.
    pub clamp: Clamp,
}

impl<'a> Over<'a> {
    /// `data`, as long as the longer of the two, in the shapes of `src` and `dst`.
    pub fn new([src, dst]: [&Tensor; 2], data: &'a mut [i8], clamp: Clamp) -> Self {
        Self {
            data,
            from: [src.h, src.w].map(usize::from),
            to: [dst.h, dst.w].map(usize::from),
            c: dst.c.into(),
            zero_points: [src.zero_point, dst.zero_point].map(i32::from),
            clamp,
        }
    }

    /// The input as it is now.
    pub(crate) fn src(&self) -> Src<'_> {
        let [h, w] = self.from;
        Src {
            data: self.data,
            h,
            w,
            c: self.c,
            zero_point: self.zero_points[0],
        }
    }

    /// The output.
    pub(crate) fn dst(&mut self) -> Dst<'_> {
        let [h, w] = self.to;
        Dst {
            data: self.data.get_mut(..h * w * self.c).unwrap_or_default(),
            h,
            w,
            c: self.c,
            zero_point: self.zero_points[1],
            clamp: self.clamp,
        }
    }
}

/// Constants of a weighted layer with O output channels.
#[derive(Debug)]
pub struct Weighted<'a> {
    /// i8, layout of the operator.
    pub weights: &'a [u8],
    /// O entries each.
    pub requant: Requant<'a>,
}

impl Weighted<'_> {
    /// Turns `raw` of `channel` into an activation.
    #[inline]
    pub(crate) fn finish(&self, channel: usize, raw: i32, to: (i32, Clamp)) -> i8 {
        let (bias, multiplier, shift) = self.requant.channel(channel);
        requantize(raw.wrapping_add(bias), (multiplier, shift), to.0, to.1)
    }
}

/// `Σ (src − zero_point) · weights` over the shorter of the two.
#[inline]
pub(crate) fn dot(src: &[i8], weights: &[u8], zero_point: i32) -> i32 {
    src.iter().zip(weights).fold(0i32, |acc, (&q, &w)| {
        acc.wrapping_add((i32::from(q) - zero_point) * i32::from(w.cast_signed()))
    })
}

/// The taps `k` of a window at output position `at` that fall inside an image of `size`, and the
/// position of tap 0 plus `pad`: tap `k` reads `origin + k·dilation − pad`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Image size.
    pub(crate) size: usize,
    /// Taps.
    pub(crate) kernel: u8,
    /// Step.
    pub(crate) stride: u8,
    /// Distance of taps.
    pub(crate) dilation: u8,
    /// Padding before the image.
    pub(crate) pad: u8,
}

impl Axis {
    /// `(taps inside, input position of the first of them)`.
    #[inline]
    pub(crate) fn taps(&self, at: usize) -> (Range<usize>, usize) {
        let (origin, pad) = (at * usize::from(self.stride), usize::from(self.pad));
        let dilation = usize::from(self.dilation).max(1);
        let first = pad.saturating_sub(origin).div_ceil(dilation);
        let behind = (self.size + pad).saturating_sub(origin).div_ceil(dilation);
        let last = behind.min(self.kernel.into()).max(first);
        let position = (origin + first * dilation).saturating_sub(pad);
        (first..last, position)
    }
}

/// The taps of a window that fall inside an image: see [`Axis::taps`].
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    pub(crate) rows: (Range<usize>, usize),
    pub(crate) columns: (Range<usize>, usize),
}

impl Taps {
    /// Of output pixel `(y, x)`.
    #[inline]
    pub(crate) fn of(axes: &(Axis, Axis), (y, x): (usize, usize)) -> Self {
        Self {
            rows: axes.0.taps(y),
            columns: axes.1.taps(x),
        }
    }
}

/// The vertical and the horizontal axis of `window` over `src`.
pub(crate) fn axes(src: &Src<'_>, window: &crate::layer::Window) -> (Axis, Axis) {
    let rows = Axis {
        size: src.h,
        kernel: window.kernel_h,
        stride: window.stride_h,
        dilation: window.dilation_h,
        pad: window.pad_top,
    };
    let columns = Axis {
        size: src.w,
        kernel: window.kernel_w,
        stride: window.stride_w,
        dilation: window.dilation_w,
        pad: window.pad_left,
    };
    (rows, columns)
}
