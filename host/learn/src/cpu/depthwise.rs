//! Depthwise windows over a padded NHWC image, vectorised over 8 (or 4, or 1) channels at a time;
//! the taps of a channel block stay in registers.
#![allow(
    clippy::needless_range_loop,
    reason = "the window is indexed by its two offsets, as in the formula"
)]

use super::conv::Padded;
use super::simd::mul_add;
use crate::ops::ConvGeometry;

/// Sizes of one pass.
#[derive(Clone, Copy)]
struct Dims {
    ho: usize,
    wo: usize,
    stride: usize,
    dilation: usize,
    wp: usize,
    c: usize,
}

impl Dims {
    fn new(g: &ConvGeometry, p: Padded) -> Self {
        Self {
            ho: g.output.h,
            wo: g.output.w,
            stride: g.stride,
            dilation: g.dilation,
            wp: p.w,
            c: p.c,
        }
    }

    /// Index of the padded pixel under tap (`kh`, 0) of output pixel (`oh`, `ow`).
    #[inline(always)]
    fn at(&self, oh: usize, ow: usize, kh: usize) -> usize {
        ((oh * self.stride + kh * self.dilation) * self.wp + ow * self.stride) * self.c
    }
}

/// Calls `$pass::<K, L>` for every block of `L` channels.
macro_rules! by_blocks {
    ($g:expr, $c:expr, |$c0:ident| $pass:ident($($arg:expr),*)) => {{
        let mut $c0 = 0;
        while $c0 < $c {
            let lanes = match $c - $c0 { 8.. => 8, 4.. => 4, _ => 1 };
            match ($g.kernel, lanes) {
                (3, 8) => $pass::<3, 8>($($arg),*),
                (3, 4) => $pass::<3, 4>($($arg),*),
                (3, _) => $pass::<3, 1>($($arg),*),
                (5, 8) => $pass::<5, 8>($($arg),*),
                (5, 4) => $pass::<5, 4>($($arg),*),
                _ => $pass::<5, 1>($($arg),*),
            }
            $c0 += lanes;
        }
    }};
}

/// `y[oh, ow, c] = Σ_{kh, kw} x[oh·s + kh·d, ow·s + kw·d, c] · w[kh, kw, c]`, `x` padded.
pub(super) fn forward(g: &ConvGeometry, p: Padded, x: &[f32], w: &[f32], y: &mut [f32]) {
    let d = Dims::new(g, p);
    by_blocks!(g, d.c, |c0| forward_block(d, c0, x, w, y));
}

/// `dw[kh, kw, c] += Σ_{oh, ow} x[oh·s + kh·d, ow·s + kw·d, c] · dy[oh, ow, c]`, `x` padded.
pub(super) fn weight_grad(g: &ConvGeometry, p: Padded, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let d = Dims::new(g, p);
    by_blocks!(g, d.c, |c0| weight_block(d, c0, x, dy, dw));
}

/// `dx[oh·s + kh·d, ow·s + kw·d, c] += w[kh, kw, c] · dy[oh, ow, c]`, `dx` padded.
pub(super) fn input_grad(g: &ConvGeometry, p: Padded, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let d = Dims::new(g, p);
    by_blocks!(g, d.c, |c0| input_block(d, c0, dy, w, dx));
}

simd_dispatch!(fn forward_block[const K: usize, const L: usize](
    d: Dims, c0: usize, x: &[f32], w: &[f32], y: &mut [f32]) = forward_body[K, L]);
simd_dispatch!(fn weight_block[const K: usize, const L: usize](
    d: Dims, c0: usize, x: &[f32], dy: &[f32], dw: &mut [f32]) = weight_body[K, L]);
simd_dispatch!(fn input_block[const K: usize, const L: usize](
    d: Dims, c0: usize, dy: &[f32], w: &[f32], dx: &mut [f32]) = input_body[K, L]);

#[inline(always)]
fn load<const L: usize>(x: &[f32], at: usize) -> [f32; L] {
    let mut lanes = [0.0; L];
    lanes.copy_from_slice(&x[at..at + L]);
    lanes
}

#[inline(always)]
fn taps<const K: usize, const L: usize>(w: &[f32], c: usize, c0: usize) -> [[[f32; L]; K]; K] {
    let mut taps = [[[0.0; L]; K]; K];
    for (kh, row) in taps.iter_mut().enumerate() {
        for (kw, tap) in row.iter_mut().enumerate() {
            *tap = load(w, (kh * K + kw) * c + c0);
        }
    }
    taps
}

#[inline(always)]
fn forward_body<const FMA: bool, const K: usize, const L: usize>(
    d: Dims,
    c0: usize,
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
) {
    let taps = taps::<K, L>(w, d.c, c0);
    for oh in 0..d.ho {
        for ow in 0..d.wo {
            let mut acc = [0.0; L];
            for kh in 0..K {
                let at = d.at(oh, ow, kh) + c0;
                let row = &x[at..at + (K - 1) * d.dilation * d.c + L];
                for kw in 0..K {
                    let value = load::<L>(row, kw * d.dilation * d.c);
                    for l in 0..L {
                        acc[l] = mul_add::<FMA>(value[l], taps[kh][kw][l], acc[l]);
                    }
                }
            }
            let at = (oh * d.wo + ow) * d.c + c0;
            y[at..at + L].copy_from_slice(&acc);
        }
    }
}

#[inline(always)]
fn weight_body<const FMA: bool, const K: usize, const L: usize>(
    d: Dims,
    c0: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let mut acc = taps::<K, L>(dw, d.c, c0);
    for oh in 0..d.ho {
        for ow in 0..d.wo {
            let grad = load::<L>(dy, (oh * d.wo + ow) * d.c + c0);
            for kh in 0..K {
                let at = d.at(oh, ow, kh) + c0;
                let row = &x[at..at + (K - 1) * d.dilation * d.c + L];
                for kw in 0..K {
                    let value = load::<L>(row, kw * d.dilation * d.c);
                    for l in 0..L {
                        acc[kh][kw][l] = mul_add::<FMA>(value[l], grad[l], acc[kh][kw][l]);
                    }
                }
            }
        }
    }
    for (kh, row) in acc.iter().enumerate() {
        for (kw, tap) in row.iter().enumerate() {
            let at = (kh * K + kw) * d.c + c0;
            dw[at..at + L].copy_from_slice(tap);
        }
    }
}

#[inline(always)]
fn input_body<const FMA: bool, const K: usize, const L: usize>(
    d: Dims,
    c0: usize,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
) {
    let taps = taps::<K, L>(w, d.c, c0);
    for oh in 0..d.ho {
        for ow in 0..d.wo {
            let grad = load::<L>(dy, (oh * d.wo + ow) * d.c + c0);
            for kh in 0..K {
                let at = d.at(oh, ow, kh) + c0;
                let row = &mut dx[at..at + (K - 1) * d.dilation * d.c + L];
                for kw in 0..K {
                    let sum = &mut row[kw * d.dilation * d.c..][..L];
                    for l in 0..L {
                        sum[l] = mul_add::<FMA>(taps[kh][kw][l], grad[l], sum[l]);
                    }
                }
            }
        }
    }
}
