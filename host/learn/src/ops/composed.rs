//! The bodies of [`super::LearnOps`] composed of burn's own operations: what every backend can do, and
//! the reference the fast kernels are tested against (on an autodiff backend burn differentiates them).

use super::{
    BN_EPS, ConvGeometry, ConvGrads, ConvOutput, ConvParams, ConvSaved, Pool, unwrap, wrap,
};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

/// See [`super::LearnOps::conv_forward`].
pub fn conv_forward<B: Backend>(
    x: FloatTensor<B>,
    params: ConvParams<B>,
    g: &ConvGeometry,
) -> ConvOutput<B> {
    let y = conv_plain::<B>(wrap(x), wrap(params.weight), g);
    let [n, h, w, c] = y.dims();
    let rows = y.clone().reshape([n * h * w, c]);
    let mean = rows.clone().mean_dim(0);
    let centred = rows - mean.clone();
    let var = centred.clone().powi_scalar(2).mean_dim(0);
    let gamma = wrap::<B, 1>(params.gamma).reshape([1, c]);
    let beta = wrap::<B, 1>(params.beta).reshape([1, c]);
    let z = centred * rstd(var.clone()) * gamma + beta;
    let z = z.reshape([n, h, w, c]);
    ConvOutput {
        out: unwrap(if g.relu {
            burn::tensor::activation::relu(z)
        } else {
            z
        }),
        pre: unwrap(y),
        mean: unwrap(mean.reshape([c])),
        var: unwrap(var.reshape([c])),
    }
}

/// See [`super::LearnOps::conv_backward`].
pub fn conv_backward<B: Backend>(
    saved: ConvSaved<B>,
    grad: FloatTensor<B>,
    needs_x: bool,
    g: &ConvGeometry,
) -> ConvGrads<B> {
    let pre = wrap::<B, 4>(saved.pre);
    let [n, h, w, c] = pre.dims();
    let rows = n * h * w;
    let row = |t| wrap::<B, 1>(t).reshape([1, c]);
    let rstd = rstd(row(saved.var));
    let xhat = (pre.reshape([rows, c]) - row(saved.mean)) * rstd.clone();
    let gamma = row(saved.params.gamma);
    let mut dz = wrap::<B, 4>(grad).reshape([rows, c]);
    if g.relu {
        let z = xhat.clone() * gamma.clone() + row(saved.params.beta);
        dz = dz.mask_fill(z.lower_equal_elem(0.0), 0.0);
    }
    let dbeta = dz.clone().sum_dim(0);
    let dgamma = (dz.clone() * xhat.clone()).sum_dim(0);
    let mean_grad = dbeta.clone() / rows as f32 + xhat * (dgamma.clone() / rows as f32);
    let dy = (dz - mean_grad) * gamma * rstd;
    let dy = unwrap(dy.reshape([n, h, w, c]).permute([0, 3, 1, 2]));
    let x = unwrap(wrap::<B, 4>(saved.x).permute([0, 3, 1, 2]));
    let oihw = |t| unwrap(wrap::<B, 1>(t).reshape(g.weight_shape()));
    let dx = needs_x.then(|| {
        let b = oihw(saved.params.feedback);
        let dx = B::conv2d_x_backward(x.clone(), b, dy.clone(), g.options());
        unwrap(wrap::<B, 4>(dx).permute([0, 2, 3, 1]))
    });
    let dw = B::conv2d_weight_backward(x, oihw(saved.params.weight), dy, g.options());
    ConvGrads {
        x: dx,
        weight: unwrap(wrap::<B, 4>(dw).reshape([g.n_weights()])),
        gamma: unwrap(dgamma.reshape([c])),
        beta: unwrap(dbeta.reshape([c])),
    }
}

/// See [`super::LearnOps::conv_infer`].
pub fn conv_infer<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    g: &ConvGeometry,
) -> FloatTensor<B> {
    let c = g.output.c;
    let channel = |t| wrap::<B, 1>(t).reshape([1, 1, 1, c]);
    let z = conv_plain::<B>(wrap(x), wrap(weight), g) * channel(scale) + channel(shift);
    unwrap(if g.relu {
        burn::tensor::activation::relu(z)
    } else {
        z
    })
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

/// See [`super::LearnOps::pool_forward`].
pub fn pool_forward<B: Backend>(x: FloatTensor<B>, pool: Pool) -> FloatTensor<B> {
    let x = unwrap(wrap::<B, 4>(x).permute([0, 3, 1, 2]));
    let w = pool.window;
    let y = if pool.max {
        B::max_pool2d(x, w, w, [0, 0], [1, 1], false)
    } else {
        B::avg_pool2d(x, w, w, [0, 0], false, false)
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
    let (x, grad, w) = (nchw(x), nchw(grad), pool.window);
    let none = [0, 0];
    let dx = if pool.max {
        let at = B::max_pool2d_with_indices(x.clone(), w, w, none, [1, 1], false).indices;
        B::max_pool2d_with_indices_backward(x, w, w, none, [1, 1], false, grad, at).x_grad
    } else {
        B::avg_pool2d_backward(x, grad, w, w, none, false, false)
    };
    unwrap(wrap::<B, 4>(dx).permute([0, 2, 3, 1]))
}

fn rstd<B: Backend>(var: Tensor<B, 2>) -> Tensor<B, 2> {
    (var + BN_EPS).sqrt().recip()
}

fn conv_plain<B: Backend>(x: Tensor<B, 4>, w: Tensor<B, 1>, g: &ConvGeometry) -> Tensor<B, 4> {
    let x = unwrap(x.permute([0, 3, 1, 2]));
    let w = unwrap(w.reshape(g.weight_shape()));
    wrap::<B, 4>(B::conv2d(x, w, None, g.options())).permute([0, 2, 3, 1])
}
