//! Panics at once: by it the tests see what becomes of a panic, which nothing in `live` can do.
#![no_std]
#![no_main]

use aplysia_firmware as _;
use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    panic!("on purpose, {} words", 3);
}
