//! A sealed base: whatever is shown and taught, it stays; under the guard, and on the device as on the host.

use super::{BOTH, SEED, SLOTS, journey, stream};
use crate::adaptation::go_on;
use crate::device::{boot, refusal};
use crate::guard::guarded;
use crate::nor::{Nor, PAGE};
use crate::toy::{N_CLASSES, measured};
use aplysia_live::adaptation::Plan;
use aplysia_live::guarded::{adapt_device_guarded, adapt_guarded_by};
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{Domains, state_bytes};
use aplysia_shared::adapt::guard::{Guard, Learner, Limits, Verdict};
use aplysia_shared::adapt::{AdaptError, Config, Head, Plastic};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::protocol::Refusal;
use aplysia_shared::store::Store;
use proptest::prelude::*;

const SEALED: Domains = Domains {
    sealed: true,
    ..SLOTS
};
const LIMITS: Limits = Limits {
    every: 4,
    drop: 2,
    commit_every: 0,
};
/// Moves as far as a liar can wish.
const FAST: Config = Config {
    head: Head::Delta { rate: 4000 },
    ..BOTH
};

/// What is learned, without counters.
fn body(plastic: &mut Plastic<'_>) -> Vec<u8> {
    plastic.snapshot()[64..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// In use, it is the base's bytes, and nothing is wanted; clean images put it in place, lies or not.
    #[test]
    fn a_sealed_base_stays_and_clean_images_find_it(
        turns in prop::collection::vec((0..4_usize, 1..70_usize), 1..6),
        head in prop::sample::select(vec![BOTH.head, FAST.head]),
        seed: u64,
    ) {
        let config = Config { head, ..BOTH };
        let blob = measured(3);
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &config, &SEALED).unwrap()];
        let mut plastic = Plastic::new(&model, config, SEED, &mut buffer).unwrap();
        let base = body(&mut plastic);
        plastic.set_domains(&model, Some(SEALED)).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        let turns = [&turns[..], &[(0, 90)]].concat();
        for (i, image) in stream(&turns, seed).iter().enumerate() {
            let seen = plastic.observe(&model, &mut arena, image).unwrap();
            let is_base = plastic.domains().unwrap().1.used == 0;
            prop_assert_eq!((seen.observed, seen.wanted), (!is_base, !is_base), "image {}", i);
            plastic.learn(&model, (seen.class + 1) % N_CLASSES).unwrap();
            if is_base {
                prop_assert_eq!(&body(&mut plastic), &base, "image {}", i);
            }
        }
        prop_assert_eq!(plastic.domains().unwrap().1.used, 0);
    }
}

#[test]
fn what_was_learned_before_is_a_slot_of_its_own() {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &BOTH, &SEALED).unwrap()];
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    let base = body(&mut plastic);
    let mut arena = vec![0; model.arena_bytes()];
    let images = stream(&[(1, 140)], 8);
    let (before, after) = images.split_at(80);
    for image in before {
        plastic.observe(&model, &mut arena, image).unwrap();
        plastic.learn(&model, 1).unwrap();
    }
    let learned = body(&mut plastic);
    plastic.set_domains(&model, Some(SEALED)).unwrap();
    plastic.observe(&model, &mut arena, &after[0]).unwrap();
    assert_eq!(plastic.domains().unwrap().1.used, 0);
    assert_eq!(body(&mut plastic), base);
    let found = after[1..].iter().any(|image| {
        plastic.observe(&model, &mut arena, image).unwrap();
        plastic.domains().unwrap().1.used == 1
    });
    let report = plastic.domains().unwrap().1;
    assert!(found, "{report:?}");
    assert_eq!((report.opened, report.held), (1, 1));
    // But for the statistics, which have followed an image.
    let head = learned.len() - 40;
    assert_eq!(body(&mut plastic)[head..], learned[head..]);
}

/// Features show what labels taught as images do; a liar is taken back, and the floor holds after each check.
#[test]
fn the_guard_scores_what_labels_taught() {
    let runs = [GoldenKind::Inputs, GoldenKind::Features].map(|kind| {
        let blob = guarded(kind, FAST);
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &FAST, &SEALED).unwrap()];
        let mut plastic = Plastic::new(&model, FAST, SEED, &mut buffer).unwrap();
        let mut flash = Nor::<8>::new(16);
        let mut learner = Learner {
            model: &model,
            plastic: &mut plastic,
            arena: &mut vec![0; model.arena_bytes()],
            store: &mut Store::open(&mut flash, 0..16 * PAGE as u32).unwrap(),
            scratch: &mut [0; 2048],
        };
        let blind = Guard::new(LIMITS, &mut learner).err();
        let features = kind == GoldenKind::Features;
        assert_eq!(blind, features.then_some(AdaptError::GoldenFeatures));
        learner.plastic.set_domains(&model, Some(SEALED)).unwrap();
        let mut guard = Guard::new(LIMITS, &mut learner).unwrap();
        let mut verdicts = vec![];
        for image in stream(&[(1, 120), (0, 60), (2, 120)], 6) {
            verdicts.push(guard.before_image(&mut learner).unwrap());
            let arena = &mut *learner.arena;
            let seen = learner.plastic.observe(&model, arena, &image).unwrap();
            if seen.observed {
                guard.observed();
            }
            if seen.wanted {
                let lie = (seen.class + 1) % N_CLASSES;
                learner.plastic.learn(&model, lie).unwrap();
                verdicts.push(guard.learned(&mut learner).unwrap());
            }
            if verdicts.last() != Some(&Verdict::NotDue) {
                let score = learner.plastic.score_golden(&model, learner.arena);
                assert!(score.unwrap() >= guard.floor());
            }
        }
        assert!(guard.report().rollbacks > 0, "{:?}", guard.report());
        (verdicts, guard.report())
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn the_device_seals_its_base_as_the_host_does() {
    let blob = guarded(GoldenKind::Features, FAST);
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    device.configure(FAST, SEED).unwrap();
    let blind = refusal(device.guard(Some(LIMITS)));
    assert_eq!(blind, Refusal::GoldenFeatures, "homeostasis is not seen");
    device.domains(Some(SEALED)).unwrap();
    device.guard(Some(LIMITS)).unwrap();
    for open in [None, Some(SLOTS)] {
        assert_eq!(refusal(device.domains(open)), Refusal::GoldenFeatures);
    }
    let stream = journey(&[(1, 80), (0, 60), (2, 60), (1, 60), (0, 60)], 5);
    let plan = Plan {
        domains: Some(SEALED),
        ..Plan::ALWAYS
    };
    let watch = (LIMITS, &[][..]);
    let host = adapt_guarded_by(&model, FAST, plan, SEED, stream.images(), watch).unwrap();
    let told = stream.images();
    let run = adapt_device_guarded(&mut device, FAST, SEED, told, LIMITS, &mut go_on).unwrap();
    assert_eq!((run.0.adapted, run.1), (host.adapted, host.report));
    let stats = device.stats().unwrap().domains.unwrap();
    assert_eq!(stats.settings, SEALED);
    assert!(
        stats.report.used == 0 && stats.report.opened > 0,
        "{stats:?}"
    );
}
