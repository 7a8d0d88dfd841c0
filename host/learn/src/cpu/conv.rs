//! Convolutions of one task: pointwise as one matrix product, dense k×k through a patch matrix
//! (im2col) per image, depthwise window by window; other groupings group by group.

use super::depthwise;
use super::matrix::{Matrix, product};
use crate::ops::ConvGeometry;
use std::borrow::Cow;

/// Buffers a thread reuses between images.
#[derive(Default)]
pub(super) struct Scratch {
    padded: Vec<f32>,
    patches: Vec<f32>,
    /// Gradient before batch norm.
    pub(super) grad: Vec<f32>,
}

/// A convolution with its weights in the order the loops read them:
/// dense `[out_ch, k, k, in_ch]`, depthwise `[k, k, ch]`.
pub(super) struct Kernel<'a> {
    pub(super) geometry: &'a ConvGeometry,
    weight: Cow<'a, [f32]>,
}

/// A padded image: `h × w × c`, the image's corner at (`pad`, `pad`).
#[derive(Clone, Copy)]
pub(super) struct Padded {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) c: usize,
    pad: usize,
}

impl<'a> Kernel<'a> {
    /// Whether these loops cover `g`: dense without dilation, or depthwise 3×3 and 5×5.
    pub(super) fn covers(g: &ConvGeometry) -> bool {
        g.groups == 1 && g.dilation == 1 || Self::is_depthwise(g) && matches!(g.kernel, 3 | 5)
    }

    fn is_depthwise(g: &ConvGeometry) -> bool {
        g.groups > 1 && g.groups == g.input.c && g.groups == g.output.c
    }

    /// Packs OIHW weights.
    pub(super) fn new(geometry: &'a ConvGeometry, oihw: &'a [f32]) -> Self {
        if geometry.kernel == 1 {
            return Self {
                geometry,
                weight: Cow::Borrowed(oihw),
            };
        }
        let weight = order(geometry).map(|i| oihw[i]).collect();
        Self { geometry, weight }
    }

    /// Packed order back to OIHW.
    pub(super) fn unpack(&self, packed: Vec<f32>) -> Vec<f32> {
        if self.geometry.kernel == 1 {
            return packed;
        }
        let mut oihw = vec![0.0; packed.len()];
        for (i, value) in order(self.geometry).zip(packed.iter().copied()) {
            oihw[i] = value;
        }
        oihw
    }

    fn padded(&self) -> Padded {
        let g = self.geometry;
        let side = |out: usize| (out - 1) * g.stride + (g.kernel - 1) * g.dilation + 1;
        Padded {
            h: side(g.output.h),
            w: side(g.output.w),
            c: g.input.c,
            pad: g.pad,
        }
    }

    fn pointwise(&self) -> bool {
        let g = self.geometry;
        g.kernel == 1 && g.stride == 1 && g.groups == 1
    }

    /// `y = conv(x, W)` for the images of one task.
    pub(super) fn forward(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let g = self.geometry;
        let (i, o) = (g.input.c, g.output.c);
        if self.pointwise() {
            let w = Matrix::new(&self.weight, o, i).t();
            return product(y, Matrix::new(x, x.len() / i, i), w, false);
        }
        let p = self.padded();
        for (x, y) in x.chunks(g.input.len()).zip(y.chunks_mut(g.output.len())) {
            p.fill(g, x, &mut scratch.padded);
            if g.groups > 1 {
                depthwise::forward(g, p, &scratch.padded, &self.weight, y);
                continue;
            }
            p.patches(g, &scratch.padded, &mut scratch.patches);
            let depth = g.kernel * g.kernel * i;
            let patches = Matrix::new(&scratch.patches, g.output.h * g.output.w, depth);
            product(y, patches, Matrix::new(&self.weight, o, depth).t(), false);
        }
    }

    /// With this kernel's weights as feedback: `dx = T-conv(B, dy)` and `dw += corr(x, dy)`, in packed
    /// order, whichever is wanted.
    pub(super) fn backward(
        &self,
        x: &[f32],
        dy: &[f32],
        mut dx: Option<&mut [f32]>,
        mut dw: Option<&mut [f32]>,
        scratch: &mut Scratch,
    ) {
        let g = self.geometry;
        let (i, o) = (g.input.c, g.output.c);
        if self.pointwise() {
            let rows = x.len() / i;
            let dy = Matrix::new(dy, rows, o);
            if let Some(dw) = dw {
                product(dw, dy.t(), Matrix::new(x, rows, i), true);
            }
            if let Some(dx) = dx {
                product(dx, dy, Matrix::new(&self.weight, o, i), false);
            }
            return;
        }
        let p = self.padded();
        let depth = g.kernel * g.kernel * i;
        for (n, (x, dy)) in x
            .chunks(g.input.len())
            .zip(dy.chunks(g.output.len()))
            .enumerate()
        {
            let dx = dx
                .as_deref_mut()
                .map(|dx| &mut dx[n * x.len()..(n + 1) * x.len()]);
            let rows = g.output.h * g.output.w;
            p.fill(g, x, &mut scratch.padded);
            match dw.as_deref_mut() {
                Some(dw) if g.groups > 1 => {
                    depthwise::weight_grad(g, p, &scratch.padded, dy, dw);
                }
                Some(dw) => {
                    p.patches(g, &scratch.padded, &mut scratch.patches);
                    let patches = Matrix::new(&scratch.patches, rows, depth);
                    product(dw, Matrix::new(dy, rows, o).t(), patches, true);
                }
                None if g.groups == 1 => scratch.patches.resize(rows * depth, 0.0),
                None => {}
            }
            let Some(dx) = dx else { continue };
            scratch.padded.fill(0.0);
            if g.groups > 1 {
                depthwise::input_grad(g, p, dy, &self.weight, &mut scratch.padded);
            } else {
                let dy = Matrix::new(dy, rows, o);
                product(
                    &mut scratch.patches,
                    dy,
                    Matrix::new(&self.weight, o, depth),
                    false,
                );
                p.scatter(g, &scratch.patches, &mut scratch.padded);
            }
            p.crop(g, &scratch.padded, dx);
        }
    }
}

/// Position in OIHW of each packed weight.
fn order(g: &ConvGeometry) -> impl Iterator<Item = usize> {
    let (kk, o, i) = (g.kernel * g.kernel, g.output.c, g.input.c / g.groups);
    let depthwise = g.groups > 1;
    (0..o * i * kk).map(move |at| {
        if depthwise {
            return at % o * kk + at / o;
        }
        let (oc, tap, ic) = (at / (kk * i), at / i % kk, at % i);
        (oc * i + ic) * kk + tap
    })
}

impl Padded {
    /// Rows and columns of the image that the windows reach.
    fn reach(&self, g: &ConvGeometry) -> (usize, usize) {
        (
            g.input.h.min(self.h - self.pad),
            g.input.w.min(self.w - self.pad),
        )
    }

    fn fill(&self, g: &ConvGeometry, x: &[f32], padded: &mut Vec<f32>) {
        padded.clear();
        padded.resize(self.h * self.w * self.c, 0.0);
        let (h, w) = self.reach(g);
        for y in 0..h {
            let at = ((y + self.pad) * self.w + self.pad) * self.c;
            let from = y * g.input.w * self.c;
            padded[at..at + w * self.c].copy_from_slice(&x[from..from + w * self.c]);
        }
    }

    fn crop(&self, g: &ConvGeometry, padded: &[f32], x: &mut [f32]) {
        let (h, w) = self.reach(g);
        for y in 0..h {
            let at = ((y + self.pad) * self.w + self.pad) * self.c;
            let to = y * g.input.w * self.c;
            x[to..to + w * self.c].copy_from_slice(&padded[at..at + w * self.c]);
        }
    }

    /// For each window row: its place in the padded image and in the patch matrix. A window row of
    /// `k` pixels is contiguous in NHWC.
    fn window_rows(&self, g: &ConvGeometry) -> impl Iterator<Item = (usize, usize)> {
        let (k, s, w, c) = (g.kernel, g.stride, self.w, self.c);
        let (ho, wo) = (g.output.h, g.output.w);
        (0..ho * wo * k).map(move |at| {
            let (pixel, kh) = (at / k, at % k);
            let (oh, ow) = (pixel / wo, pixel % wo);
            (((oh * s + kh) * w + ow * s) * c, at * k * c)
        })
    }

    fn patches(&self, g: &ConvGeometry, padded: &[f32], patches: &mut Vec<f32>) {
        let len = g.kernel * self.c;
        patches.resize(g.output.h * g.output.w * g.kernel * len, 0.0);
        for (from, to) in self.window_rows(g) {
            patches[to..to + len].copy_from_slice(&padded[from..from + len]);
        }
    }

    fn scatter(&self, g: &ConvGeometry, patches: &[f32], padded: &mut [f32]) {
        let len = g.kernel * self.c;
        for (to, from) in self.window_rows(g) {
            let dst = &mut padded[to..to + len];
            for (sum, value) in dst.iter_mut().zip(&patches[from..from + len]) {
                *sum += value;
            }
        }
    }
}
