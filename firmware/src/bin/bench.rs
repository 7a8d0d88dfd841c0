//! Runs the model of the model partition once and writes to the serial line, as text, what each layer
//! cost in instructions and a digest of the whole arena, so that the host can compare bits.
#![no_std]
#![no_main]

use aplysia_firmware::board::{Timer, Uart};
use aplysia_firmware::{fail, memory, stack};
use aplysia_shared::layer::MAX_LAYERS;
use aplysia_shared::{Hooks, LayerHooks, Model, infer_with};
use core::fmt::Write as _;
use core::ptr::addr_of_mut;
use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;

/// Larger than what devices have, for layers that others were measured with.
const ARENA_BYTES: usize = 88 * 1024;

#[repr(align(16))]
struct Arena([i8; ARENA_BYTES]);

static mut ARENA: Arena = Arena([0; ARENA_BYTES]);

/// Notes the time in front of every layer.
struct Stopwatch<'t> {
    timer: &'t Timer,
    ticks: [u32; MAX_LAYERS + 1],
    n: usize,
}

impl Stopwatch<'_> {
    fn note(&mut self) {
        if let Some(ticks) = self.ticks.get_mut(self.n) {
            *ticks = self.timer.ticks();
        }
        self.n += 1;
    }
}

impl Hooks for Stopwatch<'_> {
    #[inline]
    fn layer(&mut self, _layer: usize, _arena: &[i8]) -> LayerHooks<'_> {
        self.note();
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
    let model = match Model::parse(memory::built_in()) {
        Ok(model) => model,
        Err(error) => {
            hprintln!("no model: {}", error);
            fail()
        }
    };
    // SAFETY: `main` runs once, and nothing else names the static.
    let arena = unsafe { &mut (*addr_of_mut!(ARENA)).0 };
    let Some(arena) = arena.get_mut(..model.arena_bytes()) else {
        hprintln!("the model needs an arena of {} bytes", model.arena_bytes());
        fail()
    };
    let mut input = [0i8; 96 * 96 * 3];
    for (i, q) in input.iter_mut().enumerate() {
        *q = (i as u32).wrapping_mul(0x9E37_79B9).to_be_bytes()[0].cast_signed();
    }
    let mut scores = [0i8; 1024];
    let mut watch = Stopwatch {
        timer: &timer,
        ticks: [0; MAX_LAYERS + 1],
        n: 0,
    };
    let n = model.n_layers();
    let input = input.get(..model.input().len()).unwrap_or_default();
    let scores = scores.get_mut(..model.n_classes()).unwrap_or_default();
    if let Err(error) = infer_with(&model, arena, input, scores, &mut watch) {
        hprintln!("{}", error);
        fail()
    }
    watch.note();
    for pair in watch.ticks.windows(2).take(n) {
        let ticks = pair[1].wrapping_sub(pair[0]);
        let _ = writeln!(line, "{}", timer.instructions(ticks));
    }
    let _ = writeln!(line, "{} {}", digest(arena), stack::high_water_bytes());
    loop {
        cortex_m::asm::wfi();
    }
}
