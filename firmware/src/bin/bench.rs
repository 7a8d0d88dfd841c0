//! Runs the model of the model partition once and writes to the serial line, as text, what each layer
//! cost in instructions, a digest of the whole arena, so that the host can compare bits, and the most stack in use.
#![no_std]
#![no_main]

use aplysia_firmware::board::{Timer, Uart};
use aplysia_firmware::{fail, memory, stack};
use aplysia_shared::layer::MAX_LAYERS;
use aplysia_shared::{Hooks, LayerHooks, ModelMemory, infer_with};
use core::fmt::Write as _;
use core::ptr::addr_of_mut;
use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;

/// Larger than what devices have, for layers that others were measured with.
const ARENA_BYTES: usize = 88 * 1024;
const INPUT_BYTES: usize = 96 * 96 * 3;
const SCORE_BYTES: usize = 1024;

/// Not on the stack, whose use is part of the answer.
#[repr(align(16))]
struct Buffers {
    arena: [i8; ARENA_BYTES],
    input: [i8; INPUT_BYTES],
    scores: [i8; SCORE_BYTES],
    ticks: [u32; MAX_LAYERS + 1],
}

static mut BUFFERS: Buffers = Buffers {
    arena: [0; ARENA_BYTES],
    input: [0; INPUT_BYTES],
    scores: [0; SCORE_BYTES],
    ticks: [0; MAX_LAYERS + 1],
};

/// Notes the time in front of every layer; of layers that run together, all of it is the first one's.
struct Stopwatch<'t> {
    timer: &'t Timer,
    ticks: &'t mut [u32],
    n: usize,
}

impl Stopwatch<'_> {
    fn note(&mut self, layer: usize) {
        let now = self.timer.ticks();
        if let Some(ticks) = self.ticks.get_mut(self.n..=layer) {
            ticks.fill(now);
        }
        self.n = layer + 1;
    }
}

impl Hooks for Stopwatch<'_> {
    #[inline]
    fn layer(&mut self, layer: usize, _arena: &[i8]) -> LayerHooks<'_> {
        self.note(layer);
        LayerHooks::default()
    }
}

struct Line(Uart);

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// FNV-1a, 32 bits.
fn digest(bytes: &[i8]) -> u32 {
    let step =
        |hash: u32, &byte: &i8| (hash ^ u32::from(byte.cast_unsigned())).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811C_9DC5, step)
}

#[entry]
fn main() -> ! {
    stack::paint();
    let timer = Timer::new();
    let mut line = Line(Uart::new());
    let mut parsed = ModelMemory::new();
    let model = match parsed.parse(memory::built_in()) {
        Ok(model) => model,
        Err(error) => {
            hprintln!("no model: {}", error);
            fail()
        }
    };
    // SAFETY: `main` runs once, and nothing else names the static.
    let buffers = unsafe { &mut *addr_of_mut!(BUFFERS) };
    let Some(arena) = buffers.arena.get_mut(..model.arena_bytes()) else {
        hprintln!("the model needs an arena of {} bytes", model.arena_bytes());
        fail()
    };
    for (i, q) in buffers.input.iter_mut().enumerate() {
        *q = (i as u32).wrapping_mul(0x9E37_79B9).to_be_bytes()[0].cast_signed();
    }
    let mut watch = Stopwatch {
        timer: &timer,
        ticks: &mut buffers.ticks,
        n: 0,
    };
    let n = model.n_layers();
    let input = buffers.input.get(..model.input().len()).unwrap_or_default();
    let scores = buffers
        .scores
        .get_mut(..model.n_classes())
        .unwrap_or_default();
    if let Err(error) = infer_with(model, arena, input, scores, &mut watch) {
        hprintln!("{}", error);
        fail()
    }
    watch.note(n);
    for pair in watch.ticks.windows(2).take(n) {
        let ticks = pair[1].wrapping_sub(pair[0]);
        let _ = writeln!(line, "{}", timer.instructions(ticks));
    }
    let _ = writeln!(line, "{} {}", digest(arena), stack::high_water_bytes());
    loop {
        cortex_m::asm::wfi();
    }
}
