//! Feature maps element by element and channel by channel: ReLU, maps side by side, maps moved. Image by image in
//! parallel; burn's own run on one thread and, for parts of channels, number by number.

use super::{IMAGES_PER_TASK, by_task, floats, part, tensor};
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorMetadata;
use rayon::prelude::*;

/// `max(x, 0)`.
pub(super) fn relu(x: &FlexTensor) -> FlexTensor {
    let x = x.to_contiguous();
    each(&x, |i, task, y| {
        rectified(part(floats(&x), task, i), y);
    })
}

/// `grad` where the output `y` of the ReLU is above 0.
pub(super) fn relu_backward(y: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let (y, grad) = (y.to_contiguous(), grad.to_contiguous());
    each(&y, |i, task, dx| {
        passed(part(floats(&y), task, i), part(floats(&grad), task, i), dx);
    })
}

simd_dispatch! {
    /// `y = max(x, 0)`.
    fn rectified(x: &[f32], y: &mut [f32]) = rectified_body
}

#[inline(always)]
fn rectified_body<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0));
}

simd_dispatch! {
    /// `dx = dy` where `y > 0`.
    fn passed(y: &[f32], dy: &[f32], dx: &mut [f32]) = passed_body
}

#[inline(always)]
fn passed_body<const FMA: bool>(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    for (dx, (y, dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
        // By bits, as a branch is wrong half of the time.
        let mask = u32::from(*y > 0.0).wrapping_neg();
        *dx = f32::from_bits(dy.to_bits() & mask);
    }
}

/// A map of the shape of `x`, task by task: `make(i, task, values)` with `task` numbers in a whole one.
fn each(x: &FlexTensor, make: impl Fn(usize, usize, &mut [f32]) + Sync) -> FlexTensor {
    let shape = x.shape().dims::<4>();
    let task = IMAGES_PER_TASK * shape[1..].iter().product::<usize>();
    let len = shape[0] * task / IMAGES_PER_TASK;
    let (values, _) = by_task(len, task, |i, _, values| make(i, task, values));
    tensor(values, shape)
}

/// The channels of all `maps`, in their order.
pub(super) fn concat(maps: &[FlexTensor]) -> FlexTensor {
    let maps: Vec<_> = maps.iter().map(FlexTensor::to_contiguous).collect();
    let [n, h, w, _] = maps[0].shape().dims::<4>();
    let widths: Vec<_> = maps.iter().map(|m| m.shape().dims::<4>()[3]).collect();
    let c: usize = widths.iter().sum();
    let mut all = vec![0.0; n * h * w * c];
    let maps: Vec<_> = maps.iter().map(floats).collect();
    let images = all.par_chunks_mut(h * w * c).enumerate();
    images.with_min_len(IMAGES_PER_TASK).for_each(|(i, all)| {
        let mut first = 0;
        for (map, &width) in maps.iter().zip(&widths) {
            let map = part(map, h * w * width, i);
            for (to, from) in all.chunks_mut(c).zip(map.chunks(width)) {
                to[first..first + width].copy_from_slice(from);
            }
            first += width;
        }
    });
    tensor(all, [n, h, w, c])
}

/// `all` taken apart into maps of so many channels.
pub(super) fn split(all: &FlexTensor, widths: &[usize]) -> Vec<FlexTensor> {
    let all = all.to_contiguous();
    let [n, h, w, c] = all.shape().dims::<4>();
    let first = widths.iter().scan(0, |sum, &width| {
        let first = *sum;
        *sum += width;
        Some((first, width))
    });
    let map = |(first, width): (usize, usize)| {
        let task = IMAGES_PER_TASK * h * w * width;
        let (map, _) = by_task(n * h * w * width, task, |i, _, map| {
            let all = part(floats(&all), IMAGES_PER_TASK * h * w * c, i);
            for (to, from) in map.chunks_mut(width).zip(all.chunks(c)) {
                to.copy_from_slice(&from[first..first + width]);
            }
        });
        tensor(map, [n, h, w, width])
    };
    first.map(map).collect()
}

/// `y[i, j] = x[i + 1, j + 1]`, 0 beyond the border, or the other way `back`.
pub(super) fn shift(x: &FlexTensor, back: bool) -> FlexTensor {
    let x = x.to_contiguous();
    let [_, h, w, c] = x.shape().dims::<4>();
    each(&x, |i, task, y| {
        let images = part(floats(&x), task, i).chunks(h * w * c);
        for (x, y) in images.zip(y.chunks_mut(h * w * c)) {
            for row in 1..h {
                let [high, low] = [row, row - 1].map(|row| row * w * c);
                let (high, low) = (high + c..high + w * c, low..low + (w - 1) * c);
                let (from, to) = if back { (low, high) } else { (high, low) };
                y[to].copy_from_slice(&x[from]);
            }
        }
    })
}
