//! A layer under its running statistics, on the tape: for what learns from single images, and for attacks.

use super::{Layer, constant, linear};
use crate::network::kind::Kind;
use crate::ops::{ConvGeometry, ConvParams, LearnOps, unwrap, wrap};
use burn::backend::Autodiff;
use burn::tensor::{Tensor, activation};

impl<B: LearnOps> Layer<B> {
    /// [`Layer::infer`] on the tape of its input and of the parameters `leaf`: to the input goes what
    /// `feedback` (of a layer with weights) and the exact derivative of everything else let through.
    pub(super) fn frozen(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        leaf: &[Tensor<Autodiff<B>, 1>],
        feedback: impl Fn() -> Tensor<Autodiff<B>, 1>,
    ) -> Tensor<Autodiff<B>, 4> {
        let affine = self.affine::<Autodiff<B>>(|i| leaf[i].clone(), constant);
        let running = self.running.as_ref().map(|m| m.each_ref().map(constant));
        let line = || {
            self.line(affine.clone(), running.clone())
                .map(|t| t.reshape([1, 1, 1, self.c]))
        };
        match &self.kind {
            Kind::Conv(geometry) => {
                let bare = ConvGeometry {
                    norm: false,
                    relu: false,
                    ..*geometry
                };
                let [gamma, beta] = affine.clone().map(unwrap);
                let params = ConvParams {
                    weight: unwrap(leaf[0].clone()),
                    feedback: unwrap(feedback()),
                    gamma,
                    beta,
                };
                let y = Autodiff::<B>::conv(unwrap(x), params, &bare);
                let [scale, shift] = line();
                let z = wrap::<Autodiff<B>, 4>(y.out) * scale + shift;
                match geometry.relu {
                    true => activation::relu(z),
                    false => z,
                }
            }
            Kind::Norm => {
                let [scale, shift] = line();
                x * scale + shift
            }
            Kind::Linear { d_in, d_out } => linear(x, leaf, feedback(), [*d_out, *d_in]),
        }
    }

    /// [`Layer::infer`] on the tape of its input alone: see [`Layer::frozen`].
    pub(in crate::network) fn trace(
        &self,
        x: Tensor<Autodiff<B>, 4>,
        feedback: Option<&Tensor<B, 1>>,
    ) -> Tensor<Autodiff<B>, 4> {
        let constant = |t: &Tensor<B, 1>| Tensor::from_inner(t.clone());
        let params = self.params.iter();
        let params: Vec<_> = params.map(|p| constant(&p.forward.value)).collect();
        let feedback = || constant(feedback.expect("layers with weights are taught"));
        self.frozen(x, &params, feedback)
    }
}
