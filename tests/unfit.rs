//! Models that are sound and too large: each lack is told with its numbers, and the device goes on.

use crate::device::{ARENA_BYTES, N_CLASSES, plain_model, plain_model_of, refusal};
use crate::flashing::{Board, all, text};
use crate::large_images::LARGE;
use aplysia_live::update::{Installed, install};
use aplysia_shared::adapt::{AdaptError, Config, MAX_FEATURES, MAX_OUTPUTS, state_bytes};
use aplysia_shared::protocol::{Origin, Refusal};
use aplysia_shared::{Model, Room, Unfit};

const ENDLESS: Room = Room {
    arena_bytes: usize::MAX,
    state_bytes: usize::MAX,
};

#[test]
fn room_is_measured_to_the_byte() {
    let blob = plain_model(8, 2, 96, MAX_OUTPUTS);
    let model = Model::parse(&blob).unwrap();
    let exact = Room {
        arena_bytes: model.arena_bytes(),
        state_bytes: state_bytes(&model, &Config::NOTHING).unwrap(),
    };
    assert_eq!(exact.holds(&model), Ok(()));
    let pair = |need: usize| (need as u32, need as u32 - 1);
    let mut less = exact;
    less.arena_bytes -= 1;
    let (need_bytes, have_bytes) = pair(exact.arena_bytes);
    let arena = Unfit::Arena {
        need_bytes,
        have_bytes,
    };
    assert_eq!(less.holds(&model), Err(arena));
    less = exact;
    less.state_bytes -= 1;
    let (need_bytes, have_bytes) = pair(exact.state_bytes);
    let state = Unfit::State {
        need_bytes,
        have_bytes,
    };
    assert_eq!(less.holds(&model), Err(state));
}

#[test]
fn classes_and_features_are_counted() {
    let told = |classes: usize| {
        let blob = plain_model(8, 2, 8, classes);
        ENDLESS.holds(&Model::parse(&blob).unwrap())
    };
    assert_eq!(told(MAX_OUTPUTS), Ok(()));
    let (got, max) = (MAX_OUTPUTS as u32 + 1, MAX_OUTPUTS as u32);
    assert_eq!(told(MAX_OUTPUTS + 1), Err(Unfit::Classes { got, max }));
    // No search space has so many features.
    let (got, max) = (MAX_FEATURES + 1, MAX_FEATURES);
    let unfit = Unfit::from(AdaptError::TooManyFeatures { got, max });
    let (got, max) = (got as u32, max as u32);
    assert_eq!(unfit, Unfit::Features { got, max });
}

#[test]
fn a_device_refuses_a_model_that_is_too_large_and_takes_a_smaller_one() {
    let wide = plain_model(96, 1, 64, N_CLASSES);
    let need_bytes = Model::parse(&wide).unwrap().arena_bytes() as u32;
    let arena = Unfit::Arena {
        need_bytes,
        have_bytes: ARENA_BYTES as u32,
    };
    let (got, max) = (MAX_OUTPUTS as u32 + 1, MAX_OUTPUTS as u32);
    let outputs = plain_model(8, 2, 96, MAX_OUTPUTS + 1);
    let classes = (outputs, Unfit::Classes { got, max });
    for (blob, unfit) in [(wide, arena), classes] {
        let board = Board::new(&blob);
        let mut device = board.start();
        let unfit = Refusal::Unfit(unfit);
        assert_eq!(refusal(device.info()), unfit);
        assert_eq!(refusal(device.infer(&[0; 784], true)), unfit);
        assert_eq!(refusal(device.learn(0)), unfit);
        assert_eq!(refusal(device.snapshot()), unfit);
        let smaller = plain_model(8, 2, 96, N_CLASSES);
        let installed = install(&mut device, &smaller, &mut all).unwrap();
        assert!(
            matches!(installed, Installed::Confirmed { .. }),
            "{installed:?}"
        );
        let id = Model::parse(&smaller).unwrap().id();
        assert_eq!(device.info().unwrap().model_id, id);
    }
}

#[test]
fn a_model_without_room_does_not_run_and_its_images_bind_nobody() {
    let large = plain_model_of(LARGE, 8, 1, 8, N_CLASSES);
    let board = Board::new(&large);
    let command = |args: &[&str]| {
        let output = board.command(args).output().unwrap();
        (output.status.code(), text(&output))
    };
    let again = ["update", "old.blob", "--flash", "fresh"];
    let (status, told) = command(&[&again[..], &["--built-in", "old.blob"]].concat());
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("bytes of arena"), "{told}");
    let (status, told) = command(&["stats", "old.blob"]);
    assert_eq!(status, Some(0), "{told}");
    for words in [
        "none: the model needs",
        "bad frames",
        "runs          no model",
    ] {
        assert!(told.contains(words), "no `{words}` in: {told}");
    }
    let mut device = board.start();
    let status = device.transfer_status().unwrap();
    assert_eq!((status.origin, status.running), (Origin::Nowhere, None));
    // It takes images of another shape.
    let smaller = plain_model(8, 2, 96, N_CLASSES);
    install(&mut device, &smaller, &mut all).unwrap();
    let status = device.transfer_status().unwrap();
    assert_eq!(status.origin, Origin::Slot(1));
}
