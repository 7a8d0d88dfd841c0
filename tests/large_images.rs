//! Networks that others made, on the device: images longer than a frame, more outputs than a head learns.
//!
//! Every score comes over the serial line of the emulated board and is compared with the host's, those of MLPerf
//! Tiny's networks for 200 inputs each with TensorFlow Lite Micro's.

use crate::device::{boot, images_of, plain_model_of, refusal};
use crate::mlperf_tiny::{DIGESTS, digest_of, inputs};
use aplysia_deploy::import;
use aplysia_live::device::{Device, Line};
use aplysia_live::evaluate::input_of_pixels;
use aplysia_shared::adapt::guard::Limits;
use aplysia_shared::adapt::{Config, Head, MAX_CLASSES};
use aplysia_shared::protocol::{MAX_PIXELS, Refusal};
use aplysia_shared::{Model, Unfit, infer};
use aplysia_space::Shape;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Of MLPerf Tiny's person detection: seven frames.
pub(crate) const LARGE: Shape = Shape { h: 96, w: 96, c: 3 };

/// The host's scores.
fn scores(model: &Model<'_>, pixels: &[u8]) -> Vec<i8> {
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
    infer(model, &mut arena, &input_of_pixels(pixels), &mut scores).unwrap();
    scores
}

#[test]
fn the_device_gives_the_bits_of_tflite_micro() {
    for (name, file, want) in DIGESTS {
        let blob = import(file, &[]).unwrap().blob;
        let len = Model::parse(&blob).unwrap().input().len();
        let (mut device, hello) = boot(Some(&blob));
        assert!(hello.has_model, "{name}");
        let mut all = vec![];
        for input in inputs(len).chunks(len) {
            let pixels: Vec<u8> = input.iter().map(|q| q.cast_unsigned() ^ 0x80).collect();
            all.extend(device.infer(&pixels, false).unwrap().scores);
        }
        assert_eq!(digest_of(&all), want, "{name}");
    }
}

#[test]
fn more_outputs_than_a_head_learns_are_scored_and_not_learned() {
    let (name, file, _) = DIGESTS[2];
    let blob = import(file, &[]).unwrap().blob;
    let (mut device, _) = boot(Some(&blob));
    assert_eq!(device.info().unwrap().n_classes, 640, "{name}");
    let config = Config {
        homeostasis: None,
        head: Head::Delta { rate: 1311 },
    };
    let (got, max) = (640, MAX_CLASSES as u32);
    let classes = Refusal::Unfit(Unfit::Classes { got, max });
    assert_eq!(refusal(device.configure(config, 1)), classes);
    device.configure(Config::NOTHING, 1).unwrap();
    assert_eq!(device.infer(&[0; 640], true).unwrap().scores.len(), 640);
    assert!(device.learn(255).is_ok());
}

/// Sends `pixels` in parts of random lengths and has them classified.
fn in_parts<T: Line>(device: &mut Device<T>, pixels: &[u8], rng: &mut ChaCha8Rng) -> Vec<i8> {
    let mut at = 0;
    // What is left fits the last message.
    while pixels.len() - at > MAX_PIXELS || rng.random_range(0..3) > 0 {
        let most = MAX_PIXELS.min(pixels.len() - at);
        let end = at + rng.random_range(0..=most);
        device.input(at as u32, &pixels[at..end]).unwrap();
        at = end;
    }
    device.infer(&pixels[at..], true).unwrap().scores
}

#[test]
fn an_image_of_many_frames_is_one_image_however_it_is_cut() {
    let blob = plain_model_of(LARGE, 8, 2, 8, 10);
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    let rng = &mut ChaCha8Rng::seed_from_u64(21);
    for pixels in images_of(LARGE, 10, 22) {
        let want = scores(&model, &pixels);
        assert_eq!(device.infer(&pixels, false).unwrap().scores, want);
        assert_eq!(in_parts(&mut device, &pixels, rng), want);
    }

    let pixels = &images_of(LARGE, 1, 23)[0];
    let want = scores(&model, pixels);
    let (first, rest) = pixels.split_at(MAX_PIXELS);
    let (second, _) = rest.split_at(MAX_PIXELS);
    let (next, offset) = (MAX_PIXELS as u32, MAX_PIXELS as u32);
    let order = |offset, next| Refusal::InputOrder { offset, next };
    let want_bytes = LARGE.len() as u32;
    let bad = |got_bytes| Refusal::BadLength {
        got_bytes,
        want_bytes,
    };
    assert_eq!(refusal(device.input(offset, second)), order(offset, 0));
    device.input(0, first).unwrap();
    // A part that does not follow is refused, and the image goes on.
    for wrong in [1, next - 1, next + 1, u32::MAX] {
        assert_eq!(refusal(device.input(wrong, second)), order(wrong, next));
    }
    device.provoke(&[3, 3, 0]).unwrap();
    for (i, part) in rest.chunks(MAX_PIXELS).enumerate() {
        device
            .input(offset + (i * MAX_PIXELS) as u32, part)
            .unwrap();
    }
    assert_eq!(refusal(device.input(want_bytes, &[1])), bad(want_bytes + 1));
    assert_eq!(device.infer(&[], false).unwrap().scores, want);

    // An image is classified once, and only whole.
    assert_eq!(refusal(device.infer(&[], false)), bad(0));
    device.input(0, first).unwrap();
    assert_eq!(
        refusal(device.infer(&second[1..], false)),
        bad(2 * next - 1)
    );
    assert_eq!(refusal(device.input(offset, second)), order(offset, 0));
    // Whatever is asked in between may have used the arena.
    let others: [fn(&mut Device<_>); 4] = [
        |device| assert!(device.hello().is_ok()),
        |device| assert!(device.stats().is_ok()),
        |device| drop(device.learn(0)),
        |device| assert!(device.transfer_status().is_ok()),
    ];
    for other in others {
        device.input(0, first).unwrap();
        other(&mut device);
        assert_eq!(refusal(device.input(offset, second)), order(offset, 0));
    }
    // Another image may begin before one ends.
    device.input(0, second).unwrap();
    device.input(0, first).unwrap();
    assert_eq!(device.infer(pixels, false).unwrap().scores, want);
}

#[test]
fn parts_are_learned_from_and_guarded_as_wholes_are() {
    let blob = include_bytes!("blobs/v1-golden.blob");
    let (mut whole, mut parts) = (boot(Some(blob)).0, boot(Some(blob)).0);
    let config = Config {
        homeostasis: None,
        head: Head::Delta { rate: 6000 },
    };
    let limits = Limits {
        every: 3,
        drop: 0,
        commit_every: 0,
    };
    for device in [&mut whole, &mut parts] {
        device.configure(config, 5).unwrap();
        device.guard(Some(limits)).unwrap();
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(24);
    for pixels in images_of(Shape { h: 6, w: 6, c: 2 }, 60, 25) {
        let want = whole.infer(&pixels, true).unwrap().scores;
        assert_eq!(in_parts(&mut parts, &pixels, rng), want);
        let label = rng.random_range(0..3);
        let updates = [&mut whole, &mut parts].map(|device| device.learn(label).unwrap());
        assert_eq!(updates[0], updates[1]);
    }
    let [one, other] = [whole, parts].map(|mut device| device.stats().unwrap());
    assert!(one.guard.report.checks > 10, "{one:?}");
    assert_eq!(one.state_digest, other.state_digest);
    assert_eq!((one.counters, one.guard), (other.counters, other.guard));
}
