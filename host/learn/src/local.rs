//! The local rules: weight changes from a layer's own input and response, without the error.
//!
//! Owns their mathematics on one convolution. `x` is the input, `y = conv(x, W)` the response before
//! batch norm, both of the training pass under way; `p` is an input patch (zero where padded), `R` the
//! number of patches in the batch, `W_i` the weights of unit `i`. Units compete within a group, that is
//! among those that see the same patch: all of a dense layer, only itself in a depthwise one. There
//! `softhebb`, whose unit has nobody to win against, follows Oja's rule for one unit (E. Oja, J. Math. Biol. 15,
//! 1982), `y(p − yW)`, and `hebb` comes to `sign(y)·p̂ − W`; both find the main direction of a channel's patches.
//! Invariant: knows no optimizer; the caller adds the result to the weights.
//!
//! In a classifier the label stands for the response that learning wants, so that the local update is
//! the delta rule `(t − softmax(y))·x`, which is the gradient of the loss: it is trained like any other.

use crate::ops::{ConvGeometry, LearnOps, unwrap, wrap};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, activation::softmax};

/// Keeps a division by a length defined where everything is zero.
const TINY: f32 = 1e-12;

/// What a layer saw and answered in one training pass: all that a local rule may use.
#[derive(Clone, Debug)]
pub struct Activity<B: LearnOps> {
    /// Input, `[n, h, w, in_ch]`.
    pub x: Tensor<B, 4>,
    /// Response before batch norm, `[n, h', w', out_ch]`.
    pub y: Tensor<B, 4>,
}

impl<B: LearnOps> Activity<B> {
    /// `Σ_patches signal_i·p`, `[out_ch, weights of a unit]`.
    fn correlate(&self, signal: Tensor<B, 2>, g: &ConvGeometry) -> Tensor<B, 2> {
        let signal = signal.reshape(self.y.dims());
        let sum = B::correlate(unwrap(self.x.clone()), unwrap(signal), g);
        wrap::<B, 1>(sum).reshape(matrix(g))
    }
}

/// Units and weights of each.
fn matrix(g: &ConvGeometry) -> [usize; 2] {
    [g.output.c, g.n_weights() / g.output.c]
}

/// Hebbian learning with the decay of Oja's subspace rule (Oja 1989, Int. J. Neural Syst. 1:61), on
/// directions instead of lengths. The response counts from its mean over the batch, as batch norm hands
/// it on, so that units encode how patches differ and not what they share (covariance rule, Sejnowski
/// 1977): with `p̂ = p/‖p‖` and `ŷ = (y − mean y)/‖y − mean y‖` over a group's units,
///
/// `ΔW_i = rate · mean_patches ŷ_i (p̂ − Σ_j ŷ_j W_j)`.
///
/// The decay is linear in `W` with a matrix `mean(ŷ ŷᵀ)` of trace 1, so weights stay bounded for every
/// rate up to 1. Weights are flat (OIHW), as is the result.
pub fn hebb<B: LearnOps>(
    seen: &Activity<B>,
    w: &Tensor<B, 1>,
    rate: f32,
    g: &ConvGeometry,
) -> Tensor<B, 1> {
    let units = g.output.c / g.groups;
    let n_patches = seen.y.shape().num_elements() / g.output.c;
    let y = seen.y.clone().reshape([n_patches, g.output.c]);
    let y = y.clone() - y.mean_dim(0);
    let y = y.reshape([n_patches * g.groups, units]);
    let length = y.clone().powi_scalar(2).sum_dim(1).sqrt() + TINY;
    let y = y / length;
    let growth = seen.correlate(y.clone() / (patch_length(&seen.x, g) + TINY), g);
    let w = w.clone().reshape(matrix(g));
    let decay = if units == 1 {
        let power = y.powi_scalar(2).reshape([n_patches, g.groups]).sum_dim(0);
        w * power.transpose()
    } else {
        let by_group = y.reshape([n_patches, g.groups, units]);
        let (post, pre) = (
            by_group.clone().permute([1, 2, 0]),
            by_group.swap_dims(0, 1),
        );
        let [_, fan_in] = w.dims();
        let w = w.reshape([g.groups, units, fan_in]);
        post.matmul(pre).matmul(w).reshape(matrix(g))
    };
    ((growth - decay) * (rate / n_patches as f32)).reshape([g.n_weights()])
}

/// `‖p‖` of every patch and group, `[patches · groups, 1]`.
fn patch_length<B: LearnOps>(x: &Tensor<B, 4>, g: &ConvGeometry) -> Tensor<B, 2> {
    let [n, h, w, c] = x.dims();
    let square = x.clone().powi_scalar(2);
    let power = square
        .reshape([n * h * w * g.groups, c / g.groups])
        .sum_dim(1);
    let power = power.reshape([n, h, w, g.groups]).permute([0, 3, 1, 2]);
    // The sum over a window, as a convolution of every group with ones.
    let ones = Tensor::<B, 4>::ones([1, 1, g.kernel, g.kernel], &power.device());
    let power = power.reshape([n * g.groups, 1, h, w]);
    let options = ConvOptions::new([g.stride; 2], [g.pad; 2], [g.dilation; 2], 1);
    let sum = wrap::<B, 4>(B::conv2d(unwrap(power), unwrap(ones), None, options));
    let rows = sum.shape().num_elements();
    let by_pixel = sum.reshape([n, g.groups, rows / n / g.groups]);
    by_pixel.swap_dims(1, 2).reshape([rows, 1]).sqrt()
}

/// Soft winner-take-all with anti-Hebbian losers (SoftHebb: Journé et al. 2023, arXiv:2209.11883).
///
/// With `q = softmax(temperature · y)` over a group's units and `z_i = q_i` for the largest response,
/// `−q_i` for the others:
///
/// `D_i = Σ_patches z_i (p − y_i W_i)`, `ΔW_i = rate · sqrt(|‖W_i‖ − 1|) · D_i / max|D|`,
///
/// the maximum over all weights of the layer: a unit stops when its weights have length 1. Alone in its group a
/// unit would win whatever it answers, so that `z_i = y_i` there. Weights are flat (OIHW), as is the result.
pub fn softhebb<B: LearnOps>(
    seen: &Activity<B>,
    w: &Tensor<B, 1>,
    (rate, temperature): (f32, f32),
    g: &ConvGeometry,
) -> Tensor<B, 1> {
    let [out_ch, _] = matrix(g);
    let n_patches = seen.y.shape().num_elements() / out_ch;
    let by_group = [n_patches * g.groups, out_ch / g.groups];
    let y = seen.y.clone().reshape(by_group);
    let z = if by_group[1] == 1 {
        y.clone()
    } else {
        let q = softmax(y.clone() * temperature, 1);
        let wins = y.clone().equal(y.clone().max_dim(1).expand(y.dims()));
        q.clone().neg().mask_where(wins, q)
    };
    let growth = seen.correlate(z.clone(), g);
    let shrink = (z * y).reshape([n_patches, out_ch]).sum_dim(0).transpose();
    let w = w.clone().reshape(matrix(g));
    let change = growth - w.clone() * shrink;
    let largest = change.clone().abs().max().reshape([1, 1]) + TINY;
    let off = w.powi_scalar(2).sum_dim(1).sqrt().sub_scalar(1.0).abs();
    (change / largest * (off.sqrt() * rate)).reshape([g.n_weights()])
}

/// Which of `n_layers` layers of SoftHebb learns at `step`: one after the other, from the input on,
/// equal parts of the first `share` of `n_steps`; none afterwards.
pub fn turn(step: u64, n_steps: u64, share: f32, n_layers: usize) -> Option<usize> {
    let phase = (f64::from(share) * n_steps as f64) as u64;
    (step < phase).then(|| (step * n_layers as u64 / phase) as usize)
}
