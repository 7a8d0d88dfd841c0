//! Serial line and clock of Arm's Cortex-M System Design Kit, which the MPS2 boards have.
//!
//! It must not know a board: addresses and clock are parameters. Source: Arm Cortex-M System Design Kit
//! TRM (DDI 0479), chapters "APB timer" and "APB UART".

use core::ptr::{read_volatile, write_volatile};

const UART_DATA: usize = 0x0;
const UART_STATE: usize = 0x4;
const UART_CTRL: usize = 0x8;
const UART_BAUDDIV: usize = 0x10;
const UART_STATE_TX_FULL: u32 = 1;
const UART_STATE_RX_FULL: u32 = 2;
const UART_CTRL_TX_RX: u32 = 3;
const BAUD: u32 = 115_200;

const TIMER_CTRL: usize = 0x0;
const TIMER_VALUE: usize = 0x4;
const TIMER_RELOAD: usize = 0x8;
const TIMER_CTRL_ENABLE: u32 = 1;

fn read(base: usize, register: usize) -> u32 {
    // SAFETY: callers pass the registers above of a device that the board maps, aligned, for its whole
    // life; reading them has no effect on memory that Rust knows of.
    unsafe { read_volatile((base + register) as *const u32) }
}

fn write(base: usize, register: usize, value: u32) {
    // SAFETY: as in `read`; neither device writes to memory.
    unsafe { write_volatile((base + register) as *mut u32, value) }
}

/// The serial line: the UART at `BASE`, fed by `HZ`, polled; 115,200 baud, 8N1.
#[derive(Debug)]
pub struct Uart<const BASE: usize, const HZ: u32>(());

impl<const BASE: usize, const HZ: u32> Uart<BASE, HZ> {
    /// Switches the line on.
    pub fn new() -> Self {
        write(BASE, UART_BAUDDIV, HZ / BAUD);
        write(BASE, UART_CTRL, UART_CTRL_TX_RX);
        Self(())
    }

    /// Waits for one byte.
    pub fn read(&mut self) -> u8 {
        while read(BASE, UART_STATE) & UART_STATE_RX_FULL == 0 {}
        read(BASE, UART_DATA) as u8
    }

    /// Waits until everything is on the line.
    pub fn flush(&mut self) {
        while read(BASE, UART_STATE) & UART_STATE_TX_FULL != 0 {}
        // The byte that left the buffer last takes ten bits, and no register tells when they are out.
        cortex_m::asm::delay(20 * (HZ / BAUD));
    }

    /// Sends all of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while read(BASE, UART_STATE) & UART_STATE_TX_FULL != 0 {}
            write(BASE, UART_DATA, u32::from(byte));
        }
    }
}

impl<const BASE: usize, const HZ: u32> Default for Uart<BASE, HZ> {
    fn default() -> Self {
        Self::new()
    }
}

/// The clock: the timer at `BASE`, counting down from 2^32 - 1 at `HZ`. It counts instructions, which
/// holds only under QEMU's `-icount shift=10`: then every instruction takes 1024 ns of virtual time.
#[derive(Debug)]
pub struct Timer<const BASE: usize, const HZ: u32>(());

impl<const BASE: usize, const HZ: u32> Timer<BASE, HZ> {
    /// Starts the timer.
    pub fn new() -> Self {
        write(BASE, TIMER_RELOAD, u32::MAX);
        write(BASE, TIMER_VALUE, u32::MAX);
        write(BASE, TIMER_CTRL, TIMER_CTRL_ENABLE);
        Self(())
    }

    /// Ticks so far; wraps after 2^32 (at 25 MHz, 25.6 ticks each, 167.7 million instructions).
    pub fn ticks(&self) -> u32 {
        !read(BASE, TIMER_VALUE)
    }

    /// Instructions that take `ticks`, to the nearest.
    pub fn instructions(&self, ticks: u32) -> u32 {
        let ns = u64::from(ticks) * u64::from(1_000_000_000 / HZ);
        ((ns + 512) / 1024) as u32
    }
}

impl<const BASE: usize, const HZ: u32> Default for Timer<BASE, HZ> {
    fn default() -> Self {
        Self::new()
    }
}
