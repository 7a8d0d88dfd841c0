//! Batch norm on its own, and the reductions that it shares with that of convolutions.

use super::channel::{self, Norm};
use super::{IMAGES_PER_TASK, by_task, floats, part, tensor};
use crate::ops::{BN_EPS, NormGrads, NormSaved};
use aplysia_space::Shape;
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorMetadata;
use rayon::prelude::*;

/// Output, mean and variance.
pub(super) fn forward(x: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor) -> [FlexTensor; 3] {
    let shape = x.shape().dims::<4>();
    let [n, h, w, c] = shape;
    let held = [x, gamma, beta].map(|t| t.to_contiguous());
    let [x, gamma, beta] = held.each_ref().map(floats);
    let image = h * w * c;
    let task = IMAGES_PER_TASK * image;
    let sums: Vec<Vec<f64>> = x
        .par_chunks(task)
        .map(|x| channel::sums(x, c, image))
        .collect();
    let (mean, var) = channel::moments(&sums, c, n * h * w);
    let (scale, shift) = channel::affine_of(gamma, beta, &mean, &var, BN_EPS);
    let (out, _) = by_task(x.len(), task, |i, _, z| {
        channel::affine(part(x, task, i), &scale, &shift, false, z);
    });
    [tensor(out, shape), tensor(mean, [c]), tensor(var, [c])]
}

/// Gradients of [`forward`].
pub(super) fn backward(saved: NormSaved<Flex>, grad: &FlexTensor) -> NormGrads<Flex> {
    let shape = saved.x.shape().dims::<4>();
    let [_, h, w, c] = shape;
    let held = [
        &saved.x,
        grad,
        &saved.mean,
        &saved.var,
        &saved.gamma,
        &saved.beta,
    ];
    let held = held.map(|t| t.to_contiguous());
    let [x, grad, mean, var, gamma, beta] = held.each_ref().map(floats);
    let (scale, shift) = channel::affine_of(gamma, beta, mean, var, BN_EPS);
    let norm = Norm {
        mean,
        scale: &scale,
        shift: &shift,
        relu: false,
    };
    let back = reduce(&norm, var, (x, grad), Shape { h, w, c });
    let task = IMAGES_PER_TASK * h * w * c;
    let (dx, _) = by_task(x.len(), task, |i, _, dx| {
        channel::grad_input(part(x, task, i), part(grad, task, i), &norm, &back, dx);
    });
    NormGrads {
        x: tensor(dx, shape),
        gamma: tensor(back.dgamma, [c]),
        beta: tensor(back.dbeta, [c]),
    }
}

/// The sums over the batch that the derivative needs; `y` is what is normalised, `dz` the gradient of the
/// output, `image` the shape of one image of both.
pub(super) fn reduce(
    norm: &Norm,
    var: &[f32],
    (y, dz): (&[f32], &[f32]),
    image: Shape,
) -> channel::Backward {
    let task = IMAGES_PER_TASK * image.len();
    let sums: Vec<Vec<f64>> = y
        .par_chunks(task)
        .zip(dz.par_chunks(task))
        .map(|(y, dz)| channel::grad_sums(y, dz, norm))
        .collect();
    channel::backward_of(&sums, norm, var, y.len() / image.c, BN_EPS)
}
