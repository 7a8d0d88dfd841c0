//! The board the firmware is built for: exactly one file of `board/`, chosen by a feature.
//!
//! Every board gives the same names: `NAME`, `Uart` (`new`, `read`, `write`), `Timer` (`new`, `ticks`,
//! `instructions`), and, if it runs the program `live`, `Flashes` (`take`: two parts of type `Flash`, an
//! `embedded_storage` NorFlash that the processor reads like memory, `mapped`). A board must not know the
//! protocol or the model.

mod cmsdk;

#[cfg(feature = "board-mps2-an386")]
mod mps2_an386;
#[cfg(feature = "board-mps2-an386")]
pub use mps2_an386::{Flash, Flashes, NAME, Timer, Uart};

#[cfg(feature = "board-mps2-an505")]
mod mps2_an505;
#[cfg(feature = "board-mps2-an505")]
pub use mps2_an505::{NAME, Timer, Uart};

#[cfg(not(any(feature = "board-mps2-an386", feature = "board-mps2-an505")))]
compile_error!("choose a board: --features board-mps2-an386 or board-mps2-an505");
