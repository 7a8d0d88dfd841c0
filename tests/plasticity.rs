//! What a genotype plans to learn on the device: in the blob, in the device's configuration, as an objective of a
//! search, by the command line against single steps of the learner.

use crate::float_network::{CLASSES, Case, INPUT};
use crate::program::aplysia_binary;
use aplysia_data::{Corruption, Dataset, Normalization, Part, Shift, Source, Splits};
use aplysia_deploy::plasticity::{Camera, Learning, accuracy_after, config, content};
use aplysia_deploy::{Calibration, Card, Content, HomeostasisScope, InputNormalization, export};
use aplysia_learn::{Device, FeedbackScale, TrainConfig, activation_ranges, recalibrate, train};
use aplysia_live::adapt_bench::{Cell, METHODS, measure};
use aplysia_live::evaluate::{Images, input_of_pixels};
use aplysia_search::{Study, Trial};
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};
use aplysia_space::{
    Below, Design, Genotype, HeadRule, McuSpace, Network, PlasticityBounds, Shape,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

/// The blob of every plan has statistics where it says so and nowhere else; the device is told its rules; what it
/// costs is the device's own account.
#[test]
fn a_plan_is_what_blob_and_device_get() {
    let (mut heads, mut below, mut n_told) = (BTreeSet::new(), BTreeSet::new(), 0);
    for seed in 0..60 {
        let bounds = PlasticityBounds::new(true);
        let (genotype, case) = Case::planned(seed, INPUT, 4, Some(bounds));
        let plan = genotype.plasticity.unwrap();
        let design = Design::Mcu(genotype.clone());
        let exported = case.export(&content(&design, &CLASSES));
        let model = Model::parse(&exported.blob).unwrap();
        let layers = model.layers().filter(|layer| layer.op.is_weighted());
        let carried: Vec<bool> = layers.map(|layer| layer.homeostasis.is_some()).collect();
        let flags = genotype.homeostatic().unwrap();
        assert_eq!(
            carried,
            [flags.as_slice(), &[false]].concat(),
            "seed {seed}"
        );
        let told = config(&design).unwrap();
        assert_eq!(told.homeostasis.is_some(), flags.contains(&true));
        assert!(match told.head {
            Head::Base => (plan.head, plan.below) == (HeadRule::None, Below::None),
            Head::Instar { .. } => plan.head == HeadRule::Instar,
            Head::Delta { .. } => (plan.head, plan.below) == (HeadRule::Delta, Below::None),
            Head::Perceptron { .. } => plan.head == HeadRule::Perceptron,
            Head::Deep { rate, .. } =>
                plan.below != Below::None && (rate > 0) == (plan.head == HeadRule::Delta),
            Head::Reward { .. } => false,
        });
        let rows = METHODS.iter().filter_map(|m| m.config());
        n_told += usize::from(rows.into_iter().any(|row| row == told));
        heads.insert(format!("{:?}", plan.head));
        below.insert(format!("{:?}", plan.below));
        match state_bytes(&model, &told) {
            Ok(bytes) => {
                let learning = Learning::of(&model, &told).unwrap();
                assert_eq!(learning.state_bytes, bytes as u64);
                assert_eq!(learning.instructions > 0, told != Config::NOTHING);
            }
            // No layer that reaches the head as it must.
            Err(_) => assert_ne!(plan.below, Below::None),
        }
    }
    assert_eq!((heads.len(), below.len()), (4, 3));
    assert!(n_told > 30, "{n_told} plans are rows of the bench");
    let plain = Case::planned(1, INPUT, 4, None).0;
    assert_eq!(config(&Design::Mcu(plain.clone())), None);
    assert_eq!(
        content(&Design::Mcu(plain), &CLASSES),
        Content::new(&CLASSES)
    );
}

fn labelled(n: usize, seed: u64) -> (Vec<u8>, Vec<u16>) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let labels: Vec<u16> = (0..n).map(|i| (i % CLASSES.len()) as u16).collect();
    let image = |&label: &u16| -> Vec<u8> {
        let low = 30 * label as u8;
        (0..INPUT.len())
            .map(|_| rng.random_range(low..low + 90))
            .collect()
    };
    (labels.iter().flat_map(image).collect(), labels)
}

/// The objective against the bench, which keeps features and never runs a whole image twice.
#[test]
fn accuracy_after_learning_is_the_benchs() {
    let (_, case) = Case::planned(3, INPUT, 4, Some(PlasticityBounds::new(true)));
    let content = Content {
        homeostasis: HomeostasisScope::All,
        ..Content::new(&CLASSES)
    };
    let exported = case.export(&content);
    let model = Model::parse(&exported.blob).unwrap();
    let sets: Vec<_> = (0..4).map(|seed| labelled(50, seed)).collect();
    let images = |at: usize| Images {
        pixels: &sets[at].0,
        labels: &sets[at].1,
    };
    let camera = |at| Camera {
        stream: images(at),
        measured: images(at + 1),
    };
    let cameras = [camera(0), camera(2)];
    let mut gains = 0;
    for method in METHODS
        .iter()
        .filter(|m| m.config().is_some() && m.fits(&model))
    {
        let shares = cameras.map(|camera| {
            let cell = Cell {
                stream: camera.stream,
                shifted: camera.measured,
                clean: camera.measured,
                seed: 4,
                noise_pct: &[0],
            };
            measure(&model, &cell, &[method]).unwrap()[0].shifted_pct[0]
        });
        let config = method.config().unwrap();
        let got = 100.0 * accuracy_after(&model, config, 4, cameras).unwrap();
        let want = (shares[0] + shares[1]) / 2.0;
        assert!(
            (got - want).abs() < 1e-9,
            "{}: {got} for {want}",
            method.name
        );
        let before = 100.0 * accuracy_after(&model, Config::NOTHING, 4, cameras).unwrap();
        gains += usize::from(got > before);
    }
    assert!(gains > 5, "{gains} methods gain");
}

const IMAGES: usize = 200;
const SAMPLES: usize = 40;
const MEASURED: usize = 60;
const SHIFTS: [Corruption; 2] = [Corruption::Contrast, Corruption::Rotation];

fn aplysia(name: &str, path: &Path, flags: &str) -> Output {
    let mut command = Command::new(aplysia_binary());
    command
        .arg(name)
        .arg(path)
        .args(flags.split(' ').filter(|f| !f.is_empty()));
    command.output().unwrap()
}

/// Standard output of a command that must end well.
fn finish(name: &str, path: &Path, flags: &str) -> String {
    let output = aplysia(name, path, flags);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {flags}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn text(study: &Path, name: &str) -> String {
    fs::read_to_string(study.join(name)).unwrap()
}

#[test]
fn a_search_for_learners_is_resumed_and_measures_what_single_steps_give() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let names = SHIFTS.map(Corruption::name).join(",");
    let story = finish(
        "search",
        &whole,
        &format!(
            "--trials 4 --population 2 --images {IMAGES} --rungs 1,2 --instructions 1500000 --seed 5 \
             --adapt-samples {SAMPLES} --adapt labelled --adapt-corruptions {names} --adapt-images {MEASURED}"
        ),
    );
    assert!(story.contains("the most accurate after learning on the device"));
    let ledger = text(&whole, "ledger.jsonl");
    let lines: Vec<&str> = ledger.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 10);
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["event"] == "score", event["adapted"].is_f64());
        let planned = event["genotype"]["plasticity"].is_object();
        assert_eq!(
            event["event"] == "trial",
            planned && event["costs"]["learned_bytes"].is_u64()
        );
    }
    // Cut behind the first generation, whose folders are there, and in the middle of a line.
    for n in [5, 9] {
        fs::create_dir(&cut).unwrap();
        let copy = Command::new("cp")
            .arg("-r")
            .args([whole.join("trials"), cut.clone()])
            .status();
        assert!(copy.unwrap().success());
        fs::copy(whole.join("study.toml"), cut.join("study.toml")).unwrap();
        let torn = &lines[n][..lines[n].len() / 2];
        fs::write(cut.join("ledger.jsonl"), lines[..n].concat() + torn).unwrap();
        finish("search", &cut, "--resume");
        for file in ["ledger.jsonl", "front.json", "best.toml"] {
            assert_eq!(text(&cut, file), text(&whole, file), "{file}");
        }
        fs::remove_dir_all(&cut).unwrap();
    }
    let study: Study<McuSpace> = Study::open(&whole).unwrap();
    let source = Source::FashionMnist;
    let data = source
        .load(&source.locate(None).unwrap(), Part::Train)
        .unwrap();
    let splits = Splits::new(&data, 1);
    let normalization = Normalization::measure_shared(&splits.train).unwrap();
    for trial in study.trials().iter().filter(|t| t.adapted.len() == 2) {
        let checkpoint = study.rung_dir(trial.index, 1).join("checkpoint.bin");
        let seed = study.trial_seed(trial.index);
        let got = by_single_steps(trial, seed, &checkpoint, (&splits, &normalization));
        assert_eq!(Some(&got), trial.adapted.last(), "trial {}", trial.index);
    }
}

/// What is planned is exported unless a flag says otherwise, and is seen; cells plan nothing.
#[test]
fn an_export_takes_the_plan_of_its_genotype() {
    let dir = tempfile::tempdir().unwrap();
    let (file, run, model) = (
        "genotype.toml",
        dir.path().join("run"),
        dir.path().join("model"),
    );
    let path = dir.path().join(file);
    let bounds = Some(PlasticityBounds::new(true));
    let space = McuSpace {
        max_blocks: 3,
        plasticity: bounds,
        ..McuSpace::new(Shape { h: 28, w: 28, c: 1 })
    };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let genotype = space.sample(&mut rng);
    fs::write(&path, genotype.to_toml()).unwrap();
    let seen = finish("inspect", &path, "");
    assert!(
        seen.contains("learns on the device: homeostasis 5 of "),
        "{seen}"
    );
    finish(
        "train",
        &path,
        &format!("--out {} --images 64 --epochs 1", run.display()),
    );
    let flags = format!("--out {} --calibration 32 --golden 0", model.display());
    let network = Network::lower(&genotype, space.input, 10).unwrap();
    let planned: Vec<String> = (network.weighted().zip(genotype.homeostatic().unwrap()))
        .filter(|(_, flag)| *flag)
        .map(|(i, _)| network.nodes[i].name.clone())
        .collect();
    for (more, layers) in [("", planned), ("--homeostasis none", vec![])] {
        finish("export", &run, &format!("{flags} {more}"));
        let card = Card::from_toml(&text(&model, "card.toml")).unwrap();
        assert_eq!(card.adaptation.homeostasis_layers, layers);
        let told = config(&Design::Mcu(genotype.clone())).unwrap();
        let card = card.adaptation;
        let head = match told.head {
            Head::Instar { shift } => card.instar_shift == Some(shift),
            Head::Delta { rate } => card.delta_rate == Some(rate) && card.deep.is_none(),
            Head::Perceptron { rate, margin } => card.perceptron == Some((rate, margin)),
            Head::Deep { rate, deep } => card.delta_rate == Some(rate) && card.deep == Some(deep),
            Head::Base | Head::Reward { .. } => {
                card.delta_rate.or(card.perceptron.map(|p| p.0)).is_none()
            }
        };
        assert!(head && text(&model, file) == genotype.to_toml());
    }
    let cells = aplysia(
        "search",
        &dir.path().join("cells"),
        "--space darts --adapt-samples 50",
    );
    let message = String::from_utf8_lossy(&cells.stderr).into_owned();
    assert!(
        !cells.status.success() && message.contains("only the space mcu has"),
        "{message}"
    );
}

/// Trained network, blob and learning, step by step from the checkpoint.
fn by_single_steps(
    trial: &Trial<Genotype>,
    seed: u64,
    checkpoint: &Path,
    (splits, normalization): (&Splits, &Normalization),
) -> f64 {
    let part = splits.train.subset(IMAGES, 5);
    let shape = Shape { h: 28, w: 28, c: 1 };
    let network = Network::lower(&trial.genotype, shape, 10).unwrap();
    let settings = TrainConfig {
        epochs: 2,
        schedule_epochs: 2,
        seed,
        feedback_scale: FeedbackScale::WeightNorm,
        ..TrainConfig::default()
    };
    let job = aplysia_learn::Job {
        network: &network,
        train: learnable(&part, normalization),
        valid: None,
        config: &settings,
        device: Device::Cpu,
        checkpoint: Some(checkpoint),
    };
    let trained = train(&job, &mut |_| ControlFlow::Break(())).unwrap();
    assert!(trained.finished);
    let images = learnable(&part, normalization);
    let params = recalibrate(&network, &trained.params, images, Device::Cpu).unwrap();
    let calibration = part.subset(1000, seed);
    let ranges = activation_ranges(
        &network,
        &params,
        learnable(&calibration, normalization),
        Device::Cpu,
    )
    .unwrap();
    let content = Content {
        homeostasis: HomeostasisScope::Chosen(trial.genotype.homeostatic().unwrap()),
        ..Content::new(&part.class_names)
    };
    let calibrated = Calibration {
        input: InputNormalization {
            mean_pixel: normalization.mean_pixel[0],
            std: normalization.std[0],
        },
        ranges: &ranges,
        images: Images {
            pixels: calibration.bytes().unwrap(),
            labels: &calibration.labels,
        },
        golden: Images::NONE,
    };
    let blob = export(&network, &params, calibrated, &content)
        .unwrap()
        .blob;
    let model = Model::parse(&blob).unwrap();
    assert_eq!(trial.costs.flash_bytes, blob.len() as u64);
    let told = config(&Design::Mcu(trial.genotype.clone())).unwrap();
    // The pools: 60 validation images in the order of seed 1 to measure on, streams from the others.
    let order = splits.validation.subset(splits.validation.len(), 1);
    let indices: Vec<usize> = (0..order.len()).collect();
    let (measured, rest) = indices.split_at(MEASURED);
    let mut n_right = 0;
    for corruption in SHIFTS {
        let shift = Shift::new(corruption, 3, 1).unwrap();
        let stream = order
            .select(rest)
            .subset(SAMPLES, 1)
            .shifted(&shift)
            .unwrap();
        let mut buffer = vec![0; state_bytes(&model, &told).unwrap()];
        let mut arena = vec![0; model.arena_bytes()];
        let mut plastic = Plastic::new(&model, told, 1, &mut buffer).unwrap();
        for (pixels, &label) in stream.images().unwrap().zip(&stream.labels) {
            plastic
                .observe(&model, &mut arena, &input_of_pixels(pixels))
                .unwrap();
            plastic.learn(&model, usize::from(label)).unwrap();
        }
        let measured = order.select(measured).shifted(&shift).unwrap();
        for (pixels, &label) in measured.images().unwrap().zip(&measured.labels) {
            let said = plastic
                .infer(&model, &mut arena, &input_of_pixels(pixels))
                .unwrap();
            n_right += usize::from(said.class == usize::from(label));
        }
    }
    n_right as f64 / (SHIFTS.len() * MEASURED) as f64
}

fn learnable<'a>(data: &'a Dataset, n: &'a Normalization) -> aplysia_learn::Images<'a> {
    aplysia_learn::Images {
        pixels: data.pixels(),
        labels: &data.labels,
        shape: Shape {
            h: data.shape.h,
            w: data.shape.w,
            c: data.shape.c,
        },
        mean_pixel: &n.mean_pixel,
        std: n.std[0],
    }
}
