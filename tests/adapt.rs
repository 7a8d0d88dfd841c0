//! Learning on the device: the rules against references written from their equations, and the state
//! as an overlay that leaves the base model alone.

use crate::toy::{
    CHANNELS, D, N_CLASSES, SIDE, base_scores, folded, images, measured, network, probe, probe_at,
    seal, with,
};
use aplysia_shared::Model;
use aplysia_shared::adapt::deep::{Deep, Feedback};
use aplysia_shared::adapt::{AdaptError, Config, Counters, Head, Plastic, state_bytes};
use aplysia_shared::kernel::sums::Lattice;
use aplysia_shared::quant::{i16_at, i32_at};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HEADER_BYTES: usize = 64;
const DELTA: Config = config(None, Head::Delta { rate: 1311 });
const INSTAR: Config = config(None, Head::Instar { shift: 3 });
const BOTH: Config = config(Some(5), Head::Delta { rate: 1311 });
const PERCEPTRON: Config = config(
    Some(5),
    Head::Perceptron {
        rate: 1311,
        margin: 9,
    },
);
const REWARD: Config = config(None, Head::Reward { rate: 1311 });
const DEEP: Config = config(
    None,
    Head::Deep {
        rate: 1311,
        deep: Deep {
            ram_bytes: 1000,
            rate: u16::MAX,
            feedback: Feedback::Random,
        },
    },
);

const fn config(homeostasis: Option<u8>, head: Head) -> Config {
    Config { homeostasis, head }
}

/// Shows the images with their labels; every class predicted and every score, in order.
fn train(
    model: &Model<'_>,
    plastic: &mut Plastic<'_>,
    images: &[Vec<i8>],
) -> Vec<(usize, Vec<i8>)> {
    let mut arena = vec![0; model.arena_bytes()];
    let step = |(i, image): (usize, &Vec<i8>)| {
        let class = plastic.observe(model, &mut arena, image).unwrap().class;
        let right = plastic.learn(model, i % N_CLASSES).unwrap();
        assert_eq!(right, class == i % N_CLASSES);
        (class, plastic.scores().to_vec())
    };
    images.iter().enumerate().map(step).collect()
}

#[test]
fn rate_zero_and_fresh_statistics_change_nothing() {
    let blob = measured(1);
    let config = config(Some(5), Head::Delta { rate: 0 });
    with(&blob, config, |model, plastic| {
        let before = plastic.snapshot().to_vec();
        let mut arena = vec![0; model.arena_bytes()];
        for (i, image) in images(20, 2).iter().enumerate() {
            plastic.infer(model, &mut arena, image).unwrap();
            plastic.learn(model, i % N_CLASSES).unwrap();
            assert_eq!(plastic.scores(), base_scores(model, image));
        }
        assert_eq!(plastic.snapshot()[HEADER_BYTES..], before[HEADER_BYTES..]);
        let Counters {
            seen,
            labels,
            mistakes,
        } = plastic.counters();
        assert_eq!((seen, labels), (20, 20));
        assert!(mistakes <= 20);
    });
}

#[test]
fn the_same_seed_gives_the_same_bits_and_reset_forgets_them() {
    let blob = measured(2);
    for config in [DELTA, INSTAR, BOTH, PERCEPTRON, REWARD, DEEP] {
        with(&blob, config, |model, plastic| {
            let fresh = (plastic.digest(), plastic.snapshot().to_vec());
            let run = train(model, plastic, &images(40, 3));
            let learned = plastic.digest();
            let mut arena = vec![0; model.arena_bytes()];
            plastic.infer(model, &mut arena, &images(1, 3)[0]).unwrap();
            assert_ne!(learned, fresh.0);
            plastic.reset(model).unwrap();
            assert_eq!((plastic.digest(), plastic.snapshot().to_vec()), fresh);
            assert_eq!(plastic.learn(model, 0), Err(AdaptError::NothingInferred));
            assert_eq!(train(model, plastic, &images(40, 3)), run);
            assert_eq!(plastic.digest(), learned);
        });
    }
    let digest = |seed| {
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; state_bytes(&model, &DELTA).unwrap()];
        let mut plastic = Plastic::new(&model, DELTA, seed, &mut buffer).unwrap();
        train(&model, &mut plastic, &images(5, 3));
        plastic.snapshot()[HEADER_BYTES..].to_vec()
    };
    assert_ne!(digest(1), digest(2));
}

#[test]
fn a_restored_snapshot_goes_on_as_if_nothing_had_happened() {
    let blob = measured(3);
    for config in [DELTA, INSTAR, BOTH, PERCEPTRON, REWARD, DEEP] {
        let (snapshot, rest) = with(&blob, config, |model, plastic| {
            train(model, plastic, &images(15, 4));
            let snapshot = plastic.snapshot().to_vec();
            (
                snapshot,
                (train(model, plastic, &images(15, 5)), plastic.digest()),
            )
        });
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0; 4096];
        let other = Config {
            homeostasis: None,
            head: Head::Base,
        };
        let mut plastic = Plastic::new(&model, other, 99, &mut buffer).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        plastic.infer(&model, &mut arena, &images(1, 4)[0]).unwrap();
        plastic.restore(&model, &snapshot).unwrap();
        assert_eq!(plastic.config(), config);
        assert_eq!(plastic.learn(&model, 0), Err(AdaptError::NothingInferred));
        assert_eq!(
            (
                train(&model, &mut plastic, &images(15, 5)),
                plastic.digest()
            ),
            rest
        );
    }
}

#[test]
fn damaged_and_foreign_snapshots_are_refused() {
    let (blob, foreign) = (measured(4), measured(5));
    let snapshot = with(&blob, BOTH, |model, plastic| {
        train(model, plastic, &images(5, 6));
        plastic.snapshot().to_vec()
    });
    with(&blob, BOTH, |model, plastic| {
        let before = plastic.digest();
        let mut overflowing = snapshot.clone();
        let at = snapshot.len() - 4;
        overflowing[at..].copy_from_slice(&i32::MAX.to_le_bytes());
        seal(&mut overflowing);
        let refused = plastic.restore(model, &overflowing);
        assert_eq!(refused, Err(AdaptError::SnapshotContent));
        for len in 0..snapshot.len() {
            assert!(
                plastic.restore(model, &snapshot[..len]).is_err(),
                "{len} bytes"
            );
        }
        for bit in 0..8 * snapshot.len() {
            let mut bytes = snapshot.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(plastic.restore(model, &bytes).is_err(), "bit {bit}");
        }
        assert_eq!(plastic.digest(), before);
    });
    with(&foreign, BOTH, |model, plastic| {
        assert_eq!(
            plastic.restore(model, &snapshot),
            Err(AdaptError::WrongModel)
        );
        let home = Model::parse(&blob).unwrap();
        assert_eq!(plastic.learn(&home, 0), Err(AdaptError::WrongModel));
        assert_eq!(plastic.reset(&home), Err(AdaptError::WrongModel));
    });
    with(&blob, config(None, Head::Base), |model, plastic| {
        let want_bytes = state_bytes(model, &BOTH).unwrap();
        let got_bytes = HEADER_BYTES + D;
        let small = AdaptError::Buffer {
            got_bytes,
            want_bytes,
        };
        assert_eq!(plastic.restore(model, &snapshot), Err(small));
    });
}

#[test]
fn wrong_calls_are_typed_errors() {
    let blob = measured(6);
    with(&blob, DELTA, |model, plastic| {
        let mut arena = vec![0; model.arena_bytes()];
        assert_eq!(plastic.learn(model, 0), Err(AdaptError::NothingInferred));
        plastic.infer(model, &mut arena, &images(1, 7)[0]).unwrap();
        let label = AdaptError::Label {
            got: N_CLASSES,
            n_classes: N_CLASSES,
        };
        assert_eq!(plastic.learn(model, N_CLASSES), Err(label));
        assert!(plastic.learn(model, 0).is_ok());
        assert_eq!(plastic.learn(model, 0), Err(AdaptError::NothingInferred));
        assert!(matches!(
            plastic.infer(model, &mut [], &[]),
            Err(AdaptError::Arena(_))
        ));
        let (momentum, shift) = (
            config(Some(11), Head::Base),
            config(None, Head::Instar { shift: 7 }),
        );
        assert_eq!(
            state_bytes(model, &momentum),
            Err(AdaptError::Momentum { got: 11 })
        );
        assert_eq!(
            state_bytes(model, &shift),
            Err(AdaptError::Shift { got: 7 })
        );
    });
}

/// The equations of `adapt::instar` in floating point, where all of it is exact but the square root.
#[test]
fn instar_equals_its_equations() {
    let blob = measured(7);
    with(&blob, INSTAR, |model, plastic| {
        let bytes = model.prototypes().unwrap();
        let mut prototypes: Vec<f64> = (0..N_CLASSES * D)
            .map(|i| f64::from(i16_at(bytes, i)))
            .collect();
        let zeros = CHANNELS.map(|n| vec![0; n]);
        let images = images(100, 8);
        let classes = train(model, plastic, &images);
        for (i, (image, (class, scores))) in images.iter().zip(&classes).enumerate() {
            let q = probe(model, std::slice::from_ref(image), &zeros).features;
            let x: Vec<f64> = q.iter().map(|&q| f64::from(q) + 128.0).collect();
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let cosine = |p: &[f64]| dot(p, &x) / (dot(p, p) * dot(&x, &x)).sqrt();
            let cosines: Vec<f64> = prototypes.chunks(D).map(cosine).collect();
            let best = cosines.iter().copied().fold(f64::MIN, f64::max);
            assert!(
                cosines[*class] > best - 1e-3,
                "image {i}: {cosines:?}, got {class}"
            );
            for (c, s) in cosines.iter().zip(scores) {
                assert!((c * 127.0 - f64::from(*s) - 0.5).abs() < 0.7, "{c} {s}");
            }
            let row = &mut prototypes[i % N_CLASSES * D..][..D];
            row.iter_mut()
                .zip(&x)
                .for_each(|(p, x)| *p += ((128.0 * x - *p) / 8.0).floor());
        }
        let learned = &plastic.snapshot()[HEADER_BYTES..];
        let learned: Vec<f64> = (0..N_CLASSES * D)
            .map(|i| f64::from(i16_at(learned, i)))
            .collect();
        assert_eq!(learned, prototypes);
    });
}

/// One image moves every statistic by the equations of `adapt::homeostasis`; the sums are those of the
/// base model, as the image itself is classified before it is learned from.
fn words(bytes: &[u8]) -> Vec<i32> {
    (0..bytes.len() / 4).map(|i| i32_at(bytes, i)).collect()
}

/// Layer by layer, in every other image: a sixth of the pixels, another one each time, steps of 1/4 at first, and
/// what a layer reads is what the one above computes with its new constants.
#[test]
fn observing_moves_the_statistics_by_their_equations() {
    let blob = measured(11);
    with(&blob, config(Some(3), Head::Base), |model, plastic| {
        let sources = [0, 1].map(|l| model.homeostasis(l).unwrap());
        let mut mean = sources.map(|s| words(s.mean));
        let mut deviation = sources.map(|s| words(s.deviation));
        for (i, image) in images(17, 13).iter().enumerate() {
            let n = i / 2;
            let lattice = Lattice {
                first: n % 6,
                step: 6,
            };
            let step = if n < 4 { 4.0 } else { 8.0 };
            let pixels = f64::from(SIDE * SIDE / 6);
            let moved = |old: i32, sum: i64| {
                let distance = (sum as f64 / pixels).round() - f64::from(old);
                old + (distance / step + 0.5).floor() as i32
            };
            // Both layers lie in the first 32 channels, which follow images 0, 2, 4, ...
            for layer in (0..2).filter(|_| i % 2 == 0) {
                let constants = (layer == 1).then(|| folded(model, &mean[0], &deviation[0]));
                let image = std::slice::from_ref(image);
                let stats = probe_at(model, image, &mean, lattice, constants).stats;
                for (c, stat) in stats[layer].iter().enumerate() {
                    mean[layer][c] = moved(mean[layer][c], stat.sum);
                    deviation[layer][c] = moved(deviation[layer][c], stat.deviation).max(1);
                }
            }
            let mut arena = vec![0; model.arena_bytes()];
            plastic.observe(model, &mut arena, image).unwrap();
            let expected = [&mean[0], &deviation[0], &mean[1], &deviation[1]];
            let expected: Vec<i32> = expected.into_iter().flatten().copied().collect();
            let found = words(&plastic.snapshot()[HEADER_BYTES..]);
            assert_eq!(found, expected, "image {i}");
        }
    });
}

#[test]
fn homeostasis_undoes_gain_and_offset() {
    let blob = measured(9);
    let config = config(Some(4), Head::Base);
    let shift = |image: &[i8]| -> Vec<i8> { image.iter().map(|&q| q / 2 + 45).collect() };
    with(&blob, config, |model, plastic| {
        let mut arena = vec![0; model.arena_bytes()];
        for image in &images(300, 10) {
            plastic.observe(model, &mut arena, &shift(image)).unwrap();
        }
        let distance = |a: &[i8], b: &[i8]| -> u32 {
            a.iter()
                .zip(b)
                .map(|(a, b)| u32::from(a.abs_diff(*b)))
                .sum()
        };
        let (mut before, mut after) = (0, 0);
        for image in &images(50, 11) {
            let clean = base_scores(model, image);
            before += distance(&base_scores(model, &shift(image)), &clean);
            plastic.infer(model, &mut arena, &shift(image)).unwrap();
            after += distance(plastic.scores(), &clean);
        }
        assert!(
            after * 4 < before,
            "score distance before {before}, after {after}"
        );
    });
}

/// Black, white and alternating images at the fastest rates, and a state of random bytes under a valid
/// checksum: nothing panics.
#[test]
fn extremes_never_panic() {
    let extreme = |i: usize| -> Vec<i8> {
        let pixel = |p: usize| [[i8::MIN; 2], [i8::MAX; 2], [i8::MIN, i8::MAX]][i % 3][p % 2];
        (0..usize::from(SIDE * SIDE) * 2).map(pixel).collect()
    };
    let extremes: Vec<Vec<i8>> = (0..60).map(extreme).collect();
    let heads = [
        Head::Base,
        Head::Instar { shift: 2 },
        Head::Delta { rate: u16::MAX },
        Head::Perceptron {
            rate: u16::MAX,
            margin: u8::MAX,
        },
        Head::Reward { rate: u16::MAX },
    ];
    let statistics = CHANNELS.map(|n| vec![(i32::MIN, i32::MAX); n]);
    let tiny = CHANNELS.map(|n| vec![(i32::MAX, 1); n]);
    for blob in [measured(10), network(10, &statistics), network(10, &tiny)] {
        let configs = heads.map(|head| config(Some(1), head));
        for config in configs.into_iter().chain([DEEP]) {
            with(&blob, config, |model, plastic| {
                train(model, plastic, &extremes);
                let rng = &mut ChaCha8Rng::seed_from_u64(12);
                for _ in 0..20 {
                    let mut bytes = plastic.snapshot().to_vec();
                    rng.fill(&mut bytes[HEADER_BYTES..]);
                    seal(&mut bytes);
                    match plastic.restore(model, &bytes) {
                        Ok(()) => drop(train(model, plastic, &extremes[..6])),
                        Err(error) => assert_eq!(error, AdaptError::SnapshotContent),
                    }
                }
            });
        }
    }
}
