//! The log as text, readable without a tool.

use aplysia_shared::Unfit;
use aplysia_shared::protocol::TransferRefusal;
use aplysia_shared::signature::TrustError;
use core::fmt::Display;
use core::panic::PanicInfo;
use cortex_m_semihosting::hprintln;

/// The model partition holds no model that is sound and trusted, and no slot does.
pub fn no_model(error: &TrustError) {
    hprintln!("no model: {}", error);
}

/// The model is too large for the program.
pub fn unfit(unfit: &Unfit) {
    hprintln!("no model: {}", unfit);
}

/// The flash lacks what the program needs, which ends it.
pub fn no_flash(why: &impl Display) {
    hprintln!("no flash: {}", why);
}

/// The slot that counts holds something, and it is refused.
pub fn no_slot(refusal: &TransferRefusal) {
    hprintln!("no model in the slot: {}", refusal);
}

/// The model tried last was not confirmed.
pub fn gave_up() {
    hprintln!("the model on trial was not confirmed: back to the one before");
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
