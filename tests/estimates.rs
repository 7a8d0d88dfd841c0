//! The estimated instructions of learning against those that the board counts, on the released model.

use crate::device::boot;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Head};

const SEED: u32 = 7;

const fn config(homeostasis: Option<u8>, head: Head) -> Config {
    Config { homeostasis, head }
}

/// The estimates against the board, on the released model. The labels' are the most that an update can take:
/// inputs of zero cost less.
#[test]
fn estimates_are_near_the_board() {
    let blob = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../models/fashion-mnist-m4/model.blob"
    ))
    .unwrap();
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
