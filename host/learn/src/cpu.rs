//! Fast kernels for burn's Flex backend: the bodies of [`LearnOps`] that training spends its time in.
//!
//! Convolution, batch norm and ReLU are one operation. The batch is cut into tasks of
//! [`IMAGES_PER_TASK`] images; a task's tensors stay in the core's cache from the convolution through
//! the statistics, and in the backward pass from the batch-norm derivative through both products.
//! Sums over the batch are made per task and added in task order, so that results do not depend on
//! the number of threads.
//! Invariant: equal to the default bodies of `ops` up to rounding.

#[macro_use]
mod simd;
mod channel;
mod conv;
mod depthwise;
mod maps;
mod matrix;
mod norm;
mod pool;

use crate::ops::{BN_EPS, ConvGeometry, ConvGrads, ConvOutput, ConvParams, ConvSaved};
use crate::ops::{LearnOps, Needs, NormGrads, NormSaved, Pool, composed};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, TensorData, TensorMetadata};
use conv::{Kernel, Scratch};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Images handled by one task: the unit of parallel work and of the order of summation.
const IMAGES_PER_TASK: usize = 8;

impl LearnOps for Flex {
    fn conv_forward(x: FlexTensor, p: ConvParams<Self>, g: &ConvGeometry) -> ConvOutput<Self> {
        if !Kernel::covers(g) {
            return composed::conv_forward::<Self>(x, p, g);
        }
        let n = x.shape().dims::<4>()[0];
        let (x, weight) = (x.to_contiguous(), p.weight.to_contiguous());
        let kernel = Kernel::new(g, floats(&weight));
        let (pre, sums) = forward_tasks(&kernel, floats(&x), n);
        let c = g.output.c;
        if !g.norm {
            return without_norm(pre, n, g);
        }
        let (mean, var) = channel::moments(&sums, c, n * g.output.h * g.output.w);
        let (gamma, beta) = (p.gamma.to_contiguous(), p.beta.to_contiguous());
        let (scale, shift) = channel::affine_of(floats(&gamma), floats(&beta), &mean, &var, BN_EPS);
        let task = IMAGES_PER_TASK * g.output.len();
        let (out, _) = by_task(pre.len(), task, |i, _, z| {
            channel::affine(part(&pre, task, i), &scale, &shift, g.relu, z);
        });
        let shape = [n, g.output.h, g.output.w, c];
        ConvOutput {
            out: tensor(out, shape),
            pre: tensor(pre, shape),
            moments: Some([mean, var].map(|m| tensor(m, [c]))),
        }
    }

    fn conv_backward(
        saved: ConvSaved<Self>,
        grad: FlexTensor,
        needs: Needs,
        g: &ConvGeometry,
    ) -> ConvGrads<Self> {
        if !Kernel::covers(g) {
            return composed::conv_backward::<Self>(saved, grad, needs, g);
        }
        let p = saved.params;
        let none = || [0; 2].map(|_| tensor(vec![0.0; g.output.c], [g.output.c]));
        let [mean, var] = saved.moments.unwrap_or_else(none);
        let held = [
            saved.x, saved.pre, grad, mean, var, p.gamma, p.beta, p.feedback,
        ];
        let held = held.map(|t| t.to_contiguous());
        let [x, pre, grad, mean, var, gamma, beta, feedback] = held.each_ref().map(floats);
        let (scale, shift) = match g.norm {
            true => channel::affine_of(gamma, beta, mean, var, BN_EPS),
            false => (vec![1.0; g.output.c], vec![0.0; g.output.c]),
        };
        let norm = channel::Norm {
            mean,
            scale: &scale,
            shift: &shift,
            relu: g.relu,
        };
        let n = pre.len() / g.output.len();
        let back = match g.norm {
            true => norm::reduce(&norm, var, (pre, grad), g.output),
            false => channel::Backward::identity(g.output.c),
        };
        let kernel = Kernel::new(g, feedback);
        let pass = Pass {
            kernel: &kernel,
            x,
            pre,
            grad,
            norm: &norm,
            back: &back,
        };
        let (dx, dw) = pass.run(needs);
        let i = g.input;
        ConvGrads {
            x: dx.map(|dx| tensor(dx, [n, i.h, i.w, i.c])),
            weight: dw.map(|dw| tensor(kernel.unpack(dw), [g.n_weights()])),
            affine: g
                .norm
                .then(|| [back.dgamma, back.dbeta].map(|d| tensor(d, [g.output.c]))),
        }
    }

    fn conv_infer(
        x: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        g: &ConvGeometry,
    ) -> FlexTensor {
        if !Kernel::covers(g) {
            return composed::conv_infer::<Self>(x, weight, scale, shift, g);
        }
        let n = x.shape().dims::<4>()[0];
        let held = [x, weight, scale, shift].map(|t| t.to_contiguous());
        let [x, weight, scale, shift] = held.each_ref().map(floats);
        let kernel = Kernel::new(g, weight);
        let (ti, to) = (
            IMAGES_PER_TASK * g.input.len(),
            IMAGES_PER_TASK * g.output.len(),
        );
        let (out, _) = by_task(n * g.output.len(), to, |i, scratch, z| {
            kernel.forward(part(x, ti, i), z, scratch);
            channel::affine_in_place(z, scale, shift, g.relu);
        });
        tensor(out, [n, g.output.h, g.output.w, g.output.c])
    }

    fn correlate(x: FlexTensor, z: FlexTensor, g: &ConvGeometry) -> FlexTensor {
        if !Kernel::covers(g) {
            return composed::correlate::<Self>(x, z, g);
        }
        let (x, z) = (x.to_contiguous(), z.to_contiguous());
        let (x, z, no_weights) = (floats(&x), floats(&z), vec![0.0; g.n_weights()]);
        let kernel = Kernel::new(g, &no_weights);
        let (ti, to) = (
            IMAGES_PER_TASK * g.input.len(),
            IMAGES_PER_TASK * g.output.len(),
        );
        let parts: Vec<Vec<f32>> = (0..z.len().div_ceil(to))
            .into_par_iter()
            .map_init(Scratch::default, |scratch, i| {
                let mut dw = vec![0.0; g.n_weights()];
                let (x, z) = (part(x, ti, i), part(z, to, i));
                kernel.backward(x, z, None, Some(&mut dw), scratch);
                dw
            })
            .collect();
        tensor(kernel.unpack(sum(parts)), [g.n_weights()])
    }

    fn norm_forward(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor) -> [FlexTensor; 3] {
        norm::forward(&x, &gamma, &beta)
    }

    fn norm_backward(saved: NormSaved<Self>, grad: FlexTensor) -> NormGrads<Self> {
        norm::backward(saved, &grad)
    }

    fn rectify_forward(x: FlexTensor) -> FlexTensor {
        maps::relu(&x)
    }

    fn rectify_backward(y: FlexTensor, grad: FlexTensor) -> FlexTensor {
        maps::relu_backward(&y, &grad)
    }

    fn concat_forward(maps: Vec<FlexTensor>) -> FlexTensor {
        maps::concat(&maps)
    }

    fn split(all: FlexTensor, widths: &[usize]) -> Vec<FlexTensor> {
        maps::split(&all, widths)
    }

    fn shift_forward(x: FlexTensor, back: bool) -> FlexTensor {
        maps::shift(&x, back)
    }

    fn pool_forward(x: FlexTensor, pool: Pool) -> FlexTensor {
        pool::forward(&x, pool)
    }

    fn pool_backward(x: FlexTensor, grad: FlexTensor, pool: Pool) -> FlexTensor {
        pool::backward(&x, &grad, pool)
    }
}

/// The output of a convolution without batch norm, `pre` before its activation.
fn without_norm(pre: Vec<f32>, n: usize, g: &ConvGeometry) -> ConvOutput<Flex> {
    let shape = [n, g.output.h, g.output.w, g.output.c];
    let pre = tensor(pre, shape);
    ConvOutput {
        out: match g.relu {
            true => maps::relu(&pre),
            false => pre.clone(),
        },
        pre,
        moments: None,
    }
}

/// Convolution of all images, and per task the column sums of the result (`[Σy, Σy²]`).
fn forward_tasks(kernel: &Kernel, x: &[f32], n: usize) -> (Vec<f32>, Vec<Vec<f64>>) {
    let g = kernel.geometry;
    let (ti, to) = (
        IMAGES_PER_TASK * g.input.len(),
        IMAGES_PER_TASK * g.output.len(),
    );
    by_task(n * g.output.len(), to, |i, scratch, y| {
        kernel.forward(part(x, ti, i), y, scratch);
        channel::sums(y, g.output.c, g.output.len())
    })
}

/// The second half of the backward pass: everything after the batch-norm reductions.
struct Pass<'a> {
    kernel: &'a Kernel<'a>,
    x: &'a [f32],
    pre: &'a [f32],
    grad: &'a [f32],
    norm: &'a channel::Norm<'a>,
    back: &'a channel::Backward,
}

impl Pass<'_> {
    /// The gradients that are wanted: of the input, and of the weights in the kernel's packed order.
    fn run(&self, needs: Needs) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
        let g = self.kernel.geometry;
        let (ti, to) = (
            IMAGES_PER_TASK * g.input.len(),
            IMAGES_PER_TASK * g.output.len(),
        );
        let n_tasks = self.pre.len().div_ceil(to);
        // Without an input gradient the tasks still need something to be numbered by.
        let (len, task) = if needs.x {
            (self.x.len(), ti)
        } else {
            (n_tasks, 1)
        };
        let (dx, parts) = by_task(len, task, |i, scratch, dx| {
            let (pre, grad) = (part(self.pre, to, i), part(self.grad, to, i));
            let mut dy = std::mem::take(&mut scratch.grad);
            dy.resize(pre.len(), 0.0);
            channel::grad_input(pre, grad, self.norm, self.back, &mut dy);
            let mut dw = needs.weight.then(|| vec![0.0; g.n_weights()]);
            let (x, dx) = (part(self.x, ti, i), needs.x.then_some(dx));
            self.kernel.backward(x, &dy, dx, dw.as_deref_mut(), scratch);
            scratch.grad = dy;
            dw
        });
        let dw = needs.weight.then(|| sum(parts.into_iter().flatten()));
        (needs.x.then_some(dx), dw)
    }
}

/// Adds the tasks' results in task order.
fn sum(parts: impl IntoIterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        for (sum, value) in total.iter_mut().zip(&part) {
            *sum += value;
        }
    }
    total
}

/// `len` numbers made in parallel, task by task: `make(i, scratch, chunk)` fills chunk `i` of `task`
/// numbers (zero on entry). Returns the numbers and the tasks' results in task order.
///
/// Each task clears its own chunk while it is in its core's cache; clearing all of it beforehand on one
/// thread costs a tenth of a training step.
fn by_task<R: Send>(
    len: usize,
    task: usize,
    make: impl Fn(usize, &mut Scratch, &mut [f32]) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    let mut values: Vec<f32> = Vec::with_capacity(len);
    let chunks = values.spare_capacity_mut()[..len]
        .par_chunks_mut(task)
        .enumerate();
    let results = chunks
        .map_init(Scratch::default, |scratch, (i, chunk)| {
            chunk.fill(MaybeUninit::new(0.0));
            // SAFETY: the line above has initialised every element of this chunk, and
            // `MaybeUninit<f32>` has the layout of `f32`.
            let chunk = unsafe { &mut *(std::ptr::from_mut(chunk) as *mut [f32]) };
            make(i, scratch, chunk)
        })
        .collect();
    // SAFETY: the chunks cover the first `len` elements, and each task has initialised its chunk (a
    // panic in one would have left this function before here).
    unsafe { values.set_len(len) };
    (values, results)
}

/// Part `i` of `values` cut into parts of `len`; the last may be shorter.
fn part(values: &[f32], len: usize, i: usize) -> &[f32] {
    &values[i * len..values.len().min((i + 1) * len)]
}

/// The numbers of a contiguous tensor.
fn floats(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("made contiguous f32 by the caller")
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::new(shape)))
}
