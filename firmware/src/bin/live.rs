//! The device: waits for requests on the serial line and answers them, for ever.
#![no_std]
#![no_main]

use aplysia_firmware::board::{self, Flash, Flashes, Timer, Uart};
use aplysia_firmware::trust::TRUST;
use aplysia_firmware::{fail, log, memory, stack, starts};
use aplysia_shared::blob::Lead;
use aplysia_shared::protocol::{
    Buffers, Machine, Receiver, Refusal, Response, Server, TransferRefusal, Transfers, send,
};
use aplysia_shared::signature::{Trust, TrustError};
use aplysia_shared::store::Store;
use aplysia_shared::update::{Layout, Policy, Updater};
use aplysia_shared::{Model, ModelMemory, Room};
use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};

struct Board {
    timer: Timer,
    failed_starts: u32,
}

impl Board {
    fn new(failed_starts: u32) -> Self {
        Self {
            timer: Timer::new(),
            failed_starts,
        }
    }
}

impl Machine for Board {
    const BOARD: &str = board::NAME;

    fn ticks(&self) -> u32 {
        self.timer.ticks()
    }

    fn instructions(&self, ticks: u32) -> u32 {
        self.timer.instructions(ticks)
    }

    fn stack_bytes(&self) -> u32 {
        stack::high_water_bytes()
    }

    fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    fn settled(&mut self) {
        starts::settled();
    }
}

/// Header of the model that came with the program, and the shape of its images if there is room for it.
// Not in the caller's frame: the parsed model is needed no longer.
#[inline(never)]
fn built_in(room: &Room) -> Result<(Lead, Option<[u16; 3]>), TrustError> {
    let bytes = memory::built_in();
    TRUST.verify(bytes)?;
    let mut parsed = ModelMemory::new();
    let model = parsed.parse(bytes)?;
    let input = model.input();
    let fits = room.holds(model).is_ok();
    Ok((
        Lead::read(bytes)?,
        fits.then_some([input.h, input.w, input.c]),
    ))
}

/// What takes other models, and the blob that this start runs: of the slot that counts or is tried, else the one
/// that came with the program. A device whose model has one shape of images takes no models of another.
#[inline(never)]
fn choose(slots: Flash, room: Room) -> (Receiver<Flash>, Result<&'static [u8], TrustError>) {
    let built_in = built_in(&room);
    let shape = built_in.ok().and_then(|(_, shape)| shape);
    let lead = built_in.ok().map(|(lead, _)| lead);
    let policy = Policy {
        trust: TRUST,
        input: shape,
        counter: lead.map(|lead| lead.counter),
        room,
    };
    let layout = Layout::halves(slots.capacity() as u32, Flash::ERASE_SIZE as u32);
    let mut updater = match Updater::open(slots, layout.clone(), policy) {
        Ok(updater) => updater,
        Err(error) => {
            log::no_flash(&TransferRefusal::from(error));
            fail()
        }
    };
    let boot = updater.boot();
    if boot.reverted {
        log::gave_up();
    }
    let blob = match boot.slot {
        Ok(slot) => {
            let [first, second] = layout.slots;
            let range = if slot == 0 { first } else { second };
            // SAFETY: no update writes the slot that this start runs: `shared::update`.
            Ok(unsafe { updater.flash().mapped(range) })
        }
        Err(error) => {
            // An empty slot is what a new device has.
            match TransferRefusal::from(error) {
                TransferRefusal::Magic => {}
                refusal => log::no_slot(&refusal),
            }
            built_in.map(|_| memory::built_in())
        }
    };
    let receiver = Receiver::new(updater, &boot, lead.filter(|_| shape.is_some()));
    (receiver, blob)
}

/// Not in the frame of `main`, where the copies made here would stay on the stack for ever.
#[inline(never)]
fn server<'a>(
    model: Result<&'a Model<'a>, TrustError>,
    buffers: Buffers<'a>,
    flash: Flash,
    transfers: &'a mut dyn Transfers,
    failed_starts: u32,
) -> Server<'a, Board, Flash> {
    let machine = Board::new(failed_starts);
    let end = flash.capacity() as u32;
    let store = match Store::open(flash, 0..end) {
        Ok(store) => store,
        Err(error) => {
            log::no_flash(&error);
            fail()
        }
    };
    match model {
        Ok(model) => match Server::with_model(machine, model, buffers, store) {
            Ok(server) => server.receiving(transfers, &mut []),
            Err((unfit, buffers)) => {
                log::unfit(&unfit);
                Server::with_unfit_model(Board::new(failed_starts), unfit)
                    .receiving(transfers, buffers.arena)
            }
        },
        Err(error) => {
            log::no_model(&error);
            Server::without_model(machine).receiving(transfers, buffers.arena)
        }
    }
}

#[entry]
fn main() -> ! {
    stack::paint();
    let failed_starts = starts::begin();
    // SAFETY: `main` runs once, and nothing else takes the memory.
    let (buffers, line) = unsafe { memory::take() };
    let mut uart = Uart::new();
    if TRUST == Trust::Anyone {
        log::untrusting();
    }
    // SAFETY: as above.
    let flashes = unsafe { Flashes::take() };
    let (mut receiver, blob) = choose(flashes.slots, buffers.room());
    let mut model = ModelMemory::new();
    let model = blob.and_then(|blob| Ok(model.parse(blob)?));
    let mut server = server(model, buffers, flashes.store, &mut receiver, failed_starts);
    server.resume();
    loop {
        let byte = uart.read();
        if let Some(frame) = line.decoder.push(byte) {
            let response = server.answer(frame);
            let mut say = |response: &Response<'_>| {
                send(response, &mut line.response, |bytes| uart.write(bytes))
            };
            // Not met: every response fits its buffer. Of one that does not, nothing is sent.
            let said = say(&response).or_else(|_| say(&Response::Error(Refusal::Internal)));
            if said.is_err() {
                fail()
            }
            if server.wants_restart() {
                uart.flush();
                starts::settled();
                SCB::sys_reset();
            }
        }
    }
}
