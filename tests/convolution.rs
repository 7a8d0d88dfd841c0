//! Parts of a convolution node that are left out where nobody wants them.

use crate::gradient::{N, Values, cases, numbers, tensor};
use aplysia_learn::burn::backend::{Autodiff, Flex, NdArray};
use aplysia_learn::ops::{ConvGeometry, ConvParams, LearnOps};
use aplysia_learn::ops::{unwrap, wrap};
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
