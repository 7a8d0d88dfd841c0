//! Arm MPS2 with application note AN386: Cortex-M4, here always QEMU's machine `mps2-an386`.
//!
//! UART 0 is the serial line, polled. Timer 0 counts instructions, which holds only under
//! `-icount shift=10`: then every instruction takes 1024 ns of virtual time, and the timer's
//! 25 MHz make 25.6 ticks of it. Sources: Arm AN386 (DAI 0386), Arm Cortex-M System Design Kit
//! TRM (DDI 0479), chapters "APB timer" and "APB UART".

mod flash;

pub use flash::Flash;

use core::ptr::{read_volatile, write_volatile};

/// Name of the board as the host sees it.
pub const NAME: &str = "mps2-an386";

const UART0: usize = 0x4000_4000;
const UART_DATA: usize = 0x0;
const UART_STATE: usize = 0x4;
const UART_CTRL: usize = 0x8;
const UART_BAUDDIV: usize = 0x10;
const UART_STATE_TX_FULL: u32 = 1;
const UART_STATE_RX_FULL: u32 = 2;
const UART_CTRL_TX_RX: u32 = 3;
/// 25 MHz / 217 = 115,207 baud.
const BAUD_DIVISOR: u32 = 217;

const TIMER0: usize = 0x4000_0000;
const TIMER_CTRL: usize = 0x0;
const TIMER_VALUE: usize = 0x4;
const TIMER_RELOAD: usize = 0x8;
const TIMER_CTRL_ENABLE: u32 = 1;

fn read(base: usize, register: usize) -> u32 {
    // SAFETY: callers pass the registers above, which the board maps, aligned, for its whole
    // life; reading them has no effect on memory that Rust knows of.
    unsafe { read_volatile((base + register) as *const u32) }
}

fn write(base: usize, register: usize, value: u32) {
    // SAFETY: as in `read`; neither device writes to memory.
    unsafe { write_volatile((base + register) as *mut u32, value) }
}

/// The serial line: UART 0, 115,200 baud, 8N1.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Switches the line on.
    pub fn new() -> Self {
        write(UART0, UART_BAUDDIV, BAUD_DIVISOR);
        write(UART0, UART_CTRL, UART_CTRL_TX_RX);
        Self(())
    }

    /// Waits for one byte.
    pub fn read(&mut self) -> u8 {
        while read(UART0, UART_STATE) & UART_STATE_RX_FULL == 0 {}
        read(UART0, UART_DATA) as u8
    }

    /// Sends all of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while read(UART0, UART_STATE) & UART_STATE_TX_FULL != 0 {}
            write(UART0, UART_DATA, u32::from(byte));
        }
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new()
    }
}

/// The clock: timer 0, counting down from 2^32 - 1 at 25 MHz.
#[derive(Debug)]
pub struct Timer(());

impl Timer {
    /// Starts the timer.
    pub fn new() -> Self {
        write(TIMER0, TIMER_RELOAD, u32::MAX);
        write(TIMER0, TIMER_VALUE, u32::MAX);
        write(TIMER0, TIMER_CTRL, TIMER_CTRL_ENABLE);
        Self(())
    }

    /// Ticks so far; wraps after 2^32 (167.7 million instructions).
    pub fn ticks(&self) -> u32 {
        !read(TIMER0, TIMER_VALUE)
    }

    /// Instructions that take `ticks`, to the nearest: `round(ticks / 25.6)`.
    pub fn instructions(&self, ticks: u32) -> u32 {
        ((u64::from(ticks) * 10 + 128) / 256) as u32
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}
