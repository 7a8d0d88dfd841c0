//! What was learned, in flash: committed as a whole or not at all, whenever the power is cut.
//!
//! It owns two slots and the order in which they are written; it must not know what a snapshot means.
//! Flow: `Plastic::snapshot_all` → [`Store::commit`] → restart → [`Store::load`] → `Plastic::restore`.
//!
//! The region is cut in halves, the slots. A commit goes to the slot that does not hold the newest
//! record: pages are erased from the front, the snapshot is written, and its header last. A record
//! counts only if the checksum over header and snapshot is right, so that until the header's last word
//! is written the record of the other slot is the newest, and from then on this one. Nothing is kept
//! in RAM: every call looks at both slots, and a slot that cannot be read holds no record.
//!
//! Relies on: words already written keep their bits when the power is cut, and a torn word reads the
//! same each time it is read (a word programmed to the margin may not). Cost of one commit of n bytes:
//! `ceil((64 + n) / page)` erased pages, `64 + n` written bytes rounded up to 64, and both
//! records read, at 8 steps of CRC per byte without a table.
//!
//! Any `embedded_storage` flash serves whose words (read and written) divide 64 bytes and whose pages
//! are multiples of 64 bytes; each word is written once per erase, as flash with ECC asks. Its map and
//! log stores (`sequential-storage`, `ekv`) hold many keys and pay with more states between old and
//! new; for one value two slots are enough, and every state of them is tested (`tests/power.rs`).

mod error;
mod record;

use crate::bytes;
use crate::header::digest;
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
pub use error::StoreError;
use record::BLOCK_BYTES;
pub use record::Record;

/// The committed snapshot of a learned state.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    /// First byte of each slot.
    slots: [u32; 2],
    slot_bytes: u32,
}

impl<F: NorFlash> Store<F> {
    /// The store in the bytes `region` of `flash`, whatever they hold; nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Region`]: not on page borders, an odd number of pages or none, or outside the flash.
    pub fn open(flash: F, region: Range<u32>) -> Result<Self, StoreError<F::Error>> {
        const {
            assert!(BLOCK_BYTES.is_multiple_of(F::WRITE_SIZE));
            assert!(BLOCK_BYTES.is_multiple_of(F::READ_SIZE));
            assert!(F::ERASE_SIZE.is_multiple_of(BLOCK_BYTES) && F::ERASE_SIZE > 0);
        }
        let Range { start, end } = region;
        let slot_bytes = end.saturating_sub(start) / 2;
        let page = F::ERASE_SIZE;
        let on_pages = [start as usize, slot_bytes as usize]
            .iter()
            .all(|bytes| bytes.is_multiple_of(page));
        let twice = end.saturating_sub(start).is_multiple_of(2);
        if slot_bytes == 0 || !on_pages || !twice || end as usize > flash.capacity() {
            return Err(StoreError::Region {
                start,
                end,
                page_bytes: page,
                flash_bytes: flash.capacity(),
            });
        }
        Ok(Self {
            flash,
            slots: [start, start + slot_bytes],
            slot_bytes,
        })
    }

    /// Length of the longest snapshot.
    pub fn capacity_bytes(&self) -> usize {
        self.slot_bytes as usize - BLOCK_BYTES
    }

    /// What was committed last, of whichever model.
    pub fn newest(&mut self) -> Option<Record> {
        self.newest_slot().map(|(_, record)| record)
    }

    /// Copies what was committed last to `buffer`; none if nothing was.
    ///
    /// # Errors
    /// It belongs to another model than `model`, `buffer` is too short, or the flash fails.
    pub fn load<'b>(
        &mut self,
        model: [u8; 16],
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, StoreError<F::Error>> {
        let Some((address, record)) = self.newest_slot() else {
            return Ok(None);
        };
        let sequence = record.sequence;
        if record.model != model {
            return Err(StoreError::Foreign { sequence });
        }
        let (got_bytes, want_bytes) = (buffer.len(), record.bytes as usize);
        let snapshot = buffer.get_mut(..want_bytes).ok_or(StoreError::Buffer {
            got_bytes,
            want_bytes,
        })?;
        let mut blocks = snapshot.chunks_mut(BLOCK_BYTES);
        self.read_snapshot(address, record.bytes, |part| {
            if let Some(block) = blocks.next() {
                bytes::copy(block, part);
            }
        })
        .map_err(StoreError::Flash)?;
        let header = self.read_block(address).map_err(StoreError::Flash)?;
        if record.encode(snapshot) != header {
            return Err(StoreError::Verify { sequence, address });
        }
        Ok(Some(snapshot))
    }

    /// Makes `snapshot` of `model` what the next start finds. Once this is `Ok`, no power cut undoes it.
    ///
    /// # Errors
    /// The snapshot is too long, the flash fails, or it reads back damaged. What was committed before
    /// is still there, but for a flash that fails after the last word: then the new one may be.
    pub fn commit(
        &mut self,
        model: [u8; 16],
        snapshot: &[u8],
    ) -> Result<Record, StoreError<F::Error>> {
        let (got_bytes, max_bytes) = (snapshot.len(), self.capacity_bytes());
        let too_long = StoreError::Length {
            got_bytes,
            max_bytes,
        };
        let fits = u32::try_from(got_bytes)
            .ok()
            .filter(|_| got_bytes <= max_bytes);
        let bytes = fits.ok_or(too_long)?;
        let newest = self.newest_slot();
        let [first, second] = self.slots;
        let address = if newest.is_some_and(|(address, _)| address == first) {
            second
        } else {
            first
        };
        let before = newest.map(|(_, record)| record);
        let page_bytes = F::ERASE_SIZE as u64;
        let n_pages = u32::try_from(Record::footprint(bytes).div_ceil(page_bytes));
        let n_pages = n_pages.unwrap_or(u32::MAX);
        let record = Record {
            sequence: before.map_or(0, |b| b.sequence).wrapping_add(1),
            model,
            bytes,
            erased_pages: before.map_or(0, |b| b.erased_pages).saturating_add(n_pages),
            written_bytes: before
                .map_or(0, |b| b.written_bytes)
                .saturating_add(Record::footprint(bytes)),
        };
        self.write(address, n_pages, &record.encode(snapshot), snapshot)
            .map_err(StoreError::Flash)?;
        if self.record_at(address) != Some(record) {
            let sequence = record.sequence;
            return Err(StoreError::Verify { sequence, address });
        }
        Ok(record)
    }

    /// Ends the store and gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Erases page by page from the front, so that an old header goes first; writes the header last.
    fn write(
        &mut self,
        address: u32,
        n_pages: u32,
        header: &[u8; BLOCK_BYTES],
        snapshot: &[u8],
    ) -> Result<(), F::Error> {
        let page = F::ERASE_SIZE as u32;
        for from in (address..).step_by(F::ERASE_SIZE).take(n_pages as usize) {
            self.flash.erase(from, from + page)?;
        }
        let blocks = (address + BLOCK_BYTES as u32..).step_by(BLOCK_BYTES);
        for (to, bytes) in blocks.zip(snapshot.chunks(BLOCK_BYTES)) {
            let mut block = [0xFF; BLOCK_BYTES];
            for (place, &byte) in block.iter_mut().zip(bytes) {
                *place = byte;
            }
            self.flash.write(to, &block)?;
        }
        self.flash.write(address, header)
    }

    /// The youngest whole record and the first byte of its slot.
    fn newest_slot(&mut self) -> Option<(u32, Record)> {
        let [first, second] = self.slots.map(|address| (address, self.record_at(address)));
        match (first, second) {
            ((_, Some(lhs)), (b, Some(rhs))) if rhs.follows(&lhs) => Some((b, rhs)),
            ((a, Some(lhs)), _) => Some((a, lhs)),
            (_, (b, rhs)) => rhs.map(|rhs| (b, rhs)),
        }
    }

    /// The record in the slot at `address`, if it is whole.
    fn record_at(&mut self, address: u32) -> Option<Record> {
        let header = self.read_block(address).ok()?;
        let (record, want) = Record::decode(&header)?;
        if record.bytes as usize > self.capacity_bytes() {
            return None;
        }
        let mut digest = digest(&header);
        self.read_snapshot(address, record.bytes, |bytes| digest.update(bytes))
            .ok()?;
        (digest.finalize() == want).then_some(record)
    }

    fn read_block(&mut self, address: u32) -> Result<[u8; BLOCK_BYTES], F::Error> {
        let mut block = [0; BLOCK_BYTES];
        self.flash.read(address, &mut block)?;
        Ok(block)
    }

    /// Gives the snapshot of `bytes` bytes in the slot at `address` to `take`, 64 bytes at a time.
    fn read_snapshot(
        &mut self,
        address: u32,
        bytes: u32,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), F::Error> {
        let mut left = bytes as usize;
        for from in (address + BLOCK_BYTES as u32..).step_by(BLOCK_BYTES) {
            if left == 0 {
                break;
            }
            let block = self.read_block(from)?;
            let n = left.min(BLOCK_BYTES);
            take(block.get(..n).unwrap_or_default());
            left -= n;
        }
        Ok(())
    }
}
