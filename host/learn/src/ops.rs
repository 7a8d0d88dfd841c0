//! The operations a backend must offer to train our networks: [`LearnOps`].
//!
//! Owns the plain forward and backward mathematics of a convolution node, of pooling and of the
//! classifier, written with burn's own operations as default bodies. `cpu` and `gpu` replace them by fast
//! kernels for the Flex backend and for GPUs; `ops::tape` puts them on burn's autodiff tape for every backend.
//! Invariant: knows no learning rule; a rule reaches it only as a tensor called `feedback`.
//!
//! Activations are NHWC everywhere: 1×1 convolutions are one matrix product, batch-norm statistics
//! are column sums, depthwise windows vectorise over channels. Weights are flat, in OIHW order.

pub mod composed;
mod convolution;
mod tape;

pub use convolution::{ConvGeometry, ConvGrads, ConvOutput, ConvParams, ConvSaved, Needs};

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

/// Added to the variance in batch norm.
pub const BN_EPS: f32 = 1e-5;

/// Batch norm with ReLU after it or not: its input, the statistics of the batch, its parameters.
#[derive(Clone, Debug)]
pub struct NormSaved<B: Backend> {
    /// What is normalised, `[n, h, w, ch]`.
    pub x: FloatTensor<B>,
    /// Mean of `x` over batch and pixels, `[ch]`.
    pub mean: FloatTensor<B>,
    /// Biased variance of `x` over batch and pixels, `[ch]`.
    pub var: FloatTensor<B>,
    /// Scale.
    pub gamma: FloatTensor<B>,
    /// Shift.
    pub beta: FloatTensor<B>,
}

/// Gradients of a batch norm.
#[derive(Clone, Debug)]
pub struct NormGrads<B: Backend> {
    /// With respect to the input.
    pub x: FloatTensor<B>,
    /// With respect to the scale.
    pub gamma: FloatTensor<B>,
    /// With respect to the shift.
    pub beta: FloatTensor<B>,
}

/// A pooling. Places outside of the input are no part of a maximum or mean; every window has one inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Maximum if true, mean otherwise.
    pub max: bool,
    /// Height and width of the window.
    pub window: [usize; 2],
    /// Step down and right.
    pub stride: [usize; 2],
    /// How far the first window reaches above and left of the input.
    pub pad: usize,
    /// Height and width of the output.
    pub output: [usize; 2],
}

/// A step of descent with momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// `η`.
    pub lr: f32,
    /// `μ`.
    pub momentum: f32,
    /// Whether it looks ahead along the momentum.
    pub nesterov: bool,
    /// `λ`.
    pub decay: f32,
    /// What the gradient is multiplied by; 1 where it is within its limit.
    pub clip: f32,
}

/// burn's backend plus what our layers need. Default bodies are composed of burn's operations.
pub trait LearnOps: Backend {
    /// `z = relu?(γ·(y − μ)/sqrt(σ² + ε) + β)`, `y = conv(x, W)`, μ and σ² over batch and pixels; without
    /// batch norm `z = relu?(y)`.
    fn conv_forward(
        x: FloatTensor<Self>,
        params: ConvParams<Self>,
        g: &ConvGeometry,
    ) -> ConvOutput<Self> {
        composed::conv_forward::<Self>(x, params, g)
    }

    /// Gradients of [`LearnOps::conv_forward`] with the input gradient sent through the feedback:
    /// `dW = corr(x, dy)`, `dx = T-conv(B, dy)`; ReLU and batch norm have their exact derivative.
    fn conv_backward(
        saved: ConvSaved<Self>,
        grad: FloatTensor<Self>,
        needs: Needs,
        g: &ConvGeometry,
    ) -> ConvGrads<Self> {
        composed::conv_backward::<Self>(saved, grad, needs, g)
    }

    /// The node in evaluation mode: `z = relu?(conv(x, W)·scale + shift)`, per channel.
    fn conv_infer(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        g: &ConvGeometry,
    ) -> FloatTensor<Self> {
        composed::conv_infer::<Self>(x, weight, scale, shift, g)
    }

    /// Batch norm on its own: `(z, μ, σ²)` with `z = γ·(x − μ)/sqrt(σ² + ε) + β`.
    fn norm_forward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        composed::norm_forward::<Self>(x, gamma, beta, false)
    }

    /// Gradients of [`LearnOps::norm_forward`].
    fn norm_backward(saved: NormSaved<Self>, grad: FloatTensor<Self>) -> NormGrads<Self> {
        composed::norm_backward::<Self>(saved, grad, false)
    }

    /// `conv(x, W)` alone.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        g: &ConvGeometry,
    ) -> FloatTensor<Self> {
        composed::convolve::<Self>(x, weight, g)
    }

    /// `T-conv(B, dy)`: what the gradient `dy` of a convolution's output sends down through `feedback`.
    fn convolve_back(
        feedback: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        g: &ConvGeometry,
    ) -> FloatTensor<Self> {
        composed::convolve_back::<Self>(feedback, dy, g)
    }

    /// `corr(x, z)`: the weight gradient of a convolution of `x` whose output has the gradient `z`
    /// `[n, h', w', out_ch]`; flat, OIHW.
    fn correlate(
        x: FloatTensor<Self>,
        z: FloatTensor<Self>,
        g: &ConvGeometry,
    ) -> FloatTensor<Self> {
        composed::correlate::<Self>(x, z, g)
    }

    /// `max(x, 0)`, `[n, h, w, c]`.
    fn rectify_forward(x: FloatTensor<Self>) -> FloatTensor<Self> {
        unwrap(burn::tensor::activation::relu(wrap::<Self, 4>(x)))
    }

    /// Input gradient of [`LearnOps::rectify_forward`], whose output was `y`.
    fn rectify_backward(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let shut = wrap::<Self, 4>(y).lower_equal_elem(0.0);
        unwrap(wrap::<Self, 4>(grad).mask_fill(shut, 0.0))
    }

    /// The channels of all maps `[n, h, w, …]`, of which there is one, in their order.
    fn concat_forward(maps: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        let maps = maps.into_iter().map(wrap::<Self, 4>).collect();
        unwrap(Tensor::cat(maps, 3))
    }

    /// `all` taken apart into maps of so many channels: input gradients of [`LearnOps::concat_forward`].
    fn split(all: FloatTensor<Self>, widths: &[usize]) -> Vec<FloatTensor<Self>> {
        let all = wrap::<Self, 4>(all).split_with_sizes(widths.to_vec(), 3);
        all.into_iter().map(unwrap).collect()
    }

    /// `y[i, j] = x[i + 1, j + 1]` of `[n, h, w, c]`, 0 beyond the border; `back`: the other way, which is its
    /// input gradient.
    fn shift_forward(x: FloatTensor<Self>, back: bool) -> FloatTensor<Self> {
        composed::shift_forward::<Self>(x, back)
    }

    /// Pooling of `[n, h, w, c]`.
    fn pool_forward(x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        composed::pool_forward::<Self>(x, pool)
    }

    /// Input gradient of [`LearnOps::pool_forward`]; a maximum hands it to the first of equals.
    fn pool_backward(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        pool: Pool,
    ) -> FloatTensor<Self> {
        composed::pool_backward::<Self>(x, grad, pool)
    }

    /// `−(1/n) Σ t·log softmax(x)` of `x`, `t` `[n, classes]`; differentiable by `x` where the backend is.
    fn cross_entropy(x: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::cross_entropy::<Self>(x, targets)
    }

    /// [`LearnOps::cross_entropy`] with its gradient by `x`, where the backend has a kernel for both.
    fn cross_entropy_at_once(
        x: &FloatTensor<Self>,
        targets: &FloatTensor<Self>,
    ) -> Option<[FloatTensor<Self>; 2]> {
        let _ = (x, targets);
        None
    }

    /// `size·sign(w)`, flat.
    fn signs(w: FloatTensor<Self>, size: f32) -> FloatTensor<Self> {
        unwrap(wrap::<Self, 1>(w).sign() * size)
    }

    /// `m∘sign(w)`, flat.
    fn signs_by(w: FloatTensor<Self>, m: FloatTensor<Self>) -> FloatTensor<Self> {
        unwrap(wrap::<Self, 1>(w).sign() * wrap(m))
    }

    /// `Σ a∘b` of two maps.
    fn dot(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        unwrap((wrap::<Self, 4>(a) * wrap(b)).sum())
    }

    /// Every `[w, v]` of the given `[w, v, g]` after a step: `g' = clip·g + λw`, `v ← μv + g'`,
    /// `w ← w − η(g' + μv)`; all flat.
    fn descend(all: Vec<[FloatTensor<Self>; 3]>, step: Descent) -> Vec<[FloatTensor<Self>; 2]> {
        let descend = |one| composed::descend::<Self>(one, step);
        all.into_iter().map(descend).collect()
    }

    /// `Σ x²` of every vector, of which there is one.
    fn square_sums(vectors: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        let square_sum = |x| wrap::<Self, 1>(x).powi_scalar(2).sum();
        unwrap(Tensor::cat(
            vectors.into_iter().map(square_sum).collect(),
            0,
        ))
    }

    /// `(1 − rate)·old + rate·new` of every `[old, new]`; all flat.
    fn blend(all: Vec<[FloatTensor<Self>; 2]>, rate: f32) -> Vec<FloatTensor<Self>> {
        let blend = |[old, new]: [_; 2]| {
            unwrap(wrap::<Self, 1>(old) * (1.0 - rate) + wrap::<Self, 1>(new) * rate)
        };
        all.into_iter().map(blend).collect()
    }

    /// [`LearnOps::conv_forward`], differentiable where the backend is.
    fn conv(x: FloatTensor<Self>, params: ConvParams<Self>, g: &ConvGeometry) -> ConvOutput<Self> {
        Self::conv_forward(x, params, g)
    }

    /// [`LearnOps::norm_forward`], differentiable where the backend is.
    fn norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        Self::norm_forward(x, gamma, beta)
    }

    /// [`LearnOps::rectify_forward`], differentiable where the backend is.
    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::rectify_forward(x)
    }

    /// [`LearnOps::concat_forward`], differentiable where the backend is.
    fn concat(maps: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        Self::concat_forward(maps)
    }

    /// [`LearnOps::shift_forward`], differentiable where the backend is.
    fn shift(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::shift_forward(x, false)
    }

    /// [`LearnOps::pool_forward`], differentiable where the backend is.
    fn pool(x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        Self::pool_forward(x, pool)
    }

    /// `y = x Wᵀ`, `x` `[n, in]`, `weight` and `feedback` `[out, in]`; differentiable where the
    /// backend is, with `dW = dyᵀ x` and `dx = dy B`.
    fn linear_feedback(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        feedback: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let _ = feedback;
        let w = wrap::<Self, 2>(weight).transpose();
        unwrap(wrap::<Self, 2>(x).matmul(w))
    }

    /// Identity. Backward: every element of the gradient is brought into [−limit, limit].
    fn clip_gradient(x: FloatTensor<Self>, limit: f32) -> FloatTensor<Self> {
        let _ = limit;
        x
    }

    /// `y = c·x` for one number `c`, given as a tensor of one element and as its value; differentiable
    /// where the backend is, by both: `dx = c·dy`, `dc = Σ dy∘x`.
    fn scale(x: FloatTensor<Self>, c: FloatTensor<Self>, value: f32) -> FloatTensor<Self> {
        let _ = c;
        unwrap(wrap::<Self, 4>(x) * value)
    }

    /// Direct feedback. Forward: identity on `logits` `[n, classes]`. Backward, with
    /// `e = ∂L/∂logits`: `e` goes on to `logits`, and `e · feedback` is added to the gradient of
    /// `hidden` (`feedback` is `[classes, elements of one hidden sample]`).
    fn dfa_tap(
        logits: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        feedback: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let _ = (hidden, feedback);
        logits
    }
}

impl LearnOps for burn::backend::NdArray {}

/// A primitive as a tensor of burn's public interface.
pub fn wrap<B: Backend, const D: usize>(x: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}

/// The primitive of a tensor.
pub fn unwrap<B: Backend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}
