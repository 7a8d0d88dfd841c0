//! Our operations on burn's autodiff tape: the only place where a gradient is sent through a tensor
//! other than the weights. Works for any inner backend.

use super::{ConvGeometry, ConvOutput, ConvParams, ConvSaved, LearnOps, Needs};
use super::{NormSaved, Pool, unwrap, wrap};
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
        let found = [d.x, d.weight, Some(d.gamma), Some(d.beta)];
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

impl<B: Backend> Backward<B, 2> for ScaleNode {
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, c] = ops.parents;
        let grad = wrap::<B, 4>(grads.consume::<B>(&ops.node));
        let (input, value) = ops.state;
        if let Some(node) = c {
            let dc = (grad.clone() * wrap(input)).sum();
            grads.register::<B>(node.id, unwrap(dc));
        }
        if let Some(node) = x {
            grads.register::<B>(node.id, unwrap(grad * value));
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
        let out = match Backward::<B, 4>::prepare::<C>(ConvNode, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let saved = ConvSaved {
                    x: x.primitive,
                    pre: y.pre.clone(),
                    mean: y.mean.clone(),
                    var: y.var.clone(),
                    params: inner,
                };
                prep.finish((saved, *g), y.out)
            }
            OpsKind::UnTracked(prep) => prep.finish(y.out),
        };
        ConvOutput {
            out,
            pre: Self::from_inner(y.pre),
            mean: Self::from_inner(y.mean),
            var: Self::from_inner(y.var),
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
        let out = match Backward::<B, 3>::prepare::<C>(NormNode, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(saved, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        [out, Self::from_inner(mean), Self::from_inner(var)]
    }

    fn pool(x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let y = B::pool_forward(x.primitive.clone(), pool);
        match Backward::<B, 1>::prepare::<C>(PoolNode, [x.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((x.primitive, pool), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::rectify_forward(x.primitive);
        match Backward::<B, 1>::prepare::<C>(RectifyNode, [x.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(y.clone(), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn shift(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::shift_forward(x.primitive, false);
        match Backward::<B, 1>::prepare::<C>(ShiftNode, [x.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
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

    fn linear_feedback(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        feedback: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let feedback = feedback.primitive;
        let y = B::linear_feedback(x.primitive.clone(), weight.primitive, feedback.clone());
        let nodes = [x.node, weight.node];
        match Backward::<B, 2>::prepare::<C>(LinearNode, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((x.primitive, feedback), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn clip_gradient(x: FloatTensor<Self>, limit: f32) -> FloatTensor<Self> {
        match Backward::<B, 1>::prepare::<C>(ClipNode, [x.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(limit, x.primitive),
            OpsKind::UnTracked(prep) => prep.finish(x.primitive),
        }
    }

    fn scale(x: FloatTensor<Self>, c: FloatTensor<Self>, value: f32) -> FloatTensor<Self> {
        let y = B::scale(x.primitive.clone(), c.primitive, value);
        match Backward::<B, 2>::prepare::<C>(ScaleNode, [x.node, c.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((x.primitive, value), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn dfa_tap(
        logits: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        feedback: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = hidden.primitive.shape();
        let nodes = [logits.node, hidden.node];
        match Backward::<B, 2>::prepare::<C>(TapNode, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((feedback.primitive, shape), logits.primitive),
            OpsKind::UnTracked(prep) => prep.finish(logits.primitive),
        }
    }
}

fn concat<B: LearnOps, C: CheckpointStrategy, const N: usize>(
    maps: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let widths = maps.each_ref().map(|m| m.primitive.shape().dims::<4>()[3]);
    let nodes = maps.each_ref().map(|m| m.node.clone());
    let y = B::concat_forward(maps.into_iter().map(|m| m.primitive).collect());
    match Backward::<B, N>::prepare::<C>(ConcatNode, nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(widths, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
