//! Which models a device takes: whose, how new, of what size and shape.
//!
//! It owns the rules that one blob is held against, in their order; it must not know slots or flash.

use super::UpdateError;
use crate::blob::{Lead, Model, ModelMemory};
use crate::claims::{Claims, Unmet};
use crate::room::Room;
use crate::signature::Trust;

/// Which models the device takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose.
    pub trust: Trust,
    /// Height, width and channels of the images, if the device has only such.
    pub input: Option<[u16; 3]>,
    /// Update counter of the model that the program was built with, if there is one.
    pub counter: Option<u64>,
    /// Its memory.
    pub room: Room,
}

impl Policy {
    /// The least counter of a model that may follow one of counter `known`: with a key a newer one, as an equal counter
    /// may be that of an older release; without one, where counters protect nothing, an equal one, too.
    pub(super) fn least_after(&self, known: u64) -> u64 {
        match self.trust {
            Trust::Anyone => known,
            Trust::Key(_) => known.saturating_add(1),
        }
    }

    /// Whether a model of this header has at least the update counter `least`, and room.
    pub(super) fn header<E>(&self, lead: &Lead, least: u64) -> Result<(), UpdateError<E>> {
        if lead.counter < least {
            return Err(UpdateError::Counter {
                got: lead.counter,
                want: least,
            });
        }
        Ok(self.room.holds_arena(lead.arena_bytes as usize)?)
    }

    /// Whether the device has what a model of these claims needs.
    pub(super) fn claims<E>(&self, claims: &Claims) -> Result<(), UpdateError<E>> {
        let (got, want) = (claims.input, self.input);
        if let Some(want) = want.filter(|&want| want != got) {
            return Err(Unmet::Input { got, want }.into());
        }
        let (outputs, features) = (claims.outputs.into(), claims.features as usize);
        Ok(self.room.holds_head(outputs, features)?)
    }

    /// Whether the model in `bytes` is whole, rightly signed, sound, runs here, and passes `test`; its counter is
    /// not looked at.
    ///
    /// The order: checksum, signature, then everything else, so that damage is called damage and nothing of an
    /// untrusted graph is decoded.
    // Not in the caller's frame, and the parsed model (1.8 kB) is not handed out: a start checks two slots.
    #[inline(never)]
    pub(super) fn accepts<E>(
        &self,
        bytes: &[u8],
        test: &mut dyn FnMut(&Model<'_>) -> Result<(), UpdateError<E>>,
    ) -> Result<(), UpdateError<E>> {
        Lead::read(bytes)?.intact(bytes)?;
        self.trust.verify(bytes)?;
        let mut memory = ModelMemory::new();
        let model = memory.parse(bytes)?;
        self.room.holds_arena(model.arena_bytes())?;
        self.claims(&Claims::unanswered(model))?;
        test(model)
    }
}
