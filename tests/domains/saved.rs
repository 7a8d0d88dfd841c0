//! Slots that are committed: a restart goes on with all of them, a rollback takes each from its own domain.

use super::{BOTH, SEED, SLOTS, journey, stream};
use crate::adaptation::IMAGE_BYTES;
use crate::field::Board;
use crate::guard::guarded;
use crate::nor::{Nor, PAGE};
use crate::toy::{self, CHANNELS, N_CLASSES, measured};
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{Domains, state_bytes};
use aplysia_shared::adapt::guard::{Commit, Guard, Learner, Limits, Restored, Verdict};
use aplysia_shared::adapt::{AdaptError, Plastic};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::protocol::Boot;
use aplysia_shared::quant::i32_at;
use aplysia_shared::store::Store;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes kept of a state under [`BOTH`].
const KEPT: usize = 8 * (CHANNELS[0] + CHANNELS[1]) + 2 * N_CLASSES * toy::D;
/// Where what belongs to the slots begins in a snapshot, and one of them.
const BEHIND: usize = 64 + KEPT;
const SLOT: usize = 8 + KEPT;

/// The `slot`-th of a snapshot, from 1: when it was left last, its state.
fn slot_of(snapshot: &[u8], slot: usize) -> (i32, &[u8]) {
    let bytes = &snapshot[BEHIND + 8 + (slot - 1) * SLOT..][..SLOT];
    (i32_at(bytes, 0), &bytes[8..])
}

fn live(plastic: &mut Plastic<'_>, model: &Model<'_>, images: &[Vec<i8>]) {
    let mut arena = vec![0; model.arena_bytes()];
    for (i, image) in images.iter().enumerate() {
        plastic.observe(model, &mut arena, image).unwrap();
        plastic.learn(model, i % N_CLASSES).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever was learned before; what is recalled afterwards is what the snapshot holds of it.
    #[test]
    fn a_restart_goes_on_with_every_slot(
        turns in prop::collection::vec((0..4_usize, 20..80_usize), 1..6),
        slots in 1..4_u8,
        seed: u64,
        other: Index,
    ) {
        let settings = Domains { slots, ..SLOTS };
        let blob = measured(3);
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &BOTH, &settings).unwrap()];
        let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
        plastic.set_domains(&model, Some(settings)).unwrap();
        live(&mut plastic, &model, &stream(&turns, seed));
        let mut bytes = vec![0xA5; BEHIND + 8 + usize::from(slots) * SLOT];
        let short = bytes.len() - 1;
        prop_assert!(plastic.snapshot_all(&model, &mut bytes[..short]).is_err());
        let snapshot = plastic.snapshot_all(&model, &mut bytes).unwrap().to_vec();
        prop_assert_eq!(snapshot.len(), bytes.len());
        prop_assert_eq!(&snapshot[64..BEHIND], &plastic.snapshot()[64..]);
        let before = plastic.domains().unwrap().1;

        let mut buffer = vec![0x5A; state_bytes(&model, &BOTH, &settings).unwrap() + 9];
        let mut after = Plastic::new(&model, BOTH, 0, &mut buffer).unwrap();
        after.restore(&model, &snapshot).unwrap();
        let (there, report) = after.domains().unwrap();
        prop_assert_eq!((there, report.used, report.held), (settings, before.used, before.held));
        prop_assert_eq!(after.snapshot_all(&model, &mut bytes).unwrap(), &snapshot[..]);
        prop_assert_eq!(after.snapshot(), plastic.snapshot());

        // Back to where one of the turns was: the first state put in place is one of the snapshot's.
        let mut arena = vec![0; model.arena_bytes()];
        let (domain, _) = turns[other.index(turns.len())];
        for image in stream(&[(domain, 60)], seed ^ 1) {
            let was = after.domains().unwrap().1;
            // The state as it is put in place, before the image: homeostasis alone has moved it since.
            after.observe(&model, &mut arena, &image).unwrap();
            let now = after.domains().unwrap().1;
            if now.recalled > was.recalled && now.used > 0 {
                let heads = 8 * (CHANNELS[0] + CHANNELS[1]);
                let (left, kept) = slot_of(&snapshot, now.used.into());
                prop_assert!(left != 0);
                prop_assert_eq!(&after.snapshot()[64 + heads..], &kept[heads..]);
                break;
            }
            if (now.used, now.opened) != (was.used, was.opened) {
                break;
            }
        }
    }

    /// No byte of it can change unseen; a whole one that says what cannot be is refused, and nothing has changed.
    #[test]
    fn slots_that_cannot_be_are_refused(at in 0..8_usize, value: u8, flipped: Index) {
        let (blob, snapshot) = learned();
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
        let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
        let fresh = plastic.snapshot().to_vec();
        let mut bytes = snapshot.clone();
        bytes[flipped.index(snapshot.len())] ^= 1;
        prop_assert!(plastic.restore(&model, &bytes).is_err());
        let mut bytes = snapshot.clone();
        bytes[BEHIND + at] = value;
        toy::seal(&mut bytes);
        let is_sound = match at {
            0 => value == SLOTS.slots,
            1 => value <= SLOTS.slots,
            _ => true,
        };
        let restored = plastic.restore(&model, &bytes);
        prop_assert_eq!(restored.is_ok(), is_sound, "{:?}", restored);
        if !is_sound {
            prop_assert_eq!(restored, Err(AdaptError::SnapshotContent));
            prop_assert_eq!(plastic.snapshot(), &fresh[..]);
            prop_assert_eq!(plastic.domains(), None);
        }
        // Shorter and longer by any number of bytes.
        let mut bytes = snapshot[..64 + flipped.index(snapshot.len() - 64)].to_vec();
        let len = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        toy::seal(&mut bytes);
        prop_assert!(plastic.restore(&model, &bytes).is_err());
    }
}

/// A model and what was learned in two domains of it.
fn learned() -> (Vec<u8>, Vec<u8>) {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    plastic.set_domains(&model, Some(SLOTS)).unwrap();
    live(&mut plastic, &model, &stream(&[(1, 80), (2, 80)], 4));
    let mut bytes = vec![0; 4096];
    let snapshot = plastic.snapshot_all(&model, &mut bytes).unwrap().to_vec();
    assert_eq!(plastic.domains().unwrap().1.held, 2);
    (blob, snapshot)
}

#[test]
fn a_smaller_memory_refuses_the_slots_and_a_state_alone_has_none() {
    let (blob, snapshot) = learned();
    let model = Model::parse(&blob).unwrap();
    let want_bytes = state_bytes(&model, &BOTH, &SLOTS).unwrap();
    let mut buffer = vec![0; want_bytes - 1];
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    let short = AdaptError::Buffer {
        got_bytes: want_bytes - 1,
        want_bytes,
    };
    assert_eq!(plastic.restore(&model, &snapshot), Err(short));
    assert_eq!(plastic.domains(), None);
    let mut bytes = [0; 4096];
    let alone = plastic.snapshot_all(&model, &mut bytes).unwrap();
    assert_eq!(alone, plastic.snapshot());
}

/// A refused state becomes what was committed of its own domain; one of a domain begun since becomes the base.
#[test]
fn a_rollback_takes_each_state_from_its_own_domain() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let model = Model::parse(&blob).unwrap();
    let mut flash = Nor::<8>::new(16);
    let mut store = Store::open(&mut flash, 0..16 * PAGE as u32).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    plastic.set_domains(&model, Some(SLOTS)).unwrap();
    let mut learner = Learner {
        model: &model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut store,
        scratch: &mut [0; 4096],
    };
    // What homeostasis learns of dark images and bright ones may cost golden samples: all may be lost.
    let careless = Limits {
        every: u16::MAX,
        drop: u16::MAX,
        commit_every: 0,
    };
    let mut guard = Guard::new(careless, &mut learner).unwrap();
    let see = |learner: &mut Learner<'_, '_, _>, turns: &[(usize, usize)], seed| {
        for image in stream(turns, seed) {
            let (model, arena) = (learner.model, &mut *learner.arena);
            learner.plastic.observe(model, arena, &image).unwrap();
        }
    };
    let used = |l: &Learner<'_, '_, _>| l.plastic.domains().unwrap().1.used;
    see(&mut learner, &[(1, 60), (2, 60)], 6);
    assert_eq!(used(&learner), 2);
    let mut copy = vec![0; 4096];
    let committed = learner.plastic.snapshot_all(&model, &mut copy).unwrap();
    assert!(matches!(guard.commit(&mut learner), Ok(Commit::Done(_))));
    let (_, first) = slot_of(committed, 1);

    // Domain 1 is back and learns on; then nothing passes.
    see(&mut learner, &[(1, 60)], 7);
    assert_eq!(used(&learner), 1);
    assert_ne!(&learner.plastic.snapshot()[64..], first);
    let taken_back = |learner: &mut Learner<'_, '_, _>, to: fn(&Restored) -> bool| {
        // A floor that the state in use misses, and the base and what was committed do not.
        let mut strict = Guard::new(careless, learner).unwrap();
        for class in (0..N_CLASSES).cycle().take(400) {
            for image in stream(&[(0, 1)], class as u64) {
                let (model, arena) = (learner.model, &mut *learner.arena);
                learner.plastic.infer(model, arena, &image).unwrap();
                learner.plastic.learn(model, 0).unwrap();
            }
        }
        let start = strict.report().start;
        let score = learner
            .plastic
            .score_golden(learner.model, learner.arena)
            .unwrap();
        assert!(score + 1 < start, "{score} of {start}");
        let limits = Limits {
            drop: start - score - 1,
            ..careless
        };
        strict = Guard::new(limits, learner).unwrap();
        match strict.check(learner).unwrap() {
            Verdict::RolledBack(rollback) => assert!(to(&rollback.to), "{rollback:?}"),
            verdict => panic!("{verdict:?}"),
        }
    };
    taken_back(&mut learner, |to| {
        matches!(to, Restored::Committed { sequence: 1 })
    });
    assert_eq!(used(&learner), 1);
    assert_eq!(
        &learner.plastic.snapshot()[64..],
        first,
        "of its own domain"
    );
    assert_eq!(learner.plastic.domains().unwrap().1.held, 2);

    // A third domain takes the slot of the second.
    see(&mut learner, &[(3, 60)], 8);
    let report = learner.plastic.domains().unwrap().1;
    assert_eq!((report.used, report.replaced), (2, 1), "{report:?}");
    taken_back(&mut learner, |to| *to == Restored::Base);
    assert_eq!(used(&learner), 0);
}

#[test]
fn the_board_starts_again_with_its_slots() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let board = Board::new(&blob);
    let mut device = board.start();
    device.configure(BOTH, SEED).unwrap();
    device.domains(Some(SLOTS)).unwrap();
    let limits = Limits {
        every: u16::MAX,
        drop: u16::MAX,
        commit_every: 0,
    };
    device.guard(Some(limits)).unwrap();
    let labelled = journey(&[(1, 60), (2, 60)], 5);
    for (i, pixels) in labelled.pixels.chunks(IMAGE_BYTES).enumerate() {
        device.infer(pixels, true).unwrap();
        device.learn((i % N_CLASSES) as u8).unwrap();
    }
    let before = device.stats().unwrap().domains.unwrap();
    assert_eq!((before.report.used, before.report.held), (2, 2));
    let Commit::Done(record) = device.commit().unwrap() else {
        panic!("not committed");
    };
    assert_eq!(record.bytes as usize, BEHIND + 8 + 2 * SLOT);
    let learned = device.snapshot().unwrap();
    drop(device);

    let mut device = board.start();
    let stats = device.stats().unwrap();
    assert_eq!(stats.guard.boot, Boot::Restored { sequence: 1 });
    let there = stats.domains.unwrap();
    assert_eq!(there.settings, SLOTS);
    assert_eq!((there.report.used, there.report.held), (2, 2));
    assert_eq!(device.snapshot().unwrap(), learned);
    for pixels in journey(&[(1, 60)], 6).pixels.chunks(IMAGE_BYTES) {
        device.infer(pixels, true).unwrap();
    }
    let report = device.stats().unwrap().domains.unwrap().report;
    assert_eq!((report.used, report.opened), (1, 0), "recalled: {report:?}");
}
