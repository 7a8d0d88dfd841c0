//! The layers below the head, run once for all heads above them.

use super::{CHECKPOINTS, Cell};
use crate::DeployError;
use crate::adaptation::see;
use crate::evaluate::{Images, input_of_pixels};
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};

/// Features of one cell's images, i8 as bytes, `[n][d]` each.
pub(super) struct Trunk {
    pub(super) momentum: Option<u8>,
    /// Of each image of the stream when it was seen.
    pub(super) stream: Vec<u8>,
    /// Of the shifted images after each checkpoint that the stream reaches.
    pub(super) shifted: Vec<Vec<u8>>,
    /// Of the clean images at the end.
    pub(super) clean: Vec<u8>,
}

impl Trunk {
    /// Shows the stream to `model`, homeostasis following it with `momentum` if there is one.
    pub(super) fn run(
        model: &Model<'_>,
        momentum: Option<u8>,
        cell: &Cell<'_>,
    ) -> Result<Self, DeployError> {
        let config = Config {
            homeostasis: momentum,
            head: Head::Base,
        };
        let mut buffer = vec![0; state_bytes(model, &config)?];
        let mut arena = vec![0; model.arena_bytes()];
        let mut plastic = Plastic::new(model, config, cell.seed, &mut buffer)?;
        let (mut stream, mut shifted) = (Vec::new(), Vec::new());
        for (i, (pixels, _)) in cell.stream.iter(model.input().len()).enumerate() {
            see(&mut plastic, model, &mut arena, pixels)?;
            stream.extend_from_slice(plastic.features()?);
            if CHECKPOINTS.contains(&(i + 1)) {
                // Without homeostasis nothing below the head changes.
                shifted.push(match (momentum, shifted.last()) {
                    (None, Some(before)) => Vec::clone(before),
                    _ => features(model, &mut plastic, &mut arena, cell.shifted)?,
                });
            }
        }
        let clean = features(model, &mut plastic, &mut arena, cell.clean)?;
        Ok(Self {
            momentum,
            stream,
            shifted,
            clean,
        })
    }
}

/// The features of `images`, nothing learning.
fn features(
    model: &Model<'_>,
    plastic: &mut Plastic<'_>,
    arena: &mut [i8],
    images: Images<'_>,
) -> Result<Vec<u8>, DeployError> {
    let mut features = Vec::with_capacity(images.labels.len() * model.features().len());
    for (pixels, _) in images.iter(model.input().len()) {
        plastic.infer(model, arena, &input_of_pixels(pixels))?;
        features.extend_from_slice(plastic.features()?);
    }
    Ok(features)
}
