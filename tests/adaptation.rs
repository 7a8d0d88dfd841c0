//! Streams of labelled images: the host's run against single steps, the device's against the host's.

use crate::device::boot;
use crate::program::firmware;
use crate::toy::{self, N_CLASSES, SIDE};
use aplysia_live::LiveError;
use aplysia_live::adaptation::{Adapted, Instructions, adapt, adapt_device, evaluate_snapshot};
use aplysia_live::device::{Device, DeviceError, EmulatorServer, Socket};
use aplysia_live::evaluate::{Images, evaluate, input_of_pixels};
use aplysia_shared::Model;
use aplysia_shared::adapt::{AdaptError, Config, Head, Plastic, state_bytes};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;

const SEED: u32 = 9;
pub(crate) const IMAGE_BYTES: usize = (SIDE * SIDE) as usize * 2;

const CONFIGS: [Config; 4] = [
    config(Some(4), Head::Instar { shift: 3 }),
    config(Some(4), Head::Delta { rate: 1311 }),
    config(None, Head::Instar { shift: 3 }),
    config(Some(4), Head::Base),
];

const fn config(homeostasis: Option<u8>, head: Head) -> Config {
    Config { homeostasis, head }
}

/// Labelled images, darker or brighter with their class.
pub(crate) struct Labelled {
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u16>,
}

impl Labelled {
    pub(crate) fn new(n: usize, seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let labels: Vec<u16> = (0..n)
            .map(|_| rng.random_range(0..N_CLASSES as u8).into())
            .collect();
        let image = |&label: &u16| {
            let low = 40 + 25 * label as u8;
            (0..IMAGE_BYTES)
                .map(|_| rng.random_range(low..low + 60))
                .collect::<Vec<u8>>()
        };
        Self {
            pixels: labels.iter().flat_map(image).collect(),
            labels,
        }
    }

    pub(crate) fn images(&self) -> Images<'_> {
        Images {
            pixels: &self.pixels,
            labels: &self.labels,
        }
    }
}

pub(crate) fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_stream_is_its_single_steps_and_evaluation_is_frozen() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let (stream, test) = (Labelled::new(90, 1), Labelled::new(150, 2));
    for config in CONFIGS {
        let adapted = adapt(&model, config, SEED, stream.images()).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
        let mut arena = vec![0; model.arena_bytes()];
        let mut one = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
        let mut right = 0;
        for (pixels, &label) in stream.pixels.chunks(IMAGE_BYTES).zip(&stream.labels) {
            let input = input_of_pixels(pixels);
            let class = match config.homeostasis {
                Some(_) => one.observe(&model, &mut arena, &input).unwrap().class,
                None => one.infer(&model, &mut arena, &input).unwrap().class,
            };
            right += usize::from(class == usize::from(label));
            if config.head != Head::Base {
                one.learn(&model, label.into()).unwrap();
            }
        }
        assert_eq!(adapted.snapshot, one.snapshot());
        assert_eq!(
            (adapted.digest, adapted.counters),
            (one.digest(), one.counters())
        );
        assert_eq!(adapted.online_correct, right);
        let n_labels = if config.head == Head::Base { 0 } else { 90 };
        assert_eq!(adapted.n_labels(), n_labels);

        let found = adapted.evaluate(&model, test.images()).unwrap();
        for (i, pixels) in test.pixels.chunks(IMAGE_BYTES).enumerate() {
            let class = one
                .infer(&model, &mut arena, &input_of_pixels(pixels))
                .unwrap()
                .class;
            assert_eq!(usize::from(found.predictions[i]), class);
            assert_eq!(&found.scores[i * N_CLASSES..][..N_CLASSES], one.scores());
        }
        let pairs = found.predictions.iter().zip(&test.labels);
        assert_eq!(found.n_correct, pairs.filter(|(p, l)| p == l).count());
    }
}

#[test]
fn nothing_learned_is_the_base_model() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let (none, test) = (Labelled::new(0, 1), Labelled::new(70, 2));
    let base = evaluate(&model, test.images()).unwrap();
    for head in [Head::Base, Head::Delta { rate: 1311 }] {
        let adapted = adapt(&model, config(Some(4), head), SEED, none.images()).unwrap();
        assert_eq!(adapted.evaluate(&model, test.images()).unwrap(), base);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (blob, other) = (toy::measured(3), toy::measured(4));
    let (model, other) = (Model::parse(&blob).unwrap(), Model::parse(&other).unwrap());
    let mut stream = Labelled::new(5, 1);
    let learned = adapt(&model, CONFIGS[0], SEED, stream.images()).unwrap();
    assert!(matches!(
        learned.evaluate(&other, stream.images()),
        Err(LiveError::Adapt(AdaptError::WrongModel))
    ));
    assert!(matches!(
        evaluate_snapshot(
            &model,
            &learned.snapshot,
            learned.state_bytes - 1,
            stream.images()
        ),
        Err(LiveError::Adapt(AdaptError::Buffer { .. }))
    ));
    let (mut device, _) = boot(Some(&blob));
    stream.labels[3] = N_CLASSES as u16;
    for refused in [
        adapt(&model, CONFIGS[0], SEED, stream.images()).unwrap_err(),
        adapt_device(&mut device, CONFIGS[0], SEED, stream.images(), &mut go_on).unwrap_err(),
    ] {
        assert!(
            matches!(refused, LiveError::Label { index: 3, .. }),
            "{refused}"
        );
    }
}

#[test]
fn the_device_learns_what_the_host_learns() {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).unwrap();
    let stream = Labelled::new(60, 1);
    let (mut device, _) = boot(Some(&blob));
    for config in CONFIGS {
        let run = adapt_device(&mut device, config, SEED, stream.images(), &mut go_on).unwrap();
        assert_eq!(
            run.adapted,
            adapt(&model, config, SEED, stream.images()).unwrap()
        );
        assert_eq!(run.inference.n, 60);
        assert_eq!(run.update.n, run.adapted.n_labels() as u64);
        let Instructions { n, total, max } = run.inference;
        assert!(total > n * model.macs() && u64::from(max) * n >= total);
        assert_eq!(run.arena_bytes as usize, model.arena_bytes());
    }
    let mut until_20 = |n: usize| match n {
        20 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let cut = adapt_device(
        &mut device,
        CONFIGS[0],
        SEED,
        stream.images(),
        &mut until_20,
    )
    .unwrap();
    let first = Images {
        pixels: &stream.pixels[..20 * IMAGE_BYTES],
        labels: &stream.labels[..20],
    };
    assert_eq!(cut.adapted, adapt(&model, CONFIGS[0], SEED, first).unwrap());
}

#[test]
fn a_served_board_keeps_what_it_learned_between_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("a,b.blob"), folder.path().join("uart"));
    let blob = toy::measured(3);
    std::fs::write(&file, &blob).unwrap();
    assert!(matches!(
        Socket::connect(&socket),
        Err(DeviceError::NotListening { .. })
    ));
    let mut server = EmulatorServer::start(&firmware(), Some(&file), None, &socket).unwrap();
    assert!(matches!(
        EmulatorServer::start(&firmware(), Some(&file), None, &socket),
        Err(DeviceError::SocketExists { .. })
    ));
    let stream = Labelled::new(30, 1);
    let learned: Adapted = {
        let (mut device, _) = Device::connect(Socket::connect(&socket).unwrap()).unwrap();
        adapt_device(&mut device, CONFIGS[1], SEED, stream.images(), &mut go_on)
            .unwrap()
            .adapted
    };
    let (mut device, _) = Device::connect(Socket::connect(&socket).unwrap()).unwrap();
    assert_eq!(device.stats().unwrap().state_digest, learned.digest);
    assert_eq!(device.snapshot().unwrap(), learned.snapshot);
    assert!(server.is_running());
    drop((device, server));
    assert!(!socket.exists());
}
