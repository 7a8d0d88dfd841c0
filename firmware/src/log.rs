//! What the device says beside its serial line, by semihosting: as text, or with the feature `defmt`
//! as frames that name their format strings and leave them on the host; nothing with `silent`, and nothing without
//! `semihosting`, when no BKPT is executed at all.
//!
//! All forms give the same functions, so nothing else knows which one is built. The inference path
//! must not log.

#[cfg(any(feature = "silent", not(feature = "semihosting")))]
#[path = "log/silent.rs"]
mod form;
#[cfg(all(feature = "semihosting", feature = "defmt", not(feature = "silent")))]
#[path = "log/frames.rs"]
mod form;
#[cfg(all(
    feature = "semihosting",
    not(any(feature = "defmt", feature = "silent"))
))]
#[path = "log/text.rs"]
mod form;

pub use form::{gave_up, hard_fault, no_flash, no_model, no_slot, panicked, unfit, untrusting};
