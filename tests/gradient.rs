//! Gradients of the trained layers against burn's autodiff and against slow f64 loops, on both CPU
//! backends; the fast kernels against the operations composed of burn's.

use aplysia_learn::burn::backend::{Autodiff, Flex, NdArray};
use aplysia_learn::burn::tensor::backend::AutodiffBackend;
use aplysia_learn::burn::tensor::{Tensor, TensorData};
use aplysia_learn::ops::{ConvGeometry, ConvOutput, ConvParams, LearnOps};
use aplysia_learn::ops::{composed, unwrap, wrap};
use aplysia_space::Shape;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// More than one task of the fast kernels, and an uneven last one.
pub(crate) const N: usize = 11;
const EPS: f64 = 1e-5;

pub(crate) fn geometry(side: usize, in_ch: usize, out_ch: usize, kernel: usize) -> ConvGeometry {
    let shape = |c| Shape {
        h: side,
        w: side + 1,
        c,
    };
    ConvGeometry {
        input: shape(in_ch),
        output: shape(out_ch),
        kernel,
        stride: 1,
        dilation: 1,
        pad: kernel / 2,
        groups: 1,
        norm: true,
        relu: true,
    }
}

pub(crate) fn strided(g: ConvGeometry) -> ConvGeometry {
    let (h, w, c) = (g.input.h.div_ceil(2), g.input.w.div_ceil(2), g.output.c);
    ConvGeometry {
        stride: 2,
        output: Shape { h, w, c },
        ..g
    }
}

pub(crate) fn grouped(g: ConvGeometry, groups: usize) -> ConvGeometry {
    ConvGeometry { groups, ..g }
}

pub(crate) fn dilated(g: ConvGeometry) -> ConvGeometry {
    ConvGeometry {
        dilation: 2,
        pad: g.kernel - 1,
        ..g
    }
}

/// Without batch norm.
pub(crate) fn bare(g: ConvGeometry, relu: bool) -> ConvGeometry {
    ConvGeometry {
        norm: false,
        relu,
        ..g
    }
}

/// Without padding.
pub(crate) fn valid(g: ConvGeometry) -> ConvGeometry {
    let side = |n: usize| n - g.kernel + 1;
    let (h, w, c) = (side(g.input.h), side(g.input.w), g.output.c);
    ConvGeometry {
        pad: 0,
        output: Shape { h, w, c },
        ..g
    }
}

pub(crate) fn cases() -> Vec<ConvGeometry> {
    vec![
        geometry(6, 3, 8, 3),
        strided(geometry(7, 4, 8, 3)),
        strided(geometry(6, 1, 4, 5)),
        geometry(5, 8, 12, 1),
        ConvGeometry {
            relu: false,
            ..geometry(5, 12, 8, 1)
        },
        strided(geometry(5, 4, 4, 1)),
        grouped(geometry(6, 8, 8, 3), 8),
        grouped(strided(geometry(7, 12, 12, 3)), 12),
        grouped(geometry(6, 5, 5, 5), 5),
        grouped(strided(geometry(6, 16, 16, 5)), 16),
        grouped(geometry(6, 4, 8, 3), 2),
        bare(grouped(dilated(geometry(6, 8, 8, 3)), 8), false),
        bare(grouped(dilated(strided(geometry(7, 5, 5, 5))), 5), true),
        bare(geometry(5, 6, 8, 1), false),
        bare(geometry(4, 4, 4, 3), true),
        dilated(geometry(6, 4, 4, 3)),
        valid(geometry(2, 6, 8, 2)),
        valid(geometry(5, 3, 4, 2)),
    ]
}

/// Numbers of one case.
pub(crate) struct Values {
    pub(crate) x: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) feedback: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    /// Gradient that arrives from above.
    pub(crate) upstream: Vec<f32>,
}

pub(crate) fn draw(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

impl Values {
    pub(crate) fn new(g: &ConvGeometry, seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        Self {
            x: draw(rng, N * g.input.len()),
            weight: draw(rng, g.n_weights()),
            feedback: draw(rng, g.n_weights()),
            gamma: draw(rng, g.output.c),
            beta: draw(rng, g.output.c),
            upstream: draw(rng, N * g.output.len()),
        }
    }
}

pub(crate) fn tensor<B: LearnOps, const D: usize>(
    values: &[f32],
    shape: [usize; D],
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

pub(crate) fn numbers<B: LearnOps, const D: usize>(t: Tensor<B, D>) -> Vec<f32> {
    t.into_data().to_vec().unwrap()
}

/// Output and gradients of input, weight, γ and β.
pub(crate) type Results = [Vec<f32>; 5];
pub(crate) type Forward<B> = fn(
    <B as aplysia_learn::burn::tensor::backend::BackendTypes>::FloatTensorPrimitive,
    ConvParams<B>,
    &ConvGeometry,
) -> ConvOutput<B>;

pub(crate) fn gradients<B: LearnOps>(
    g: &ConvGeometry,
    v: &Values,
    f: Forward<Autodiff<B>>,
) -> Results {
    let image = |s: Shape| [N, s.h, s.w, s.c];
    let leaf = |values: &[f32]| tensor::<Autodiff<B>, 1>(values, [values.len()]).require_grad();
    let x = tensor::<Autodiff<B>, 4>(&v.x, image(g.input)).require_grad();
    let (w, gamma, beta) = (leaf(&v.weight), leaf(&v.gamma), leaf(&v.beta));
    let params = ConvParams {
        weight: unwrap(w.clone()),
        feedback: unwrap(tensor::<Autodiff<B>, 1>(&v.feedback, [v.feedback.len()])),
        gamma: unwrap(gamma.clone()),
        beta: unwrap(beta.clone()),
    };
    let out: Tensor<Autodiff<B>, 4> = wrap(f(unwrap(x.clone()), params, g).out);
    let grads = (out.clone() * tensor(&v.upstream, image(g.output)))
        .sum()
        .backward();
    // Without batch norm nothing reaches γ and β on burn's tape.
    let of = |t: &Tensor<Autodiff<B>, 1>| match t.grad(&grads) {
        Some(grad) => numbers(grad),
        None => vec![0.0; t.dims()[0]],
    };
    [
        numbers(out.inner()),
        numbers(x.grad(&grads).unwrap()),
        of(&w),
        of(&gamma),
        of(&beta),
    ]
}

#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let size = want.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= 2e-4 * size,
            "{what}[{i}]: {g} instead of {w}"
        );
    }
}

pub(crate) fn check(g: &ConvGeometry, got: &Results, want: &Results, who: &str) {
    for (i, name) in ["out", "dx", "dw", "dgamma", "dbeta"].iter().enumerate() {
        assert_close(&got[i], &want[i], &format!("{who}, {g:?}: {name}"));
    }
}

/// `B = W`: our operation must be burn's own gradient.
#[test]
fn weights_as_feedback_equal_autodiff() {
    for (i, g) in cases().iter().enumerate() {
        let mut v = Values::new(g, i as u64);
        v.feedback = v.weight.clone();
        let want = gradients::<NdArray>(g, &v, composed::conv_forward::<Autodiff<NdArray>>);
        let conv = <Autodiff<Flex> as LearnOps>::conv;
        check(g, &gradients::<Flex>(g, &v, conv), &want, "flex");
        let conv = <Autodiff<NdArray> as LearnOps>::conv;
        check(g, &gradients::<NdArray>(g, &v, conv), &want, "ndarray");
    }
}

/// Every (output, weight, input) index triple of a convolution of one image.
pub(crate) fn taps(g: &ConvGeometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (k, ic) = (g.kernel, g.input.c / g.groups);
    for pixel in 0..g.output.h * g.output.w {
        for (oc, tap) in (0..g.output.c).flat_map(|o| (0..ic * k * k).map(move |t| (o, t))) {
            let (i, kh, kw) = (tap / (k * k), tap / k % k, tap % k);
            let y = (pixel / g.output.w * g.stride + kh * g.dilation).wrapping_sub(g.pad);
            let x = (pixel % g.output.w * g.stride + kw * g.dilation).wrapping_sub(g.pad);
            if y < g.input.h && x < g.input.w {
                let channel = oc / (g.output.c / g.groups) * ic + i;
                let at = (y * g.input.w + x) * g.input.c + channel;
                visit(pixel * g.output.c + oc, oc * ic * k * k + tap, at);
            }
        }
    }
}

/// The node and its rule-given gradients, from the formulas, in f64.
pub(crate) fn reference(g: &ConvGeometry, v: &Values) -> Results {
    let (c, rows) = (g.output.c, N * g.output.h * g.output.w);
    let (li, lo) = (g.input.len(), g.output.len());
    let mut y = vec![0.0f64; N * lo];
    for n in 0..N {
        taps(g, |o, w, i| {
            y[n * lo + o] += f64::from(v.x[n * li + i]) * f64::from(v.weight[w])
        });
    }
    let sum_by_channel = |f: &dyn Fn(usize) -> f64| {
        let mut sums = vec![0.0; c];
        (0..y.len()).for_each(|i| sums[i % c] += f(i));
        sums
    };
    let mean: Vec<f64> = sum_by_channel(&|i| y[i])
        .iter()
        .map(|s| s / rows as f64)
        .collect();
    let var = sum_by_channel(&|i| (y[i] - mean[i % c]).powi(2));
    let rstd: Vec<f64> = var
        .iter()
        .map(|s| 1.0 / (s / rows as f64 + EPS).sqrt())
        .collect();
    let xhat = |i: usize| (y[i] - mean[i % c]) * rstd[i % c];
    let z = |i: usize| match g.norm {
        true => xhat(i) * f64::from(v.gamma[i % c]) + f64::from(v.beta[i % c]),
        false => y[i],
    };
    let dz = |i: usize| {
        if g.relu && z(i) <= 0.0 {
            0.0
        } else {
            f64::from(v.upstream[i])
        }
    };
    let if_norm = |d: f64| if g.norm { d } else { 0.0 };
    let dbeta = sum_by_channel(&|i| if_norm(dz(i)));
    let dgamma = sum_by_channel(&|i| if_norm(dz(i) * xhat(i)));
    let dy = |i: usize| {
        if !g.norm {
            return dz(i);
        }
        let mean = (dbeta[i % c] + xhat(i) * dgamma[i % c]) / rows as f64;
        f64::from(v.gamma[i % c]) * rstd[i % c] * (dz(i) - mean)
    };
    let (mut dx, mut dw) = (vec![0.0; N * li], vec![0.0; g.n_weights()]);
    for n in 0..N {
        taps(g, |o, w, i| {
            dx[n * li + i] += f64::from(v.feedback[w]) * dy(n * lo + o);
            dw[w] += f64::from(v.x[n * li + i]) * dy(n * lo + o);
        });
    }
    let out = (0..y.len())
        .map(|i| if g.relu { z(i).max(0.0) } else { z(i) })
        .collect();
    [out, dx, dw, dgamma, dbeta].map(|r: Vec<f64>| r.into_iter().map(|x| x as f32).collect())
}

#[test]
fn random_feedback_equals_loops() {
    for (i, g) in cases().iter().enumerate() {
        let v = Values::new(g, 100 + i as u64);
        let want = reference(g, &v);
        let conv = <Autodiff<Flex> as LearnOps>::conv;
        check(g, &gradients::<Flex>(g, &v, conv), &want, "flex");
        let conv = <Autodiff<NdArray> as LearnOps>::conv;
        check(g, &gradients::<NdArray>(g, &v, conv), &want, "ndarray");
    }
}

#[test]
fn inference_kernels_equal_composed() {
    for (i, g) in cases().iter().enumerate() {
        let v = Values::new(g, 200 + i as u64);
        fn infer<B: LearnOps>(g: &ConvGeometry, v: &Values) -> Vec<f32> {
            let x = tensor::<B, 4>(&v.x, [N, g.input.h, g.input.w, g.input.c]);
            let flat = |values: &[f32]| unwrap(tensor::<B, 1>(values, [values.len()]));
            let (w, a, b) = (flat(&v.weight), flat(&v.gamma), flat(&v.beta));
            numbers(wrap::<B, 4>(B::conv_infer(unwrap(x), w, a, b, g)))
        }
        assert_close(&infer::<Flex>(g, &v), &infer::<NdArray>(g, &v), "inference");
    }
}

#[test]
fn linear_feedback_equals_loops() {
    fn run<B: LearnOps>() {
        let (d_in, d_out) = (7, 4);
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let (x, w, b) = (
            draw(rng, N * d_in),
            draw(rng, d_out * d_in),
            draw(rng, d_out * d_in),
        );
        let up = draw(rng, N * d_out);
        let xt = tensor::<Autodiff<B>, 2>(&x, [N, d_in]).require_grad();
        let wt = tensor::<Autodiff<B>, 2>(&w, [d_out, d_in]).require_grad();
        let bt = unwrap(tensor::<Autodiff<B>, 2>(&b, [d_out, d_in]));
        let y = Autodiff::<B>::linear_feedback(unwrap(xt.clone()), unwrap(wt.clone()), bt);
        let loss = (wrap::<Autodiff<B>, 2>(y) * tensor(&up, [N, d_out])).sum();
        let grads = loss.backward();
        let (mut dx, mut dw) = (vec![0.0f32; N * d_in], vec![0.0f32; d_out * d_in]);
        for n in 0..N {
            for (o, i) in (0..d_out).flat_map(|o| (0..d_in).map(move |i| (o, i))) {
                dx[n * d_in + i] += up[n * d_out + o] * b[o * d_in + i];
                dw[o * d_in + i] += up[n * d_out + o] * x[n * d_in + i];
            }
        }
        assert_close(&numbers(xt.grad(&grads).unwrap()), &dx, "linear dx");
        assert_close(&numbers(wt.grad(&grads).unwrap()), &dw, "linear dw");
    }
    run::<Flex>();
    run::<NdArray>();
}

/// The tape is burn's: an untracked input costs no input gradient and gets none.
#[test]
fn untracked_input_gets_no_gradient() {
    let g = geometry(6, 4, 4, 3);
    let v = Values::new(&g, 1);
    type Ad = Autodiff<Flex>;
    let flat = |values: &[f32]| unwrap(tensor::<Ad, 1>(values, [values.len()]));
    let w = tensor::<Ad, 1>(&v.weight, [v.weight.len()]).require_grad();
    let x = tensor::<Ad, 4>(&v.x, [N, g.input.h, g.input.w, g.input.c]);
    let params = ConvParams {
        weight: unwrap(w.clone()),
        feedback: flat(&v.feedback),
        gamma: flat(&v.gamma),
        beta: flat(&v.beta),
    };
    let y: Tensor<Ad, 4> = wrap(Ad::conv(unwrap(x.clone()), params, &g).out);
    let grads: <Ad as AutodiffBackend>::Gradients = y.powi_scalar(2).sum().backward();
    assert!(x.grad(&grads).is_none());
    assert!(w.grad(&grads).is_some());
}
