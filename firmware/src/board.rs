//! The board the firmware is built for: exactly one file of `board/`, chosen by a feature.
//!
//! Every board gives the same names: `NAME`, `Uart` (`new`, `read`, which waits for a byte, `write`, `flush`, which
//! waits until all is on the line), `Timer` (`new`, `ticks`, `instructions`: 0 where the clock counts something else),
//! and, if it runs the program `live`, `Flashes` (`take`: two parts of type `Flash`, a [`MappedFlash`] with `mapped`,
//! which gives bytes for longer than it is borrowed). A board must not know the protocol or the model. Without any,
//! the build script says so.
//!
//! [`MappedFlash`]: aplysia_shared::update::MappedFlash

mod cmsdk;

#[cfg(feature = "board-mps2-an386")]
mod mps2_an386;
#[cfg(feature = "board-mps2-an386")]
pub use mps2_an386::{Flash, Flashes, NAME, Timer, Uart};

#[cfg(feature = "board-mps2-an505")]
mod mps2_an505;
#[cfg(feature = "board-mps2-an505")]
pub use mps2_an505::{NAME, Timer, Uart};
