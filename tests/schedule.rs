//! When learning happens and how much of it: the schedule against a bookkeeper that follows its definition,
//! the line.

use crate::adaptation::{IMAGE_BYTES, Labelled, go_on};
use crate::device::boot;
use crate::guard::guarded;
use crate::toy::{N_CLASSES, images, measured, with};
use aplysia_live::adaptation::{Plan, adapt, adapt_by, adapt_device};
use aplysia_live::guarded::{adapt_device_guarded, adapt_guarded_by};
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::Limits;
use aplysia_shared::adapt::schedule::{Budget, Schedule, Spent, When};
use aplysia_shared::adapt::{Config, Head};
use aplysia_shared::blob::GoldenKind;
use proptest::prelude::*;

const SEED: u32 = 7;
const REWARD: Head = Head::Reward { rate: 3000 };
const LIMITS: Limits = Limits {
    every: 4,
    drop: 2,
    commit_every: 0,
};

const fn config(homeostasis: Option<u8>, head: Head) -> Config {
    Config { homeostasis, head }
}

/// Learns what `adapt::schedule` says, decided here from its definition, image by image.
struct Bookkeeper {
    schedule: Schedule,
    attend: u32,
    /// Of each update, the image it belongs to and its instructions.
    updates: Vec<(u32, u64)>,
    spent: Spent,
    leads: Vec<u32>,
}

impl Bookkeeper {
    /// Whether one more update of `cost` may happen at image `i`, the first being 0.
    fn may(&mut self, i: u32, due: bool, cost: u64) -> bool {
        if !due {
            self.spent.not_due += 1;
            return false;
        }
        let Some(budget) = self.schedule.budget else {
            return true;
        };
        let window = i / budget.images.max(1);
        let here = self
            .updates
            .iter()
            .filter(|(at, _)| at / budget.images.max(1) == window);
        let (n, total) = here.fold((0, 0), |(n, total), (_, cost)| (n + 1, total + cost));
        let within = n < budget.updates && total + cost <= budget.instructions;
        self.spent.over_budget += u32::from(!within);
        within
    }

    fn due(&self, i: u32, lead: Option<u32>) -> bool {
        match self.schedule.when {
            When::Every { n } => i.is_multiple_of(u32::from(n.max(1))),
            When::Unsure { margin } => lead.unwrap_or(0) < margin.into(),
            When::Asked => i < self.attend,
        }
    }

    fn book(&mut self, i: u32, cost: u64) {
        self.updates.push((i, cost));
        self.spent.instructions += cost;
    }
}

fn lead(scores: &[i8]) -> u32 {
    let mut sorted: Vec<i8> = scores.to_vec();
    sorted.sort_unstable();
    let [.., second, first] = sorted[..] else {
        panic!("{sorted:?}")
    };
    u32::from(first.abs_diff(second))
}

fn check(config: Config, schedule: Schedule, attend: u32, n_images: usize) {
    let blob = measured(21);
    let stream = images(n_images, 22);
    let mut book = Bookkeeper {
        schedule,
        attend,
        updates: vec![],
        spent: Spent::default(),
        leads: vec![],
    };
    let mut seen = Spent::default();
    let scheduled = with(&blob, config, |model, plastic| {
        let mut arena = vec![0; model.arena_bytes()];
        plastic.set_schedule(schedule);
        plastic.attend(attend);
        assert_eq!(plastic.schedule(), schedule);
        for (i, image) in stream.iter().enumerate() {
            plastic.observe(model, &mut arena, image).unwrap();
            plastic.learn(model, i % N_CLASSES).unwrap();
        }
        seen = plastic.spent();
        plastic.snapshot()[64..].to_vec()
    });
    // Another learner, without a schedule, is given what the bookkeeper allows and nothing else.
    let told = with(&blob, config, |model, plastic| {
        let mut arena = vec![0; model.arena_bytes()];
        for (at, image) in stream.iter().enumerate() {
            let i = at as u32;
            let before = book.leads.last().copied();
            let cost = model.observe_instructions();
            let follow = config.homeostasis.is_some() && {
                let due = book.due(i, before);
                book.may(i, due, cost)
            };
            if follow {
                book.book(i, cost);
                book.spent.observed += 1;
                plastic.observe(model, &mut arena, image).unwrap();
            } else {
                plastic.infer(model, &mut arena, image).unwrap();
            }
            let lead = lead(plastic.scores());
            book.leads.push(lead);
            let cost = model.label_instructions(&config);
            let due = book.due(i, Some(lead));
            if config.head != Head::Base && book.may(i, due, cost) {
                book.book(i, cost);
                book.spent.learned += 1;
                plastic.learn(model, at % N_CLASSES).unwrap();
            }
        }
        plastic.snapshot()[64..].to_vec()
    });
    assert_eq!(scheduled, told, "{config:?} {schedule:?}");
    let counted = |s: Spent| {
        (
            s.observed,
            s.learned,
            s.not_due,
            s.over_budget,
            s.instructions,
        )
    };
    assert_eq!(
        counted(seen),
        counted(book.spent),
        "{config:?} {schedule:?}"
    );
    assert_eq!(seen.images as usize, n_images);
    assert_eq!(
        seen.asked,
        attend.saturating_sub(match schedule.when {
            When::Asked => n_images as u32,
            _ => 0,
        })
    );
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        (0_u16..6).prop_map(|n| When::Every { n }),
        (0_u8..60).prop_map(|margin| When::Unsure { margin }),
        Just(When::Asked),
    ]
}

fn budget() -> impl Strategy<Value = Option<Budget>> {
    let limits = (0_u32..12, 0_u32..9, 0_u64..4_000_000);
    let some = limits.prop_map(|(images, updates, instructions)| Budget {
        images,
        updates,
        instructions,
        commits: 0,
    });
    prop_oneof![Just(None), some.prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_schedule_is_its_definition(
        when in when(),
        budget in budget(),
        attend in 0_u32..40,
        homeostasis in prop_oneof![Just(None), Just(Some(3))],
        head in prop_oneof![
            Just(Head::Base),
            Just(Head::Instar { shift: 3 }),
            Just(Head::Delta { rate: 3000 }),
            Just(REWARD),
        ],
    ) {
        check(config(homeostasis, head), Schedule { when, budget }, attend, 30);
    }
}

#[test]
fn a_spent_budget_outlasts_rollback_reset_and_configuration() {
    let blob = measured(21);
    let head = Head::Delta { rate: 3000 };
    let schedule = Schedule {
        when: When::Every { n: 1 },
        budget: Some(Budget {
            images: 50,
            updates: 5,
            instructions: u64::MAX,
            commits: 0,
        }),
    };
    with(&blob, config(None, head), |model, plastic| {
        let mut arena = vec![0; model.arena_bytes()];
        plastic.set_schedule(schedule);
        let snapshot = plastic.snapshot().to_vec();
        for (i, image) in images(50, 23).iter().enumerate() {
            let wanted = plastic.infer(model, &mut arena, image).unwrap().wanted;
            assert_eq!(wanted, i < 5, "image {i}");
            plastic.learn(model, 1).unwrap();
            match i % 3 {
                0 => plastic.reset(model).unwrap(),
                1 => plastic.restore(model, &snapshot).unwrap(),
                _ => plastic.configure(model, config(None, head), 3).unwrap(),
            }
        }
        assert_eq!(plastic.spent().over_budget, 45);
        assert!(
            plastic
                .infer(model, &mut arena, &images(1, 24)[0])
                .unwrap()
                .wanted
        );
        plastic.set_schedule(Schedule::ALWAYS);
        assert_eq!(plastic.spent(), Spent::default());
        // An image that is refused is no image.
        assert!(plastic.infer(model, &mut arena, &[]).is_err());
        assert_eq!(plastic.spent(), Spent::default());
    });
}

const PLAN: Plan = Plan {
    schedule: Schedule {
        when: When::Unsure { margin: 25 },
        budget: Some(Budget {
            images: 20,
            updates: 15,
            instructions: u64::MAX,
            commits: 1,
        }),
    },
    attend: 0,
    domains: None,
};

#[test]
fn always_is_no_schedule() {
    let blob = measured(21);
    let model = Model::parse(&blob).unwrap();
    let stream = Labelled::new(40, 1);
    let both = config(Some(4), REWARD);
    let (one, spent) = adapt_by(&model, both, Plan::ALWAYS, SEED, stream.images()).unwrap();
    assert_eq!(one, adapt(&model, both, SEED, stream.images()).unwrap());
    assert_eq!((spent.observed, spent.learned, spent.not_due), (40, 40, 0));
}

#[test]
fn the_device_keeps_the_hosts_schedule() {
    let both = config(Some(4), REWARD);
    let blob = guarded(GoldenKind::Inputs, both);
    let model = Model::parse(&blob).unwrap();
    let stream = Labelled::new(60, 2);
    let (mut device, _) = boot(Some(&blob));
    let asked = Plan {
        schedule: Schedule {
            when: When::Asked,
            budget: None,
        },
        attend: 9,
        domains: None,
    };
    let every = Plan {
        schedule: Schedule {
            when: When::Every { n: 3 },
            ..PLAN.schedule
        },
        attend: 0,
        domains: None,
    };
    for plan in [PLAN, asked, every] {
        let (host, spent) = adapt_by(&model, both, plan, SEED, stream.images()).unwrap();
        device.plan(plan).unwrap();
        let run = adapt_device(&mut device, both, SEED, stream.images(), &mut go_on).unwrap();
        assert_eq!(run.adapted, host, "{plan:?}");
        let stats = device.stats().unwrap();
        assert_eq!((stats.schedule, stats.spent), (plan.schedule, spent));
        assert!(spent.not_due + spent.over_budget > 0);
        assert!(spent.learned > 0 && spent.observed > 0);

        let careful = (LIMITS, &[][..]);
        let host = adapt_guarded_by(&model, both, plan, SEED, stream.images(), careful).unwrap();
        device.plan(plan).unwrap();
        let (run, report) =
            adapt_device_guarded(&mut device, both, SEED, stream.images(), LIMITS, &mut go_on)
                .unwrap();
        assert_eq!((run.adapted, report), (host.adapted, host.report));
        assert_eq!(device.stats().unwrap().spent, host.spent);
        device.guard(None).unwrap();
    }
    // A label that is not wanted teaches nothing, and the device says so.
    device.plan(asked).unwrap();
    device.configure(both, SEED).unwrap();
    device.plan(Plan { attend: 0, ..asked }).unwrap();
    let pixels = &stream.pixels[..IMAGE_BYTES];
    assert!(!device.infer(pixels, true).unwrap().wanted);
    let fresh = device.stats().unwrap().state_digest;
    assert!(!device.learn(0).unwrap().learned);
    assert_eq!(device.stats().unwrap().state_digest, fresh);
}
