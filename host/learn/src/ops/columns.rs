//! Convolutions for GPUs, as what their libraries are made for: matrix products, and convolutions without a
//! gradient. Works on every backend, for dense and depthwise convolutions, which are all that we have.
//!
//! A tap is the input as one place of the window sees it, `[n, h', w', in_ch]`; the columns of a dense
//! convolution are all its taps side by side, and all that it computes is a product with them. What goes
//! down is a convolution again: of the output's gradient, with zeros put between its pixels where the step
//! is 2, by the feedback read backwards. The weight gradient of a depthwise one is a convolution of every
//! channel of every image by its gradient. Both are summed image by image first, as a product that ends in
//! a few numbers leaves most of a GPU idle.
//!
//! burn's own weight gradient of a depthwise convolution goes channel by channel there, and its search for
//! the fastest of its kernels took more than 100 s for the first step of a network of 10 layers (H100, burn
//! 0.21 with `autotune`).

use super::{ConvGeometry, composed, unwrap, wrap};
use burn::tensor::backend::Backend;
use burn::tensor::ops::{ConvOptions, FloatTensor, PadMode};
use burn::tensor::{Slice, Tensor};

/// See [`super::LearnOps::convolve`].
pub fn convolve<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    if is_depthwise(g) {
        return composed::convolve::<B>(x, weight, g);
    }
    let taps = Window::of(g).taps(wrap::<B, 4>(x));
    let weight = wrap::<B, 1>(weight).reshape(g.weight_shape());
    unwrap(dense(taps, weight.permute([2, 3, 1, 0])))
}

/// See [`super::LearnOps::convolve_back`].
pub fn convolve_back<B: Backend>(
    feedback: FloatTensor<B>,
    dy: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let dy = spread(wrap::<B, 4>(dy), g.stride);
    let feedback = wrap::<B, 1>(feedback).reshape(g.weight_shape());
    let pad = g.dilation * (g.kernel - 1) - g.pad;
    if is_depthwise(g) {
        let options = ConvOptions::new([1, 1], [pad, pad], [g.dilation; 2], g.groups);
        let dy = unwrap(dy.permute([0, 3, 1, 2]));
        let dx = B::conv2d(dy, unwrap(feedback.flip([2, 3])), None, options);
        let dx = wrap::<B, 4>(dx).permute([0, 2, 3, 1]);
        return unwrap(cut(dx, [g.input.h, g.input.w]));
    }
    let window = Window {
        stride: 1,
        pad,
        output: [g.input.h, g.input.w],
        ..Window::of(g)
    };
    let mut taps = window.taps(dy);
    taps.reverse();
    unwrap(dense(taps, feedback.permute([2, 3, 0, 1])))
}

/// See [`super::LearnOps::correlate`].
pub fn correlate<B: Backend>(
    x: FloatTensor<B>,
    z: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let (x, z) = (wrap::<B, 4>(x), wrap::<B, 4>(z));
    let [n, h, w, out_ch] = z.dims();
    let k = g.kernel;
    let dw = if is_depthwise(g) {
        // Step and dilation change places.
        let (step, dilation) = ([g.dilation; 2], [g.stride; 2]);
        let options = ConvOptions::new(step, [g.pad; 2], dilation, n * out_ch);
        let [_, in_h, in_w, _] = x.dims();
        let x = x.permute([0, 3, 1, 2]).reshape([1, n * out_ch, in_h, in_w]);
        let z = z.permute([0, 3, 1, 2]).reshape([n * out_ch, 1, h, w]);
        let by_image = wrap::<B, 4>(B::conv2d(unwrap(x), unwrap(z), None, options));
        let by_image = by_image.slice([0..1, 0..n * out_ch, 0..k, 0..k]);
        by_image.reshape([n, out_ch * k * k]).sum_dim(0)
    } else {
        let z = z.reshape([n, h * w, out_ch]);
        let columns = side_by_side(Window::of(g).taps(x));
        let columns = columns.reshape([n, h * w, k * k * g.input.c]);
        let by_image = columns.swap_dims(1, 2).matmul(z);
        let dw = by_image.sum_dim(0).reshape([k * k, g.input.c, out_ch]);
        dw.permute([2, 1, 0]).reshape([1, g.n_weights()])
    };
    unwrap(dw.reshape([g.n_weights()]))
}

fn is_depthwise(g: &ConvGeometry) -> bool {
    g.groups > 1
}

/// `columns · W`, `weight` `[kernel, kernel, in, out]`.
fn dense<B: Backend>(taps: Vec<Tensor<B, 4>>, weight: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, h, w, _] = taps[0].dims();
    let [ky, kx, inputs, outputs] = weight.dims();
    let depth = ky * kx * inputs;
    let columns = side_by_side(taps).reshape([n * h * w, depth]);
    let y = columns.matmul(weight.reshape([depth, outputs]));
    y.reshape([n, h, w, outputs])
}

fn side_by_side<B: Backend>(mut taps: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
    match taps.len() {
        1 => taps.swap_remove(0),
        _ => Tensor::cat(taps, 3),
    }
}

/// `step − 1` zeros behind every pixel, down and right.
fn spread<B: Backend>(x: Tensor<B, 4>, step: usize) -> Tensor<B, 4> {
    let [n, h, w, c] = x.dims();
    if step == 1 {
        return x;
    }
    let zeros = step - 1;
    let x = x.reshape([n, h * w, 1, c]);
    let x = x.pad([(0, 0), (0, zeros), (0, 0)], PadMode::Constant(0.0));
    let x = x.reshape([n, h, 1, w * step * c]);
    let x = x.pad([(0, zeros), (0, 0)], PadMode::Constant(0.0));
    x.reshape([n, h * step, w * step, c])
}

/// The first rows and columns.
fn cut<B: Backend>(x: Tensor<B, 4>, [h, w]: [usize; 2]) -> Tensor<B, 4> {
    let [n, rows, columns, c] = x.dims();
    match [rows, columns] == [h, w] {
        true => x,
        false => x.slice([0..n, 0..h, 0..w, 0..c]),
    }
}

/// How a window moves over its input.
struct Window {
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    /// Height and width of the output.
    output: [usize; 2],
}

impl Window {
    fn of(g: &ConvGeometry) -> Self {
        Self {
            kernel: g.kernel,
            stride: g.stride,
            dilation: g.dilation,
            pad: g.pad,
            output: [g.output.h, g.output.w],
        }
    }

    /// The taps of `x` `[n, h, w, c]`, row by row of the window.
    fn taps<B: Backend>(&self, x: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
        if (self.kernel, self.stride, self.pad) == (1, 1, 0) {
            return vec![cut(x, self.output)];
        }
        let [n, h, w, c] = x.dims();
        let reach = |out: usize| self.dilation * (self.kernel - 1) + self.stride * (out - 1) + 1;
        let [below, right] =
            [(0, h), (1, w)].map(|(i, side)| reach(self.output[i]).saturating_sub(self.pad + side));
        let x = match self.pad + below + right {
            0 => x,
            _ => x.pad(
                [(0, 0), (self.pad, below), (self.pad, right), (0, 0)],
                PadMode::Constant(0.0),
            ),
        };
        let along = |k: usize, out: usize| {
            let from = (k * self.dilation) as isize;
            let end = from + (self.stride * (out - 1) + 1) as isize;
            Slice::new(from, Some(end), self.stride as isize)
        };
        let whole = |n: usize| Slice::new(0, Some(n as isize), 1);
        let places = (0..self.kernel).flat_map(|ky| (0..self.kernel).map(move |kx| (ky, kx)));
        let tap = |(ky, kx)| {
            let (rows, columns) = (along(ky, self.output[0]), along(kx, self.output[1]));
            x.clone().slice([whole(n), rows, columns, whole(c)])
        };
        places.map(tap).collect()
    }
}
