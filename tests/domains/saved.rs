//! Slots that are committed: a restart goes on with all of them, a rollback takes each from its own domain.

use super::{BOTH, SEED, SLOTS, journey, stream};
use crate::adaptation::IMAGE_BYTES;
use crate::field::Board;
use crate::guard::guarded;
use crate::nor::{Nor, PAGE};
use crate::toy::{self, CHANNELS, N_CLASSES, measured};
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{Domains, Report, state_bytes};
use aplysia_shared::adapt::guard::{Commit, Guard, Learner, Limits, Restored, Verdict};
use aplysia_shared::adapt::schedule::Schedule;
use aplysia_shared::adapt::terms::{TERMS_BYTES, Terms};
use aplysia_shared::adapt::{self, AdaptError, Config, Head, Plastic};
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
    /// Whatever was learned before.
    #[test]
    fn a_restart_goes_on_with_every_slot(
        turns in prop::collection::vec((0..4_usize, 20..80_usize), 1..6),
        slots in 1..4_u8,
        terms in prop_oneof![Just(None), Just(Some(&TERMS))],
        seed: u64,
    ) {
        let settings = Domains { slots, ..SLOTS };
        let blob = measured(3);
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &BOTH, &settings).unwrap()];
        let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
        plastic.set_domains(&model, Some(settings)).unwrap();
        live(&mut plastic, &model, &stream(&turns, seed));
        let len = BEHIND + 8 + usize::from(slots) * SLOT + terms.map_or(0, |_| TERMS_BYTES);
        let mut bytes = vec![0xA5; len];
        let short = bytes.len() - 1;
        prop_assert!(plastic.snapshot_all(&model, terms, &mut bytes[..short]).is_err());
        let snapshot = plastic.snapshot_all(&model, terms, &mut bytes).unwrap().to_vec();
        prop_assert_eq!(Terms::of(&snapshot), Ok(terms.copied()));
        prop_assert_eq!(snapshot.len(), bytes.len());
        prop_assert_eq!(&snapshot[64..BEHIND], &plastic.snapshot()[64..]);
        let before = plastic.domains().unwrap().1;

        let mut buffer = vec![0x5A; state_bytes(&model, &BOTH, &settings).unwrap() + 9];
        let mut after = Plastic::new(&model, BOTH, 0, &mut buffer).unwrap();
        after.restore(&model, &snapshot).unwrap();
        let (there, report) = after.domains().unwrap();
        prop_assert_eq!((there, report.used, report.held), (settings, before.used, before.held));
        prop_assert_eq!(after.snapshot_all(&model, terms, &mut bytes).unwrap(), &snapshot[..]);
        prop_assert_eq!(after.snapshot(), plastic.snapshot());
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
            0 => value & 0x7F == SLOTS.slots,
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
        // Shorter by any number of bytes, and longer.
        let shorter = &snapshot[..64 + flipped.index(snapshot.len() - 64)];
        for mut bytes in [shorter.to_vec(), [&snapshot[..], &[0; 8]].concat()] {
            let len = bytes.len() as u32;
            bytes[12..16].copy_from_slice(&len.to_le_bytes());
            toy::seal(&mut bytes);
            prop_assert!(plastic.restore(&model, &bytes).is_err());
        }
    }
}

/// A model and what was learned in two domains of it, with terms.
fn learned() -> (Vec<u8>, Vec<u8>) {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    plastic.set_domains(&model, Some(SLOTS)).unwrap();
    live(&mut plastic, &model, &stream(&[(1, 80), (2, 80)], 4));
    let mut bytes = vec![0; 4096];
    let snapshot = plastic.snapshot_all(&model, Some(&TERMS), &mut bytes);
    let snapshot = snapshot.unwrap().to_vec();
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
    let alone = plastic.snapshot_all(&model, None, &mut bytes).unwrap();
    assert_eq!(alone, plastic.snapshot());
}

/// What homeostasis learns of dark images and bright ones may cost golden samples: all may be lost.
const CARELESS: Limits = Limits {
    every: u16::MAX,
    drop: u16::MAX,
    commit_every: 0,
};

const TERMS: Terms = Terms {
    limits: CARELESS,
    schedule: Schedule::ALWAYS,
    owed: 0,
    last_rollback: None,
};

type Watched<'l, 'b> = Learner<'l, 'b, &'l mut Nor<8>>;

fn see(learner: &mut Watched<'_, '_>, turns: &[(usize, usize)], seed: u64) -> Report {
    for image in stream(turns, seed) {
        let (model, arena) = (learner.model, &mut *learner.arena);
        learner.plastic.observe(model, arena, &image).unwrap();
    }
    learner.plastic.domains().unwrap().1
}

/// Learns that every class is the one `off` behind it.
fn taught(learner: &mut Watched<'_, '_>, off: usize) {
    let (model, arena) = (learner.model, &mut *learner.arena);
    let mut buffer = vec![0; adapt::state_bytes(model, &BOTH).unwrap()];
    let mut base = Plastic::new(model, BOTH, SEED, &mut buffer).unwrap();
    for image in stream(&[(0, 200)], 11) {
        let class = base.infer(model, arena, &image).unwrap().class;
        learner.plastic.infer(model, arena, &image).unwrap();
        let label = (class + off) % N_CLASSES;
        learner.plastic.learn(model, label).unwrap();
    }
}

/// Learns lies, and is checked against a floor that they miss and what is better does not.
fn refused(learner: &mut Watched<'_, '_>) -> (Restored, Report) {
    let start = Guard::new(CARELESS, learner).unwrap().report().start;
    taught(learner, 1);
    let (model, arena) = (learner.model, &mut *learner.arena);
    let score = learner.plastic.score_golden(model, arena).unwrap();
    let limits = Limits {
        drop: start.checked_sub(score + 1).expect("lies cost something"),
        ..CARELESS
    };
    let mut guard = Guard::new(limits, learner).unwrap();
    let Verdict::RolledBack(rollback) = guard.check(learner).unwrap() else {
        panic!("{score} of {start} pass");
    };
    (rollback.to, learner.plastic.domains().unwrap().1)
}

/// A refused state becomes what was committed of its own domain; one of a domain begun since becomes the base, and so
/// does any where slots were asked for since. All that holds after a restart.
#[test]
fn a_rollback_takes_each_state_from_its_own_domain() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let model = Model::parse(&blob).unwrap();
    let mut flash = Nor::<8>::new(32);
    let mut store = Store::open(&mut flash, 0..32 * PAGE as u32).unwrap();
    let bytes = state_bytes(&model, &BOTH, &SLOTS).unwrap();
    let (mut buffer, mut after) = (vec![0; bytes], vec![0; bytes]);
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    plastic.set_domains(&model, Some(SLOTS)).unwrap();
    let mut learner = Learner {
        model: &model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut store,
        scratch: &mut [0; 4096],
    };
    // What is seen and what is right on golden samples, in each of two domains.
    for domain in [1, 2] {
        see(&mut learner, &[(domain, 50)], 6);
        taught(&mut learner, 0);
        let there = see(&mut learner, &[(domain, 10)], 7);
        assert_eq!(usize::from(there.used), domain, "{there:?}");
    }
    let mut guard = Guard::new(CARELESS, &mut learner).unwrap();
    assert!(matches!(guard.commit(&mut learner), Ok(Commit::Done(_))));
    let mut found = [0; 4096];
    let committed = learner.store.load(model.id(), &mut found).unwrap().unwrap();

    let mut restarted = Plastic::new(&model, Config::NOTHING, 0, &mut after).unwrap();
    restarted.restore(&model, committed).unwrap();
    learner.plastic = &mut restarted;
    let back = Restored::Committed { sequence: 1 };
    // What was in use then, and another.
    assert_eq!(refused(&mut learner).0, back);
    assert_eq!(learner.plastic.snapshot()[64..], committed[64..BEHIND]);
    assert_eq!(see(&mut learner, &[(1, 60)], 7).used, 1);
    let (_, first) = slot_of(committed, 1);
    assert_ne!(&learner.plastic.snapshot()[64..], first, "it learns on");
    let (to, report) = refused(&mut learner);
    assert_eq!((to, report.used, report.held), (back, 1, 2));
    assert_eq!(&learner.plastic.snapshot()[64..], first);
    // A third takes the slot of the second, which was left longest ago.
    let report = see(&mut learner, &[(3, 60)], 8);
    assert_eq!((report.used, report.replaced), (2, 1), "{report:?}");
    let (to, report) = refused(&mut learner);
    assert_eq!((to, report.used), (Restored::Base, 0));
    // The commit numbers others.
    learner.plastic.set_domains(&model, Some(SLOTS)).unwrap();
    let (to, report) = refused(&mut learner);
    assert_eq!((to, report.used), (Restored::Base, 0));
}

#[test]
fn what_is_recalled_after_a_restart_is_what_was_kept() {
    let (blob, snapshot) = learned();
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
    let mut plastic = Plastic::new(&model, BOTH, 0, &mut buffer).unwrap();
    plastic.restore(&model, &snapshot).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    // Nothing but homeostasis moves, so the prototypes are still what they were put in place as.
    let statistics = 8 * (CHANNELS[0] + CHANNELS[1]);
    let recalled = stream(&[(1, 60)], 5).iter().any(|image| {
        plastic.observe(&model, &mut arena, image).unwrap();
        let report = plastic.domains().unwrap().1;
        let is_there = report.recalled == 1 && report.used == 1;
        if is_there {
            let (_, kept) = slot_of(&snapshot, 1);
            assert_eq!(plastic.snapshot()[64 + statistics..], kept[statistics..]);
        }
        is_there
    });
    assert!(recalled, "{:?}", plastic.domains());
}

/// A bias of a slot that its accumulator cannot take is found before anything changes.
#[test]
fn a_bias_beyond_its_limit_is_refused_in_any_slot() {
    let config = Config {
        head: Head::Delta { rate: 900 },
        ..BOTH
    };
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &config, &SLOTS).unwrap()];
    let mut plastic = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
    plastic.set_domains(&model, Some(SLOTS)).unwrap();
    let mut bytes = [0; 4096];
    let snapshot = plastic.snapshot_all(&model, None, &mut bytes).unwrap();
    // Weights, then the biases, at the end of each state.
    let kept = (snapshot.len() - 64 - 8 - 2 * 8) / 3;
    assert_eq!(
        kept,
        8 * (CHANNELS[0] + CHANNELS[1]) + N_CLASSES * toy::D + 4 * N_CLASSES
    );
    let ends = [64 + kept, 64 + kept + 8 + 8 + kept, snapshot.len()];
    for end in ends {
        let mut bytes = snapshot.to_vec();
        assert_eq!(plastic.restore(&model, &bytes), Ok(()));
        bytes[end - 4..end].copy_from_slice(&i32::MAX.to_le_bytes());
        toy::seal(&mut bytes);
        let refused = plastic.restore(&model, &bytes);
        assert_eq!(refused, Err(AdaptError::SnapshotContent));
    }
}

#[test]
fn the_board_starts_again_with_its_slots() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let board = Board::new(&blob);
    let mut device = board.start();
    device.configure(BOTH, SEED).unwrap();
    device.domains(Some(SLOTS)).unwrap();
    device.guard(Some(CARELESS)).unwrap();
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
    assert_eq!(record.bytes as usize, BEHIND + 8 + 2 * SLOT + TERMS_BYTES);
    let learned = device.snapshot().unwrap();
    drop(device);

    let mut device = board.start();
    let stats = device.stats().unwrap();
    assert_eq!(stats.guard.boot, Boot::Restored { sequence: 1 });
    assert_eq!(stats.guard.limits, Some(CARELESS));
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
