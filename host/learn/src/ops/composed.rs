//! The bodies of [`super::LearnOps`] composed of burn's own operations: what every backend can do, and
//! the reference the fast kernels are tested against (on an autodiff backend burn differentiates them).

use super::{
    BN_EPS, ConvGeometry, ConvGrads, ConvOutput, ConvParams, ConvSaved, Descent, LearnOps,
};
use super::{Needs, NormGrads, NormSaved, Pool, unwrap, wrap};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata, activation};

/// See [`super::LearnOps::conv_forward`].
pub fn conv_forward<B: LearnOps>(
    x: FloatTensor<B>,
    params: ConvParams<B>,
    g: &ConvGeometry,
) -> ConvOutput<B> {
    let y = wrap::<B, 4>(B::convolve(x, params.weight, g));
    let pre = unwrap(y.clone());
    if !g.norm {
        return ConvOutput {
            out: unwrap(activated(y, g.relu)),
            pre,
            moments: None,
        };
    }
    let [out, mean, var] = norm_forward::<B>(pre.clone(), params.gamma, params.beta, g.relu);
    ConvOutput {
        out,
        pre,
        moments: Some([mean, var]),
    }
}

/// See [`super::LearnOps::norm_forward`]; a ReLU follows if `relu`.
pub fn norm_forward<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    relu: bool,
) -> [FloatTensor<B>; 3] {
    let x = wrap::<B, 4>(x);
    let [n, h, w, c] = x.dims();
    let rows = x.reshape([n, h * w, c]);
    let mean = rows.clone().mean_dim(1).mean_dim(0);
    let centred = rows - mean.clone();
    let var = (centred.clone() * centred.clone()).mean_dim(1).mean_dim(0);
    let gamma = wrap::<B, 1>(gamma).reshape([1, 1, c]);
    let beta = wrap::<B, 1>(beta).reshape([1, 1, c]);
    let z = centred * rstd(var.clone()) * gamma + beta;
    [
        unwrap(activated(z.reshape([n, h, w, c]), relu)),
        unwrap(mean.reshape([c])),
        unwrap(var.reshape([c])),
    ]
}

/// See [`super::LearnOps::conv_backward`].
pub fn conv_backward<B: LearnOps>(
    saved: ConvSaved<B>,
    grad: FloatTensor<B>,
    needs: Needs,
    g: &ConvGeometry,
) -> ConvGrads<B> {
    let ConvParams {
        feedback,
        gamma,
        beta,
        ..
    } = saved.params;
    let (dy, affine) = if let Some([mean, var]) = saved.moments {
        let norm = NormSaved {
            x: saved.pre,
            mean,
            var,
            gamma,
            beta,
        };
        let back = norm_backward::<B>(norm, grad, g.relu);
        (back.x, Some([back.gamma, back.beta]))
    } else if g.relu {
        let shut = wrap::<B, 4>(saved.pre).lower_equal_elem(0.0);
        (unwrap(wrap::<B, 4>(grad).mask_fill(shut, 0.0)), None)
    } else {
        (grad, None)
    };
    let dx = needs.x.then(|| B::convolve_back(feedback, dy.clone(), g));
    ConvGrads {
        x: dx,
        weight: needs.weight.then(|| B::correlate(saved.x, dy, g)),
        affine,
    }
}

/// See [`super::LearnOps::norm_backward`]; of the batch norm and the ReLU after it if `relu`.
pub fn norm_backward<B: Backend>(
    saved: NormSaved<B>,
    grad: FloatTensor<B>,
    relu: bool,
) -> NormGrads<B> {
    let x = wrap::<B, 4>(saved.x);
    let [n, h, w, c] = x.dims();
    let rows = [n, h * w, c];
    let count = (n * h * w) as f32;
    let row = |t| wrap::<B, 1>(t).reshape([1, 1, c]);
    let rstd = rstd(row(saved.var));
    let xhat = (x.reshape(rows) - row(saved.mean)) * rstd.clone();
    let gamma = row(saved.gamma);
    let mut dz = wrap::<B, 4>(grad).reshape(rows);
    if relu {
        let z = xhat.clone() * gamma.clone() + row(saved.beta);
        dz = dz.mask_fill(z.lower_equal_elem(0.0), 0.0);
    }
    let dbeta = sum::<B>(dz.clone());
    let dgamma = sum::<B>(dz.clone() * xhat.clone());
    let mean_grad = dbeta.clone() / count + xhat * (dgamma.clone() / count);
    let dx = (dz - mean_grad) * (gamma * rstd);
    NormGrads {
        x: unwrap(dx.reshape([n, h, w, c])),
        gamma: unwrap(dgamma.reshape([c])),
        beta: unwrap(dbeta.reshape([c])),
    }
}

/// See [`super::LearnOps::conv_infer`].
pub fn conv_infer<B: LearnOps>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let c = g.output.c;
    let channel = |t| wrap::<B, 1>(t).reshape([1, 1, 1, c]);
    let y = wrap::<B, 4>(B::convolve(x, weight, g));
    let z = y * channel(scale) + channel(shift);
    unwrap(activated(z, g.relu))
}

/// See [`super::LearnOps::convolve`].
pub fn convolve<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let x = unwrap(wrap::<B, 4>(x).permute([0, 3, 1, 2]));
    let w = unwrap(wrap::<B, 1>(weight).reshape(g.weight_shape()));
    unwrap(wrap::<B, 4>(B::conv2d(x, w, None, g.options())).permute([0, 2, 3, 1]))
}

/// See [`super::LearnOps::convolve_back`].
pub fn convolve_back<B: Backend>(
    feedback: FloatTensor<B>,
    dy: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let dy = wrap::<B, 4>(dy).permute([0, 3, 1, 2]);
    let [n, ..] = dy.dims();
    let shape_only = Tensor::<B, 4>::zeros([n, g.input.c, g.input.h, g.input.w], &dy.device());
    let feedback = unwrap(wrap::<B, 1>(feedback).reshape(g.weight_shape()));
    let dx = B::conv2d_x_backward(unwrap(shape_only), feedback, unwrap(dy), g.options());
    unwrap(wrap::<B, 4>(dx).permute([0, 2, 3, 1]))
}

/// See [`super::LearnOps::correlate`].
pub fn correlate<B: Backend>(
    x: FloatTensor<B>,
    z: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let nchw = |t| wrap::<B, 4>(t).permute([0, 3, 1, 2]);
    let (x, z) = (nchw(x), nchw(z));
    let shape_only = Tensor::<B, 4>::zeros(g.weight_shape(), &x.device());
    let dw = B::conv2d_weight_backward(unwrap(x), unwrap(shape_only), unwrap(z), g.options());
    unwrap(wrap::<B, 4>(dw).reshape([g.n_weights()]))
}

/// See [`super::LearnOps::cross_entropy`].
pub fn cross_entropy<B: Backend>(x: FloatTensor<B>, targets: FloatTensor<B>) -> FloatTensor<B> {
    let x = wrap::<B, 2>(x);
    let n = x.dims()[0] as f32;
    unwrap((activation::log_softmax(x, 1) * wrap(targets)).sum() / -n)
}

/// See [`super::LearnOps::descend`].
pub fn descend<B: Backend>(all: [FloatTensor<B>; 3], step: Descent) -> [FloatTensor<B>; 2] {
    let [value, velocity, mut grad] = all.map(wrap::<B, 1>);
    if step.clip < 1.0 {
        grad = grad * step.clip;
    }
    if step.decay > 0.0 {
        grad = grad + value.clone() * step.decay;
    }
    let velocity = velocity * step.momentum + grad.clone();
    let way = match step.nesterov {
        true => grad + velocity.clone() * step.momentum,
        false => velocity.clone(),
    };
    [unwrap(value - way * step.lr), unwrap(velocity)]
}

/// See [`super::LearnOps::shift_forward`].
pub fn shift_forward<B: Backend>(x: FloatTensor<B>, back: bool) -> FloatTensor<B> {
    let x = wrap::<B, 4>(x);
    let [n, h, w, c] = x.dims();
    let zeros = x.zeros_like();
    if h == 1 || w == 1 {
        return unwrap(zeros);
    }
    let (low, high) = ([0..h - 1, 0..w - 1], [1..h, 1..w]);
    let ([rows, columns], [to_rows, to_columns]) = if back { (low, high) } else { (high, low) };
    let moved = x.slice([0..n, rows, columns, 0..c]);
    unwrap(zeros.slice_assign([0..n, to_rows, to_columns, 0..c], moved))
}

/// See [`super::LearnOps::pool_forward`].
pub fn pool_forward<B: Backend>(x: FloatTensor<B>, pool: Pool) -> FloatTensor<B> {
    let x = unwrap(wrap::<B, 4>(x).permute([0, 3, 1, 2]));
    let (k, s, p, ceil) = window::<B>(&x, &pool);
    let y = if pool.max {
        B::max_pool2d(x, k, s, p, [1, 1], ceil)
    } else {
        B::avg_pool2d(x, k, s, p, false, ceil)
    };
    unwrap(wrap::<B, 4>(y).permute([0, 2, 3, 1]))
}

/// See [`super::LearnOps::pool_backward`].
pub fn pool_backward<B: Backend>(
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
    pool: Pool,
) -> FloatTensor<B> {
    let nchw = |t| unwrap(wrap::<B, 4>(t).permute([0, 3, 1, 2]));
    let (x, grad) = (nchw(x), nchw(grad));
    let (k, s, p, ceil) = window::<B>(&x, &pool);
    let dx = if pool.max {
        let at = B::max_pool2d_with_indices(x.clone(), k, s, p, [1, 1], ceil).indices;
        B::max_pool2d_with_indices_backward(x, k, s, p, [1, 1], ceil, grad, at).x_grad
    } else {
        B::avg_pool2d_backward(x, grad, k, s, p, false, ceil)
    };
    unwrap(wrap::<B, 4>(dx).permute([0, 2, 3, 1]))
}

/// Window, step, padding, and whether the last window may reach beyond the padded input `x` (NCHW).
fn window<B: Backend>(
    x: &FloatTensor<B>,
    pool: &Pool,
) -> ([usize; 2], [usize; 2], [usize; 2], bool) {
    let [_, _, h, _] = x.shape().dims::<4>();
    let (k, s, p) = (pool.window, pool.stride, pool.pad);
    let whole = (h + 2 * p - k[0]) / s[0] + 1;
    (k, s, [p, p], whole < pool.output[0])
}

fn activated<B: Backend>(x: Tensor<B, 4>, relu: bool) -> Tensor<B, 4> {
    if relu { activation::relu(x) } else { x }
}

/// `[n, pixels, c]` summed to `[1, 1, c]`, image by image first: a GPU has many sums to take at once then.
/// Means are taken the same way.
fn sum<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    x.sum_dim(1).sum_dim(0)
}

fn rstd<B: Backend>(var: Tensor<B, 3>) -> Tensor<B, 3> {
    (var + BN_EPS).sqrt().recip()
}
