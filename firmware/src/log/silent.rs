//! No log: the same functions, which say nothing, for programs that link no formatting or that no debugger watches.

use aplysia_shared::Unfit;
use aplysia_shared::protocol::TransferRefusal;
use aplysia_shared::signature::TrustError;
use core::fmt::Display;
use core::panic::PanicInfo;

/// The model partition holds no model that is sound and trusted, and no slot does.
pub fn no_model(_error: &TrustError) {}

/// The model is too large for the program.
pub fn unfit(_unfit: &Unfit) {}

/// The flash lacks what the program needs, which ends it.
pub fn no_flash(_why: &impl Display) {}

/// The slot that counts holds something, and it is refused.
pub fn no_slot(_refusal: &TransferRefusal) {}

/// The model tried last was not confirmed.
pub fn gave_up() {}

/// The program takes anybody's model.
pub fn untrusting() {}

/// The program panicked.
pub fn panicked(_info: &PanicInfo<'_>) {}

/// The processor stopped at `pc`, in a function called from before `lr`.
pub fn hard_fault(_pc: u32, _lr: u32) {}
