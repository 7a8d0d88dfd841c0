//! A guard within the schedule's budget: commits, and what its checks take.

use crate::guard::guarded;
use crate::nor::{Nor, PAGE};
use crate::toy::images;
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::{Commit, Guard, Learner, Limits, Verdict};
use aplysia_shared::adapt::schedule::{Budget, Schedule, When};
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::store::Store;
use proptest::prelude::*;

const SEED: u32 = 7;
const LIMITS: Limits = Limits {
    every: 4,
    drop: u16::MAX,
    commit_every: 0,
};

const fn config(head: Head) -> Config {
    Config {
        homeostasis: None,
        head,
    }
}

#[test]
fn commits_keep_to_the_budget() {
    let head = Head::Delta { rate: 300 };
    let blob = guarded(GoldenKind::Inputs, config(head));
    let model = Model::parse(&blob).unwrap();
    let mut state = vec![0; state_bytes(&model, &config(head)).unwrap()];
    let mut plastic = Plastic::new(&model, config(head), SEED, &mut state).unwrap();
    plastic.set_schedule(Schedule {
        when: When::Every { n: 1 },
        budget: Some(Budget {
            images: 10,
            updates: u32::MAX,
            instructions: u64::MAX,
            commits: 2,
        }),
    });
    let flash = Nor::<8>::new(8);
    let mut learner = Learner {
        model: &model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut Store::open(flash, 0..(8 * PAGE) as u32).unwrap(),
        scratch: &mut [0; 1024],
    };
    let mut guard = Guard::new(LIMITS, &mut learner).unwrap();
    let mut done = vec![];
    for (i, image) in images(30, 25).iter().enumerate() {
        (learner.plastic)
            .infer(learner.model, learner.arena, image)
            .unwrap();
        learner.plastic.learn(learner.model, 0).unwrap();
        match guard.commit(&mut learner).unwrap() {
            Commit::Done(record) => {
                done.push(i);
                assert_eq!(record.sequence as usize, done.len());
            }
            // The images seen so far, this one included, and those still missing end a window.
            Commit::OverBudget { images } => assert_eq!((i as u32 + images) % 10, 0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done, [0, 1, 10, 11, 20, 21]);
    let spent = learner.plastic.spent();
    assert_eq!((spent.commits, spent.commits_refused), (6, 24));
    assert_eq!(guard.report().commits, 6);
}

/// The schedule's account of a guard, kept again from its definition: a check belongs to the window of the update
/// that led to it, and what that window took beyond its limit is missing in the next ones.
fn check_guarded(images_of_window: u32, limit: u64, every: u16) {
    let head = Head::Delta { rate: 300 };
    let blob = guarded(GoldenKind::Inputs, config(head));
    let model = Model::parse(&blob).unwrap();
    let label = model.label_instructions(&config(head));
    let score = model.check_instructions(&config(head));
    assert!(score > 5 * label, "{score} {label}");
    let mut state = vec![0; state_bytes(&model, &config(head)).unwrap()];
    let mut plastic = Plastic::new(&model, config(head), SEED, &mut state).unwrap();
    plastic.set_schedule(Schedule {
        when: When::Every { n: 1 },
        budget: Some(Budget {
            images: images_of_window,
            updates: u32::MAX,
            instructions: limit,
            commits: 0,
        }),
    });
    let mut learner = Learner {
        model: &model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut Store::open(Nor::<8>::new(8), 0..(8 * PAGE) as u32).unwrap(),
        scratch: &mut [0; 1024],
    };
    let limits = Limits { every, ..LIMITS };
    let mut guard = Guard::new(limits, &mut learner).unwrap();
    // By image: what was spent with it.
    let mut spent: Vec<u64> = vec![];
    for (i, image) in images(60, 26).iter().enumerate() {
        let windows: Vec<&[u64]> = spent.chunks(images_of_window as usize).collect();
        let (before, here) = windows.split_at(i / images_of_window as usize);
        let owed = before.iter().fold(0_u64, |owed, window| {
            (owed + window.iter().sum::<u64>()).saturating_sub(limit)
        });
        let taken = owed + here.concat().iter().sum::<u64>();
        let wanted = (learner.plastic)
            .infer(learner.model, learner.arena, image)
            .unwrap()
            .wanted;
        assert_eq!(
            wanted,
            taken + label <= limit,
            "image {i}: {taken} of {limit}"
        );
        let mut now = 0;
        if wanted {
            learner.plastic.learn(learner.model, 0).unwrap();
            let is_checked = guard.learned(&mut learner).unwrap() != Verdict::NotDue;
            now = label + if is_checked { score } else { 0 };
        }
        spent.push(now);
    }
    let total: u64 = spent.iter().sum();
    assert_eq!(learner.plastic.spent().instructions, total);
    let windows = 60_u64.div_ceil(images_of_window.into());
    assert!(total <= windows.saturating_mul(limit).saturating_add(score));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_guards_checks_are_paid_for(
        images_of_window in 1_u32..20,
        limit in prop_oneof![0_u64..40_000, 0_u64..4_000_000, Just(u64::MAX)],
        every in 0_u16..7,
    ) {
        check_guarded(images_of_window, limit, every);
    }
}
