//! Starts in a row that came to nothing, counted in RAM that a reset leaves as it is.
//!
//! It owns two words that the start-up code does not clear. After power was off they hold anything, which counts as no
//! start; so power cuts are not counted, and no flash is worn. RAM with error correction must have been written once
//! before it is read: a board with such RAM does so where power comes on.

use core::mem::MaybeUninit;
use core::ptr::{addr_of, addr_of_mut};

/// The second word is the first one with these bits flipped, else they are not a count.
const SEAL: u32 = 0x5354_5254;

#[unsafe(link_section = ".uninit.starts")]
static mut STARTS: MaybeUninit<[u32; 2]> = MaybeUninit::uninit();

/// How many starts in a row, just before this one, ended without [`settled`]. Call it once, at the start of `main`.
pub fn begin() -> u32 {
    // SAFETY: one thread, no interrupt; any bits are words, and volatile reads take them as they are.
    let [count, seal] = unsafe { addr_of!(STARTS).cast::<[u32; 2]>().read_volatile() };
    let before = if seal == count ^ SEAL { count } else { 0 };
    put(before.saturating_add(1));
    before
}

/// This start came to something, or is to end: nothing is counted any longer.
pub fn settled() {
    put(0);
}

fn put(count: u32) {
    // SAFETY: one thread, no interrupt.
    unsafe {
        addr_of_mut!(STARTS)
            .cast::<[u32; 2]>()
            .write_volatile([count, count ^ SEAL]);
    }
}
