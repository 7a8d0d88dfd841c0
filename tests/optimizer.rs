//! A step of descent as its settings say: what training moves, held against itself under other settings.

use crate::training::{config, network_of, run_on};
use aplysia_learn::TrainConfig;
use aplysia_space::Rule;

/// One step an epoch, as all images are in it: where the momentum looks ahead, and how the rate falls.
#[test]
fn momentum_and_the_rate_of_learning_do_what_their_settings_say() {
    let settings = |epochs, momentum, nesterov, lr_decay| TrainConfig {
        epochs,
        momentum,
        nesterov,
        lr_decay,
        batch: 230,
        warmup: 0.0,
        weight_decay: 0.0,
        ..config()
    };
    let trained = |config: &TrainConfig| {
        let params = run_on(&network_of(|_| Rule::Bp), config).params;
        params
            .layers
            .iter()
            .flat_map(|l| l.weight.clone())
            .collect::<Vec<f32>>()
    };
    let moved = |to: &[f32], from: &[f32]| -> Vec<f32> {
        to.iter().zip(from).map(|(a, b)| a - b).collect()
    };
    let same = |a: &[f32], b: &[f32], factor: f32| {
        let largest = a.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        assert!(largest > 1e-4, "nothing has moved");
        for (a, b) in a.iter().zip(b) {
            assert!((a * factor - b).abs() < 1e-3 * largest, "{a} {b}");
        }
    };
    // Of a first step with rate 0 nothing is left: where all begins.
    let start = trained(&TrainConfig {
        lr: f32::MIN_POSITIVE,
        ..settings(1, 0.0, false, 1.0)
    });
    let first = |nesterov| moved(&trained(&settings(1, 0.9, nesterov, 1.0)), &start);
    same(&first(false), &first(true), 1.9);
    let once = trained(&settings(1, 0.0, false, 1.0));
    let second = |decay| moved(&trained(&settings(2, 0.0, false, decay)), &once);
    same(&second(1.0), &second(0.5), 0.5);
}
