//! The guard over learning: what it scores, when it takes back and to what, and that no teacher gets
//! past it.

use crate::golden::section;
use crate::nor::{Nor, PAGE, TEARS};
use crate::toy::{self, D, N_CLASSES, images, measured, probe};
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::{
    Commit, CommitError, Guard, Learner, Limits, Report, Restored, Rollback, Verdict,
};
use aplysia_shared::adapt::schedule::Schedule;
use aplysia_shared::adapt::{AdaptError, Config, Head, Plastic, state_bytes};
use aplysia_shared::blob::{GoldenKind, encode_with_golden, encoded_len, field};
use aplysia_shared::store::Store;
use proptest::prelude::*;

pub(crate) const DELTA: Config = config(None, Head::Delta { rate: 4000 });
pub(crate) const INSTAR: Config = config(None, Head::Instar { shift: 2 });
pub(crate) const BOTH: Config = config(Some(2), Head::Delta { rate: 4000 });
const N_GOLDEN: usize = 24;
const REGION: core::ops::Range<u32> = 0..16 * PAGE as u32;

const fn config(homeostasis: Option<u8>, head: Head) -> Config {
    Config { homeostasis, head }
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|b| b.cast_signed()).collect()
}

fn unsigned(values: &[i8]) -> Vec<u8> {
    values.iter().map(|v| v.cast_unsigned()).collect()
}

/// The toy model with a golden set whose labels are what `config` predicts before it learns, but for
/// every sixth.
pub(crate) fn guarded(kind: GoldenKind, config: Config) -> Vec<u8> {
    let blob = measured(3);
    let samples = images(N_GOLDEN, 77);
    let label = |model: &Model<'_>, plastic: &mut Plastic<'_>, i: usize| {
        let mut arena = vec![0; model.arena_bytes()];
        let class = plastic.infer(model, &mut arena, &samples[i]).unwrap().class;
        ((class + usize::from(i % 6 == 5)) % N_CLASSES) as u8
    };
    let labels: Vec<u8> = toy::with(&blob, config, |model, plastic| {
        (0..N_GOLDEN).map(|i| label(model, plastic, i)).collect()
    });
    let model = Model::parse(&blob).unwrap();
    let zeros = toy::CHANNELS.map(|n| vec![0; n]);
    let features = |image: &Vec<i8>| probe(&model, std::slice::from_ref(image), &zeros).features;
    let (code, bytes): (u16, Vec<u8>) = match kind {
        GoldenKind::Inputs => (0, samples.iter().flat_map(|s| unsigned(s)).collect()),
        GoldenKind::Features => (
            1,
            samples
                .iter()
                .flat_map(|s| unsigned(&features(s)))
                .collect(),
        ),
    };
    let start = u32::from_le_bytes(*blob[field::DATA_OFFSET..].first_chunk().unwrap());
    let mut data = blob[start as usize..].to_vec();
    let offset = data.len() as u32;
    data.extend(section(code, &labels, &bytes));
    let mut out = vec![0; encoded_len(&model.graph(), data.len()).unwrap()];
    encode_with_golden(&model.graph(), &data, Some(offset), [8; 16], 0, &mut out).unwrap();
    out
}

/// Everything a learning device has.
pub(crate) struct Device<'a> {
    pub(crate) model: &'a Model<'a>,
    pub(crate) plastic: Plastic<'a>,
    pub(crate) flash: Nor<8>,
    pub(crate) arena: Vec<i8>,
}

impl<'a> Device<'a> {
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut Learner<'_, 'a, &mut Nor<8>>) -> R) -> R {
        f(&mut Learner {
            model: self.model,
            plastic: &mut self.plastic,
            arena: &mut self.arena,
            store: &mut Store::open(&mut self.flash, REGION).unwrap(),
            scratch: &mut [0; 1024],
        })
    }

    pub(crate) fn guard(&mut self, limits: Limits) -> Guard {
        self.with(|learner| Guard::new(limits, learner).unwrap())
    }

    /// Shows `image` and teaches that it is `shift` classes away from what is predicted.
    pub(crate) fn teach(&mut self, image: &[i8], shift: usize) {
        let predicted = self.plastic.observe(self.model, &mut self.arena, image);
        let label = (predicted.unwrap().class + shift) % N_CLASSES;
        self.plastic.learn(self.model, label).unwrap();
    }

    /// Loses everything that is not in flash, and starts.
    pub(crate) fn restart(&mut self) -> Option<Guard> {
        self.flash = self.flash.clone().restart();
        let config = self.plastic.config();
        self.plastic.configure(self.model, config, 7).unwrap();
        self.plastic.set_schedule(Schedule::ALWAYS);
        self.with(|l| Guard::resume(l)).unwrap()
    }

    pub(crate) fn score(&mut self) -> u16 {
        let scored = self.plastic.score_golden(self.model, &mut self.arena);
        scored.unwrap()
    }
}

/// Runs `f` on a fresh device.
pub(crate) fn on_device<R>(blob: &[u8], config: Config, f: impl FnOnce(&mut Device<'_>) -> R) -> R {
    let model = Model::parse(blob).unwrap();
    // Room for the state of another rule as well.
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap() + 256];
    f(&mut Device {
        model: &model,
        plastic: Plastic::new(&model, config, 7, &mut buffer).unwrap(),
        flash: Nor::new(16),
        arena: vec![0; model.arena_bytes()],
    })
}

pub(crate) const LIMITS: Limits = Limits {
    every: 4,
    drop: 2,
    commit_every: 0,
};

#[test]
fn the_score_is_what_inference_gives_and_leaves_no_trace() {
    for config in [DELTA, INSTAR, BOTH] {
        let blob = guarded(GoldenKind::Inputs, config);
        on_device(&blob, config, |device| {
            assert_eq!(usize::from(device.score()), N_GOLDEN - N_GOLDEN / 6);
            images(9, 5).iter().for_each(|image| device.teach(image, 1));
            let (digest, scores) = (device.plastic.digest(), device.plastic.scores().to_vec());
            let score = device.score();
            assert_eq!(device.plastic.digest(), digest);
            assert_eq!(device.plastic.scores(), scores);
            let mut right = 0;
            for (label, sample) in device.model.golden().unwrap().samples() {
                let (model, arena) = (device.model, &mut device.arena);
                let predicted = device.plastic.infer(model, arena, &signed(sample));
                right += u16::from(predicted.unwrap().class == label);
            }
            assert_eq!(score, right);
        });
    }
}

#[test]
fn features_score_as_the_inputs_that_they_are_of() {
    for config in [config(None, Head::Base), DELTA, INSTAR] {
        let scores = [GoldenKind::Inputs, GoldenKind::Features].map(|kind| {
            on_device(&guarded(kind, config), config, |device| {
                let sample = device.model.golden().unwrap().samples().next().unwrap().1;
                assert_eq!(sample.len() == D, kind == GoldenKind::Features);
                let step = |image: &Vec<i8>| {
                    device.teach(image, 1);
                    device.score()
                };
                images(12, 6).iter().map(step).collect::<Vec<_>>()
            })
        });
        assert_eq!(scores[0], scores[1]);
    }
}

/// Without the guard the liar is far below the floor, so that the guard has something to do.
#[test]
fn a_liar_is_taken_back_to_the_last_commit_and_without_a_commit_to_the_base() {
    for config in [DELTA, INSTAR, BOTH] {
        let blob = guarded(GoldenKind::Inputs, config);
        on_device(&blob, config, |device| {
            let start = device.score();
            let mut guard = device.guard(LIMITS);
            let base = device.plastic.digest();
            images(40, 8)
                .iter()
                .for_each(|image| device.teach(image, 1));
            let score = device.score();
            let floor = start - LIMITS.drop;
            assert!(score < floor, "{config:?}: {score} of {start}");
            let verdict = device.with(|l| guard.check(l));
            let to = Restored::Base;
            assert_eq!(
                verdict,
                Ok(Verdict::RolledBack(Rollback { score, floor, to }))
            );
            assert_eq!(device.plastic.digest(), base);

            device
                .plastic
                .infer(device.model, &mut device.arena, &images(1, 1)[0])
                .unwrap();
            let committed = device.plastic.digest();
            assert!(matches!(
                device.with(|l| guard.commit(l)),
                Ok(Commit::Done(_))
            ));
            images(40, 8)
                .iter()
                .for_each(|image| device.teach(image, 1));
            let score = device.score();
            let to = Restored::Committed { sequence: 1 };
            let refused = Rollback { score, floor, to };
            assert_eq!(
                device.with(|l| guard.commit(l)),
                Ok(Commit::RolledBack(refused))
            );
            assert_eq!(device.plastic.digest(), committed);
            let report = Report {
                n_samples: N_GOLDEN as u16,
                start,
                last: score,
                checks: 3,
                rollbacks: 2,
                commits: 1,
            };
            assert_eq!(guard.report(), report);
        });
    }
}

#[test]
fn a_commit_that_nobody_guarded_is_not_gone_back_to() {
    on_device(&guarded(GoldenKind::Features, DELTA), DELTA, |device| {
        let mut guard = device.guard(LIMITS);
        let base = device.plastic.digest();
        let lie = |device: &mut Device<'_>| {
            images(40, 8)
                .iter()
                .for_each(|image| device.teach(image, 1));
        };
        let check = |device: &mut Device<'_>, guard: &mut Guard| {
            let verdict = device.with(|l| guard.check(l)).unwrap();
            let Verdict::RolledBack(rollback) = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(rollback.to, Restored::Base);
            assert_eq!(device.plastic.digest(), base);
        };
        lie(device);
        device.with(|l| l.store.commit(l.model.id(), l.plastic.snapshot()).unwrap());
        check(device, &mut guard);
        lie(device);
        device.with(|l| l.store.commit([1; 16], b"of another model").unwrap());
        check(device, &mut guard);
        // Good, but under another rule.
        device.plastic.configure(device.model, INSTAR, 7).unwrap();
        device.with(|l| l.store.commit(l.model.id(), l.plastic.snapshot()).unwrap());
        device.plastic.configure(device.model, DELTA, 7).unwrap();
        lie(device);
        check(device, &mut guard);
    });
}

#[test]
fn checks_and_commits_come_when_they_are_due() {
    on_device(&guarded(GoldenKind::Inputs, DELTA), DELTA, |device| {
        let mut guard = device.guard(Limits {
            drop: u16::MAX,
            commit_every: 6,
            ..LIMITS
        });
        assert_eq!(guard.floor(), 0);
        // Nothing is in flash yet.
        assert!(matches!(
            device.with(|l| guard.commit(l)),
            Ok(Commit::Done(_))
        ));
        for update in 1..=12_u32 {
            device.teach(&images(1, 2)[0], 0);
            let verdict = device.with(|l| guard.learned(l)).unwrap();
            assert_eq!(verdict == Verdict::NotDue, update % 4 != 0);
            if update < 6 {
                let soon = Commit::TooSoon {
                    missing: 6 - update,
                };
                assert_eq!(device.with(|l| guard.commit(l)), Ok(soon));
            }
        }
        let done = device.with(|l| guard.commit(l));
        assert!(matches!(done, Ok(Commit::Done(record)) if record.sequence == 2));
        let soon = Commit::TooSoon { missing: 6 };
        assert_eq!(device.with(|l| guard.commit(l)), Ok(soon));
    });
}

#[test]
fn a_guard_that_could_not_see_is_refused() {
    let guard = |blob: &[u8], config| {
        on_device(blob, config, |device| {
            device.teach(&images(1, 2)[0], 1);
            let digest = device.plastic.digest();
            let made = device.with(|learner| Guard::new(LIMITS, learner));
            assert_eq!(device.plastic.digest(), digest, "what is learned stays");
            made.map(|guard| guard.report().start)
        })
    };
    assert_eq!(guard(&measured(3), DELTA), Err(AdaptError::NoGolden));
    let features = guarded(GoldenKind::Features, DELTA);
    assert_eq!(guard(&features, BOTH), Err(AdaptError::GoldenFeatures));
    assert_eq!(guard(&features, DELTA), Ok(20));
}

fn any_config() -> impl Strategy<Value = (Config, GoldenKind)> {
    prop::sample::select(vec![
        (DELTA, GoldenKind::Features),
        (INSTAR, GoldenKind::Features),
        (BOTH, GoldenKind::Inputs),
        (
            config(Some(2), Head::Instar { shift: 2 }),
            GoldenKind::Inputs,
        ),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Wrong labels only, commits whenever the adversary likes, power cuts while they are written,
    /// restarts: no check and no commit ever leaves less than the floor.
    #[test]
    fn no_liar_gets_below_the_floor(
        (config, kind) in any_config(),
        every in 1..6_u16,
        drop in 0..5_u16,
        acts in prop::collection::vec((1..N_CLASSES, 0..6_usize, 0..30_u64, 0..4_usize), 20..80),
        seed: u64,
    ) {
        let limits = Limits { every, drop, commit_every: 0 };
        let blob = guarded(kind, config);
        on_device(&blob, config, |device| {
            let floor = device.score() - drop;
            let mut guard = device.guard(limits);
            for ((shift, act, steps, tear), image) in acts.iter().zip(images(acts.len(), seed)) {
                device.teach(&image, *shift);
                let checked = match device.with(|l| guard.learned(l)).unwrap() {
                    Verdict::NotDue => false,
                    Verdict::Kept { score } => {
                        prop_assert!(score >= floor);
                        true
                    }
                    Verdict::RolledBack(rollback) => {
                        prop_assert!(rollback.score < rollback.floor);
                        true
                    }
                };
                prop_assert_eq!(guard.floor(), floor);
                prop_assert!(!checked || device.score() >= floor);
                if *act == 0 {
                    device.flash = device.flash.clone().cut_after(*steps, TEARS[*tear]);
                }
                if *act <= 1 {
                    match device.with(|l| guard.commit(l)) {
                        Ok(_) => prop_assert!(device.score() >= floor),
                        Err(error) => prop_assert!(matches!(error, CommitError::Store(_))),
                    }
                }
                if *act == 0 {
                    let resumed = device.restart();
                    prop_assert!(device.score() >= floor, "what is in flash is never below");
                    guard = resumed.unwrap_or_else(|| device.guard(limits));
                    prop_assert_eq!((guard.limits(), guard.floor()), (limits, floor));
                }
            }
            device.with(|l| guard.check(l)).unwrap();
            prop_assert!(device.score() >= floor);
            Ok(())
        })?;
    }
}
