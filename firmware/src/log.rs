//! What the device says beside its serial line, by semihosting: as text, or with the feature `defmt`
//! as frames that name their format strings and leave them on the host, or with `silent` nothing.
//!
//! All forms give the same functions, so nothing else knows which one is built. The inference path
//! must not log.

#[cfg(feature = "silent")]
mod silent;
#[cfg(feature = "silent")]
use silent as form;
#[cfg(all(feature = "defmt", not(feature = "silent")))]
mod frames;
#[cfg(all(feature = "defmt", not(feature = "silent")))]
use frames as form;
#[cfg(not(any(feature = "defmt", feature = "silent")))]
mod text;
#[cfg(not(any(feature = "defmt", feature = "silent")))]
use text as form;

pub use form::{gave_up, hard_fault, no_model, no_slot, panicked, unfit, untrusting};
