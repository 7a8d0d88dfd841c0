//! What a restart goes on by: the guard's limits and the schedule in a commit, kept, cut, forged and out of date.

mod forged;

use crate::adaptation::{IMAGE_BYTES, Labelled};
use crate::field::Board;
use crate::guard::{BOTH, DELTA, INSTAR, LIMITS, guarded, on_device};
use crate::nor::{PAGE, TEARS};
use crate::toy::{N_CLASSES, images};
use aplysia_live::adaptation::Plan;
use aplysia_live::evaluate::input_of_pixels;
use aplysia_live::flash::MemoryFlash;
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::{Commit, Guard, Learner, Limits, Verdict};
use aplysia_shared::adapt::schedule::{Budget, Schedule, Spent, When};
use aplysia_shared::adapt::terms::{TERMS_BYTES, Terms};
use aplysia_shared::adapt::{Config, Counters, Plastic};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::protocol::Boot;
use aplysia_shared::store::Store;

const BUDGET: Budget = Budget {
    images: 10,
    updates: 3,
    instructions: u64::MAX,
    commits: 2,
};
const SCHEDULE: Schedule = schedule(BUDGET);
const fn schedule(budget: Budget) -> Schedule {
    Schedule {
        when: When::Every { n: 1 },
        budget: Some(budget),
    }
}

fn done<E>(commit: Result<Commit, E>) -> bool {
    matches!(commit, Ok(Commit::Done(_)))
}

#[test]
fn a_restart_goes_on_by_what_was_committed() {
    for config in [DELTA, INSTAR, BOTH] {
        on_device(&guarded(GoldenKind::Inputs, config), config, |device| {
            let mut guard = device.guard(LIMITS);
            images(40, 8).iter().for_each(|i| device.teach(i, 1));
            let verdict = device.with(|l| guard.check(l)).unwrap();
            let Verdict::RolledBack(rollback) = verdict else {
                panic!("{verdict:?}");
            };
            device.plastic.set_schedule(SCHEDULE);
            let image = &images(1, 9)[0];
            let seen = device.plastic.infer(device.model, &mut device.arena, image);
            assert!(seen.unwrap().wanted);
            assert!(done(device.with(|l| guard.commit(l))));
            let digest = device.plastic.digest();
            // What is set and learned later is lost together.
            device.plastic.set_schedule(Schedule::ALWAYS);
            device.guard(Limits { drop: 9, ..LIMITS });
            images(40, 8).iter().for_each(|i| device.teach(i, 1));

            let mut resumed = device.restart().expect("limits were committed");
            assert_eq!((resumed.limits(), resumed.floor()), (LIMITS, guard.floor()));
            assert_eq!(resumed.report().start, guard.report().start);
            assert_eq!(
                (resumed.report().checks, resumed.report().rollbacks),
                (1, 0)
            );
            assert_eq!(resumed.last_rollback(), Some(rollback));
            assert_eq!(device.plastic.digest(), digest);
            assert_eq!(device.plastic.schedule(), SCHEDULE);
            // Nobody knows what was spent before: a window passes in which nothing is learned nor committed.
            for (i, image) in (1..).zip(images(11, 10)) {
                let seen = device
                    .plastic
                    .observe(device.model, &mut device.arena, &image);
                let seen = seen.unwrap();
                assert_eq!(
                    (seen.observed, seen.wanted),
                    (i == 11 && config == BOTH, i == 11)
                );
                let commit = device.with(|l| resumed.commit(l));
                match i {
                    // Within the budget again; one image that is followed may cost too much.
                    11 => {
                        let is_due = matches!(commit, Ok(Commit::Done(_) | Commit::RolledBack(_)));
                        assert!(is_due, "{commit:?}");
                    }
                    _ => assert_eq!(commit, Ok(Commit::OverBudget { images: 11 - i })),
                }
            }
        });
    }
}

/// What a check took beyond the budget is owed after the restart as before, and the check of the start with it.
#[test]
fn a_restart_forgives_no_debt() {
    on_device(&guarded(GoldenKind::Inputs, DELTA), DELTA, |device| {
        let check = device.model.check_instructions(&DELTA);
        let limit = check / 4;
        device.plastic.set_schedule(schedule(Budget {
            instructions: limit,
            updates: u32::MAX,
            ..BUDGET
        }));
        let mut guard = device.guard(LIMITS);
        assert!(done(device.with(|l| guard.commit(l))));
        assert_eq!(device.plastic.spent().window_instructions, check);
        device.restart().unwrap();
        // A window that counts as spent, what was owed, the start's own.
        let taken = limit + (check - limit) + check;
        assert_eq!(device.plastic.spent().window_instructions, taken);
        device.restart().unwrap();
        assert_eq!(device.plastic.spent().window_instructions, taken);
        let wanted = images(120, 11).iter().position(|image| {
            let seen = device.plastic.infer(device.model, &mut device.arena, image);
            seen.unwrap().wanted
        });
        let windows = taken / limit;
        assert_eq!(wanted, Some(windows as usize * BUDGET.images as usize));
    });
}

#[test]
fn other_terms_are_never_too_soon_and_the_same_ones_also_after_a_restart() {
    on_device(&guarded(GoldenKind::Inputs, DELTA), DELTA, |device| {
        let limits = Limits {
            commit_every: 1000,
            ..LIMITS
        };
        let never = schedule(Budget {
            commits: 0,
            ..BUDGET
        });
        let soon = Ok(Commit::TooSoon { missing: 1000 });
        device.plastic.set_schedule(never);
        let mut guard = device.guard(limits);
        assert!(done(device.with(|l| guard.commit(l))));
        assert_eq!(device.with(|l| guard.commit(l)), soon);
        let mut guard = device.restart().unwrap();
        assert_eq!(device.with(|l| guard.commit(l)), soon);
        // The same again, set by hand.
        let mut guard = device.guard(limits);
        assert_eq!(device.with(|l| guard.commit(l)), soon);
        let mut guard = device.guard(Limits { drop: 1, ..LIMITS });
        assert!(done(device.with(|l| guard.commit(l))));
        let spent = Ok(Commit::OverBudget { images: 11 });
        assert_eq!(device.with(|l| guard.commit(l)), spent);
        device.plastic.set_schedule(SCHEDULE);
        assert!(done(device.with(|l| guard.commit(l))));
        // Nothing was ever learned.
        assert_eq!(device.plastic.counters(), Counters::default());
        let kept = device.restart().unwrap().limits();
        assert_eq!((kept.drop, device.plastic.schedule()), (1, SCHEDULE));
    });
}

#[test]
fn versions_without_terms_are_read_and_nobody_watches() {
    let blob = guarded(GoldenKind::Inputs, DELTA);
    on_device(&blob, DELTA, |device| {
        assert!(device.restart().is_none(), "nothing was committed");
        device.teach(&images(1, 2)[0], 1);
        let digest = device.plastic.digest();
        device.plastic.set_schedule(SCHEDULE);
        device.with(|l| {
            let mut bytes = [0; 1024];
            let old = l.plastic.snapshot_all(l.model, None, &mut bytes).unwrap();
            assert_eq!(old[4..6], [1, 0]);
            assert_eq!(Terms::of(old), Ok(None));
            l.store.commit(l.model.id(), old).unwrap();
        });
        assert!(device.restart().is_none());
        assert_eq!(device.plastic.digest(), digest);
        assert_eq!(device.plastic.schedule(), Schedule::ALWAYS);
        assert_eq!(device.plastic.spent(), Spent::default());
    });
}

/// Old terms with the old state, or new ones with the new.
#[test]
fn power_cut_at_every_step_of_a_commit_of_other_terms() {
    on_device(&guarded(GoldenKind::Inputs, DELTA), DELTA, |device| {
        let mut guard = device.guard(LIMITS);
        assert!(done(device.with(|l| guard.commit(l))));
        let old = (LIMITS, Schedule::ALWAYS, device.plastic.digest());
        let (flash, limits) = (device.flash.clone(), Limits { drop: 3, ..LIMITS });
        device.teach(&images(1, 2)[0], 0);
        let snapshot = device.plastic.snapshot().to_vec();
        let new = (limits, SCHEDULE, device.plastic.digest());
        let (mut n_old, mut n_new) = (0, 0);
        for cut in 0.. {
            device.flash = flash.clone().cut_after(cut, TEARS[(cut % 4) as usize]);
            device.plastic.restore(device.model, &snapshot).unwrap();
            device.plastic.set_schedule(SCHEDULE);
            let mut guard = device.guard(limits);
            let told = device.with(|l| guard.commit(l));
            let limits = device.restart().unwrap().limits();
            let found = (limits, device.plastic.schedule(), device.plastic.digest());
            assert!(found == old || found == new, "cut {cut}: {found:?}");
            (n_old, n_new) = (
                n_old + u64::from(found == old),
                n_new + u64::from(found == new),
            );
            if done(told) {
                assert_eq!(found, new);
                break;
            }
        }
        let n_pages = (64 + snapshot.len() + TERMS_BYTES).div_ceil(PAGE) as u64;
        assert!(n_old > 4 * n_pages && n_new > 0, "{n_old} {n_new}");
    });
}

/// The board after a restart is the host after it, bit for bit, as it learns on under what was committed.
#[test]
fn the_board_starts_again_under_its_terms() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let board = Board::new(&blob);
    let mut device = board.start();
    device.configure(BOTH, 9).unwrap();
    let plan = Plan {
        schedule: SCHEDULE,
        ..Plan::ALWAYS
    };
    device.plan(plan).unwrap();
    device.guard(Some(LIMITS)).unwrap();
    assert!(done(device.commit()));
    drop(device);

    let mut device = board.start();
    let flash = MemoryFlash::holding(&std::fs::read(board.flash()).unwrap());
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; 4096];
    let mut plastic = Plastic::new(&model, Config::NOTHING, 0, &mut buffer).unwrap();
    let mut learner = Learner {
        model: &model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut Store::open(flash, 0..MemoryFlash::BYTES).unwrap(),
        scratch: &mut [0; 1024],
    };
    let mut guard = Guard::resume(&mut learner).unwrap().unwrap();
    let stats = device.stats().unwrap();
    assert_eq!(stats.guard.boot, Boot::Restored { sequence: 1 });
    assert_eq!(stats.guard.limits, Some(LIMITS));
    assert_eq!(stats.schedule, SCHEDULE);
    let lies = Labelled::new(60, 3);
    for pixels in lies.pixels.chunks(IMAGE_BYTES) {
        guard.before_image(&mut learner).unwrap();
        let input = input_of_pixels(pixels);
        let seen = learner
            .plastic
            .observe(&model, learner.arena, &input)
            .unwrap();
        if seen.observed {
            guard.observed();
        }
        let answer = device.infer(pixels, true).unwrap();
        assert_eq!(
            (usize::from(answer.class), answer.wanted),
            (seen.class, seen.wanted)
        );
        if seen.wanted {
            let lie = (seen.class + 1) % N_CLASSES;
            learner.plastic.learn(&model, lie).unwrap();
            guard.learned(&mut learner).unwrap();
            device.learn(lie as u8).unwrap();
        }
    }
    let stats = device.stats().unwrap();
    assert_eq!(stats.state_digest, learner.plastic.digest());
    assert_eq!(stats.spent, learner.plastic.spent());
    assert_eq!(stats.guard.report, guard.report());
    assert_eq!(stats.guard.last_rollback, guard.last_rollback());
    assert!(guard.report().checks > 1 && stats.spent.learned > 0);
}
