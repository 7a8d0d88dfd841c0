//! No log: the same functions, which say nothing, for programs that link no formatting.

use aplysia_shared::signature::TrustError;
use core::panic::PanicInfo;

/// The model partition holds no model that is sound and trusted.
pub fn no_model(_error: &TrustError) {}

/// The program takes anybody's model.
pub fn untrusting() {}

/// The program panicked.
pub fn panicked(_info: &PanicInfo<'_>) {}

/// The processor stopped at `pc`, in a function called from before `lr`.
pub fn hard_fault(_pc: u32, _lr: u32) {}
