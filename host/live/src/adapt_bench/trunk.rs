//! The layers below the head, run once for all heads above them.

use super::Method;
use super::script::Step;
use crate::LiveError;
use crate::adaptation::see;
use crate::evaluate::{Images, input_of_pixels};
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};

/// Features of one script's images, i8 as bytes, `[n][d]` for each step.
pub(super) struct Trunk {
    /// Momentum of homeostasis, if it is on.
    momentum: Option<u8>,
    pub(super) features: Vec<Vec<u8>>,
}

impl Trunk {
    /// Whether `method` does the same below the head.
    pub(super) fn serves(&self, method: &Method) -> bool {
        self.momentum == method.momentum
    }

    /// Shows the images of `script` to `model`, homeostasis following those that it sees if `method` says so.
    pub(super) fn run(
        model: &Model<'_>,
        method: &Method,
        seed: u32,
        script: &[Step<'_>],
    ) -> Result<Self, LiveError> {
        let config = Config {
            homeostasis: method.momentum,
            head: Head::Base,
        };
        let mut buffer = vec![0; state_bytes(model, &config)?];
        let mut arena = vec![0; model.arena_bytes()];
        let mut plastic = Plastic::new(model, config, seed, &mut buffer)?;
        let mut features: Vec<Vec<u8>> = Vec::new();
        for (at, step) in script.iter().enumerate() {
            features.push(match step {
                Step::See(images) => {
                    let mut seen = Vec::new();
                    for (pixels, _) in images.iter(model.input().len()) {
                        let image = (pixels, method.observes());
                        see(&mut plastic, model, &mut arena, image)?;
                        seen.extend_from_slice(plastic.features()?);
                    }
                    seen
                }
                Step::Measure(images) => match step.first_like(&script[..at]) {
                    // Without homeostasis nothing below the head changes.
                    Some(before) if method.momentum.is_none() => features[before].clone(),
                    _ => frozen(model, &mut plastic, &mut arena, *images)?,
                },
            });
        }
        let momentum = method.momentum;
        Ok(Self { momentum, features })
    }
}

/// The features of `images`, nothing learning.
fn frozen(
    model: &Model<'_>,
    plastic: &mut Plastic<'_>,
    arena: &mut [i8],
    images: Images<'_>,
) -> Result<Vec<u8>, LiveError> {
    let mut features = Vec::with_capacity(images.labels.len() * model.features().len());
    for (pixels, _) in images.iter(model.input().len()) {
        plastic.infer(model, arena, &input_of_pixels(pixels))?;
        features.extend_from_slice(plastic.features()?);
    }
    Ok(features)
}
