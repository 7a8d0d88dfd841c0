//! Domain slots: what is recalled and when, on the device as on the host, and under the guard.

mod reference;
mod saved;
mod sealed;

use crate::adaptation::{IMAGE_BYTES, Labelled, go_on};
use crate::device::{boot, refusal};
use crate::guard::{INSTAR, guarded};
use crate::nor::{Nor, PAGE};
use crate::toy::{self, CHANNELS, N_CLASSES, images, measured};
use aplysia_live::adapt_bench::recall::{self, Journey, recalled};
use aplysia_live::adapt_bench::{METHODS, Method, Teacher};
use aplysia_live::adaptation::{Plan, adapt, adapt_by, adapt_device};
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{Domains, state_bytes};
use aplysia_shared::adapt::guard::{Guard, Learner, Limits, Restored, Verdict};
use aplysia_shared::adapt::{self, AdaptError, Config, Head, Plastic};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::protocol::Refusal;
use aplysia_shared::store::Store;

const SEED: u32 = 9;
const BOTH: Config = Config {
    homeostasis: Some(3),
    head: Head::Instar { shift: 3 },
};
/// Channels of the first followed layer.
const C: usize = CHANNELS[0];
/// For images of 36 pixels, of which 6 are looked at.
const SLOTS: Domains = Domains {
    slots: 2,
    open: 120,
    evidence: 200,
    sealed: false,
};

/// `image` through the `domain`-th camera: as it is, dark and flat, bright, brighter and flat.
fn through(domain: usize, image: &[i8]) -> Vec<i8> {
    let (gain, offset) = [(1.0, 0.0), (0.3, -60.0), (1.0, 50.0), (0.3, 115.0)][domain];
    let seen = |&q: &i8| (f64::from(q) * gain + offset).clamp(-128.0, 127.0) as i8;
    image.iter().map(seen).collect()
}

/// Images of domains in turn, each so many.
fn stream(turns: &[(usize, usize)], seed: u64) -> Vec<Vec<i8>> {
    let n = turns.iter().map(|turn| turn.1).sum();
    let domains = turns.iter().flat_map(|&(domain, n)| vec![domain; n]);
    let seen = images(n, seed).into_iter().zip(domains);
    seen.map(|(image, domain)| through(domain, &image))
        .collect()
}

/// A, B, A, base: as unsigned pixels with labels.
fn journey(turns: &[(usize, usize)], seed: u64) -> Labelled {
    let images = stream(turns, seed);
    let pixels = images.iter().flatten();
    Labelled {
        pixels: pixels.map(|q| q.cast_unsigned() ^ 0x80).collect(),
        labels: (0..images.len()).map(|i| (i % N_CLASSES) as u16).collect(),
    }
}

#[test]
fn a_domain_that_comes_back_is_recalled_and_so_is_the_base() {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let plan = Plan {
        domains: Some(SLOTS),
        ..Plan::ALWAYS
    };
    let used = |turns: &[(usize, usize)]| {
        let run = adapt_by(&model, BOTH, plan, SEED, journey(turns, 4).images()).unwrap();
        run.0.domains.unwrap()
    };
    let (a, b, clean) = ((1, 80), (2, 80), (0, 80));
    assert_eq!(used(&[a]).used, 1);
    let there = used(&[a, b]);
    assert_eq!((there.used, there.opened), (2, 2), "{there:?}");
    let again = used(&[a, b, a]);
    assert_eq!((again.used, again.opened), (1, 2), "{again:?}");
    // Halfway between others it may have been put in place before.
    assert!(again.recalled > there.recalled, "{again:?}");
    let home = used(&[a, b, a, clean]);
    assert_eq!((home.used, home.held), (0, 2), "{home:?}");
    assert!(home.recalled > again.recalled, "{home:?}");
    // A third domain takes the slot of another.
    let third = used(&[a, b, a, (3, 80)]);
    assert_eq!(
        (third.held, third.opened, third.replaced),
        (2, 3, 1),
        "{third:?}"
    );
}

#[test]
fn the_device_recalls_as_the_host_does() {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let (mut device, _) = boot(Some(&blob));
    let base = Config {
        homeostasis: None,
        ..BOTH
    };
    device.configure(base, SEED).unwrap();
    let slots = |slots| Domains { slots, ..SLOTS };
    assert_eq!(refusal(device.domains(Some(SLOTS))), Refusal::NoDomains);
    device.configure(BOTH, SEED).unwrap();
    assert_eq!(refusal(device.domains(Some(slots(0)))), Refusal::BadConfig);
    assert_eq!(device.stats().unwrap().domains, None);
    let stream = journey(&[(1, 60), (2, 60), (1, 60), (0, 60)], 5);
    for domains in [SLOTS, slots(15)] {
        let plan = Plan {
            domains: Some(domains),
            ..Plan::ALWAYS
        };
        device.domains(Some(domains)).unwrap();
        let (host, _) = adapt_by(&model, BOTH, plan, SEED, stream.images()).unwrap();
        let run = adapt_device(&mut device, BOTH, SEED, stream.images(), &mut go_on).unwrap();
        assert_eq!(run.adapted, host);
        let stats = device.stats().unwrap().domains.unwrap();
        assert_eq!(
            (stats.settings, Some(stats.report)),
            (domains, host.domains)
        );
        assert!(stats.report.recalled > 1, "{stats:?}");
    }
    device.configure(base, SEED).unwrap();
    assert_eq!(
        device.stats().unwrap().domains,
        None,
        "nothing to tell them by"
    );
}

#[test]
fn slots_that_cannot_be_kept_are_refused_and_end_with_what_tells_them_apart() {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let bytes = state_bytes(&model, &BOTH, &SLOTS).unwrap();
    let persistent = 8 * (CHANNELS[0] + CHANNELS[1]) + 2 * N_CLASSES * toy::D;
    let plain = adapt::state_bytes(&model, &BOTH).unwrap();
    assert_eq!(bytes, plain + 8 * C + 2 * (8 + persistent));
    for (len, slots, want) in [
        (bytes, 2, Ok(())),
        (bytes, 0, Err(AdaptError::Slots { got: 0 })),
        (bytes, 16, Err(AdaptError::Slots { got: 16 })),
        (
            bytes - 1,
            2,
            Err(AdaptError::Buffer {
                got_bytes: bytes - 1,
                want_bytes: bytes,
            }),
        ),
    ] {
        let mut buffer = vec![0; len];
        let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
        let domains = Domains { slots, ..SLOTS };
        assert_eq!(plastic.set_domains(&model, Some(domains)), want);
        assert_eq!(plastic.domains().is_some(), want.is_ok());
        plastic.reset(&model).unwrap();
        assert_eq!(
            plastic.domains().is_some(),
            want.is_ok(),
            "a reset empties them"
        );
        let snapshot = plastic.snapshot().to_vec();
        plastic.restore(&model, &snapshot).unwrap();
        assert_eq!(plastic.domains().is_some(), want.is_ok());
        plastic.configure(&model, INSTAR, SEED).unwrap();
        assert_eq!(plastic.domains(), None);
        let refused = plastic.set_domains(&model, Some(SLOTS));
        assert_eq!(refused, Err(AdaptError::NoDomains));
    }
}

/// Whatever is recalled is scored before the image after the next.
#[test]
fn the_guard_checks_what_is_recalled_and_empties_what_it_refuses() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let model = Model::parse(&blob).unwrap();
    let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
    let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
    plastic.set_domains(&model, Some(SLOTS)).unwrap();
    let mut flash = Nor::<8>::new(16);
    let mut learner = Learner {
        model: &model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut Store::open(&mut flash, 0..16 * PAGE as u32).unwrap(),
        scratch: &mut [0; 1024],
    };
    let limits = Limits {
        every: u16::MAX,
        drop: 3,
        commit_every: 0,
    };
    let mut guard = Guard::new(limits, &mut learner).unwrap();
    assert!(
        learner.plastic.domains().is_some(),
        "the guard leaves slots alone"
    );
    let (mut changed, mut refused) = (0, 0);
    let turns = [(1, 60), (2, 60), (1, 60), (0, 60), (2, 60)];
    for (i, image) in stream(&turns, 6).iter().enumerate() {
        let before = learner.plastic.domains().unwrap().1;
        guard.before_image(&mut learner).unwrap();
        let (model, arena) = (learner.model, &mut *learner.arena);
        learner.plastic.observe(model, arena, image).unwrap();
        guard.observed();
        learner.plastic.learn(model, i % N_CLASSES).unwrap();
        let verdict = guard.learned(&mut learner).unwrap();
        let after = learner.plastic.domains().unwrap().1;
        let is_change = (before.opened, before.recalled) != (after.opened, after.recalled);
        assert_eq!(verdict != Verdict::NotDue, is_change, "image {i}");
        changed += u32::from(is_change);
        if let Verdict::RolledBack(_) = verdict {
            refused += 1;
            assert_eq!(after.used, 0, "no commit, so the base");
        }
        if is_change {
            let score = learner.plastic.score_golden(model, learner.arena).unwrap();
            assert!(score >= guard.floor());
        }
    }
    assert!(changed > 1, "{changed} changes, {refused} refused");
}

/// A refused base is the base again, whatever was committed; a commit of another configuration ends no slots.
#[test]
fn a_rollback_keeps_the_slots_and_the_base() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let model = Model::parse(&blob).unwrap();
    for committed in [BOTH, INSTAR] {
        let mut flash = Nor::<8>::new(16);
        let mut store = Store::open(&mut flash, 0..16 * PAGE as u32).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
        let mut plastic = Plastic::new(&model, committed, SEED, &mut buffer).unwrap();
        store.commit(model.id(), plastic.snapshot()).unwrap();
        plastic.configure(&model, BOTH, SEED).unwrap();
        plastic.set_domains(&model, Some(SLOTS)).unwrap();
        let arena = &mut vec![0; model.arena_bytes()];
        for image in stream(&[(1, 60), (0, 60)], 6) {
            plastic.observe(&model, arena, &image).unwrap();
        }
        let used = |plastic: &Plastic<'_>| plastic.domains().unwrap().1.used;
        assert_eq!(used(&plastic), 0, "clean images recall the base");
        let mut learner = Learner {
            model: &model,
            plastic: &mut plastic,
            arena,
            store: &mut store,
            scratch: &mut [0; 1024],
        };
        let limits = Limits {
            every: u16::MAX,
            drop: 0,
            commit_every: 0,
        };
        let mut guard = Guard::new(limits, &mut learner).unwrap();
        let refused = stream(&[(0, 400)], 7).iter().any(|image| {
            learner
                .plastic
                .observe(&model, learner.arena, image)
                .unwrap();
            learner.plastic.learn(&model, 0).unwrap();
            match guard.check(&mut learner).unwrap() {
                Verdict::RolledBack(rollback) => {
                    assert_eq!(rollback.to, Restored::Base);
                    true
                }
                _ => false,
            }
        });
        assert!(refused, "every image taken for class 0");
        assert_eq!(used(learner.plastic), 0);
        assert_eq!(learner.plastic.domains().unwrap().1.held, 1, "domain 1");
        let mut other = vec![0; state_bytes(&model, &BOTH, &SLOTS).unwrap()];
        let base = Plastic::new(&model, BOTH, SEED, &mut other).unwrap();
        assert_eq!(learner.plastic.digest(), base.digest());
    }
}

#[test]
fn a_journey_without_slots_is_one_stream() {
    let blob = measured(3);
    let model = Model::parse(&blob).unwrap();
    let streams: Vec<Labelled> = (0..4)
        .map(|i| journey(&[([1, 2, 1, 0][i], 100)], 10 + i as u64))
        .collect();
    let tests: Vec<Labelled> = (0..3)
        .map(|i| journey(&[([1, 2, 0][i], 50)], 20 + i as u64))
        .collect();
    let journey = Journey {
        streams: [0, 1, 2, 3].map(|i| streams[i].images()),
        tests: [0, 1, 2].map(|i| tests[i].images()),
    };
    let method: &Method = METHODS
        .iter()
        .find(|m| m.name == "homeostasis 5 + instar 4")
        .unwrap();
    let run = |domains| {
        let found = recalled(&model, method, domains, &journey, (SEED, Teacher::Wrong(0))).unwrap();
        found.unwrap()
    };
    let one = run(None);
    let all = Labelled {
        pixels: streams.iter().flat_map(|s| s.pixels.clone()).collect(),
        labels: streams.iter().flat_map(|s| s.labels.clone()).collect(),
    };
    let after = |n: usize, test: &Labelled| {
        let seen = Labelled {
            pixels: all.pixels[..n * IMAGE_BYTES].to_vec(),
            labels: all.labels[..n].to_vec(),
        };
        let adapted = adapt(&model, method.config().unwrap(), SEED, seen.images()).unwrap();
        let found = adapted.evaluate(&model, test.images()).unwrap();
        found.accuracy_pct()
    };
    assert_eq!(one.before_pct, after(0, &tests[2]));
    assert_eq!(
        one.first_pct,
        [after(100, &tests[0]), after(200, &tests[1])]
    );
    assert_eq!(
        one.again_pct,
        [200, 210, 250, 300].map(|n| after(n, &tests[0]))
    );
    assert_eq!(
        one.clean_pct,
        [300, 310, 350, 400].map(|n| after(n, &tests[2]))
    );
    let kept = run(Some(SLOTS));
    assert!(
        kept.recalled > 0 && kept.ram_bytes > one.ram_bytes,
        "{kept:?}"
    );
    assert_eq!(recall::markdown(&[one, kept]).lines().count(), 4);
}
