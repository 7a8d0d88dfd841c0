//! A convolution node: its geometry, what it computes with, what it gives, what its gradients need.

use aplysia_space::Shape;
use burn::tensor::backend::Backend;
use burn::tensor::ops::{ConvOptions, FloatTensor};

/// One convolution node: `relu?(batch_norm?(conv(x)))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Shape of one input image.
    pub input: Shape,
    /// Shape of one output image. Taps beyond the input see zeros.
    pub output: Shape,
    /// Window side.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Distance of neighbouring taps.
    pub dilation: usize,
    /// Zeros above and left of the input.
    pub pad: usize,
    /// 1: dense; `input.c`: depthwise.
    pub groups: usize,
    /// Whether a batch norm follows.
    pub norm: bool,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl ConvGeometry {
    /// Number of weights: `out_ch · in_ch / groups · kernel²`.
    pub fn n_weights(&self) -> usize {
        self.output.c * self.input.c / self.groups * self.kernel * self.kernel
    }

    /// Whether every channel is a convolution of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && [self.input.c, self.output.c] == [self.groups; 2]
    }

    pub(super) fn weight_shape(&self) -> [usize; 4] {
        let k = self.kernel;
        [self.output.c, self.input.c / self.groups, k, k]
    }

    pub(super) fn options(&self) -> ConvOptions<2> {
        let (s, p, d) = (self.stride, self.pad, self.dilation);
        ConvOptions::new([s, s], [p, p], [d, d], self.groups)
    }
}

/// What a convolution node computes with. All flat: `weight` and `feedback` `[n_weights]` (OIHW),
/// `gamma` and `beta` `[out_ch]`, unused without batch norm.
#[derive(Clone, Debug)]
pub struct ConvParams<B: Backend> {
    /// Weights of the forward pass.
    pub weight: FloatTensor<B>,
    /// Weights of the input gradient: the rule's `B`.
    pub feedback: FloatTensor<B>,
    /// Batch-norm scale.
    pub gamma: FloatTensor<B>,
    /// Batch-norm shift.
    pub beta: FloatTensor<B>,
}

/// Result of a convolution node in training mode.
#[derive(Clone, Debug)]
pub struct ConvOutput<B: Backend> {
    /// After batch norm and activation, `[n, h, w, out_ch]`.
    pub out: FloatTensor<B>,
    /// Before batch norm, `[n, h, w, out_ch]`.
    pub pre: FloatTensor<B>,
    /// Mean and biased variance of `pre` over batch and pixels, `[out_ch]`, if there is a batch norm.
    pub moments: Option<[FloatTensor<B>; 2]>,
}

/// What the backward pass of a convolution node needs.
#[derive(Clone, Debug)]
pub struct ConvSaved<B: Backend> {
    /// The node's input.
    pub x: FloatTensor<B>,
    /// See [`ConvOutput::pre`].
    pub pre: FloatTensor<B>,
    /// See [`ConvOutput::moments`].
    pub moments: Option<[FloatTensor<B>; 2]>,
    /// Its parameters.
    pub params: ConvParams<B>,
}

/// Which gradients of a convolution node are wanted, beside those of its batch norm. Attacks want no
/// gradient of weights, nor do steps of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// With respect to the input.
    pub x: bool,
    /// With respect to the weights.
    pub weight: bool,
}

/// Gradients of a convolution node.
#[derive(Clone, Debug)]
pub struct ConvGrads<B: Backend> {
    /// With respect to the input, if asked for.
    pub x: Option<FloatTensor<B>>,
    /// With respect to the weights, if asked for.
    pub weight: Option<FloatTensor<B>>,
    /// With respect to scale and shift of the batch norm, if there is one.
    pub affine: Option<[FloatTensor<B>; 2]>,
}
