//! Cross-entropy and its gradient in one launch: a batch of logits is small enough for one cube.

use super::sum::{COLUMN, fold};
use super::tensor::{UNITS, contiguous, dims, empty, empty_like};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

#[cube(launch)]
fn entropy(
    x: &Array<f32>,
    targets: &Array<f32>,
    loss: &mut Array<f32>,
    gradient: &mut Array<f32>,
    n: usize,
    classes: usize,
) {
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let count = n as f32;
    let mut sum = 0.0f32;
    let mut row = UNIT_POS as usize;
    while row < n {
        let first = row * classes;
        let mut largest = x[first];
        for c in 0..classes {
            largest = max(largest, x[first + c]);
        }
        let mut exponentials = 0.0f32;
        let mut weight = 0.0f32;
        let mut product = 0.0f32;
        for c in 0..classes {
            let t = targets[first + c];
            let logit = x[first + c] - largest;
            exponentials += logit.exp();
            weight += t;
            product += t * logit;
        }
        sum += weight * exponentials.ln() - product;
        for c in 0..classes {
            let softmax = (x[first + c] - largest).exp() / exponentials;
            gradient[first + c] = (softmax * weight - targets[first + c]) / count;
        }
        row += UNITS as usize;
    }
    let sum = fold(&mut shared, sum, COLUMN);
    if UNIT_POS == 0 {
        loss[0] = sum / count;
    }
}

/// See [`crate::ops::LearnOps::cross_entropy_at_once`].
pub(super) fn cross_entropy<R: CubeRuntime>(
    x: CubeTensor<R>,
    targets: CubeTensor<R>,
) -> [CubeTensor<R>; 2] {
    let [n, classes] = dims(&x);
    let (loss, gradient) = (empty(&x, [1]), empty_like(&x));
    entropy::launch::<R>(
        &loss.client,
        CubeCount::new_single(),
        CubeDim::new_2d(1, UNITS),
        contiguous(x).into_array_arg(),
        contiguous(targets).into_array_arg(),
        loss.clone().into_array_arg(),
        gradient.clone().into_array_arg(),
        n,
        classes,
    );
    [loss, gradient]
}
