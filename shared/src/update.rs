//! Another model for the device: received beside the one in use, tried once, kept or taken back.
//!
//! It owns two model slots in flash, the boot record that says which of them counts, and the order of the
//! steps; it must not know the line that the bytes come over nor what runs the model. Flow:
//! [`Updater::begin`] → [`Updater::write`] … → [`Updater::activate`] → restart → [`Updater::boot`] →
//! [`Updater::confirm`] → restart.
//!
//! ```text
//!              activate            boot                 confirm
//!  Confirmed(a) ─────▶ Pending(b) ─────▶ Trying(b) running ─────▶ Confirmed(b)
//!       ▲                                    │ restart without confirm
//!       └────────────────────────────────────┘
//! ```
//!
//! The slot that counts is never written: a transfer goes to the other one, and it is refused while a
//! model is pending or tried, when that other one is the way back. The boot record is committed by a
//! [`Store`], so it is the old or the new one whenever the power is cut; `Trying` is committed *before*
//! the new model runs, so that a model that hangs or resets the device is tried once. What an update
//! needs in RAM survives nothing, on purpose: after a cut the host compares [`Updater::digest`] of each
//! page with its own bytes and sends the pages that differ. A record that cannot be written (a worn page)
//! never keeps the model that counts from starting.
//!
//! The counter of the newest confirmed model is kept in the record. A device with a key takes models with a larger one
//! only, so that a release cannot be replaced by another of its number (a release signed without a number has 0); one
//! without a key takes an equal one, too. Where the newest model is damaged in flash, its number may come again.

mod error;
mod policy;
mod record;
mod trial;

use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;

use crate::blob::{HEADER_BYTES, Lead, Model};
use crate::claims::Claims;
use crate::header::crc32;
use crate::signature::DIGEST_BYTES;
use crate::store::Store;
pub use error::UpdateError;
pub use policy::Policy;
pub use record::{BootRecord, State};

/// The digest of a page, or of what a blob's last page holds of it: CRC-32 (IEEE).
pub fn page_crc(bytes: &[u8]) -> u32 {
    crc32(bytes)
}

/// Flash that the processor reads like memory.
pub trait MappedFlash: NorFlash {
    /// The bytes `range`; empty if they are not all there.
    fn bytes(&self, range: Range<u32>) -> &[u8];
}

impl<F: MappedFlash> MappedFlash for &mut F {
    fn bytes(&self, range: Range<u32>) -> &[u8] {
        (**self).bytes(range)
    }
}

/// Where everything lies in the flash, on page borders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The model slots; the first holds the model that the device was made with.
    pub slots: [Range<u32>; 2],
    /// The boot record: at least two pages.
    pub record: Range<u32>,
}

impl Layout {
    /// The record in the first two pages of a flash part of `flash_bytes`, the slots in equal shares of the
    /// rest, as far as whole pages go.
    pub fn halves(flash_bytes: u32, page_bytes: u32) -> Self {
        let record = 0..page_bytes.saturating_mul(2);
        let rest = flash_bytes.saturating_sub(record.end) / 2;
        let middle = record.end + (rest - rest % page_bytes.max(1));
        let end = 2 * middle - record.end;
        Self {
            slots: [record.end..middle, middle..end],
            record,
        }
    }
}

/// What the device starts with. `E` is the flash driver's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Boot<E> {
    /// Index of the slot, or why the one that counts holds no model to start with.
    pub slot: Result<u8, UpdateError<E>>,
    /// Its model runs on trial: without [`Updater::confirm`] the next start takes the other one.
    pub trial: bool,
    /// The model tried before was not confirmed and is given up.
    pub reverted: bool,
}

/// The two model slots and the boot record of a flash.
#[derive(Debug)]
pub struct Updater<F> {
    flash: F,
    layout: Layout,
    policy: Policy,
    /// Of this start, which runs the tried model.
    trial: bool,
}

impl<F: MappedFlash> Updater<F> {
    /// The updater of `layout`, whatever is there; nothing is written.
    ///
    /// # Errors
    /// A slot or the record is not on page borders, empty, or outside the flash, or they overlap.
    pub fn open(
        mut flash: F,
        layout: Layout,
        policy: Policy,
    ) -> Result<Self, UpdateError<F::Error>> {
        let [a, b] = &layout.slots;
        let ranges = [a, b, &layout.record];
        for (i, range) in ranges.into_iter().enumerate() {
            let on_pages = [range.start, range.end]
                .iter()
                .all(|&at| (at as usize).is_multiple_of(F::ERASE_SIZE));
            let apart = ranges
                .iter()
                .skip(i + 1)
                .all(|other| range.end <= other.start || other.end <= range.start);
            let inside = range.start < range.end && range.end as usize <= flash.capacity();
            if !on_pages || !inside || !apart {
                return Err(UpdateError::Layout {
                    start: range.start,
                    end: range.end,
                    page_bytes: F::ERASE_SIZE,
                });
            }
        }
        Store::open(&mut flash, layout.record.clone())?;
        Ok(Self {
            flash,
            layout,
            policy,
            trial: false,
        })
    }

    /// The boot record; the first slot is confirmed if there is none.
    pub fn record(&mut self) -> BootRecord {
        let mut buffer = [0; BootRecord::BYTES];
        let found = self
            .store()
            .ok()
            .and_then(|mut store| store.load(BootRecord::OWNER, &mut buffer).ok().flatten())
            .and_then(BootRecord::decode);
        found.unwrap_or_default()
    }

    /// Decides which slot this start uses; call it once per start, before anything of a model runs. A trial
    /// that cannot be recorded does not take place.
    pub fn boot(&mut self) -> Boot<F::Error> {
        let record = self.record();
        let kept = record.slot;
        let settled = record.state == State::Confirmed;
        self.trial = record.state == State::Pending
            && self.check(kept ^ 1).is_ok()
            && self.commit(record.in_state(State::Trying)).is_ok();
        if self.trial {
            return Boot {
                slot: Ok(kept ^ 1),
                trial: true,
                reverted: false,
            };
        }
        if !settled {
            // If even this cannot be written, the next start comes by here again.
            let _ = self.commit(record.in_state(State::Confirmed));
        }
        Boot {
            slot: self.check(kept).map(|()| kept),
            trial: false,
            reverted: !settled,
        }
    }

    /// The bytes of slot `slot`, 0 or 1.
    pub fn slot(&self, slot: u8) -> &[u8] {
        let range = self.layout.slots.get(usize::from(slot)).cloned();
        range.map_or(&[], |range| self.flash.bytes(range))
    }

    /// Longest blob that a transfer takes, claims not counted, and bytes of a page, the unit of [`Updater::digest`].
    pub fn room(&mut self) -> (u32, u32) {
        let record = self.record();
        let range = self.target(record);
        let claims = Claims::BYTES as u32;
        let bytes = (range.end - range.start).saturating_sub(claims);
        (bytes, F::ERASE_SIZE as u32)
    }

    /// Whether a blob with this header, whose body has the SHA-256 `digest` and `claims` behind it, would be taken as
    /// far as they tell: format, runtime interface, length, counter, arena, shape of the images, outputs, features and
    /// signature. Nothing is written.
    ///
    /// # Errors
    /// A model is on trial, or the blob is refused.
    pub fn begin(
        &mut self,
        header: &[u8; HEADER_BYTES],
        digest: &[u8; DIGEST_BYTES],
        claims: &Claims,
    ) -> Result<Lead, UpdateError<F::Error>> {
        self.idle()?;
        let (max_bytes, _) = self.room();
        let lead = Lead::read(header)?;
        let got_bytes = lead.total_len;
        if got_bytes > max_bytes || (got_bytes as usize) < HEADER_BYTES {
            return Err(UpdateError::Length {
                got_bytes,
                max_bytes,
            });
        }
        let least = self.least_counter();
        self.policy.header(&lead, least)?;
        self.policy.claims(claims)?;
        let trust = &self.policy.trust;
        trust.verify_header(header, digest, Some(*claims))?;
        Ok(lead)
    }

    /// Writes `bytes` of the new blob from `offset` on. Whatever begins a page erases it first, so that a
    /// page is written from its start to its end; a page begun again is written again.
    ///
    /// # Errors
    /// A model is on trial, the bytes are not whole words or outside the slot, or the flash fails.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), UpdateError<F::Error>> {
        let record = self.idle()?;
        let range = self.target(record);
        let page = F::ERASE_SIZE as u32;
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = offset.checked_add(len);
        let whole = [offset as usize, bytes.len()]
            .iter()
            .all(|n| n.is_multiple_of(F::WRITE_SIZE));
        let one_page = len > 0 && offset % page + len.min(page) <= page && len <= page;
        if !whole || !one_page || end.is_none_or(|end| end > range.end - range.start) {
            return Err(UpdateError::Place {
                offset,
                bytes: len,
                word_bytes: F::WRITE_SIZE,
                page_bytes: F::ERASE_SIZE,
            });
        }
        let at = range.start + offset;
        if offset.is_multiple_of(page) {
            self.flash
                .erase(at, at + page)
                .map_err(UpdateError::Flash)?;
        }
        self.flash.write(at, bytes).map_err(UpdateError::Flash)
    }

    /// [`page_crc`] of `bytes` bytes of the new blob from `offset` on; none if they leave the slot.
    pub fn digest(&mut self, offset: u32, bytes: u32) -> Option<u32> {
        let record = self.record();
        let range = self.target(record);
        let start = range.start.checked_add(offset)?;
        let end = start.checked_add(bytes).filter(|&end| end <= range.end)?;
        Some(page_crc(self.flash.bytes(start..end)))
    }

    /// Checks the new blob as a whole (checksum, signature, everything that `Model::parse` checks, the policy, that it
    /// is what the claims behind it say, that it answers in `arena` as they say, and that at least half of its golden
    /// samples come out right there) and has the next start try it.
    ///
    /// # Errors
    /// A model is on trial, the blob is refused, or the flash fails; the model in use stays.
    pub fn activate(&mut self, arena: &mut [i8]) -> Result<(), UpdateError<F::Error>> {
        let record = self.idle()?;
        let least = self.least_counter();
        let candidate = record.slot ^ 1;
        self.policy
            .header(&Lead::read(self.slot(candidate))?, least)?;
        let slot = self.slot(candidate);
        let claims = Claims::behind(slot).ok_or(UpdateError::Unclaimed)?;
        let mut test = |model: &Model<'_>| trial::passes(model, &claims, arena);
        self.policy.accepts(slot, &mut test)?;
        self.commit(record.in_state(State::Pending))
    }

    /// Keeps the model that runs on trial: from now on it is the one that counts, and older ones are refused.
    ///
    /// # Errors
    /// This start's [`Updater::boot`] put no model on trial, whatever the record says (a start that gave one up may not
    /// have been able to write that down), or the flash fails.
    pub fn confirm(&mut self) -> Result<(), UpdateError<F::Error>> {
        let record = self.record();
        if !self.trial || record.state != State::Trying {
            return Err(UpdateError::NoTrial);
        }
        let slot = record.slot ^ 1;
        let counter = Lead::read(self.slot(slot))?.counter;
        self.commit(BootRecord {
            slot,
            state: State::Confirmed,
            counter: counter.max(record.counter),
        })
    }

    /// The flash, to look at.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// Ends the updater and gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Which models this device takes.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The least update counter that is taken.
    pub fn least_counter(&mut self) -> u64 {
        let record = self.record();
        let slot = self.slot(record.slot);
        let kept = Lead::read(slot).and_then(|lead| lead.intact(slot).map(|_| lead.counter));
        let known = kept.ok().max(self.policy.counter);
        let after = known.map_or(0, |counter| self.policy.least_after(counter));
        after.max(record.counter)
    }

    /// Whether the policy takes what slot `slot` holds, whatever its counter.
    fn check(&self, slot: u8) -> Result<(), UpdateError<F::Error>> {
        self.policy.accepts(self.slot(slot), &mut |_| Ok(()))
    }

    /// The record, if no model is pending or on trial.
    fn idle(&mut self) -> Result<BootRecord, UpdateError<F::Error>> {
        let record = self.record();
        match record.state {
            State::Confirmed => Ok(record),
            _ => Err(UpdateError::Trial),
        }
    }

    /// The slot that transfers go to.
    fn target(&self, record: BootRecord) -> Range<u32> {
        let [first, second] = self.layout.slots.clone();
        match record.slot {
            0 => second,
            _ => first,
        }
    }

    fn store(&mut self) -> Result<Store<&mut F>, UpdateError<F::Error>> {
        Ok(Store::open(&mut self.flash, self.layout.record.clone())?)
    }

    fn commit(&mut self, record: BootRecord) -> Result<(), UpdateError<F::Error>> {
        self.store()?.commit(BootRecord::OWNER, &record.encode())?;
        Ok(())
    }
}
