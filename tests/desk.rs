//! A whole device on the host: what the firmware's main loop does, on simulated flash, behind a socket.
//!
//! It owns the order start → serve → restart, in a thread; it must not know what a test wants of it.

use crate::nor::{Nor, PAGE};
use crate::slots::{key, layout, policy, trust};
use aplysia_live::LiveError;
use aplysia_live::device::{Device, DeviceError, Line};
use aplysia_live::update::{Installed, Sent, install};
use aplysia_shared::Model;
use aplysia_shared::blob::Lead;
use aplysia_shared::protocol::{
    Buffers, CRC_BYTES, Decoder, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Machine, Receiver, Refusal,
    Response, Server, TransferRefusal, TransferStatus, send,
};
use aplysia_shared::signature::Trust;
use aplysia_shared::store::Store;
use aplysia_shared::update::{Policy, Updater};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Of a word of the flash.
pub(crate) const WRITE: usize = 32;
const ARENA_BYTES: usize = 4096;
const STORE_PAGES: usize = 64;

/// Both flashes.
#[derive(Clone)]
pub(crate) struct Parts<const WRITE: usize> {
    /// Boot record and model slots.
    pub(crate) slots: Nor<WRITE>,
    /// What is learned.
    pub(crate) store: Nor<WRITE>,
}

impl<const WRITE: usize> Parts<WRITE> {
    pub(crate) fn blank() -> Self {
        Self {
            slots: Nor::new(layout().slots[1].end as usize / PAGE),
            store: Nor::new(STORE_PAGES),
        }
    }
}

struct Clock;

impl Machine for Clock {
    const BOARD: &str = "desk";
    fn ticks(&self) -> u32 {
        0
    }
    fn instructions(&self, ticks: u32) -> u32 {
        ticks
    }
    fn stack_bytes(&self) -> u32 {
        0
    }
}

/// The host's end of the line.
pub(crate) struct Wire {
    stream: UnixStream,
    /// One byte in so many is damaged, both ways; 0 = none.
    pub(crate) noise: Arc<AtomicU32>,
    n_bytes: u32,
}

impl Wire {
    fn damaged(&mut self, byte: u8) -> u8 {
        self.n_bytes += 1;
        let noise = self.noise.load(Ordering::Relaxed);
        match noise != 0 && self.n_bytes.is_multiple_of(noise) {
            // Never to or from a delimiter: that is another test's.
            true if byte ^ 0x40 != 0 && byte != 0 => byte ^ 0x40,
            _ => byte,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        for byte in &mut buffer[..n] {
            *byte = self.damaged(*byte);
        }
        Ok(n)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes: Vec<u8> = bytes.iter().map(|&byte| self.damaged(byte)).collect();
        self.stream.write_all(&bytes).map(|()| bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Line for Wire {}

/// What is fixed in a device: the model that came with the program, and whose models it takes.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) built_in: Vec<u8>,
    pub(crate) trust: Trust,
}

impl Desk {
    /// Switches the device on, until the line is closed or the flash has no power; then it gives the flash back.
    pub(crate) fn on<const WRITE: usize>(
        &self,
        mut parts: Parts<WRITE>,
    ) -> (Wire, JoinHandle<Parts<WRITE>>) {
        let (stream, mut line) = UnixStream::pair().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let desk = self.clone();
        let device = thread::spawn(move || {
            while desk.start(&mut parts, &mut line) {}
            parts
        });
        let wire = Wire {
            stream,
            noise: Arc::default(),
            n_bytes: 0,
        };
        (wire, device)
    }

    /// From a start to the next; whether there is one.
    fn start<const WRITE: usize>(&self, parts: &mut Parts<WRITE>, line: &mut UnixStream) -> bool {
        let trusted = self.trust.verify(&self.built_in).ok();
        let built_in = trusted.and_then(|()| Model::parse(&self.built_in).ok());
        let policy = Policy {
            input: built_in.as_ref().map(|model| {
                let input = model.input();
                [input.h, input.w, input.c]
            }),
            counter: built_in.as_ref().map(Model::counter),
            ..policy(self.trust)
        };
        let mut updater = Updater::open(&mut parts.slots, layout(), policy).unwrap();
        let boot = updater.boot();
        if updater.flash().powered().is_err() {
            return false;
        }
        let slot = boot.slot.map(|slot| updater.slot(slot).to_vec()).ok();
        let model = match &slot {
            Some(bytes) => Some(Model::parse(bytes).unwrap()),
            None => built_in.clone(),
        };
        let lead = built_in.and_then(|_| Lead::read(&self.built_in).ok());
        let mut receiver = Receiver::new(updater, &boot, lead);
        let (mut arena, mut spare) = ([0; ARENA_BYTES], [0; ARENA_BYTES]);
        let (mut state, mut scratch) = ([0; 4096], [0; 4096]);
        let buffers = Buffers {
            arena: &mut arena,
            state: &mut state,
            scratch: &mut scratch,
        };
        let store = Store::open(&mut parts.store, 0..(STORE_PAGES * PAGE) as u32).unwrap();
        let server = match &model {
            Some(model) => Server::with_model(Clock, model, buffers, store)
                .unwrap_or_else(|(unfit, _)| panic!("{unfit}")),
            None => Server::without_model(Clock),
        };
        let mut server = server.receiving(&mut receiver, &mut spare);
        server.resume();
        let mut decoder = Decoder::<{ MAX_REQUEST_BYTES + CRC_BYTES }>::new();
        let mut byte = [0];
        while line.read(&mut byte).unwrap_or(0) == 1 {
            let Some(frame) = decoder.push(byte[0]) else {
                continue;
            };
            let response = server.answer(frame);
            if let Response::Error(Refusal::Transfer(TransferRefusal::Flash) | Refusal::Flash) =
                response
            {
                return false;
            }
            let (mut buffer, mut bytes) = ([0; MAX_RESPONSE_BYTES + CRC_BYTES], Vec::new());
            send(&response, &mut buffer, |part| bytes.extend_from_slice(part)).unwrap();
            if line.write_all(&bytes).is_err() {
                return false;
            }
            if server.wants_restart() {
                return true;
            }
        }
        false
    }
}

/// A device that came with `built_in` and takes what `key(1)` signed.
pub(crate) fn desk(built_in: &[u8]) -> Desk {
    Desk {
        built_in: built_in.to_vec(),
        trust: trust(&key(1)),
    }
}

/// Goes on after every page.
pub(crate) fn all(_: Sent) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// What `use_it` does with the device `desk`, switched on with `parts`.
pub(crate) fn with<R>(
    desk: &Desk,
    parts: &mut Parts<WRITE>,
    use_it: impl FnOnce(&mut Device<Wire>) -> R,
) -> Result<R, DeviceError> {
    let (wire, thread) = desk.on(parts.clone());
    let used = Device::connect(wire).map(|(mut device, _)| use_it(&mut device));
    *parts = thread.join().unwrap();
    used
}

pub(crate) fn installed(
    desk: &Desk,
    parts: &mut Parts<WRITE>,
    blob: &[u8],
) -> Result<Installed, LiveError> {
    with(desk, parts, |device| install(device, blob, &mut all))?
}

pub(crate) fn status(desk: &Desk, parts: &mut Parts<WRITE>) -> TransferStatus {
    with(desk, parts, |device| device.transfer_status().unwrap()).unwrap()
}

pub(crate) fn refusal<R: std::fmt::Debug>(answer: Result<R, DeviceError>) -> TransferRefusal {
    match answer {
        Err(DeviceError::Refused(Refusal::Transfer(refusal))) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Every page of `blob`, without asking what is there.
pub(crate) fn write_all(device: &mut Device<Wire>, blob: &[u8]) {
    for (i, page) in blob.chunks(PAGE).enumerate() {
        let mut page = page.to_vec();
        page.resize(page.len().next_multiple_of(WRITE), 0xFF);
        device.write_chunk((i * PAGE) as u32, &page).unwrap();
    }
}

pub(crate) fn sent(installed: Installed) -> Sent {
    match installed {
        Installed::Confirmed { sent, .. } => sent,
        other => panic!("{other:?}"),
    }
}
