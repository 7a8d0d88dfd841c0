//! How much stack the program ever used, by painting it.
//!
//! The stack grows down from `_stack_start` towards the statics; `cortex-m-rt` names both ends.

use core::ptr::{addr_of, read_volatile, write_volatile};

/// A word no program is likely to write: what unused stack holds.
const PAINT: u32 = 0xa5a5_5a5a;
/// Left unpainted below the present frame, which [`paint`] itself may use.
const MARGIN_BYTES: usize = 256;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

fn top() -> usize {
    addr_of!(_stack_start) as usize
}

fn bottom() -> usize {
    (addr_of!(_stack_end) as usize).next_multiple_of(4)
}

/// Fills the free part of the stack. Call it once, at the start of `main`.
pub fn paint() {
    let end = (cortex_m::register::msp::read() as usize).saturating_sub(MARGIN_BYTES);
    for word in (bottom()..end).step_by(4) {
        // SAFETY: `bottom..end` is RAM between the statics and the live part of the stack: no
        // Rust object lies there, and it is aligned to words.
        unsafe { write_volatile(word as *mut u32, PAINT) };
    }
}

/// Most bytes of stack in use at any time since [`paint`].
pub fn high_water_bytes() -> u32 {
    // SAFETY: reads RAM between the statics and the top of the stack, aligned to words.
    let used = |&word: &usize| unsafe { read_volatile(word as *const u32) } != PAINT;
    let first = (bottom()..top()).step_by(4).find(used).unwrap_or(top());
    (top() - first) as u32
}
