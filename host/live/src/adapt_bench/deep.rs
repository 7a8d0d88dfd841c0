//! Learning below the head: whole images, as no features outlast it.

use super::head::{self, Learning};
use super::script::Step;
use crate::LiveError;
use crate::adaptation::see;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Plastic, state_bytes};

/// The class of every image of every measurement of `script`; `seed` is that of stochastic rounding.
pub(super) fn follow(
    model: &Model<'_>,
    config: Config,
    seed: u32,
    script: &[Step<'_>],
) -> Result<Vec<Vec<u16>>, LiveError> {
    let mut buffer = vec![0; state_bytes(model, &config)?];
    let mut whole = Whole {
        model,
        plastic: Plastic::new(model, config, seed, &mut buffer)?,
        arena: vec![0; model.arena_bytes()],
    };
    let pixels: Vec<&[u8]> = script.iter().map(|step| step.images().pixels).collect();
    head::run(&mut whole, model.input().len(), (script, &pixels))
}

/// A model that learns from pixels.
struct Whole<'m, 'b> {
    model: &'m Model<'m>,
    plastic: Plastic<'b>,
    arena: Vec<i8>,
}

impl Learning for Whole<'_, '_> {
    fn learn(&mut self, pixels: &[u8], label: u16) -> Result<(), LiveError> {
        let observe = self.plastic.config().homeostasis.is_some();
        let image = (pixels, observe);
        see(&mut self.plastic, self.model, &mut self.arena, image)?;
        self.plastic.learn(self.model, usize::from(label))?;
        Ok(())
    }

    fn class(&mut self, pixels: &[u8]) -> Result<usize, LiveError> {
        let image = (pixels, false);
        let prediction = see(&mut self.plastic, self.model, &mut self.arena, image)?;
        Ok(prediction.class)
    }
}
