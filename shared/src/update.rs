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
//! page with its own bytes and sends the pages that differ.
//!
//! The counter of the newest confirmed model is kept in the record, and older models are refused.

mod error;
mod record;

use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;

use crate::blob::{GoldenKind, HEADER_BYTES, Model, field, total_len};
use crate::header::crc32;
use crate::network::{ArenaError, infer_sample};
use crate::signature::Trust;
use crate::store::Store;
pub use error::{BootError, UpdateError};
pub use record::{BootRecord, State};

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

/// Which models the device takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose.
    pub trust: Trust,
    /// Largest arena, bytes.
    pub arena_bytes: usize,
    /// Height, width and channels of the images, if the device has only such.
    pub input: Option<[u16; 3]>,
}

/// What the device starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Boot {
    /// Index of the slot.
    pub slot: u8,
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

    /// Decides which slot this start uses; call it once per start, before anything of a model runs.
    ///
    /// # Errors
    /// The flash fails, or neither slot holds a model that the policy takes. A model can still be sent then.
    pub fn boot(&mut self) -> Result<Boot, BootError<F::Error>> {
        let record = self.record();
        let kept = record.slot;
        match record.state {
            State::Pending if self.check(kept ^ 1).is_ok() => {
                self.commit(BootRecord {
                    state: State::Trying,
                    ..record
                })
                .map_err(BootError::Flash)?;
                Ok(Boot {
                    slot: kept ^ 1,
                    trial: true,
                    reverted: false,
                })
            }
            State::Confirmed => self.fall_back(record, false),
            State::Pending | State::Trying => {
                let record = BootRecord {
                    state: State::Confirmed,
                    ..record
                };
                self.commit(record).map_err(BootError::Flash)?;
                self.fall_back(record, true)
            }
        }
    }

    /// The slot of a confirmed `record`.
    fn fall_back(
        &mut self,
        record: BootRecord,
        reverted: bool,
    ) -> Result<Boot, BootError<F::Error>> {
        self.check(record.slot).map_err(BootError::NoModel)?;
        Ok(Boot {
            slot: record.slot,
            trial: false,
            reverted,
        })
    }

    /// The bytes of slot `slot`, 0 or 1.
    pub fn slot(&self, slot: u8) -> &[u8] {
        let range = self.layout.slots.get(usize::from(slot)).cloned();
        range.map_or(&[], |range| self.flash.bytes(range))
    }

    /// Longest blob that a transfer takes, and bytes of a page, the unit of [`Updater::digest`].
    pub fn room(&mut self) -> (u32, u32) {
        let record = self.record();
        let range = self.target(record);
        (range.end - range.start, F::ERASE_SIZE as u32)
    }

    /// Whether a blob with this header would be taken, as far as the header tells; nothing is written.
    ///
    /// # Errors
    /// A model is on trial, or the blob is too long, too old or needs a larger arena.
    pub fn begin(&mut self, header: &[u8; HEADER_BYTES]) -> Result<(), UpdateError<F::Error>> {
        let record = self.idle()?;
        let range = self.target(record);
        let word = |at| crate::quant::i32_at(header, at / 4).cast_unsigned();
        let (got_bytes, max_bytes) = (word(field::TOTAL_LEN), range.end - range.start);
        if got_bytes > max_bytes {
            return Err(UpdateError::Length {
                got_bytes,
                max_bytes,
            });
        }
        let arena_bytes = word(field::ARENA_BYTES) as usize;
        let counter = u64::from(word(field::COUNTER)) | u64::from(word(field::COUNTER + 4)) << 32;
        self.admit(arena_bytes, counter, record)
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

    /// CRC-32 (IEEE) of `bytes` bytes of the new blob from `offset` on; none if they leave the slot.
    pub fn digest(&mut self, offset: u32, bytes: u32) -> Option<u32> {
        let record = self.record();
        let range = self.target(record);
        let start = range.start.checked_add(offset)?;
        let end = start.checked_add(bytes).filter(|&end| end <= range.end)?;
        Some(crc32(self.flash.bytes(start..end)))
    }

    /// Checks the new blob as a whole (signature, everything that `Model::parse` checks, the policy, and
    /// that at least half of its golden samples come out right in `arena`) and has the next start try it.
    ///
    /// # Errors
    /// A model is on trial, the blob is refused, or the flash fails; the model in use stays.
    pub fn activate(&mut self, arena: &mut [i8]) -> Result<(), UpdateError<F::Error>> {
        let record = self.idle()?;
        let candidate = record.slot ^ 1;
        let model = self.check(candidate)?;
        self.admit(model.arena_bytes(), model.counter(), record)?;
        if let Some(golden) = model.golden() {
            let (n_samples, right) = (golden.n_samples(), n_right(&model, arena)?);
            if right < n_samples.div_ceil(2) {
                return Err(UpdateError::SelfTest { right, n_samples });
            }
        }
        let next = BootRecord {
            state: State::Pending,
            ..record
        };
        self.commit(next)
    }

    /// Keeps the model that runs on trial: from now on it is the one that counts, and older ones are refused.
    ///
    /// # Errors
    /// No model is on trial, or the flash fails.
    pub fn confirm(&mut self) -> Result<(), UpdateError<F::Error>> {
        let record = self.record();
        if record.state != State::Trying {
            return Err(UpdateError::NoTrial);
        }
        let slot = record.slot ^ 1;
        let counter = Model::parse(self.slot(slot))?.counter();
        self.commit(BootRecord {
            slot,
            state: State::Confirmed,
            counter: counter.max(record.counter),
        })
    }

    /// Ends the updater and gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    /// The model of slot `slot`, if the policy takes it, whatever its counter.
    fn check(&self, slot: u8) -> Result<Model<'_>, UpdateError<F::Error>> {
        let bytes = self.slot(slot);
        total_len(bytes)?;
        self.policy.trust.verify(bytes)?;
        let model = Model::parse(bytes)?;
        self.fits(model.arena_bytes())?;
        let input = model.input();
        let (got, want) = ([input.h, input.w, input.c], self.policy.input);
        match want {
            Some(want) if want != got => Err(UpdateError::Input { got, want }),
            _ => Ok(model),
        }
    }

    fn fits(&self, got_bytes: usize) -> Result<(), UpdateError<F::Error>> {
        let max_bytes = self.policy.arena_bytes;
        match got_bytes <= max_bytes {
            true => Ok(()),
            false => Err(UpdateError::Arena {
                got_bytes,
                max_bytes,
            }),
        }
    }

    /// Whether a model with this arena and counter may follow the one of `record`.
    fn admit(
        &self,
        arena_bytes: usize,
        got: u64,
        record: BootRecord,
    ) -> Result<(), UpdateError<F::Error>> {
        let running = Model::parse(self.slot(record.slot)).map_or(0, |model| model.counter());
        let want = record.counter.max(running);
        if got < want {
            return Err(UpdateError::Counter { got, want });
        }
        self.fits(arena_bytes)
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

/// How many samples of the golden set are classified rightly, without anything learned.
fn n_right(model: &Model<'_>, arena: &mut [i8]) -> Result<u16, ArenaError> {
    let mut scores = [0; crate::adapt::MAX_CLASSES];
    let n_classes = model.n_classes();
    let Some((scores, golden)) = scores.get_mut(..n_classes).zip(model.golden()) else {
        return Ok(0);
    };
    let first = match golden.kind() {
        GoldenKind::Inputs => 0,
        GoldenKind::Features => model.n_layers().saturating_sub(1),
    };
    let mut right = 0;
    for (label, sample) in golden.samples() {
        infer_sample(model, arena, (first, sample), scores, &mut ())?;
        let score = scores.get(label).copied().unwrap_or(i8::MIN);
        // The first of equal scores is the prediction.
        let first = scores.iter().position(|&other| other >= score);
        let best = scores.iter().all(|&other| other <= score);
        right += u16::from(best && first == Some(label));
    }
    Ok(right)
}
