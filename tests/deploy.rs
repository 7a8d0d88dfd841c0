//! Export: the int8 network follows a slow float evaluation, predicted costs equal exported costs byte
//! for byte, the length of a blob depends on its structure only, the card round-trips.

use crate::float_network::{CLASSES, Case, INPUT, NORMALIZATION, evaluate_slowly, random_params};
use crate::network::unpacked;
use aplysia_deploy::card::{
    AccuracyCard, AdaptationCard, Card, DataCard, InputCard, MemoryCard, RulesCard,
};
use aplysia_deploy::golden::GoldenSpec;
use aplysia_deploy::plan::ALIGNMENT_BYTES;
use aplysia_deploy::{Calibration, Content, DeployError, Export, HomeostasisScope, cost, export};
use aplysia_live::LiveError;
use aplysia_live::adaptation::DEFAULT;
use aplysia_live::evaluate;
use aplysia_live::evaluate::{Images, argmax, input_of_pixels};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::quant::{i16_at, i32_at};
use aplysia_shared::{Hooks, Model, infer, infer_with};
use aplysia_space::{Design, McuSpace, Network, NodeOp, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Every score within two standard deviations of the rounding noise (1.1 is the most seen in 40
/// networks), and 2 % of the scores' size altogether.
#[test]
fn int8_scores_follow_the_float_network() {
    let (mut squared_error, mut squared_value) = (0.0, 0.0);
    for seed in 0..12 {
        let case = Case::random(seed, INPUT, 3);
        let exported = case.export(&Content::new(&CLASSES));
        let model = Model::parse(&exported.blob).unwrap();
        let steps: Vec<f64> = model.tensors().map(|t| f64::from(t.scale)).collect();
        let evaluation = evaluate(&model, case.images()).unwrap();
        let scores = evaluation.scores.chunks_exact(CLASSES.len());
        for (image, scores) in case.pixels.chunks_exact(INPUT.len()).zip(scores) {
            let maps = evaluate_slowly(&case.network, &case.params, image, Some(&steps));
            for (expect, &q) in maps.last().unwrap().iter().zip(scores) {
                let out = model.output();
                let got =
                    f64::from(out.scale) * f64::from(i32::from(q) - i32::from(out.zero_point));
                let error = (got - expect.value).abs();
                assert!(
                    error <= 2.0 * expect.deviation,
                    "seed {seed}: {got} for {}",
                    expect.value
                );
                squared_error += error * error;
                squared_value += expect.value * expect.value;
            }
        }
    }
    let relative = (squared_error / squared_value).sqrt();
    assert!(relative < 0.02, "relative error {relative}");
}

#[test]
fn predicted_costs_equal_exported_costs() {
    let scopes = [
        HomeostasisScope::None,
        HomeostasisScope::Stem,
        HomeostasisScope::Depthwise,
        HomeostasisScope::All,
    ];
    let input = Shape { h: 10, w: 9, c: 1 };
    for seed in 0..240 {
        let mut rng = ChaCha8Rng::seed_from_u64(1000 + seed);
        let genotype = McuSpace::new(input).sample(&mut rng);
        let network = Network::lower(&genotype, input, CLASSES.len()).unwrap();
        let params = random_params(&network, &mut rng);
        let range = |_: &_| {
            (
                -rng.random_range(0.1..3.0_f32),
                rng.random_range(0.1..9.0_f32),
            )
        };
        let ranges: Vec<_> = network.nodes.iter().map(range).collect();
        let mut content = Content::new(&CLASSES);
        content.homeostasis = scopes[seed as usize % 4].clone();
        content.prototypes = seed % 3 != 0;
        let kind = [GoldenKind::Inputs, GoldenKind::Features][seed as usize % 2];
        content.golden = (seed % 5 != 0).then_some(GoldenSpec {
            kind,
            n: 1 + seed as usize % 40,
        });
        let pixels = vec![seed as u8; 40 * input.len()];
        let golden = Images {
            pixels: &pixels,
            labels: &[1; 40],
        };
        let images = Images {
            pixels: &[],
            labels: &[],
        };
        let calibration = Calibration {
            golden,
            input: NORMALIZATION,
            ranges: &ranges,
            images,
        };
        let exported = export(&network, &params, calibration, &content).unwrap();
        let predicted = cost(&genotype, input, &content).unwrap();
        assert_eq!(predicted, exported.costs, "seed {seed}");
        assert_eq!(predicted.flash_bytes, exported.blob.len() as u64);
        assert_eq!(predicted.golden_bytes > 0, content.golden.is_some());
        content.golden = None;
        let without = cost(&genotype, input, &content).unwrap();
        assert_eq!(without.golden_bytes, 0);
        let more = predicted.flash_bytes - without.flash_bytes;
        assert!(more.abs_diff(predicted.golden_bytes) < 16, "padding apart");
        let arena_bytes = exported.plan.arena_bytes as u64;
        assert_eq!(
            predicted.ram_bytes.next_multiple_of(ALIGNMENT_BYTES as u64),
            arena_bytes
        );
        assert_eq!(predicted.macs, network.macs());
    }
}

#[test]
fn the_length_of_a_blob_does_not_depend_on_its_values() {
    let mut case = Case::random(7, INPUT, 10);
    let first = case.export(&Content::new(&CLASSES));
    case.params = random_params(&case.network, &mut ChaCha8Rng::seed_from_u64(8));
    for range in &mut case.ranges {
        *range = (range.0 * 0.7, range.1 * 1.9);
    }
    let second = case.export(&Content::new(&CLASSES));
    assert_eq!(first.blob.len(), second.blob.len());
    assert_ne!(first.model_id, second.model_id);
    assert_eq!(
        first,
        Case::random(7, INPUT, 10).export(&Content::new(&CLASSES))
    );
}

#[test]
fn statistics_are_those_of_the_accumulators_and_features() {
    let case = Case::random(11, INPUT, 10);
    let mut content = Content::new(&CLASSES);
    content.homeostasis = HomeostasisScope::Stem;
    let exported = case.export(&content);
    let model = Model::parse(&exported.blob).unwrap();
    let weights = unpacked(
        &model.constants(0).unwrap(),
        &model.layer(0).unwrap(),
        INPUT.c,
    );
    let out_ch = case.network.nodes[1].shape.c;
    let zero_point = i64::from(model.input().zero_point);
    let NodeOp::Conv { kernel, stride, .. } = case.network.nodes[1].op else {
        unreachable!()
    };
    let mut accumulators = vec![Vec::new(); out_ch];
    let to = case.network.nodes[1].shape;
    for image in case.pixels.chunks_exact(INPUT.len()) {
        let input = input_of_pixels(image);
        for (y, x, o) in
            (0..to.h * to.w * out_ch).map(|j| (j / out_ch / to.w, j / out_ch % to.w, j % out_ch))
        {
            let mut acc = 0;
            for (ky, kx) in (0..kernel * kernel).map(|t| (t / kernel, t % kernel)) {
                let row = (y * stride + ky)
                    .checked_sub(kernel / 2)
                    .filter(|&r| r < INPUT.h);
                let column = (x * stride + kx)
                    .checked_sub(kernel / 2)
                    .filter(|&c| c < INPUT.w);
                if let (Some(row), Some(column)) = (row, column) {
                    let w = weights[(o * kernel + ky) * kernel + kx];
                    acc += i64::from(w) * (i64::from(input[row * INPUT.w + column]) - zero_point);
                }
            }
            accumulators[o].push(acc);
        }
    }
    let homeostasis = model.homeostasis(0).unwrap();
    for (o, accumulators) in accumulators.iter().enumerate() {
        let mean = |sum: i64| (sum as f64 / accumulators.len() as f64).round() as i32;
        let center = mean(accumulators.iter().sum());
        let deviation = mean(
            accumulators
                .iter()
                .map(|a| (a - i64::from(center)).abs())
                .sum(),
        );
        assert_eq!(i32_at(homeostasis.mean, o), center);
        assert_eq!(i32_at(homeostasis.deviation, o), deviation.max(1));
    }
}

struct Kept(Vec<i8>);

impl Hooks for Kept {
    fn features(&mut self, features: &[i8]) {
        self.0 = features.to_vec();
    }
}

#[test]
fn prototypes_are_class_means_of_the_features() {
    let case = Case::random(12, INPUT, 15);
    let exported = case.export(&Content::new(&CLASSES));
    let model = Model::parse(&exported.blob).unwrap();
    let d = model.features().len();
    let mut means = vec![0.0; CLASSES.len() * d];
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; CLASSES.len()]);
    for (image, &label) in case.pixels.chunks_exact(INPUT.len()).zip(&case.labels) {
        let mut kept = Kept(Vec::new());
        infer_with(
            &model,
            &mut arena,
            &input_of_pixels(image),
            &mut scores,
            &mut kept,
        )
        .unwrap();
        for (j, &q) in kept.0.iter().enumerate() {
            let centred = f64::from(q) - f64::from(model.features().zero_point);
            means[usize::from(label) * d + j] += centred / 3.0;
        }
    }
    let prototypes = model.prototypes().unwrap();
    for (i, mean) in means.iter().enumerate() {
        assert!((f64::from(i16_at(prototypes, i)) - 128.0 * mean).abs() <= 0.500_001);
    }
}

#[test]
fn faults_are_named() {
    let case = Case::random(5, INPUT, 2);
    let content = Content::new(&CLASSES);
    let calibration = |ranges| Calibration {
        golden: Images::NONE,
        input: NORMALIZATION,
        ranges,
        images: case.images(),
    };
    let result = export(
        &case.network,
        &case.params,
        calibration(&case.ranges[1..]),
        &content,
    );
    assert!(matches!(result, Err(DeployError::Ranges { .. })));
    let mut params = case.params.clone();
    params.layers[0].weight[0] = f32::NAN;
    let result = export(&case.network, &params, calibration(&case.ranges), &content);
    assert!(matches!(result, Err(DeployError::NotFinite { node }) if node == "stem"));
    params.layers[0].weight.pop();
    let result = export(&case.network, &params, calibration(&case.ranges), &content);
    assert!(matches!(
        result,
        Err(DeployError::Length { part: "weight", .. })
    ));
    let exported = case.export(&content);
    let model = Model::parse(&exported.blob).unwrap();
    let images = Images {
        pixels: &case.pixels,
        labels: &[0, 9],
    };
    let result = evaluate(&model, images);
    assert!(matches!(
        result,
        Err(LiveError::Label {
            label: 9,
            index: 1,
            n_classes: 5
        })
    ));
    let images = Images {
        pixels: &case.pixels[1..],
        labels: &case.labels,
    };
    assert!(matches!(
        evaluate(&model, images),
        Err(LiveError::Images { .. })
    ));
}

#[test]
fn evaluation_is_the_runtimes_inference() {
    let case = Case::random(6, INPUT, 9);
    let exported = case.export(&Content::new(&CLASSES));
    let model = Model::parse(&exported.blob).unwrap();
    let evaluation = evaluate(&model, case.images()).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    let mut scores = vec![0; CLASSES.len()];
    let mut n_correct = 0;
    for (i, image) in case.pixels.chunks_exact(INPUT.len()).enumerate() {
        infer(&model, &mut arena, &input_of_pixels(image), &mut scores).unwrap();
        assert_eq!(
            scores,
            evaluation.scores[i * CLASSES.len()..][..CLASSES.len()]
        );
        assert_eq!(usize::from(evaluation.predictions[i]), argmax(&scores));
        n_correct += usize::from(evaluation.predictions[i] == case.labels[i]);
    }
    assert_eq!(n_correct, evaluation.n_correct);
    assert_eq!(argmax(&[3, 7, 7, -1]), 1);
}

/// `network` with random parameters and no images.
pub(crate) fn exported(network: &Network, rng: &mut ChaCha8Rng) -> Export {
    let calibration = Calibration {
        golden: Images::NONE,
        input: NORMALIZATION,
        ranges: &vec![(-1.0, 1.0); network.nodes.len()],
        images: Images::NONE,
    };
    let names: Vec<String> = (0..network.n_classes).map(|i| format!("{i}")).collect();
    let params = random_params(network, rng);
    export(network, &params, calibration, &Content::new(&names)).unwrap()
}

#[test]
fn the_card_round_trips() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let genotype = McuSpace::new(INPUT).sample(&mut rng);
    let network = Network::lower(&genotype, INPUT, CLASSES.len()).unwrap();
    let content = Content::new(&CLASSES);
    let Export { plan, map, .. } = exported(&network, &mut rng);
    let card = Card {
        name: "toy".into(),
        description: "Five kinds of clothes.".into(),
        licence: "MIT OR Apache-2.0".into(),
        model_id: "00ff".into(),
        seed: 1,
        toolchain: "rustc".into(),
        commands: vec!["aplysia train".into()],
        data: DataCard {
            name: "toy".into(),
            sha256: "ab".into(),
            n_train: 9,
            n_test: 5,
        },
        input: InputCard {
            shape_hwc: [INPUT.h, INPUT.w, INPUT.c],
            mean_pixel: NORMALIZATION.mean_pixel,
            std: NORMALIZATION.std,
            n_calibration: 3,
        },
        accuracy: AccuracyCard::new(&[(1, 92.0, 91.0), (2, 93.0, 93.0)]),
        costs: cost(&genotype, INPUT, &content).unwrap(),
        memory: MemoryCard {
            arena_bytes: plan.arena_bytes,
            lower_bound_bytes: plan.lower_bound_bytes,
            map,
        },
        rules: RulesCard::new(&network),
        adaptation: AdaptationCard::new(&network, &content, DEFAULT, 7),
        genotype: Design::Mcu(genotype),
    };
    assert_eq!(card.adaptation.homeostasis_shift, DEFAULT.homeostasis);
    assert_eq!(card.adaptation.homeostasis_layers[0], "stem");
    let text = card.to_toml().unwrap();
    assert_eq!(Card::from_toml(&text).unwrap(), card, "{text}");
    assert!((card.rules.weights_pct.values().sum::<f64>() - 100.0).abs() < 0.02);
    assert_eq!(
        (card.accuracy.float_pct, card.accuracy.int8_pct),
        (92.0, 91.0)
    );
    assert_eq!(card.accuracy.int8_mean_pct, 92.0);
    assert_eq!(card.accuracy.int8_std_pct, 1.41);
    let unknown = format!("surprise = 1\n{text}");
    assert!(matches!(
        Card::from_toml(&unknown),
        Err(DeployError::Card(_))
    ));
}

/// A limit of energy lets exactly the instructions through whose estimate is within it.
#[test]
fn a_limit_of_energy_is_one_of_instructions() {
    use aplysia_deploy::energy::{CHIPS, Chip};
    for chip in &CHIPS {
        assert_eq!(Chip::named(chip.name), Some(chip));
        for energy_uj in [0.5, 12.0, 777.7] {
            let n = chip.instructions_within(energy_uj);
            assert!(chip.energy_uj(n).mid <= energy_uj + 1e-9, "{}", chip.name);
            assert!(chip.energy_uj(n + 1).mid > energy_uj, "{}", chip.name);
            let band = chip.energy_uj(n);
            assert!(band.low < band.mid && band.mid < band.high);
        }
    }
    // 1.4 cycles of 347 pJ each.
    let uj = Chip::named("stm32l4r5").unwrap().energy_uj(1_000_000).mid;
    assert!((uj - 485.8).abs() < 1e-6);
    assert_eq!(Chip::named("abacus"), None);
}
