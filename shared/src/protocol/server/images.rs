//! Images: in one message or in parts, put where the model reads its input, and classified there.
//!
//! Owns the order of the parts. The guard looks before the first of them, as its checks use the arena.

use super::{Server, running};
use crate::protocol::loaded::Loaded;
use crate::protocol::watched::Watched;
use crate::protocol::{Inference, Machine, Refusal, Scores};
use embedded_storage::nor_flash::NorFlash;

impl<M: Machine, F: NorFlash> Server<'_, M, F> {
    /// Puts `pixels` behind the `placed` first ones of the image, or begins another; refused, these stay.
    pub(super) fn place(
        &mut self,
        placed: usize,
        offset: u32,
        pixels: &[u8],
    ) -> Result<(), Refusal> {
        let loaded = self.loaded()?;
        loaded.placed = placed;
        let at = offset as usize;
        if at != placed && at != 0 {
            let next = placed as u32;
            return Err(Refusal::InputOrder { offset, next });
        }
        let (got, want) = (at + pixels.len(), loaded.model.input().len());
        if got > want {
            return Err(bad_length(got, want));
        }
        if at == 0 {
            loaded.placed = 0;
            self.timed(Watched::before_image)?;
        }
        self.loaded()?.place(at, pixels);
        Ok(())
    }

    /// Classifies the image of which `placed` pixels are there and `pixels` follow.
    pub(super) fn infer(
        &mut self,
        placed: usize,
        pixels: &[u8],
        observe: bool,
    ) -> Result<Inference<'_>, Refusal> {
        let (got, want) = (placed + pixels.len(), self.loaded()?.model.input().len());
        if got != want {
            return Err(bad_length(got, want));
        }
        // It may use the arena.
        if placed == 0 {
            self.timed(Watched::before_image)?;
        }
        let loaded = running(&mut self.loaded)?;
        loaded.place(placed, pixels);
        let Loaded {
            watched,
            model,
            plastic,
            arena,
            placed,
            ..
        } = loaded;
        *placed = 0;
        let start = self.machine.ticks();
        let prediction = plastic.infer_placed(model, arena, observe);
        let instructions = self
            .machine
            .instructions(self.machine.ticks().wrapping_sub(start));
        self.stats.infer_instructions = instructions;
        let prediction = prediction.map_err(|_| Refusal::Internal)?;
        if prediction.observed {
            watched.observed();
        }
        self.machine.settled();
        Ok(Inference {
            class: prediction.class as u16,
            instructions,
            wanted: prediction.wanted,
            scores: Scores::Computed(plastic.scores()),
        })
    }
}

fn bad_length(got: usize, want: usize) -> Refusal {
    Refusal::BadLength {
        got_bytes: got as u32,
        want_bytes: want as u32,
    }
}
