//! The log as text, readable without a tool.

use aplysia_shared::signature::TrustError;
use core::panic::PanicInfo;
use cortex_m_semihosting::hprintln;

/// The model partition holds no model that is sound and trusted.
pub fn no_model(error: &TrustError) {
    hprintln!("no model: {}", error);
}

/// The program takes anybody's model.
pub fn untrusting() {
    hprintln!(
        "development build: takes unsigned models; build with APLYSIA_PUBLIC_KEY to refuse them"
    );
}

/// The program panicked.
pub fn panicked(info: &PanicInfo<'_>) {
    hprintln!("{}", info);
}

/// The processor stopped at `pc`, in a function called from before `lr`.
pub fn hard_fault(pc: u32, lr: u32) {
    hprintln!("HardFault at {:#010x}, called from {:#010x}", pc, lr);
}
