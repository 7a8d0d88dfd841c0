//! What every program of the firmware shares: the board, memory, and a loud death.
//!
//! `board` is the hardware, `log` what is said beside the serial line, `memory` the static buffers and the
//! model's flash partition, `stack` the high-water mark, `starts` how many starts came to nothing, `trust` whose models
//! are taken. A panic or a HardFault logs its message and ends the emulator with a non-zero exit status; without the
//! feature `semihosting` it starts the program again.
#![no_std]

pub mod board;
pub mod log;
pub mod memory;
pub mod stack;
pub mod starts;
pub mod trust;

use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};

/// Ends the emulator with a non-zero exit status; under a debugger, waits for ever.
#[cfg(feature = "semihosting")]
pub fn fail() -> ! {
    use cortex_m_semihosting::debug;
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}

/// Starts the program again, which gives up a model on trial.
#[cfg(not(feature = "semihosting"))]
pub fn fail() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    log::panicked(info);
    fail()
}

// SAFETY: the handler touches no state of the program and never returns to it.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    log::hard_fault(frame.pc(), frame.lr());
    fail()
}
