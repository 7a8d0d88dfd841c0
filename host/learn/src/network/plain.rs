//! Nodes without numbers of their own: pooling, sums, channels put together and apart.
//!
//! One implementation for training and evaluation: on the tape's backend it is differentiable.

use crate::ops::{LearnOps, Pool, unwrap, wrap};
use aplysia_space::{Node, NodeOp, Padding, Shape, Window};
use burn::tensor::{Tensor, activation};

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
        return Tensor::cat(inputs, 3);
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
        (NodeOp::Relu, _) => activation::relu(x),
        (NodeOp::DropPath, _) => x,
        (NodeOp::Shift, _) => shifted(x),
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

/// `y[i, j] = x[i + 1, j + 1]`, 0 beyond the border.
fn shifted<T: LearnOps>(x: Tensor<T, 4>) -> Tensor<T, 4> {
    let [n, h, w, c] = x.dims();
    let zeros = x.zeros_like();
    if h == 1 || w == 1 {
        return zeros;
    }
    let moved = x.slice([0..n, 1..h, 1..w, 0..c]);
    zeros.slice_assign([0..n, 0..h - 1, 0..w - 1, 0..c], moved)
}
