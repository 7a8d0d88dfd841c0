//! The estimated instructions of learning against those that the board counts, on the released model.

use crate::device::boot;
use aplysia_deploy::golden::{GoldenSet, GoldenSpec, attach};
use aplysia_live::evaluate::Images;
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::Domains;
use aplysia_shared::adapt::guard::Limits;
use aplysia_shared::adapt::{Config, Head};
use aplysia_shared::blob::GoldenKind;

const SEED: u32 = 7;

const fn config(homeostasis: Option<u8>, head: Head) -> Config {
    Config { homeostasis, head }
}

fn released() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/fashion-mnist-m4");
    std::fs::read(format!("{folder}/model.blob")).unwrap()
}

/// The estimates against the board, on the released model. The labels' are the most that an update can take:
/// inputs of zero cost less.
#[test]
fn estimates_are_near_the_board() {
    let blob = released();
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    let pixels: Vec<u8> = (0..784_u32).map(|i| (i * i % 251) as u8).collect();
    let heads = [
        Head::Instar { shift: 4 },
        Head::Delta { rate: 1311 },
        Head::Perceptron {
            rate: 1311,
            margin: 255,
        },
        Head::Reward { rate: 1311 },
    ];
    for head in heads {
        device.configure(config(None, head), SEED).unwrap();
        device.infer(&pixels, false).unwrap();
        let counted = device.learn(3).unwrap().instructions as f64;
        let estimated = model.label_instructions(&config(None, head)) as f64;
        assert!(
            (0.9..1.6).contains(&(estimated / counted)),
            "{head:?}: {counted} counted, {estimated} estimated"
        );
    }
    device.configure(config(Some(5), Head::Base), SEED).unwrap();
    let without = device.infer(&pixels, false).unwrap().instructions as f64;
    // Channels take turns.
    let images = [0, 1].map(|_| device.infer(&pixels, true).unwrap().instructions as f64);
    let with = (images[0] + images[1]) / 2.0;
    let estimated = model.observe_instructions() as f64;
    assert!(
        (0.8..1.25).contains(&(estimated / (with - without))),
        "{with} with homeostasis, {without} without, {estimated} estimated"
    );
}

const SLOTS: Domains = Domains {
    slots: 3,
    open: 200,
    evidence: 400,
    sealed: false,
};

/// What watches over learning, a check of the guard and the upkeep of slots, against the board.
#[test]
fn estimates_of_watching_are_near_the_board() {
    let released = released();
    let pixels: Vec<u8> = (0..784 * 32_u32).map(|i| (i * i % 251) as u8).collect();
    let labels: Vec<u16> = (0..32).map(|i| i % 10).collect();
    let limits = Limits {
        every: 10,
        drop: 2,
        commit_every: 0,
    };
    for kind in [GoldenKind::Inputs, GoldenKind::Features] {
        let images = Images {
            pixels: &pixels,
            labels: &labels,
        };
        let plain = Model::parse(&released).unwrap();
        let set = GoldenSet::choose(&plain, images, GoldenSpec { kind, n: 32 }).unwrap();
        let blob = attach(&plain, &set).unwrap();
        let model = Model::parse(&blob).unwrap();
        let (mut device, _) = boot(Some(&blob));
        for head in [
            Head::Base,
            Head::Instar { shift: 4 },
            Head::Delta { rate: 1311 },
        ] {
            let config = config(None, head);
            device.configure(config, SEED).unwrap();
            device.guard(Some(limits)).unwrap();
            let before = device.stats().unwrap().spent.instructions;
            device.check().unwrap();
            let stats = device.stats().unwrap();
            let counted = f64::from(stats.guard.check_instructions);
            let estimated = model.check_instructions(&config);
            assert_eq!(stats.spent.instructions - before, estimated);
            assert!(
                (0.9..1.25).contains(&(estimated as f64 / counted)),
                "{kind:?} {head:?}: {counted} counted, {estimated} estimated"
            );
        }
    }
    let (mut device, _) = boot(Some(&released));
    let mut with = |domains: Option<Domains>| {
        device.configure(config(Some(5), Head::Base), SEED).unwrap();
        device.domains(domains).unwrap();
        let before = device.stats().unwrap().spent.instructions;
        let images = pixels.chunks(784);
        let counted =
            images.map(|image| u64::from(device.infer(image, true).unwrap().instructions));
        (
            counted.sum::<u64>(),
            device.stats().unwrap().spent.instructions - before,
        )
    };
    let without = with(None);
    let slots = with(Some(SLOTS));
    let (counted, estimated) = (
        slots.0 as f64 - without.0 as f64,
        slots.1 as f64 - without.1 as f64,
    );
    assert!(
        (0.9..1.4).contains(&(estimated / counted)),
        "32 images: {counted} counted, {estimated} estimated"
    );
}
