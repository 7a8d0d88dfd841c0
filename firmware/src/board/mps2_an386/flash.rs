//! The store's flash of the emulated board: 64 KiB of its PSRAM, kept in a file of the host.
//!
//! Behaves like NOR flash: programming clears bits, 8 bytes at a time; erasing sets 4096 bytes to 0xFF.
//! Every word and every page goes to the file at once by semihosting, in order, so that a killed emulator
//! leaves what a power cut leaves. The file is named by the semihosting command line `flash PATH`; without
//! it the flash is erased at the start and forgotten at the end. Bytes behind the file's end are erased.
//! Source: Arm, "Semihosting for AArch32 and AArch64" (IHI 0058).

use core::ptr::addr_of_mut;
use core::slice;
use cortex_m_semihosting::{nr, syscall, syscall1};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};

const PAGE: usize = 4096;
const WORD: usize = 8;
const COMMAND: &[u8] = b"flash ";
/// Of the whole command line, with a zero behind it.
const MAX_COMMAND_BYTES: usize = 512;

unsafe extern "C" {
    static mut _store_start: u8;
    static mut _store_end: u8;
}

/// The flash: all of it is the store's.
#[derive(Debug)]
pub struct Flash {
    cells: &'static mut [u8],
    /// Handle of the file.
    file: Option<usize>,
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

/// One semihosting operation with its block of arguments.
fn call<const N: usize>(operation: usize, arguments: [usize; N]) -> usize {
    // SAFETY: the operations below read `arguments`, and memory that they point to with its length: slices
    // of the callers that live until the call returns; SYS_READ and SYS_GET_CMDLINE write there as well.
    unsafe { syscall(operation, &arguments) }
}

impl Flash {
    /// Reads the file, if the command line names one.
    ///
    /// # Safety
    /// Call it once: the cells have one owner.
    pub unsafe fn new() -> Self {
        let (start, end) = (addr_of_mut!(_store_start), addr_of_mut!(_store_end));
        // SAFETY: the linker map reserves `start..end`, RAM that nothing else names; the caller calls once.
        let cells = unsafe { slice::from_raw_parts_mut(start, end as usize - start as usize) };
        cells.fill(0xFF);
        let file = open();
        if let Some(handle) = file {
            // What is not read stays erased: the file is shorter, or damaged, which the store finds out.
            call(nr::READ, [handle, cells.as_mut_ptr() as usize, cells.len()]);
        }
        Self { cells, file }
    }

    /// Copies `from..from + len` to the file.
    fn keep(&mut self, from: usize, len: usize) -> Result<(), Fault> {
        let (Some(handle), Some(bytes)) = (self.file, self.cells.get(from..from + len)) else {
            return Ok(());
        };
        let seek = call(nr::SEEK, [handle, from]);
        let missing = call(nr::WRITE, [handle, bytes.as_ptr() as usize, bytes.len()]);
        if seek == 0 && missing == 0 {
            Ok(())
        } else {
            Err(Fault::File)
        }
    }
}

/// Handle of the file that the command line names.
fn open() -> Option<usize> {
    let mut line = [0_u8; MAX_COMMAND_BYTES];
    let mut block = [line.as_mut_ptr() as usize, line.len()];
    // SAFETY: SYS_GET_CMDLINE writes at most `len` bytes to `line` and the length to the block, both of
    // which live until it returns.
    let failed = unsafe { syscall1(nr::GET_CMDLINE, block.as_mut_ptr() as usize) };
    let text = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let path = text.strip_prefix(COMMAND).filter(|_| failed == 0)?;
    let mode = nr::open::RW_BINARY;
    let handle = call(nr::OPEN, [path.as_ptr() as usize, mode, path.len()]);
    assert!(handle != usize::MAX, "cannot open the flash's file");
    Some(handle)
}

impl ErrorType for Flash {
    type Error = Fault;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        check_read(self, offset, bytes.len()).map_err(Fault::Kind)?;
        for (to, from) in bytes
            .iter_mut()
            .zip(self.cells.iter().skip(offset as usize))
        {
            *to = *from;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        check_erase(self, from, to).map_err(Fault::Kind)?;
        for page in (from as usize..to as usize).step_by(PAGE) {
            self.cells
                .get_mut(page..page + PAGE)
                .unwrap_or_default()
                .fill(0xFF);
            self.keep(page, PAGE)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        check_write(self, offset, bytes.len()).map_err(Fault::Kind)?;
        for (at, word) in (offset as usize..).step_by(WORD).zip(bytes.chunks(WORD)) {
            let cells = self.cells.get_mut(at..).unwrap_or_default();
            cells
                .iter_mut()
                .zip(word)
                .for_each(|(cell, byte)| *cell &= byte);
            self.keep(at, word.len())?;
        }
        Ok(())
    }
}
