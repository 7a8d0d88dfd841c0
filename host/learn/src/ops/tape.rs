//! Our operations on burn's autodiff tape: the only place where a gradient is sent through a tensor
//! other than the weights. Works for any inner backend.

use super::{ConvGeometry, ConvOutput, ConvParams, ConvSaved, LearnOps, Needs};
use super::{NormSaved, Pool, composed, unwrap, wrap};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Shape;
use burn::tensor::TensorMetadata;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;

#[derive(Debug)]
struct ConvNode;

impl<B: LearnOps> Backward<B, 4> for ConvNode {
    type State = (ConvSaved<B>, ConvGeometry);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight, gamma, beta] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (saved, geometry) = ops.state;
        let needs = Needs {
            x: x.is_some(),
            weight: weight.is_some(),
        };
        let d = B::conv_backward(saved, grad, needs, &geometry);
        let [dgamma, dbeta] = d.affine.map_or([None, None], |affine| affine.map(Some));
        let found = [d.x, d.weight, dgamma, dbeta];
        for (node, grad) in [x, weight, gamma, beta].into_iter().zip(found) {
            if let (Some(node), Some(grad)) = (node, grad) {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct NormNode;

impl<B: LearnOps> Backward<B, 3> for NormNode {
    type State = NormSaved<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let d = B::norm_backward(ops.state, grad);
        for (node, grad) in ops.parents.into_iter().zip([d.x, d.gamma, d.beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct PoolNode;

impl<B: LearnOps> Backward<B, 1> for PoolNode {
    type State = (FloatTensor<B>, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (input, pool) = ops.state;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::pool_backward(input, grad, pool));
        }
    }
}

#[derive(Debug)]
struct RectifyNode;

impl<B: LearnOps> Backward<B, 1> for RectifyNode {
    /// The output.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        if let Some(node) = x {
            grads.register::<B>(node.id, B::rectify_backward(ops.state, grad));
        }
    }
}

#[derive(Debug)]
struct ShiftNode;

impl<B: LearnOps> Backward<B, 1> for ShiftNode {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        if let Some(node) = x {
            grads.register::<B>(node.id, B::shift_forward(grad, true));
        }
    }
}

#[derive(Debug)]
struct ConcatNode<const N: usize>;

impl<B: LearnOps, const N: usize> Backward<B, N> for ConcatNode<N> {
    /// Channels of each.
    type State = [usize; N];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let maps = B::split(grads.consume::<B>(&ops.node), &ops.state);
        for (node, map) in ops.parents.into_iter().zip(maps) {
            if let Some(node) = node {
                grads.register::<B>(node.id, map);
            }
        }
    }
}

#[derive(Debug)]
struct LossNode;

impl<B: Backend> Backward<B, 1> for LossNode {
    /// The gradient.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let upstream = wrap::<B, 1>(grads.consume::<B>(&ops.node)).reshape([1, 1]);
        if let Some(node) = x {
            grads.register::<B>(node.id, unwrap(wrap::<B, 2>(ops.state) * upstream));
        }
    }
}

#[derive(Debug)]
struct LinearNode;

impl<B: Backend> Backward<B, 2> for LinearNode {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight] = ops.parents;
        let grad = wrap::<B, 2>(grads.consume::<B>(&ops.node));
        let (input, feedback) = ops.state;
        if let Some(node) = x {
            let dx = grad.clone().matmul(wrap(feedback));
            grads.register::<B>(node.id, unwrap(dx));
        }
        if let Some(node) = weight {
            let dw = grad.transpose().matmul(wrap::<B, 2>(input));
            grads.register::<B>(node.id, unwrap(dw));
        }
    }
}

#[derive(Debug)]
struct ClipNode;

impl<B: Backend> Backward<B, 1> for ClipNode {
    type State = f32;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let limit = ops.state;
        if let Some(node) = x {
            let clipped = wrap::<B, 4>(grad).clamp(-limit, limit);
            grads.register::<B>(node.id, unwrap(clipped));
        }
    }
}

#[derive(Debug)]
struct ScaleNode;

impl<B: LearnOps> Backward<B, 2> for ScaleNode {
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, c] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (input, value) = ops.state;
        if let Some(node) = c {
            grads.register::<B>(node.id, B::dot(grad.clone(), input));
        }
        if let Some(node) = x {
            grads.register::<B>(node.id, unwrap(wrap::<B, 4>(grad) * value));
        }
    }
}

#[derive(Debug)]
struct TapNode;

impl<B: Backend> Backward<B, 2> for TapNode {
    type State = (FloatTensor<B>, Shape);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [logits, hidden] = ops.parents;
        let error = grads.consume::<B>(&ops.node);
        let (feedback, shape) = ops.state;
        if let Some(node) = hidden {
            let d = B::float_reshape(B::float_matmul(error.clone(), feedback), shape);
            grads.register::<B>(node.id, d);
        }
        if let Some(node) = logits {
            grads.register::<B>(node.id, error);
        }
    }
}

/// `$y`, on the tape if one of `$parents` is: `$node` sends its gradient on to them by what `$state` keeps.
macro_rules! taped {
    ($b:ty, $c:ty, $node:expr, $parents:expr, $state:expr, $y:expr) => {
        match Backward::<$b, _>::prepare::<$c>($node, $parents)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish($state, $y),
            OpsKind::UnTracked(prep) => prep.finish($y),
        }
    };
}

impl<B: LearnOps, C: CheckpointStrategy> LearnOps for Autodiff<B, C> {
    fn conv(x: FloatTensor<Self>, params: ConvParams<Self>, g: &ConvGeometry) -> ConvOutput<Self> {
        let inner = ConvParams {
            weight: params.weight.primitive,
            feedback: params.feedback.primitive,
            gamma: params.gamma.primitive,
            beta: params.beta.primitive,
        };
        let y = B::conv_forward(x.primitive.clone(), inner.clone(), g);
        let nodes = [
            x.node,
            params.weight.node,
            params.gamma.node,
            params.beta.node,
        ];
        let saved = ConvSaved {
            x: x.primitive,
            pre: y.pre.clone(),
            moments: y.moments.clone(),
            params: inner,
        };
        let out = taped!(B, C, ConvNode, nodes, (saved, *g), y.out);
        ConvOutput {
            out,
            pre: Self::from_inner(y.pre),
            moments: y.moments.map(|m| m.map(Self::from_inner)),
        }
    }

    fn norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let nodes = [x.node, gamma.node, beta.node];
        let (x, gamma, beta) = (x.primitive, gamma.primitive, beta.primitive);
        let [out, mean, var] = B::norm_forward(x.clone(), gamma.clone(), beta.clone());
        let saved = NormSaved {
            x,
            mean: mean.clone(),
            var: var.clone(),
            gamma,
            beta,
        };
        let out = taped!(B, C, NormNode, nodes, saved, out);
        [out, Self::from_inner(mean), Self::from_inner(var)]
    }

    fn pool(x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let y = B::pool_forward(x.primitive.clone(), pool);
        taped!(B, C, PoolNode, [x.node], (x.primitive, pool), y)
    }

    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::rectify_forward(x.primitive);
        taped!(B, C, RectifyNode, [x.node], y.clone(), y)
    }

    fn shift(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::shift_forward(x.primitive, false);
        taped!(B, C, ShiftNode, [x.node], (), y)
    }

    fn concat(maps: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        // As many as a cell has nodes, and the halves of a FactorizedReduce.
        let maps = match <[_; 4]>::try_from(maps) {
            Ok(maps) => return concat::<B, C, 4>(maps),
            Err(maps) => maps,
        };
        match <[_; 2]>::try_from(maps) {
            Ok(maps) => concat::<B, C, 2>(maps),
            Err(maps) => Self::concat_forward(maps),
        }
    }

    fn cross_entropy(x: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        let found = B::cross_entropy_at_once(&x.primitive, &targets.primitive);
        let Some([loss, gradient]) = found else {
            return composed::cross_entropy::<Self>(x, targets);
        };
        taped!(B, C, LossNode, [x.node], gradient, loss)
    }

    fn linear_feedback(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        feedback: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let feedback = feedback.primitive;
        let y = B::linear_feedback(x.primitive.clone(), weight.primitive, feedback.clone());
        let nodes = [x.node, weight.node];
        taped!(B, C, LinearNode, nodes, (x.primitive, feedback), y)
    }

    fn clip_gradient(x: FloatTensor<Self>, limit: f32) -> FloatTensor<Self> {
        taped!(B, C, ClipNode, [x.node], limit, x.primitive)
    }

    fn scale(x: FloatTensor<Self>, c: FloatTensor<Self>, value: f32) -> FloatTensor<Self> {
        let y = B::scale(x.primitive.clone(), c.primitive, value);
        taped!(B, C, ScaleNode, [x.node, c.node], (x.primitive, value), y)
    }

    fn dfa_tap(
        logits: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        feedback: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = hidden.primitive.shape();
        let nodes = [logits.node, hidden.node];
        taped!(
            B,
            C,
            TapNode,
            nodes,
            (feedback.primitive, shape),
            logits.primitive
        )
    }
}

fn concat<B: LearnOps, C: CheckpointStrategy, const N: usize>(
    maps: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let widths = maps.each_ref().map(|m| m.primitive.shape().dims::<4>()[3]);
    let nodes = maps.each_ref().map(|m| m.node.clone());
    let y = B::concat_forward(maps.into_iter().map(|m| m.primitive).collect());
    taped!(B, C, ConcatNode, nodes, widths, y)
}
