//! The log as defmt frames (rzCOBS), which `defmt-print` reads with the ELF at hand. Source: the defmt
//! book, Knurling. All of it is of level error: defmt leaves lower levels out unless `DEFMT_LOG` was set
//! for the build.

use aplysia_shared::Unfit;
use aplysia_shared::protocol::TransferRefusal;
use aplysia_shared::signature::TrustError;
use core::fmt::Display;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use defmt::{Display2Format, error};
// Links the logger.
use defmt_semihosting as _;

/// The logger panics when it is entered twice; that panic must not log.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The model partition holds no model that is sound and trusted, and no slot does.
pub fn no_model(error: &TrustError) {
    error!("no model: {}", error);
}

/// The model is too large for the program.
pub fn unfit(unfit: &Unfit) {
    error!("no model: {}", unfit);
}

/// The flash lacks what the program needs, which ends it.
pub fn no_flash(why: &impl Display) {
    error!("no flash: {}", Display2Format(why));
}

/// The slot that counts holds something, and it is refused.
pub fn no_slot(refusal: &TransferRefusal) {
    error!("no model in the slot: {}", refusal);
}

/// The model tried last was not confirmed.
pub fn gave_up() {
    error!("the model on trial was not confirmed: back to the one before");
}

/// The program takes anybody's model.
pub fn untrusting() {
    defmt::warn!(
        "development build: takes unsigned models; build with APLYSIA_PUBLIC_KEY to refuse them"
    );
}

/// The program panicked.
pub fn panicked(info: &PanicInfo<'_>) {
    if !PANICKED.load(Ordering::Relaxed) {
        PANICKED.store(true, Ordering::Relaxed);
        error!("{}", Display2Format(info));
    }
}

/// The processor stopped at `pc`, in a function called from before `lr`.
pub fn hard_fault(pc: u32, lr: u32) {
    error!(
        "HardFault at {=u32:#010x}, called from {=u32:#010x}",
        pc, lr
    );
}
