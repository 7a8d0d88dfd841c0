//! Records with a right checksum that no commit has written, and the bytes of those that one has.

use super::done;
use crate::guard::{BOTH, DELTA, Device, INSTAR, LIMITS, guarded, on_device};
use crate::toy::{self, images, measured};
use aplysia_shared::adapt::guard::{CommitError, Guard, Limits, Restored, Rollback, Verdict};
use aplysia_shared::adapt::schedule::{Budget, Schedule, When};
use aplysia_shared::adapt::terms::{TERMS_BYTES, Terms};
use aplysia_shared::adapt::{AdaptError, Config, Counters};
use aplysia_shared::blob::GoldenKind;
use proptest::prelude::*;

const TERMS: Terms = Terms {
    limits: LIMITS,
    schedule: Schedule::ALWAYS,
    owed: 0,
    last_rollback: None,
};

/// A snapshot of a fresh learner with `terms`.
fn with_terms(terms: &Terms) -> Vec<u8> {
    toy::with(&measured(3), DELTA, |model, plastic| {
        let mut bytes = [0; 1024];
        let snapshot = plastic.snapshot_all(model, Some(terms), &mut bytes);
        snapshot.unwrap().to_vec()
    })
}

#[test]
fn the_bytes_of_terms() {
    let terms = Terms {
        limits: Limits {
            every: 4,
            drop: 300,
            commit_every: 100,
        },
        schedule: Schedule {
            when: When::Unsure { margin: 25 },
            budget: Some(Budget {
                images: 1000,
                updates: 40,
                instructions: 5_000_000,
                commits: 1,
            }),
        },
        owed: 129,
        last_rollback: Some(Rollback {
            score: 3,
            floor: 18,
            to: Restored::Committed { sequence: 7 },
        }),
    };
    let snapshot = with_terms(&terms);
    assert_eq!(snapshot[4..6], [3, 0]);
    let written = [
        0x04, 0xAC, 0x02, 0x64, // every, drop, commit_every
        0x01, 0x19, 0x01, // unsure, margin, a budget
        0xE8, 0x07, 0x28, 0xC0, 0x96, 0xB1, 0x02,
        0x01, // images, updates, instructions, commits
        0x81, 0x01, // owed
        0x01, 0x03, 0x12, 0x00, 0x07, // a rollback, score, floor, to a commit, its number
    ];
    let (at_end, zeros) = snapshot[snapshot.len() - TERMS_BYTES..].split_at(written.len());
    assert_eq!(at_end, written);
    assert!(zeros.iter().all(|&byte| byte == 0));
    assert_eq!(Terms::of(&snapshot), Ok(Some(terms)));

    let largest = Terms {
        limits: Limits {
            every: u16::MAX,
            drop: u16::MAX,
            commit_every: u32::MAX,
        },
        schedule: Schedule {
            when: When::Every { n: u16::MAX },
            budget: Some(Budget {
                images: u32::MAX,
                updates: u32::MAX,
                instructions: u64::MAX,
                commits: u32::MAX,
            }),
        },
        owed: u64::MAX,
        last_rollback: Some(Rollback {
            score: u16::MAX,
            floor: u16::MAX,
            to: Restored::Committed { sequence: u32::MAX },
        }),
    };
    let snapshot = with_terms(&largest);
    assert_ne!(snapshot.last(), Some(&0), "they take all the room there is");
    assert_eq!(Terms::of(&snapshot), Ok(Some(largest)));
}

/// A record that no guard has passed, right but for what it teaches.
#[test]
fn a_bad_state_in_flash_is_taken_back_before_it_is_used() {
    for config in [DELTA, INSTAR, BOTH] {
        on_device(&guarded(GoldenKind::Inputs, config), config, |device| {
            let (start, base) = (device.score(), device.plastic.digest());
            images(40, 8).iter().for_each(|i| device.teach(i, 1));
            let score = device.score();
            commit(device, &TERMS);
            let guard = device.restart().unwrap();
            let refused = Rollback {
                score,
                floor: start - LIMITS.drop,
                to: Restored::Base,
            };
            assert!(score < refused.floor);
            assert_eq!(guard.last_rollback(), Some(refused));
            assert_eq!((guard.report().rollbacks, guard.report().last), (1, score));
            assert_eq!(device.plastic.digest(), base);
        });
    }
}

/// Whatever `device` has learned, in flash under `terms`, unscored.
fn commit(device: &mut Device<'_>, terms: &Terms) {
    device.with(|l| {
        let mut bytes = [0; 1024];
        let snapshot = l.plastic.snapshot_all(l.model, Some(terms), &mut bytes);
        l.store.commit(l.model.id(), snapshot.unwrap()).unwrap()
    });
}

#[test]
fn a_state_that_cannot_be_scored_is_not_used() {
    let blind = guarded(GoldenKind::Features, DELTA);
    for (blob, config, why) in [
        (measured(3), DELTA, AdaptError::NoGolden),
        (blind, BOTH, AdaptError::GoldenFeatures),
    ] {
        on_device(&blob, config, |device| {
            device.teach(&images(1, 2)[0], 1);
            commit(device, &TERMS);
            let refused = device.with(|l| Guard::resume(l));
            assert_eq!(refused.err(), Some(CommitError::Adapt(why)));
            assert_eq!(device.plastic.config(), Config::NOTHING);
            assert_eq!(device.plastic.counters(), Counters::default());
        });
    }
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let some = prop_oneof![0..5_u32, any::<u32>()];
    let many = prop_oneof![0..2_000_000_u64, any::<u64>()];
    let when = prop_oneof![
        any::<u16>().prop_map(|n| When::Every { n }),
        any::<u8>().prop_map(|margin| When::Unsure { margin }),
        Just(When::Asked),
    ];
    let limits = (0..9_u16, prop_oneof![0..9_u16, any::<u16>()], some.clone());
    let budget = prop::option::of((some.clone(), some.clone(), many.clone(), some.clone()));
    let rollback = prop::option::of((any::<u16>(), any::<u16>(), prop::option::of(some)));
    (limits, when, budget, many, rollback).prop_map(|(limits, when, budget, owed, rollback)| {
        let (every, drop, commit_every) = limits;
        let budget = budget.map(|(images, updates, instructions, commits)| Budget {
            images,
            updates,
            instructions,
            commits,
        });
        let committed = |sequence| Restored::Committed { sequence };
        Terms {
            limits: Limits {
                every,
                drop,
                commit_every,
            },
            schedule: Schedule { when, budget },
            owed,
            last_rollback: rollback.map(|(score, floor, to)| Rollback {
                score,
                floor,
                to: to.map_or(Restored::Base, committed),
            }),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// A forged record with any terms and a state full of lies: each check leaves what is at the floor or above.
    #[test]
    fn any_terms_are_harmless(terms in any_terms(), seed: u64) {
        on_device(&guarded(GoldenKind::Features, DELTA), DELTA, |device| {
            let start = device.score();
            images(20, seed).iter().for_each(|i| device.teach(i, 1));
            commit(device, &terms);
            let mut guard = device.restart().unwrap();
            let floor = start.saturating_sub(terms.limits.drop);
            prop_assert_eq!((guard.limits(), guard.floor()), (terms.limits, floor));
            prop_assert_eq!(device.plastic.schedule(), terms.schedule);
            prop_assert!(device.score() >= floor);
            for image in images(20, seed ^ 1) {
                device.teach(&image, 1);
                let verdict = device.with(|l| guard.learned(l)).unwrap();
                prop_assert!(verdict == Verdict::NotDue || device.score() >= floor);
                let kept = done(device.with(|l| guard.commit(l)));
                prop_assert!(!kept || device.score() >= floor);
            }
            Ok(())
        })?;
    }

    /// A byte of the terms changed, the checksum made right; terms cut off.
    #[test]
    fn terms_are_read_as_they_were_written_or_refused(
        terms in any_terms(),
        at in 0..TERMS_BYTES,
        value: u8,
    ) {
        let whole = with_terms(&terms);
        let end = whole.len() - TERMS_BYTES;
        let mut bytes = whole.clone();
        bytes[end + at] = value;
        toy::seal(&mut bytes);
        match Terms::of(&bytes) {
            Ok(Some(read)) => prop_assert_eq!(with_terms(&read), bytes),
            refused => prop_assert_eq!(refused, Err(AdaptError::SnapshotContent)),
        }
        let mut short = whole[..end + at].to_vec();
        let len = short.len() as u32;
        short[12..16].copy_from_slice(&len.to_le_bytes());
        toy::seal(&mut short);
        let blob = measured(3);
        toy::with(&blob, DELTA, |model, plastic| {
            let fresh = plastic.snapshot().to_vec();
            prop_assert!(plastic.restore(model, &short).is_err());
            prop_assert_eq!(plastic.snapshot(), &fresh[..]);
            Ok(())
        })?;
    }
}
