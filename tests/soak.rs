//! The emulated device under a long stream of hostile frames: it answers each one, and goes on.
//!
//! 2,000 frames, and 100,000 by `cargo xtask endure soak`. Random, sound, damaged, cut and overlong chunks of
//! [`crate::attack::line`] from a seed, several before the first answer is read, some of them twice or in
//! another order. After every batch the device must greet and have counted what was damaged.

use crate::attack::line::{OVERLONG, chunk, frame};
use crate::endure::{keep, times};
use crate::program::firmware;
use aplysia_live::device::Emulator;
use aplysia_shared::protocol::{
    CRC_BYTES, Decoder, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Refusal, Request, Response, Stats,
    decode,
};
use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

const BATCH: usize = 16;
/// Of `v1-golden.blob`.
const IMAGE_BYTES: usize = 72;
/// Most stack that any request may take; `firmware/README.md` states it.
pub(crate) const STACK_BYTES: u32 = 18 * 1024;
const HELLO: [u8; 1] = [0];
const STATS: [u8; 1] = [5];

/// The device as bytes, and what it must say.
struct Session {
    line: Emulator,
    /// The device's decoder, for the number of frames and the damage in them.
    twin: Decoder<{ MAX_REQUEST_BYTES + CRC_BYTES }>,
    decoder: Decoder<{ MAX_RESPONSE_BYTES + CRC_BYTES }>,
    bad_frames: u32,
    /// Answers by kind: refused frame, other refusal, done.
    answers: [u64; 3],
}

impl Session {
    /// Sends `bytes` and checks one answer per frame that ends in them.
    fn exchange(&mut self, bytes: &[u8]) {
        let mut want = Vec::new();
        for &byte in bytes {
            if let Some(frame) = self.twin.push(byte) {
                let known = frame.map(|message| decode::<Request<'_>>(message).is_some());
                self.bad_frames += u32::from(known != Ok(true));
                want.push(known);
            }
        }
        self.line.write_all(bytes).unwrap();
        for known in want {
            let kind = self.answer(|response| match (known, response) {
                (Err(error), Response::Error(Refusal::Frame(got))) if got == error => 0,
                (Ok(false), Response::Error(Refusal::Unknown { .. })) => 1,
                (Ok(true), Response::Error(Refusal::Frame(_) | Refusal::Unknown { .. })) => 3,
                (Ok(true), Response::Error(refusal)) => {
                    assert_ne!(refusal, Refusal::Internal);
                    1
                }
                (Ok(true), _) => 2,
                _ => 3,
            });
            assert!(kind < 3, "a wrong answer to a frame that is {known:?}");
            self.answers[kind] += 1;
        }
    }

    /// What `pick` makes of the next answer.
    fn answer<R>(&mut self, pick: impl FnOnce(Response<'_>) -> R) -> R {
        loop {
            let mut byte = [0];
            self.line.read_exact(&mut byte).unwrap();
            if let Some(frame) = self.decoder.push(byte[0]) {
                let message = frame.expect("a sound frame");
                return pick(decode(message).expect("a response"));
            }
        }
    }

    fn stats(&mut self) -> Stats {
        self.line.write_all(&frame(&STATS)).unwrap();
        self.answer(|response| match response {
            Response::Stats(stats) => stats,
            other => panic!("{other:?}"),
        })
    }
}

/// One chunk of a random kind and content, mostly short.
fn random_chunk(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..=24)];
    rng.fill_bytes(&mut bytes);
    if rng.random_range(0..4) == 0 {
        bytes.iter_mut().for_each(|byte| *byte %= 12);
    }
    let mut kind: u8 = rng.random();
    // Overlong chunks would be most of the bytes, and the emulated line takes its time for each.
    if kind % 8 == OVERLONG && rng.random_range(0..8) > 0 {
        kind += 1;
    }
    chunk(kind, &bytes, IMAGE_BYTES)
}

#[test]
fn the_device_answers_every_hostile_frame() {
    let started = Instant::now();
    let frames = u64::from(times(2000));
    let blob = Path::new(env!("CARGO_MANIFEST_DIR")).join("blobs/v1-golden.blob");
    let mut session = Session {
        line: Emulator::start(&firmware(), Some(&blob)).unwrap(),
        twin: Decoder::new(),
        decoder: Decoder::new(),
        bad_frames: 0,
        answers: [0; 3],
    };
    let rng = &mut ChaCha8Rng::seed_from_u64(2026);
    let mut n_bytes = 0;
    let mut deepest = 0;
    while session.answers.iter().sum::<u64>() < frames {
        let mut batch: Vec<Vec<u8>> = (0..BATCH).map(|_| random_chunk(rng)).collect();
        batch.shuffle(rng);
        batch.push(batch[0].clone());
        batch.push([&[0][..], &frame(&HELLO)].concat());
        let bytes = batch.concat();
        n_bytes += bytes.len();
        session.exchange(&bytes);
        let stats = session.stats();
        assert_eq!(stats.bad_frames, session.bad_frames);
        deepest = deepest.max(stats.stack_bytes);
    }
    let [damaged, refused, done] = session.answers;
    println!(
        "{} frames of {n_bytes} bytes answered: {damaged} damaged, {refused} refused, {done} served; \
         {deepest} bytes of stack at most",
        damaged + refused + done
    );
    assert!(damaged.min(refused).min(done) > frames / 20);
    assert!(deepest <= STACK_BYTES, "{deepest} bytes of stack");
    let saw = [
        ("frames", damaged + refused + done),
        ("bytes", n_bytes as u64),
        ("damaged", damaged),
        ("refused", refused),
        ("served", done),
        ("stack_bytes", deepest.into()),
    ];
    keep("soak", started, &saw);
}
