//! Nodes without numbers of their own: pooling, sums, channels put together and apart.
//!
//! One implementation for training and evaluation: on the tape's backend it is differentiable.

use super::{Moment, vector};
use crate::ops::{LearnOps, Pool, unwrap, wrap};
use crate::random::{Purpose, stream};
use aplysia_space::{Node, NodeOp, Padding, Shape, Window};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use rand::Rng;

/// The output of `node` for `inputs` of the shapes `from`; drop-path is the identity here.
///
/// # Panics
/// For nodes with numbers, the image and mixtures.
pub(super) fn compute<T: LearnOps>(
    node: &Node,
    from: Option<Shape>,
    (n, device): (usize, &T::Device),
    mut inputs: Vec<Tensor<T, 4>>,
) -> Tensor<T, 4> {
    let s = node.shape;
    if node.op == NodeOp::Concat {
        return wrap(T::concat(inputs.into_iter().map(unwrap).collect()));
    }
    let second = (inputs.len() > 1).then(|| inputs.remove(1));
    let (Some(x), Some(from)) = (inputs.pop(), from) else {
        return Tensor::zeros([n, s.h, s.w, s.c], device);
    };
    match (node.op, second) {
        (NodeOp::Add, Some(y)) => x + y,
        (NodeOp::MaxPool(w), _) => pooled(x, pool(true, w, s)),
        (NodeOp::AvgPool(w), _) => pooled(x, pool(false, w, s)),
        (NodeOp::GlobalAvgPool, _) => {
            let window = [from.h, from.w];
            let all = Pool {
                max: false,
                window,
                stride: window,
                pad: 0,
                output: [1, 1],
            };
            pooled(x, all)
        }
        (NodeOp::Relu, _) => wrap(T::rectify(unwrap(x))),
        (NodeOp::DropPath, _) => x,
        (NodeOp::Shift, _) => wrap(T::shift(unwrap(x))),
        (NodeOp::Slice { first }, _) => x.slice([0..n, 0..s.h, 0..s.w, first..first + s.c]),
        (NodeOp::Shuffle { groups }, _) => x
            .reshape([n, s.h * s.w, groups, s.c / groups])
            .swap_dims(2, 3)
            .reshape([n, s.h, s.w, s.c]),
        (op, _) => unreachable!("{op} has numbers or is refused before"),
    }
}

fn pooled<T: LearnOps>(x: Tensor<T, 4>, pool: Pool) -> Tensor<T, 4> {
    wrap(T::pool(unwrap(x), pool))
}

fn pool(max: bool, w: Window, to: Shape) -> Pool {
    let pad = match w.padding {
        Padding::Same => (w.kernel - 1) / 2,
        Padding::Valid => 0,
    };
    Pool {
        max,
        window: [w.kernel; 2],
        stride: [w.stride; 2],
        pad,
        output: [to.h, to.w],
    }
}

/// `y·mask/keep`, one draw per image.
pub(super) fn dropped<B: LearnOps>(
    y: Tensor<Autodiff<B>, 4>,
    node: usize,
    now: Moment,
) -> Tensor<Autodiff<B>, 4> {
    if now.drop_path <= 0.0 {
        return y;
    }
    let keep = 1.0 - now.drop_path;
    let rng = &mut stream(now.seed, Purpose::DropPath, node, now.step);
    let n = y.dims()[0];
    let mask = (0..n).map(|_| {
        if rng.random::<f32>() < keep {
            1.0 / keep
        } else {
            0.0
        }
    });
    let mask = vector::<B>(mask.collect(), &y.device()).reshape([n, 1, 1, 1]);
    y * Tensor::from_inner(mask)
}
