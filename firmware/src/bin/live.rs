//! The device: waits for requests on the serial line and answers them, for ever.
#![no_std]
#![no_main]

use aplysia_firmware::board::{self, Flash, Timer, Uart};
use aplysia_firmware::trust::TRUST;
use aplysia_firmware::{log, memory, stack};
use aplysia_shared::Model;
use aplysia_shared::protocol::{Buffers, Machine, Server, send};
use aplysia_shared::signature::{Trust, TrustError};
use aplysia_shared::store::Store;
use cortex_m_rt::entry;
use embedded_storage::nor_flash::ReadNorFlash as _;

struct Board(Timer);

impl Machine for Board {
    const BOARD: &str = board::NAME;

    fn ticks(&self) -> u32 {
        self.0.ticks()
    }

    fn instructions(&self, ticks: u32) -> u32 {
        self.0.instructions(ticks)
    }

    fn stack_bytes(&self) -> u32 {
        stack::high_water_bytes()
    }
}

/// Not in the frame of `main`, where the copies made here would stay on the stack for ever.
#[inline(never)]
fn server<'a>(
    model: &'a Result<Model<'a>, TrustError>,
    buffers: Buffers<'a>,
    flash: Flash,
) -> Server<'a, Board, Flash> {
    let machine = Board(Timer::new());
    let end = flash.capacity() as u32;
    let store = match Store::open(flash, 0..end) {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    };
    match model {
        Ok(model) => match Server::with_model(machine, model, buffers, store) {
            Ok(server) => server,
            Err(error) => panic!("{error}: build a program with larger buffers"),
        },
        Err(error) => {
            log::no_model(error);
            Server::without_model(machine)
        }
    }
}

#[entry]
fn main() -> ! {
    stack::paint();
    // SAFETY: `main` runs once, and nothing else takes the memory.
    let (buffers, line) = unsafe { memory::take() };
    let mut uart = Uart::new();
    if TRUST == Trust::Anyone {
        log::untrusting();
    }
    let trusted = TRUST.verify(memory::model());
    let model = trusted.and_then(|()| Ok(Model::parse(memory::model())?));
    // SAFETY: as above.
    let flash = unsafe { Flash::new() };
    let mut server = server(&model, buffers, flash);
    loop {
        let byte = uart.read();
        if let Some(frame) = line.decoder.push(byte) {
            let response = server.answer(frame);
            if let Err(error) = send(&response, &mut line.response, |bytes| uart.write(bytes)) {
                panic!("response does not fit its buffer: {error}");
            }
        }
    }
}
