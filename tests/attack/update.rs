//! Any content of two model slots and their boot record: a start has a model that the policy takes or says why
//! not, a model on trial is tried once, and whatever was found, a sound release is received, tried and kept.
//!
//! The first byte chooses how far an update has come, whose models are taken, and whether checksums are made
//! right; the rest are patches of that flash: place (`u16`, little-endian), length, bytes.

use crate::attack::{blob, flash};
use crate::nor::{Fault, Nor, PAGE};
use crate::slots::{RECORD, key, layout, made_with, policy, release, send, trust, updater};
use aplysia_shared::Model;
use aplysia_shared::blob::total_len;
use aplysia_shared::signature::Trust;
use aplysia_shared::update::{Boot, Updater};
use std::sync::LazyLock;

type Device = Updater<Nor<4>>;

/// The model of the start, the next one, and one that follows every counter.
static RELEASES: LazyLock<[Vec<u8>; 3]> =
    LazyLock::new(|| [release(3, 1), release(4, 2), release(5, u64::MAX)]);
/// The flash before an update, with the new model activated, on trial, and confirmed.
static STAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let steps: [fn(&mut Device); 3] = [
        |device| {
            send(device, &RELEASES[1]).expect("newer");
            device.activate(&mut ARENA.clone()).expect("sound");
        },
        |device| assert!(device.boot().trial),
        |device| device.confirm().expect("on trial"),
    ];
    let mut device = updater(made_with(&RELEASES[0]));
    let mut stages = vec![device.flash().cells.clone()];
    for step in steps {
        step(&mut device);
        stages.push(device.flash().cells.clone());
    }
    stages
});
const ARENA: [i8; 4096] = [0; 4096];

/// See the module.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&choice, mut patches)) = bytes.split_first() else {
        return;
    };
    let mut cells = STAGES[usize::from(choice) % STAGES.len()].clone();
    while let [low, high, len, rest @ ..] = patches {
        let (patch, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        let at = usize::from(u16::from_le_bytes([*low, *high])) % cells.len();
        let end = (at + patch.len()).min(cells.len());
        cells[at..end].copy_from_slice(&patch[..end - at]);
        patches = rest;
    }
    if choice & 8 != 0 {
        seal(&mut cells);
    }
    let trust = match choice & 4 {
        0 => Trust::Anyone,
        _ => trust(&key(1)),
    };
    attack(cells, trust);
}

/// Every stage under both policies, as it is and made right; a boot record of another state.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let state = [64, 0, 2, 1, 2];
    (0..16)
        .map(|choice| vec![choice])
        .chain([[&[8], &state[..]].concat()])
        .collect()
}

/// Checksums of both boot records and of the blobs as far as their headers reach.
fn seal(cells: &mut [u8]) {
    let [a, b] = layout().slots;
    for slot in [a, b] {
        let slot = &mut cells[slot.start as usize..slot.end as usize];
        if let Ok(len) = total_len(slot)
            && let Some(model) = slot.get_mut(..len)
        {
            blob::seal(model);
        }
    }
    cells[..RECORD.end as usize]
        .chunks_mut(PAGE)
        .for_each(flash::seal);
}

fn attack(cells: Vec<u8>, trust: Trust) {
    let flash = Nor::holding(cells, false);
    let mut device = Updater::open(flash, layout(), policy(trust)).expect("on page borders");
    if start(&mut device, trust).trial {
        let second = start(&mut device, trust);
        assert!(!second.trial && second.reverted, "tried once");
    }
    let last = &RELEASES[2];
    send(&mut device, last).expect("no trial is left");
    device.activate(&mut ARENA.clone()).expect("sound");
    for trial in [true, false] {
        let boot = device.boot();
        assert_eq!((boot.trial, boot.reverted), (trial, false));
        assert!(device.slot(boot.slot.expect("sound")).starts_with(last));
        if trial {
            device.confirm().expect("on trial");
        }
    }
}

/// What the device starts with: a model that may run here, of the right key if there is one.
fn start(device: &mut Device, trust: Trust) -> Boot<Fault> {
    let boot = device.boot();
    match &boot.slot {
        Err(error) => {
            assert!(!boot.trial && !error.to_string().is_empty());
        }
        &Ok(slot) => {
            let slot = device.slot(slot);
            let model = Model::parse(slot).expect("checked");
            assert_eq!(policy(trust).room.holds(&model), Ok(()));
            assert!(trust == Trust::Anyone || RELEASES.iter().any(|blob| slot.starts_with(blob)));
        }
    }
    boot
}
