//! Arm MPS2 with application note AN386: Cortex-M4, here always QEMU's machine `mps2-an386`.
//!
//! UART 0 is the serial line, timer 0 the clock. AN385 (Cortex-M3) and AN500 (Cortex-M7) have the same
//! map, so that a program for this board runs on them too, if built for a processor they understand.
//! Source: Arm AN386 (DAI 0386).

mod flash;

pub use flash::{Flash, Flashes};

use super::cmsdk;

/// Name of the board as the host sees it.
pub const NAME: &str = "mps2-an386";

const HZ: u32 = 25_000_000;

/// The serial line.
pub type Uart = cmsdk::Uart<0x4000_4000, HZ>;
/// The clock.
pub type Timer = cmsdk::Timer<0x4000_0000, HZ>;
