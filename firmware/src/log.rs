//! What the device says beside its serial line, by semihosting: as text, or with the feature `defmt`
//! as frames that name their format strings and leave them on the host.
//!
//! Both forms give the same functions, so nothing else knows which one is built. The inference path
//! must not log.

#[cfg(feature = "defmt")]
mod frames;
#[cfg(feature = "defmt")]
use frames as form;
#[cfg(not(feature = "defmt"))]
mod text;
#[cfg(not(feature = "defmt"))]
use text as form;

pub use form::{hard_fault, no_model, panicked, untrusting};
