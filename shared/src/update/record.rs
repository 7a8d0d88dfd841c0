//! The boot record: which slot counts and what is being tried.
//!
//! It owns its 16 bytes; it must not know slots or flash. Byte 0: the slot that counts; byte 1: the state;
//! bytes 8–15: the counter, u64 little-endian; the rest is zero.

use serde::{Deserialize, Serialize};

/// What became of the other slot's model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Nothing is asked of it.
    #[default]
    Confirmed,
    /// It was checked, and the next start tries it.
    Pending,
    /// It runs, or was running when the device stopped.
    Trying,
}

/// What is committed between two starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BootRecord {
    /// The slot that counts, 0 or 1.
    pub slot: u8,
    /// Of the other slot.
    pub state: State,
    /// The largest counter of a confirmed model.
    pub counter: u64,
}

impl BootRecord {
    /// Length of [`BootRecord::encode`].
    pub(super) const BYTES: usize = 16;
    /// In the store, the owner of the record in place of a model.
    pub(super) const OWNER: [u8; 16] = *b"aplysia boot 1\0\0";

    pub(super) fn in_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let state = match self.state {
            State::Confirmed => 0,
            State::Pending => 1,
            State::Trying => 2,
        };
        let mut bytes = [0; Self::BYTES];
        let fields = [self.slot, state, 0, 0, 0, 0, 0, 0].into_iter();
        for (to, from) in bytes
            .iter_mut()
            .zip(fields.chain(self.counter.to_le_bytes()))
        {
            *to = from;
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, counter) = bytes.split_first_chunk::<8>()?;
        let &[slot @ 0..=1, state, 0, 0, 0, 0, 0, 0] = fields else {
            return None;
        };
        let state = match state {
            0 => State::Confirmed,
            1 => State::Pending,
            2 => State::Trying,
            _ => return None,
        };
        Some(Self {
            slot,
            state,
            counter: u64::from_le_bytes(counter.try_into().ok()?),
        })
    }
}
