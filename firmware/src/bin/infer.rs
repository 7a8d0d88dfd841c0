//! The smallest program that runs a model: it takes inputs from the serial line, one byte an i8, and
//! answers each with the scores, one byte an i8.
//!
//! Nothing in it can panic and nothing is formatted: `tests/inference_image.rs` reads its symbols.
#![no_std]
#![no_main]

use aplysia_firmware::board::Uart;
use aplysia_firmware::memory::ARENA_BYTES;
use aplysia_firmware::{fail, memory};
use aplysia_shared::{ModelMemory, infer};
use core::ptr::addr_of_mut;
use cortex_m_rt::entry;

/// Longest input and most scores, bytes.
const INPUT_BYTES: usize = 4096;
const SCORE_BYTES: usize = 256;

#[repr(align(16))]
struct Buffers {
    arena: [i8; ARENA_BYTES],
    input: [i8; INPUT_BYTES],
    scores: [i8; SCORE_BYTES],
}

static mut BUFFERS: Buffers = Buffers {
    arena: [0; ARENA_BYTES],
    input: [0; INPUT_BYTES],
    scores: [0; SCORE_BYTES],
};

#[entry]
fn main() -> ! {
    let mut parsed = ModelMemory::new();
    let Ok(model) = parsed.parse(memory::built_in()) else {
        fail()
    };
    // SAFETY: `main` runs once, and nothing else names the static.
    let buffers = unsafe { &mut *addr_of_mut!(BUFFERS) };
    let arena = buffers.arena.get_mut(..model.arena_bytes());
    let input = buffers.input.get_mut(..model.input().len());
    let scores = buffers.scores.get_mut(..model.n_classes());
    let (Some(arena), Some(input), Some(scores)) = (arena, input, scores) else {
        fail()
    };
    let mut uart = Uart::new();
    loop {
        for q in &mut *input {
            *q = uart.read().cast_signed();
        }
        if infer(model, arena, input, scores).is_err() {
            fail()
        }
        for score in &*scores {
            uart.write(&[score.cast_unsigned()]);
        }
    }
}
