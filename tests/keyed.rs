//! The device program built with a public key, in the emulator: it takes what the key signed and nothing else.
//!
//! The key is that of RFC 8032, section 7.1, test 1, whose private half is printed there.

use crate::device::plain_model;
use crate::flashing::{Board, all, text};
use crate::program::keyed_firmware;
use crate::slots::{begin, claiming, sign};
use crate::soak::STACK_BYTES;
use aplysia_deploy::golden::{GoldenSet, GoldenSpec, attach};
use aplysia_live::LiveError;
use aplysia_live::device::{Device, DeviceError, Emulator};
use aplysia_live::evaluate::{Images, argmax, input_of_pixels};
use aplysia_live::update::{Installed, install};
use aplysia_shared::blob::{GoldenKind, set_counter};
use aplysia_shared::protocol::{Origin, Refusal, TransferRefusal};
use aplysia_shared::update::State;
use aplysia_shared::{Model, infer};
use ed25519_dalek::SigningKey;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const PRIVATE: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

/// A model of several pages with an update counter, signed by the key `private`.
fn signed(channels: usize, counter: u64, private: [u8; 32]) -> Vec<u8> {
    let mut blob = plain_model(8, 2, channels, 200);
    set_counter(&mut blob, counter);
    blob = claiming(&blob, |_| ());
    sign(&mut blob, &SigningKey::from_bytes(&private));
    blob
}

fn unsigned(channels: usize, counter: u64) -> Vec<u8> {
    let mut blob = plain_model(8, 2, channels, 200);
    set_counter(&mut blob, counter);
    blob
}

fn id(blob: &[u8]) -> [u8; 16] {
    Model::parse(blob).unwrap().id()
}

fn refused(told: Result<Installed, LiveError>) -> TransferRefusal {
    match told {
        Err(LiveError::Device(DeviceError::Refused(Refusal::Transfer(refusal)))) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_unsigned_model_that_came_with_the_program_does_not_start() {
    let board = Board::of(keyed_firmware(), &unsigned(96, 1));
    let mut device = board.start();
    let info = device.info();
    assert!(
        matches!(info, Err(DeviceError::Refused(Refusal::NoModel))),
        "{info:?}"
    );
    let status = device.transfer_status().unwrap();
    assert_eq!((status.keyed, status.origin), (true, Origin::Nowhere));
    // A signed one may come.
    let new = signed(80, 0, PRIVATE);
    install(&mut device, &new, &mut all).unwrap();
    assert_eq!(device.info().unwrap().model_id, id(&new));
}

#[test]
fn only_what_the_key_signed_is_taken_and_started() {
    let (old, new) = (signed(96, 1, PRIVATE), signed(80, 2, PRIVATE));
    let board = Board::of(keyed_firmware(), &old);
    let mut device = board.start();
    assert_eq!(device.info().unwrap().model_id, id(&old));
    let other = signed(80, 2, [7; 32]);
    let mut changed = new.clone();
    changed[1000] ^= 1;
    // The checksum right again, so that only the signature is wrong.
    set_counter(&mut changed, 2);
    changed[64..128].copy_from_slice(&new[64..128]);
    for (blob, told) in [
        (&unsigned(80, 2), TransferRefusal::Unsigned),
        (&other, TransferRefusal::Signature),
        (&changed, TransferRefusal::Signature),
        (
            &signed(80, 0, PRIVATE),
            TransferRefusal::Counter { got: 0, want: 2 },
        ),
        (
            &signed(80, 1, PRIVATE),
            TransferRefusal::Counter { got: 1, want: 2 },
        ),
    ] {
        assert_eq!(refused(install(&mut device, blob, &mut all)), told);
    }
    install(&mut device, &new, &mut all).unwrap();
    drop(device);
    let mut device = board.start();
    let status = device.transfer_status().unwrap();
    assert_eq!(
        (status.origin, status.state),
        (Origin::Slot(1), State::Confirmed)
    );
    drop(device);
    // Written into the flash by other means: a bit of the model, then an unsigned model as a whole.
    let start = 64 * 1024 + 2 * 4096 + 512 * 1024;
    let mut flash = std::fs::read(board.path("flash")).unwrap();
    flash[start + 1000] ^= 1;
    board.file("flash", &flash);
    assert_eq!(board.start().info().unwrap().model_id, id(&old));
    let foreign = unsigned(80, 9);
    flash[start..start + foreign.len()].copy_from_slice(&foreign);
    board.file("flash", &flash);
    assert_eq!(board.start().info().unwrap().model_id, id(&old));
}

#[test]
fn the_command_says_how_to_sign() {
    let board = Board::of(keyed_firmware(), &signed(96, 1, PRIVATE));
    board.file("new.blob", &unsigned(80, 2));
    let args = [
        "update",
        "new.blob",
        "--flash",
        "flash",
        "--built-in",
        "old.blob",
    ];
    let output = board.command(&args).output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in [
        "trust         models signed with the key of its program",
        "the old model stays",
        "aplysia model sign",
    ] {
        assert!(text.contains(words), "no `{words}` in: {text}");
    }
}

/// The flagship with 32 golden images, signed.
fn flagship(counter: u64) -> Vec<u8> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../models/fashion-mnist-m4/model.blob"
    );
    let blob = std::fs::read(file).unwrap();
    let model = Model::parse(&blob).unwrap();
    let n = 32;
    let mut pixels = vec![0; n * model.input().len()];
    ChaCha8Rng::seed_from_u64(3).fill_bytes(&mut pixels);
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
    let mut label = |image: &[u8]| {
        infer(&model, &mut arena, &input_of_pixels(image), &mut scores).unwrap();
        argmax(&scores) as u16
    };
    let labels: Vec<u16> = pixels.chunks(model.input().len()).map(&mut label).collect();
    let (pixels, labels) = (&pixels, &labels);
    let kind = GoldenKind::Inputs;
    let golden = GoldenSet::choose(&model, Images { pixels, labels }, GoldenSpec { kind, n });
    let mut blob = attach(&model, &golden.unwrap()).unwrap();
    set_counter(&mut blob, counter);
    blob = claiming(&blob, |_| ());
    sign(&mut blob, &SigningKey::from_bytes(&PRIVATE));
    blob
}

#[test]
fn verification_and_self_test_stay_within_the_stack() {
    let board = Board::of(keyed_firmware(), &flagship(1));
    let mut device: Device<Emulator> = board.start();
    let at_start = device.stats().unwrap().stack_bytes;
    let new = flagship(2);
    begin(&mut device, &new).unwrap();
    for (offset, chunk) in (0..).step_by(2048).zip(new.chunks(2048)) {
        device.write_chunk(offset, chunk).unwrap();
    }
    // Before the restart, which paints the stack anew.
    assert_eq!(device.activate().unwrap().state, State::Pending);
    let deepest = device.stats().unwrap().stack_bytes;
    println!("{at_start} bytes of stack at the start, {deepest} after the self-test");
    assert!(deepest <= STACK_BYTES, "{deepest}");
}
