//! A NOR flash in the host's memory, laid out as the emulated board's: what the board's store holds can be
//! put into it, so that the host rolls back to what the board rolls back to.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// Bytes of the board's store.
const FLASH_BYTES: usize = 64 * 1024;
const PAGE: usize = 4096;

/// The cells; programming clears bits.
#[derive(Clone, Debug)]
pub struct MemoryFlash(Vec<u8>);

impl MemoryFlash {
    /// Bytes that it holds.
    pub const BYTES: u32 = FLASH_BYTES as u32;

    /// A flash that holds `bytes` and is erased behind them; longer ones are cut.
    pub fn holding(bytes: &[u8]) -> Self {
        let mut cells = bytes.to_vec();
        cells.resize(FLASH_BYTES, 0xFF);
        Self(cells)
    }
}

impl ErrorType for MemoryFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for MemoryFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for MemoryFlash {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.0[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let cells = &mut self.0[offset as usize..][..bytes.len()];
        cells
            .iter_mut()
            .zip(bytes)
            .for_each(|(cell, byte)| *cell &= byte);
        Ok(())
    }
}
