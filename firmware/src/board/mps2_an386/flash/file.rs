//! The file of the host behind the flash, by semihosting; its command line `flash PATH` names it.
//!
//! It must not know pages or words. Source: Arm, "Semihosting for AArch32 and AArch64" (IHI 0058).

use crate::{fail, log};
use cortex_m_semihosting::{nr, syscall, syscall1};

const COMMAND: &[u8] = b"flash ";
/// Of the whole command line, with a zero behind it.
const MAX_COMMAND_BYTES: usize = 512;

/// Its handle.
#[derive(Clone, Copy, Debug)]
pub(super) struct File(usize);

/// One semihosting operation with its block of arguments.
fn call<const N: usize>(operation: usize, arguments: [usize; N]) -> usize {
    // SAFETY: the operations below read `arguments`, and memory that they point to with its length: slices
    // of the callers that live until the call returns; SYS_READ writes to one, which is borrowed exclusively.
    unsafe { syscall(operation, &arguments) }
}

impl File {
    /// The file that the command line names, if it names one; the end of the program if that cannot be opened.
    pub(super) fn open() -> Option<Self> {
        let mut line = [0_u8; MAX_COMMAND_BYTES];
        let mut block = [line.as_mut_ptr() as usize, line.len()];
        // SAFETY: SYS_GET_CMDLINE writes at most `len` bytes to `line` and the length to the block, both of
        // which live until it returns.
        let failed = unsafe { syscall1(nr::GET_CMDLINE, block.as_mut_ptr() as usize) };
        let text = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let path = text.strip_prefix(COMMAND).filter(|_| failed == 0)?;
        let mode = nr::open::RW_BINARY;
        let handle = call(nr::OPEN, [path.as_ptr() as usize, mode, path.len()]);
        if handle == usize::MAX {
            log::no_flash(&"its file cannot be opened");
            fail()
        }
        Some(Self(handle))
    }

    /// Fills `cells` from byte `at` on; what is not read stays: the file is shorter, or damaged, which their users
    /// find out.
    pub(super) fn read(self, at: usize, cells: &mut [u8]) {
        call(nr::SEEK, [self.0, at]);
        call(nr::READ, [self.0, cells.as_mut_ptr() as usize, cells.len()]);
    }

    /// Writes `bytes` at byte `at`; whether all of them were taken.
    pub(super) fn write(self, at: usize, bytes: &[u8]) -> bool {
        let seek = call(nr::SEEK, [self.0, at]);
        let missing = call(nr::WRITE, [self.0, bytes.as_ptr() as usize, bytes.len()]);
        seek == 0 && missing == 0
    }
}
