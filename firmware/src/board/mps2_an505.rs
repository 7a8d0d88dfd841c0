//! Arm MPS2 with application note AN505: Cortex-M33, here always QEMU's machine `mps2-an505`.
//!
//! UART 0 is the serial line, timer 0 the clock, both at their secure aliases. Source: Arm AN505
//! (DAI 0505).

use super::cmsdk;

/// Name of the board as the host sees it.
pub const NAME: &str = "mps2-an505";

const HZ: u32 = 20_000_000;

/// The serial line.
pub type Uart = cmsdk::Uart<0x5020_0000, HZ>;
/// The clock.
pub type Timer = cmsdk::Timer<0x5000_0000, HZ>;
