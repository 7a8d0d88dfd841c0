//! One trained tensor and what the optimizer remembers of it. Knows no rule and no schedule.

use super::vector;
use crate::ops::LearnOps;
use burn::tensor::Tensor;

/// Numbers under momentum, flat.
#[derive(Clone, Debug)]
pub(crate) struct Moving<B: LearnOps> {
    pub(crate) value: Tensor<B, 1>,
    pub(crate) velocity: Tensor<B, 1>,
}

impl<B: LearnOps> Moving<B> {
    fn new(value: Tensor<B, 1>) -> Self {
        Self {
            velocity: value.zeros_like(),
            value,
        }
    }
}

/// One trained tensor.
#[derive(Clone, Debug)]
pub(crate) struct Param<B: LearnOps> {
    pub(crate) forward: Moving<B>,
    /// The feedback of `kp`, moved by the gradient of `forward`.
    pub(crate) feedback: Option<Moving<B>>,
    /// Whether weight decay applies.
    pub(crate) decay: bool,
}

impl<B: LearnOps> Param<B> {
    pub(super) fn new(values: Vec<f32>, decay: bool, device: &B::Device) -> Self {
        Self {
            forward: Moving::new(vector(values, device)),
            feedback: None,
            decay,
        }
    }

    /// Starts to learn the feedback `first`, if there is one.
    pub(super) fn learn_feedback(&mut self, first: Option<Tensor<B, 1>>) {
        self.feedback = first.map(Moving::new);
    }

    /// What the optimizer moves.
    pub(crate) fn moving(&mut self) -> impl Iterator<Item = &mut Moving<B>> {
        std::iter::once(&mut self.forward).chain(&mut self.feedback)
    }

    /// What a checkpoint keeps beside the network's parameters.
    pub(super) fn memory(&mut self) -> impl Iterator<Item = &mut Tensor<B, 1>> {
        let learned = self.feedback.iter_mut();
        std::iter::once(&mut self.forward.velocity)
            .chain(learned.flat_map(|b| [&mut b.value, &mut b.velocity]))
    }
}
