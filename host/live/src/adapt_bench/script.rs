//! What happens to a learner, in order: images that it learns from, and images that it is measured on.
//!
//! Owns the order; what learns is `head`'s and `trunk`'s. Every part of the protocol is a script.

use super::trunk::Trunk;
use super::{Learner, Method, deep, head};
use crate::LiveError;
use crate::evaluate::Images;
use aplysia_shared::Model;
use aplysia_shared::adapt::Head;

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// Learned from, in order, once.
    See(Images<'a>),
    /// Classified, nothing learning.
    Measure(Images<'a>),
}

impl<'a> Step<'a> {
    /// The images of the step.
    pub(super) fn images(&self) -> Images<'a> {
        match self {
            Step::See(images) | Step::Measure(images) => *images,
        }
    }

    /// Where the same images were measured before.
    pub(super) fn first_like(&self, before: &[Step<'_>]) -> Option<usize> {
        let Step::Measure(images) = self else {
            return None;
        };
        let same = |step: &Step<'_>| match step {
            Step::Measure(other) => std::ptr::eq(other.pixels, images.pixels),
            Step::See(_) => false,
        };
        before.iter().position(same)
    }
}

/// Trunks of one script's images: of all methods that do the same below the head there is one.
pub(super) struct Trunks<'a> {
    model: &'a Model<'a>,
    seed: u32,
    run: Vec<Trunk>,
}

impl<'a> Trunks<'a> {
    /// `seed` is that of stochastic rounding.
    pub(super) fn new(model: &'a Model<'a>, seed: u32) -> Self {
        let run = vec![];
        Self { model, seed, run }
    }

    /// The class of every image of every measurement of `script`, whose images are always the same; its
    /// labels may differ.
    ///
    /// # Errors
    /// The images do not fit the model, or it cannot learn so.
    pub(super) fn classes(
        &mut self,
        method: &Method,
        script: &[Step<'_>],
    ) -> Result<Vec<Vec<u16>>, LiveError> {
        if let (Learner::Device(Head::Deep { .. }), Some(config)) =
            (method.learner, method.config())
        {
            return deep::follow(self.model, config, self.seed, script);
        }
        let known = self.run.iter().position(|trunk| trunk.serves(method));
        let at = known.unwrap_or(self.run.len());
        if known.is_none() {
            self.run
                .push(Trunk::run(self.model, method, self.seed, script)?);
        }
        let features = &self.run[at].features;
        head::follow(self.model, method.learner, self.seed, (script, features))
    }
}

/// Share of `classes` that are those of `images`, in percent.
pub(super) fn accuracy_pct(classes: &[u16], images: Images<'_>) -> f64 {
    let right = classes.iter().zip(images.labels).filter(|(a, b)| a == b);
    100.0 * right.count() as f64 / images.labels.len().max(1) as f64
}
