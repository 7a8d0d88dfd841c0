//! The flash of the emulated board in two parts, one for the store and one for the model slots: a piece of its
//! PSRAM, kept in a file of the host.
//!
//! Behaves like NOR flash: programming clears bits, 8 bytes at a time; erasing sets 4096 bytes to 0xFF.
//! Every word and every page goes to the file at once, in order, so that a killed emulator leaves what a power cut
//! leaves. Without a file (`file`) the flash is erased at the start and forgotten at the end. Bytes behind
//! the file's end are erased; a gap that the host's file system leaves between two written places reads as zeros, as
//! flash with another history would: whatever is written is erased first.

#[cfg(feature = "semihosting")]
mod file;
#[cfg(not(feature = "semihosting"))]
#[path = "flash/no_file.rs"]
mod file;

use aplysia_shared::update::MappedFlash;
use core::ops::Range;
use core::ptr::addr_of_mut;
use core::slice;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use file::File;

const PAGE: usize = 4096;
const WORD: usize = 8;

unsafe extern "C" {
    static mut _store_start: u8;
    static mut _store_end: u8;
    static mut _slots_start: u8;
    static mut _slots_end: u8;
}

/// One part of the flash: the only one that writes its cells.
#[derive(Debug)]
pub struct Flash {
    start: *mut u8,
    len: usize,
    file: Option<File>,
    /// Of the part in the file.
    offset: usize,
}

/// All of the flash.
#[derive(Debug)]
pub struct Flashes {
    /// For what is learned.
    pub store: Flash,
    /// For the boot record and the model slots.
    pub slots: Flash,
}

/// Why the flash refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Outside the flash or not aligned.
    Kind(NorFlashErrorKind),
    /// The host's file takes no more.
    File,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Kind(kind) => *kind,
            Self::File => NorFlashErrorKind::Other,
        }
    }
}

impl Flashes {
    /// Reads the file, if the command line names one.
    ///
    /// # Safety
    /// Call it once: the cells have one owner.
    pub unsafe fn take() -> Self {
        let file = File::open();
        let store = (addr_of_mut!(_store_start), addr_of_mut!(_store_end));
        let slots = (addr_of_mut!(_slots_start), addr_of_mut!(_slots_end));
        let store = Flash::new(store, file, 0);
        let offset = store.len;
        Self {
            store,
            slots: Flash::new(slots, file, offset),
        }
    }
}

impl Flash {
    /// The part `start..end`, which the linker map reserves, with the file's bytes from `offset` on.
    fn new((start, end): (*mut u8, *mut u8), file: Option<File>, offset: usize) -> Self {
        let len = end as usize - start as usize;
        let mut flash = Self {
            start,
            len,
            file,
            offset,
        };
        let cells = flash.cells(0, len);
        cells.fill(0xFF);
        if let Some(file) = file {
            file.read(offset, cells);
        }
        flash
    }

    /// `len` bytes from `from` on, to be changed; none if they are not all there.
    fn cells(&mut self, from: usize, len: usize) -> &mut [u8] {
        match from.checked_add(len) {
            // SAFETY: the linker map reserves the part, RAM that nothing else names, and it has one owner, who
            // is borrowed; who took a slice by `mapped` has promised that these bytes are not in it.
            Some(end) if end <= self.len => unsafe {
                slice::from_raw_parts_mut(self.start.add(from), len)
            },
            _ => &mut [],
        }
    }

    /// The bytes `range`, for longer than the flash is borrowed; empty if they are not all there.
    ///
    /// # Safety
    /// Nothing may be written or erased in `range` while the slice is in use.
    pub unsafe fn mapped(&self, range: Range<u32>) -> &'static [u8] {
        let (from, end) = (range.start as usize, range.end as usize);
        if from > end || end > self.len {
            return &[];
        }
        // SAFETY: inside the part, see `cells`; the caller promises that it does not change.
        unsafe { slice::from_raw_parts(self.start.add(from), end - from) }
    }

    /// Copies `from..from + len` to the file.
    fn keep(&mut self, from: usize, len: usize) -> Result<(), Fault> {
        let at = self.offset + from;
        let kept = self
            .file
            .is_none_or(|file| file.write(at, self.cells(from, len)));
        kept.then_some(()).ok_or(Fault::File)
    }
}

impl MappedFlash for Flash {
    fn bytes(&self, range: Range<u32>) -> &[u8] {
        // SAFETY: the slice lives no longer than the borrow, and writing borrows exclusively.
        unsafe { self.mapped(range) }
    }
}

impl ErrorType for Flash {
    type Error = Fault;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        check_read(self, offset, bytes.len()).map_err(Fault::Kind)?;
        let end = offset + bytes.len() as u32;
        for (to, from) in bytes.iter_mut().zip(self.bytes(offset..end)) {
            *to = *from;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.len
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        check_erase(self, from, to).map_err(Fault::Kind)?;
        for page in (from as usize..to as usize).step_by(PAGE) {
            self.cells(page, PAGE).fill(0xFF);
            self.keep(page, PAGE)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        check_write(self, offset, bytes.len()).map_err(Fault::Kind)?;
        for (at, word) in (offset as usize..).step_by(WORD).zip(bytes.chunks(WORD)) {
            self.cells(at, word.len())
                .iter_mut()
                .zip(word)
                .for_each(|(cell, byte)| *cell &= byte);
            self.keep(at, word.len())?;
        }
        Ok(())
    }
}
