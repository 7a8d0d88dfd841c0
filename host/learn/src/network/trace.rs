//! The network in evaluation mode on the tape of its images: what reaches them from the output.

use super::{Model, layer::Layer, plain, tapped};
use crate::ops::LearnOps;
use burn::backend::Autodiff;
use burn::tensor::Tensor;

impl<B: LearnOps> Model<B> {
    /// The feedback of every layer with weights; of a random rule the mean of `n_draws` draws.
    pub(crate) fn mean_feedback(&self, n_draws: u32) -> Vec<Option<Tensor<B, 1>>> {
        let of = |layer: &Layer<B>| {
            let taught = layer.taught.as_ref()?;
            Some(taught.mean_feedback(&layer.params[0], n_draws))
        };
        self.layers.iter().map(of).collect()
    }

    /// [`Model::infer`] on the tape of `images`. What comes back to them goes through `feedback`, layer by
    /// layer, and through direct feedback, without the limits of the rules' options.
    pub(crate) fn trace(
        &self,
        images: Tensor<Autodiff<B>, 4>,
        feedback: &[Option<Tensor<B, 1>>],
    ) -> Tensor<Autodiff<B>, 2> {
        let n = images.dims()[0];
        let mut taps = vec![];
        let logits = self.walk(
            &self.shared,
            |i| self.shared.main[i],
            images,
            |i, mut inputs| {
                let Some(at) = self.layer_of[i] else {
                    let node = &self.network.nodes[i];
                    let from = (!node.inputs.is_empty()).then(|| self.network.input_shape(i));
                    return plain::compute(node, from, (n, &self.device), inputs);
                };
                let layer = &self.layers[at];
                let x = inputs.remove(0);
                let x = match &layer.taught {
                    Some(taught) => taught.pass(x, &mut taps),
                    None => x,
                };
                layer.trace(x, feedback[at].as_ref())
            },
        );
        tapped(logits.flatten::<2>(1, 3), taps)
    }
}
