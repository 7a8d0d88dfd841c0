//! Parts of a convolution node: what a GPU computes in its place, and what is left out where nobody wants it.

use crate::gradient::{N, Values, assert_close, cases, numbers, tensor};
use aplysia_learn::burn::backend::{Autodiff, Flex, NdArray};
use aplysia_learn::ops::{ConvGeometry, ConvParams, LearnOps};
use aplysia_learn::ops::{columns, composed, unwrap, wrap};
use aplysia_space::Shape;

/// The input's gradient is the same where the weights have none, as in attacks.
#[test]
fn weights_off_the_tape_change_nothing_else() {
    fn input_gradient<B: LearnOps>(g: &ConvGeometry, v: &Values, tracked: bool) -> Vec<f32> {
        let flat = |values: &[f32]| tensor::<Autodiff<B>, 1>(values, [values.len()]);
        let image = |s: Shape| [N, s.h, s.w, s.c];
        let x = tensor::<Autodiff<B>, 4>(&v.x, image(g.input)).require_grad();
        let weight = flat(&v.weight).set_require_grad(tracked);
        let params = ConvParams {
            weight: unwrap(weight.clone()),
            feedback: unwrap(flat(&v.feedback)),
            gamma: unwrap(flat(&v.gamma)),
            beta: unwrap(flat(&v.beta)),
        };
        let out = <Autodiff<B> as LearnOps>::conv(unwrap(x.clone()), params, g).out;
        let upstream = tensor(&v.upstream, image(g.output));
        let grads = (wrap::<Autodiff<B>, 4>(out) * upstream).sum().backward();
        assert_eq!(weight.grad(&grads).is_some(), tracked);
        numbers(x.grad(&grads).unwrap())
    }
    for (i, g) in cases().iter().enumerate() {
        let v = Values::new(g, i as u64);
        let with = |tracked| input_gradient::<Flex>(g, &v, tracked);
        assert_eq!(with(true), with(false), "{g:?}");
        let with = |tracked| input_gradient::<NdArray>(g, &v, tracked);
        assert_eq!(with(true), with(false), "{g:?}");
    }
}

/// A convolution by columns and burn's own: output, what goes down, weight gradient.
#[test]
fn columns_equal_convolutions() {
    type B = NdArray;
    for (i, g) in cases().iter().enumerate() {
        if g.groups != 1 && g.groups != g.output.c {
            continue;
        }
        let v = Values::new(g, i as u64);
        let flat = |values: &[f32]| unwrap(tensor::<B, 1>(values, [values.len()]));
        let image = |values: &[f32], s: Shape| unwrap(tensor::<B, 4>(values, [N, s.h, s.w, s.c]));
        let (x, dy) = (image(&v.x, g.input), image(&v.upstream, g.output));
        let of = |t| numbers(wrap::<B, 4>(t));
        let got = columns::convolve::<B>(x.clone(), flat(&v.weight), g);
        let want = composed::convolve::<B>(x.clone(), flat(&v.weight), g);
        assert_close(&of(got), &of(want), &format!("{g:?}: out"));
        let got = columns::convolve_back::<B>(flat(&v.feedback), dy.clone(), g);
        let want = composed::convolve_back::<B>(flat(&v.feedback), dy.clone(), g);
        assert_close(&of(got), &of(want), &format!("{g:?}: dx"));
        let flat_of = |t| numbers(wrap::<B, 1>(t));
        let got = columns::correlate::<B>(x.clone(), dy.clone(), g);
        let want = composed::correlate::<B>(x, dy, g);
        assert_close(&flat_of(got), &flat_of(want), &format!("{g:?}: dw"));
    }
}
