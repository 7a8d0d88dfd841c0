//! The log as text, readable without a tool.

use aplysia_shared::BlobError;
use core::panic::PanicInfo;
use cortex_m_semihosting::hprintln;

/// The model partition holds no sound model.
pub fn no_model(error: &BlobError) {
    hprintln!("no model: {}", error);
}

/// The program panicked.
pub fn panicked(info: &PanicInfo<'_>) {
    hprintln!("{}", info);
}

/// The processor stopped at `pc`, in a function called from before `lr`.
pub fn hard_fault(pc: u32, lr: u32) {
    hprintln!("HardFault at {:#010x}, called from {:#010x}", pc, lr);
}
