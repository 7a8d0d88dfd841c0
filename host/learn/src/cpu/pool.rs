//! Pooling of NHWC images, image by image. Rows of channels are the inner loops.

use super::{IMAGES_PER_TASK, floats, tensor};
use crate::ops::Pool;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorMetadata;
use rayon::prelude::*;
use std::ops::Range;

/// See [`crate::ops::LearnOps::pool_forward`].
pub(super) fn forward(x: &FlexTensor, pool: Pool) -> FlexTensor {
    let x = x.to_contiguous();
    let [n, h, w, c] = x.shape().dims::<4>();
    let [ho, wo] = pool.output;
    let windows = Windows { pool, h, w, c };
    let mut out = vec![0.0; n * ho * wo * c];
    let tasks = out
        .par_chunks_mut(ho * wo * c)
        .zip(floats(&x).par_chunks(h * w * c));
    tasks.with_min_len(IMAGES_PER_TASK).for_each(|(y, x)| {
        if pool.max {
            windows.max_forward(x, y)
        } else {
            windows.mean_forward(x, y)
        }
    });
    tensor(out, [n, ho, wo, c])
}

/// See [`crate::ops::LearnOps::pool_backward`].
pub(super) fn backward(x: &FlexTensor, grad: &FlexTensor, pool: Pool) -> FlexTensor {
    let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
    let [n, h, w, c] = x.shape().dims::<4>();
    let [ho, wo] = pool.output;
    let windows = Windows { pool, h, w, c };
    let mut dx = vec![0.0; n * h * w * c];
    let tasks = dx
        .par_chunks_mut(h * w * c)
        .zip(floats(&x).par_chunks(h * w * c))
        .zip(floats(&grad).par_chunks(ho * wo * c));
    tasks
        .with_min_len(IMAGES_PER_TASK)
        .for_each(|((dx, x), dy)| {
            if pool.max {
                windows.max_backward(x, dy, dx);
            } else {
                windows.mean_backward(dy, dx);
            }
        });
    tensor(dx, [n, h, w, c])
}

/// The windows of one image.
#[derive(Clone, Copy)]
struct Windows {
    pool: Pool,
    h: usize,
    w: usize,
    c: usize,
}

impl Windows {
    /// For every output pixel: where its channels begin, and the rows and columns of its window that lie
    /// inside of the image.
    fn each(self) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
        let Pool {
            window,
            stride,
            pad,
            output,
            ..
        } = self.pool;
        let inside = move |out: usize, axis: usize, len: usize| {
            let first = out * stride[axis];
            first.saturating_sub(pad)..(first + window[axis] - pad).min(len)
        };
        (0..output[0] * output[1]).map(move |at| {
            let (y, x) = (at / output[1], at % output[1]);
            (at * self.c, inside(y, 0, self.h), inside(x, 1, self.w))
        })
    }

    /// Where the channels of the pixels of a window begin.
    fn taps(self, rows: Range<usize>, columns: Range<usize>) -> impl Iterator<Item = usize> {
        rows.flat_map(move |y| columns.clone().map(move |x| (y * self.w + x) * self.c))
    }

    /// `y = max over the window`.
    fn max_forward(self, x: &[f32], y: &mut [f32]) {
        y.fill(f32::NEG_INFINITY);
        for (out, rows, columns) in self.each() {
            let y = &mut y[out..out + self.c];
            for at in self.taps(rows, columns) {
                y.iter_mut()
                    .zip(&x[at..at + self.c])
                    .for_each(|(y, &x)| *y = y.max(x));
            }
        }
    }

    /// `y = mean over the window`; zero on entry.
    fn mean_forward(self, x: &[f32], y: &mut [f32]) {
        for (out, rows, columns) in self.each() {
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            let y = &mut y[out..out + self.c];
            for at in self.taps(rows, columns) {
                y.iter_mut()
                    .zip(&x[at..at + self.c])
                    .for_each(|(y, x)| *y += x);
            }
            y.iter_mut().for_each(|y| *y *= share);
        }
    }

    /// The gradient goes to the first maximum of each window; `dx` is zero on entry.
    fn max_backward(self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (mut best, mut place) = (vec![0.0; self.c], vec![0; self.c]);
        for (out, rows, columns) in self.each() {
            best.fill(f32::NEG_INFINITY);
            for at in self.taps(rows, columns) {
                let seen = x[at..at + self.c].iter().zip(&mut best).zip(&mut place);
                for ((&x, best), place) in seen {
                    // Also where nothing is greater than the bound, so that every place is of this window.
                    if x > *best || *best == f32::NEG_INFINITY {
                        (*best, *place) = (x, at);
                    }
                }
            }
            for (i, (&at, dy)) in place.iter().zip(&dy[out..out + self.c]).enumerate() {
                dx[at + i] += dy;
            }
        }
    }

    /// The gradient is shared equally; `dx` is zero on entry.
    fn mean_backward(self, dy: &[f32], dx: &mut [f32]) {
        for (out, rows, columns) in self.each() {
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            for at in self.taps(rows, columns) {
                dx[at..at + self.c]
                    .iter_mut()
                    .zip(&dy[out..out + self.c])
                    .for_each(|(dx, dy)| *dx += dy * share);
            }
        }
    }
}
