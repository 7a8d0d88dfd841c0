//! The firmware in the emulator: it computes what the host computes, and nothing on the line or in
//! its model partition brings it down.

use crate::float_network::random_params;
use crate::program::firmware;
use aplysia_deploy::{Calibration, Content, HomeostasisScope, InputNormalization, export};
use aplysia_live::device::{Device, DeviceError, Emulator};
use aplysia_live::evaluate::{Images, input_of_pixels};
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};
use aplysia_shared::protocol::{FrameError, Hello, MAX_REQUEST_BYTES, Refusal, Request, send};
use aplysia_shared::{Model, infer};
use aplysia_space::{Genotype, McuSpace, Network, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use tempfile::NamedTempFile;

const INPUT: Shape = Shape { h: 28, w: 28, c: 1 };
pub(crate) const N_CLASSES: usize = 10;
const SEED: u32 = 7;
/// What the firmware has.
pub(crate) const ARENA_BYTES: usize = 64 * 1024;
const STATE_BYTES: usize = 18 * 1024;

fn images(n: usize, seed: u64) -> Vec<Vec<u8>> {
    images_of(INPUT, n, seed)
}

/// `n` images of their own brightness and contrast each.
pub(crate) fn images_of(input: Shape, n: usize, seed: u64) -> Vec<Vec<u8>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let image = |_| {
        let (low, span) = (rng.random_range(0..128), rng.random_range(1..=128));
        (0..input.len())
            .map(|_| low + rng.random_range(0..span))
            .collect()
    };
    (0..n).map(image).collect()
}

/// A network of the space with random parameters, small enough for the device.
pub(crate) fn random_model() -> Vec<u8> {
    let rng = &mut ChaCha8Rng::seed_from_u64(11);
    loop {
        let blob = model_of(&McuSpace::new(INPUT).sample(rng), INPUT, N_CLASSES, rng);
        let model = Model::parse(&blob).unwrap();
        if model.arena_bytes() <= ARENA_BYTES && model.macs() < 1_500_000 {
            return blob;
        }
    }
}

pub(crate) fn plain_model(stem: usize, stride: usize, channels: usize, classes: usize) -> Vec<u8> {
    plain_model_of(INPUT, stem, stride, channels, classes)
}

/// A network of one convolution and one block with random parameters.
pub(crate) fn plain_model_of(
    input: Shape,
    stem: usize,
    stride: usize,
    channels: usize,
    classes: usize,
) -> Vec<u8> {
    let text = format!(
        "[stem]\nchannels = {stem}\nkernel = 3\nstride = {stride}\nrule = \"usf\"\n\
         [head]\nrule = \"usf\"\n\
         [[block]]\nop = \"separable\"\nkernel = 3\nchannels = {channels}\nstride = 2\n\
         residual = false\npool = \"none\"\nrules = [\"usf\", \"usf\"]\n"
    );
    let genotype = Genotype::from_toml(&text).unwrap();
    let rng = &mut ChaCha8Rng::seed_from_u64(12);
    model_of(&genotype, input, classes, rng)
}

/// The blob of `genotype` with random parameters.
fn model_of(genotype: &Genotype, input: Shape, n_classes: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let n = n_classes.max(40);
    let pixels = images_of(input, n, 1).concat();
    let labels: Vec<u16> = (0..n).map(|i| (i % n_classes) as u16).collect();
    let names: Vec<String> = (0..n_classes)
        .map(|class| format!("class {class}"))
        .collect();
    let network = Network::lower(genotype, input, n_classes).unwrap();
    let params = random_params(&network, rng);
    let calibration = Calibration {
        golden: Images::NONE,
        input: InputNormalization {
            mean_pixel: 73,
            std: 0.353,
        },
        ranges: &vec![(-2.0, 2.0); network.nodes.len()],
        images: Images {
            pixels: &pixels,
            labels: &labels,
        },
    };
    let content = Content {
        homeostasis: HomeostasisScope::Stem,
        ..Content::new(&names)
    };
    export(&network, &params, calibration, &content)
        .unwrap()
        .blob
}

/// The firmware with `blob` in its model partition.
pub(crate) fn boot(blob: Option<&[u8]>) -> (Device<Emulator>, Hello) {
    let file = blob.map(|blob| {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), blob).unwrap();
        file
    });
    let emulator = Emulator::start(&firmware(), file.as_ref().map(|file| file.path())).unwrap();
    // QEMU has read the file when the firmware answers.
    Device::connect(emulator).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn refusal<R: std::fmt::Debug>(answer: Result<R, DeviceError>) -> Refusal {
    match answer {
        Err(DeviceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn device_equals_host_on_200_images() {
    let blob = random_model();
    let model = Model::parse(&blob).unwrap();
    let (mut device, hello) = boot(Some(&blob));
    assert!(hello.has_model);
    let info = device.info().unwrap();
    assert_eq!(
        (info.model_id, info.blob_bytes as usize),
        (model.id(), blob.len())
    );
    assert_eq!(
        (info.macs, info.instructions),
        (model.macs(), model.instructions())
    );
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], [0; N_CLASSES]);
    let mut classes = [0; N_CLASSES];
    for pixels in images(200, 2) {
        infer(&model, &mut arena, &input_of_pixels(&pixels), &mut scores).unwrap();
        let inference = device.infer(&pixels, false).unwrap();
        assert_eq!(inference.scores, scores);
        classes[usize::from(inference.class)] += 1;
        assert!(u64::from(inference.instructions) > model.macs());
    }
    assert!(
        classes.iter().filter(|&&n| n > 0).count() > 1,
        "one class only: {classes:?}"
    );
    let stats = device.stats().unwrap();
    assert_eq!(
        (stats.counters.seen, stats.arena_bytes as usize),
        (200, model.arena_bytes())
    );
}

#[test]
fn device_equals_host_through_100_learning_steps() {
    let blob = random_model();
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    let perceptron = Head::Perceptron {
        rate: 1311,
        margin: 20,
    };
    for head in [
        Head::Delta { rate: 1311 },
        Head::Instar { shift: 3 },
        perceptron,
        Head::Reward { rate: 1311 },
    ] {
        let config = Config {
            homeostasis: Some(5),
            head,
        };
        let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
        let mut arena = vec![0; model.arena_bytes()];
        let mut host = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
        let fresh = host.digest();
        device.configure(config, SEED).unwrap();
        for (step, pixels) in images(100, 3).iter().enumerate() {
            let class = host
                .observe(&model, &mut arena, &input_of_pixels(pixels))
                .unwrap()
                .class;
            let inference = device.infer(pixels, true).unwrap();
            assert_eq!(
                (usize::from(inference.class), &inference.scores[..]),
                (class, host.scores())
            );
            let label = step % N_CLASSES;
            let correct = host.learn(&model, label).unwrap();
            let update = match head {
                Head::Reward { .. } => device.reward(correct),
                _ => device.learn(label as u8),
            };
            assert_eq!(update.unwrap().correct, correct);
        }
        let stats = device.stats().unwrap();
        assert_ne!(stats.state_digest, fresh, "nothing was learned");
        assert_eq!(
            (stats.state_digest, stats.counters),
            (host.digest(), host.counters())
        );
        assert_eq!(device.snapshot().unwrap(), host.snapshot());
        device.reset().unwrap();
        assert_eq!(device.stats().unwrap().state_digest, fresh);
    }
}

#[test]
fn the_same_image_costs_the_same_instructions() {
    let blob = random_model();
    let pixels = &images(1, 4)[0];
    let cost = |device: &mut Device<Emulator>| device.infer(pixels, false).unwrap().instructions;
    let (mut device, _) = boot(Some(&blob));
    let first = cost(&mut device);
    assert_eq!(cost(&mut device), first);
    assert_eq!(cost(&mut boot(Some(&blob)).0), first);
}

#[test]
fn damaged_frames_and_wrong_requests_are_refused() {
    let (mut device, _) = boot(Some(&random_model()));
    let mut frame = Vec::new();
    send(&Request::Hello, &mut [0; 16], |bytes| {
        frame.extend_from_slice(bytes)
    })
    .unwrap();
    let cut = [&frame[..frame.len() - 2], &[0]].concat();
    assert!(matches!(
        device.provoke(&cut).unwrap(),
        Refusal::Frame(FrameError::BadFrame { .. })
    ));
    let mut flipped = frame.clone();
    flipped[3] ^= 1;
    assert!(matches!(
        device.provoke(&flipped).unwrap(),
        Refusal::Frame(FrameError::BadCrc { .. })
    ));
    let oversize = [vec![0xaa; 3 * MAX_REQUEST_BYTES], vec![0]].concat();
    assert!(matches!(
        device.provoke(&oversize).unwrap(),
        Refusal::Frame(FrameError::TooLarge { .. })
    ));
    let mut unknown = Vec::new();
    send(&[0x7f_u8, 1, 2][..], &mut [0; 16], |bytes| {
        unknown.extend_from_slice(bytes)
    })
    .unwrap();
    assert_eq!(
        device.provoke(&unknown).unwrap(),
        Refusal::Unknown { bytes: 4 }
    );
    assert_eq!(device.stats().unwrap().bad_frames, 4);

    let (got_bytes, want_bytes) = (783, INPUT.len() as u32);
    let short = refusal(device.infer(&[0; 783], false));
    assert_eq!(
        short,
        Refusal::BadLength {
            got_bytes,
            want_bytes
        }
    );
    assert_eq!(refusal(device.learn(3)), Refusal::NothingInferred);
    device.infer(&images(1, 5)[0], false).unwrap();
    let n_classes = N_CLASSES as u16;
    assert_eq!(
        refusal(device.learn(10)),
        Refusal::BadLabel {
            label: 10,
            n_classes
        }
    );
    assert_eq!(refusal(device.reward(true)), Refusal::NeedsLabel);
    device.learn(3).unwrap();
    assert_eq!(refusal(device.learn(3)), Refusal::NothingInferred);
    let config = Config {
        homeostasis: Some(11),
        head: Head::Base,
    };
    assert_eq!(refusal(device.configure(config, SEED)), Refusal::BadConfig);
    let pixels = &[0; MAX_REQUEST_BYTES];
    let large = device.input(0, pixels);
    assert!(matches!(large, Err(DeviceError::RequestTooLarge)));
    device.hello().unwrap();
}

#[test]
fn noise_is_survived() {
    let (mut device, _) = boot(Some(&random_model()));
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    for _ in 0..20 {
        let n = rng.random_range(1..3 * MAX_REQUEST_BYTES);
        let mut noise: Vec<u8> = (0..n).map(|_| rng.random_range(1..=255)).collect();
        noise.push(0);
        device.provoke(&noise).unwrap();
    }
    assert_eq!(device.stats().unwrap().bad_frames, 20);
}

#[test]
fn without_a_sound_model_the_device_says_so() {
    let mut corrupt = random_model();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 1;
    for blob in [None, Some(&corrupt[..]), Some(&corrupt[..100])] {
        let (mut device, hello) = boot(blob);
        assert!(!hello.has_model);
        assert_eq!(refusal(device.info()), Refusal::NoModel);
        assert_eq!(refusal(device.infer(&[0; 784], false)), Refusal::NoModel);
        assert_eq!(refusal(device.learn(0)), Refusal::NoModel);
        assert_eq!(refusal(device.snapshot()), Refusal::NoModel);
        assert_eq!(device.stats().unwrap().arena_bytes, 0);
    }
}

#[test]
fn a_head_too_large_for_the_state_is_refused() {
    let config = Config {
        homeostasis: None,
        head: Head::Delta { rate: 1311 },
    };
    let blob = plain_model(8, 2, 96, 200);
    let need_bytes = state_bytes(&Model::parse(&blob).unwrap(), &config).unwrap() as u32;
    let (mut device, hello) = boot(Some(&blob));
    assert!(hello.has_model);
    assert_eq!(
        refusal(device.configure(config, SEED)),
        Refusal::StateTooSmall {
            need_bytes,
            have_bytes: STATE_BYTES as u32
        }
    );
    assert_eq!(
        device.infer(&images(1, 8)[0], false).unwrap().scores.len(),
        200
    );
}

#[test]
fn missing_files_are_named() {
    let missing = PathBuf::from("no/such/model.blob");
    let error = Emulator::start(&firmware(), Some(&missing)).unwrap_err();
    assert!(
        error.to_string().starts_with("no/such/model.blob"),
        "{error}"
    );
}
