//! Any bytes on the serial line, in both directions: one typed answer per frame, which fits its buffer and
//! arrives as it was sent, and `Hello` is answered afterwards; the host gives typed errors.
//!
//! Two forms of each input: the bytes of the line themselves, and the chunks of [`super::line`].

use crate::attack::line::{frame, line};
use crate::nor::{Nor, PAGE};
use aplysia_live::device::{Device, DeviceError, Line};
use aplysia_shared::adapt::{Config, Head};
use aplysia_shared::protocol::{
    Buffers, CRC_BYTES, Decoder, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Machine, Receiver,
    Response, Server, decode, send,
};
use aplysia_shared::signature::Trust;
use aplysia_shared::store::Store;
use aplysia_shared::update::{Layout, Policy, Updater};
use aplysia_shared::{Claims, Model, Room, include_blob};
use std::io::{self, Read, Write};

/// With statistics, prototypes and a golden set of features.
pub(crate) const BLOB: &[u8] = include_blob!("../blobs/v1-golden.blob");
/// Too little for some configurations, which must be refused.
const STATE_BYTES: usize = 240;
const FLASH_PAGES: usize = 4;
/// Of boot record and model slots.
const SLOTS_PAGES: usize = 34;

/// Of a model that nobody has.
const CLAIMS: Claims = Claims {
    input: [0; 3],
    outputs: 0,
    features: 0,
    answers: 0,
};

/// A machine without a clock.
struct Desk;

impl Machine for Desk {
    const BOARD: &str = "desk";
    fn ticks(&self) -> u32 {
        0
    }
    fn instructions(&self, _: u32) -> u32 {
        0
    }
    fn stack_bytes(&self) -> u32 {
        0
    }
}

/// See the module.
pub(crate) fn run(bytes: &[u8]) {
    let model = Model::parse(BLOB).expect("a kept blob");
    let image_bytes = model.input().len();
    let mut arena = vec![0; model.arena_bytes()];
    let (mut state, mut scratch) = (vec![0; STATE_BYTES], vec![0; STATE_BYTES]);
    let chunks = line(bytes, image_bytes);
    for line in [bytes, &chunks] {
        let buffers = Buffers {
            arena: &mut arena,
            state: &mut state,
            scratch: &mut scratch,
        };
        let flash = Nor::new(FLASH_PAGES);
        let store = Store::open(flash, 0..(FLASH_PAGES * PAGE) as u32).expect("on page borders");
        let mut server = Server::with_model(Desk, &model, buffers, store)
            .map_err(|(unfit, _)| unfit)
            .expect("large enough");
        server.resume();
        serve(server.receiving(&mut receiver(), &mut []), line);
        let spare = &mut vec![0; model.arena_bytes()];
        serve(
            Server::without_model(Desk).receiving(&mut receiver(), spare),
            line,
        );
        serve(Server::without_model(Desk), line);
        ask(line);
    }
}

/// Empty slots, for anybody's models.
fn receiver() -> Receiver<Nor<4>> {
    let policy = Policy {
        trust: Trust::Anyone,
        input: None,
        counter: None,
        room: Room {
            arena_bytes: 4096,
            state_bytes: STATE_BYTES,
        },
    };
    let layout = Layout::halves((SLOTS_PAGES * PAGE) as u32, PAGE as u32);
    let slots = Updater::open(Nor::new(SLOTS_PAGES), layout, policy);
    let mut slots = slots.expect("on page borders");
    let boot = slots.boot();
    Receiver::new(slots, &boot, None)
}

/// A session of every request, one with damage, one of noise.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let session = (0..24u8).flat_map(|which| [6, 5, which, 0x31, 1, 3, 0]);
    let lesson = [8, 3u8, 4, 3, 4, 9, 10, 5, 6, 7].map(|which| [6, 3, which, 1, which]);
    // An image in two parts, and one whose parts do not meet.
    let parts = [(23, 0), (24, 0), (23, 0), (22, 0), (24, 0), (24, 0)];
    let parts = parts.map(|(which, byte)| [6, 3, which, byte, byte]);
    let damage = (0..8u8).flat_map(|kind| [kind + 8, 3, kind, 2, 0]);
    vec![
        session.collect(),
        lesson.concat(),
        parts.concat(),
        damage.collect(),
        frame(&[0]),
    ]
}

/// What the device does with `line`, and with a `Hello` after it.
fn serve(mut server: Server<'_, Desk, Nor<4>>, line: &[u8]) {
    let mut decoder = Decoder::<{ MAX_REQUEST_BYTES + CRC_BYTES }>::new();
    let mut n_answers = 0;
    let end = [&[0][..], &frame(&[0])].concat();
    let mut greeted = false;
    for &byte in line.iter().chain(&end) {
        let Some(frame) = decoder.push(byte) else {
            continue;
        };
        let response = server.answer(frame);
        n_answers += 1;
        greeted = matches!(response, Response::Hello(_));
        arrives(&response);
    }
    let n_frames = line.split(|&b| b == 0).filter(|f| !f.is_empty()).count();
    assert_eq!(n_answers, n_frames + 1, "one answer per frame");
    assert!(greeted, "no Hello after {line:02x?}");
}

/// `response` fits the device's buffer and is what the host decodes.
fn arrives(response: &Response<'_>) {
    let mut decoder = Decoder::<{ MAX_RESPONSE_BYTES + CRC_BYTES }>::new();
    let mut sent = Vec::new();
    let buffer = &mut [0; MAX_RESPONSE_BYTES + CRC_BYTES];
    send(response, buffer, |bytes| sent.extend(bytes)).expect("fits its buffer");
    let (last, body) = sent.split_last().expect("a frame");
    assert!(body.iter().all(|&byte| decoder.push(byte).is_none()));
    let message = decoder.push(*last).expect("a frame").expect("sound");
    assert_eq!(decode::<Response<'_>>(message).as_ref(), Some(response));
}

/// A device that says `0` whatever it is asked, then is gone.
struct Hostile<'a>(&'a [u8]);

impl Read for Hostile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Hostile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line for Hostile<'_> {}

/// The host's every request is answered by the next frames of `line`, until there are none.
fn ask(line: &[u8]) {
    let mut device = match Device::connect(Hostile(line)) {
        Ok((device, _)) => device,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let config = Config {
        homeostasis: None,
        head: Head::Base,
    };
    let gone = |result: Result<(), DeviceError>| matches!(result, Err(DeviceError::Gone { .. }));
    loop {
        let over = [
            gone(device.info().map(drop)),
            gone(device.configure(config, 1)),
            gone(device.infer(&[0; 9], true).map(drop)),
            gone(device.input(0, &[0; 9])),
            gone(device.learn(1).map(drop)),
            gone(device.stats().map(drop)),
            gone(device.snapshot().map(drop)),
            gone(device.reset()),
            gone(device.guard(None)),
            gone(device.check().map(drop)),
            gone(device.commit().map(drop)),
            gone(device.transfer_status().map(drop)),
            gone(device.begin_transfer(&[0; 128], [0; 32], CLAIMS).map(drop)),
            gone(device.pages(0).map(drop)),
            gone(device.write_chunk(0, &[0; 8])),
            gone(device.activate().map(drop)),
            gone(device.restart().map(drop)),
            gone(device.confirm().map(drop)),
            gone(device.provoke(&[0]).map(drop)),
        ];
        if over.contains(&true) {
            return;
        }
    }
}
