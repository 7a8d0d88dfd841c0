//! Learning below the head: whole images, as no features outlast it.

use super::script::Step;
use crate::DeployError;
use crate::adaptation::see;
use crate::evaluate::input_of_pixels;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Plastic, state_bytes};

/// The class of every image of every measurement of `script`; `seed` is that of stochastic rounding.
pub(super) fn follow(
    model: &Model<'_>,
    config: Config,
    seed: u32,
    script: &[Step<'_>],
) -> Result<Vec<Vec<u16>>, DeployError> {
    let mut buffer = vec![0; state_bytes(model, &config)?];
    let mut arena = vec![0; model.arena_bytes()];
    let mut plastic = Plastic::new(model, config, seed, &mut buffer)?;
    let mut measured = vec![];
    for step in script {
        match step {
            Step::See(images) => {
                for (pixels, &label) in images.iter(model.input().len()) {
                    see(
                        &mut plastic,
                        model,
                        &mut arena,
                        (pixels, config.homeostasis.is_some()),
                    )?;
                    plastic.learn(model, usize::from(label))?;
                }
            }
            Step::Measure(images) => {
                let mut classes = vec![];
                for (pixels, _) in images.iter(model.input().len()) {
                    let found = plastic.infer(model, &mut arena, &input_of_pixels(pixels))?;
                    classes.push(found.class as u16);
                }
                measured.push(classes);
            }
        }
    }
    Ok(measured)
}
