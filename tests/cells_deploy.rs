//! Networks of cells on their way to the device.
//!
//! It owns the comparisons: the int8 network with slow references layer by layer, with the float network
//! of `learn`, with the costs predicted without training, and on the emulated device.

use crate::float_network::random_params;
use crate::network::tensors;
use crate::program::firmware;
use aplysia_deploy::bench::measure;
use aplysia_deploy::processor::M4;
use aplysia_deploy::{
    Calibration, Content, Export, HomeostasisScope, InputNormalization, cost_of_network, export,
};
use aplysia_learn::{Device, activation_ranges};
use aplysia_live::evaluate;
use aplysia_live::evaluate::{Images, input_of_pixels};
use aplysia_shared::{Model, infer};
use aplysia_space::darts::{self, Stem, published};
use aplysia_space::{DartsSpace, NasBench201Space, Network, NetworkParams, NodeOp, Shape};
use aplysia_space::{Rule, nasbench201 as nb201};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CLASSES: [&str; 4] = ["a", "b", "c", "d"];
const NORMALIZATION: InputNormalization = InputNormalization {
    mean_pixel: 110,
    std: 0.27,
};

/// A network of cells with random parameters, and random images for it.
struct Case {
    network: Network,
    params: NetworkParams,
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Case {
    fn new(network: &Network, seed: u64, n_images: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (network, _) = network.inference();
        let pixels = (0..n_images * network.nodes[0].shape.len()).map(|_| rng.random());
        let pixels = pixels.collect();
        Self {
            params: random_params(&network, &mut rng),
            pixels,
            labels: (0..n_images).map(|i| (i % CLASSES.len()) as u16).collect(),
            network,
        }
    }

    fn float_images(&self) -> aplysia_learn::Images<'_> {
        aplysia_learn::Images {
            pixels: (&self.pixels).into(),
            labels: &self.labels,
            shape: self.network.nodes[0].shape,
            mean_pixel: &[110],
            std: NORMALIZATION.std,
        }
    }

    fn export(&self, content: &Content) -> Export {
        let images = self.float_images();
        let ranges = activation_ranges(&self.network, &self.params, images, Device::Cpu).unwrap();
        let calibration = Calibration {
            golden: Images::NONE,
            input: NORMALIZATION,
            ranges: &ranges,
            images: Images {
                pixels: &self.pixels,
                labels: &self.labels,
            },
        };
        export(&self.network, &self.params, calibration, content).unwrap()
    }
}

fn darts_skeleton(input: Shape, stem: Stem) -> darts::Skeleton {
    darts::Skeleton {
        input,
        n_classes: CLASSES.len(),
        channels: 4,
        n_cells: 3,
        stem,
        auxiliary: false,
        drop_path: true,
        ..darts::Skeleton::search()
    }
}

/// Random networks of both spaces that reach their input.
fn networks(n: u64) -> Vec<Network> {
    let mut all = vec![];
    for seed in 0..n {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let odd = Shape { h: 11, w: 9, c: 1 };
        let stem = [Stem::Cifar, Stem::Imagenet][seed as usize % 2];
        let space = DartsSpace::new(darts_skeleton(odd, stem));
        all.push(space.skeleton.lower(&space.sample(&mut rng)).unwrap());
        let skeleton = nb201::Skeleton {
            input: Shape { h: 8, w: 12, c: 1 },
            n_classes: CLASSES.len(),
            channels: 5,
            n_cells: 1 + seed as usize % 2,
            ..nb201::Skeleton::published(32, 10)
        };
        let space = NasBench201Space::new(skeleton);
        all.push(skeleton.lower(&space.sample(&mut rng)).unwrap());
    }
    let reaches = |network: &Network| {
        let needed = network.needed_for(network.nodes.len() - 1);
        needed[0]
    };
    all.retain(reaches);
    assert!(all.len() > n as usize);
    all
}

/// Networks of both spaces in int8.
pub(crate) fn exported_cells(n: u64) -> Vec<Export> {
    let cases = (0..).zip(networks(n));
    let cases = cases.map(|(seed, network)| Case::new(&network, seed, 4));
    cases
        .map(|case| case.export(&Content::new(&CLASSES)))
        .collect()
}

#[test]
fn cells_in_int8_are_the_chain_of_their_references() {
    for (seed, network) in (0..).zip(networks(4)) {
        let case = Case::new(&network, seed, 6);
        let exported = case.export(&Content::new(&CLASSES));
        let model = Model::parse(&exported.blob).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        let mut scores = [0; CLASSES.len()];
        for image in case.pixels.chunks(model.input().len()) {
            let input = input_of_pixels(image);
            infer(&model, &mut arena, &input, &mut scores).unwrap();
            let output = usize::from(model.graph().output);
            let want = tensors(&model, input).swap_remove(output).data;
            assert_eq!(scores[..], want[..], "network {seed}");
        }
    }
}

#[test]
fn cells_in_int8_follow_the_float_network() {
    let (mut squared_error, mut squared_value) = (0.0, 0.0);
    for (seed, network) in (0..).zip(networks(4)) {
        let case = Case::new(&network, seed, 8);
        let exported = case.export(&Content::new(&CLASSES));
        let model = Model::parse(&exported.blob).unwrap();
        let images = Images {
            pixels: &case.pixels,
            labels: &case.labels,
        };
        let int8 = evaluate(&model, images).unwrap();
        let images = case.float_images();
        let float = aplysia_learn::evaluate(&case.network, &case.params, images, Device::Cpu);
        let out = model.output();
        let (mut error, mut value) = (0.0, 0.0);
        for (q, want) in int8.scores.iter().zip(float.unwrap().logits) {
            let got = f64::from(out.scale) * f64::from(i32::from(*q) - i32::from(out.zero_point));
            error += (got - f64::from(want)).powi(2);
            value += f64::from(want).powi(2);
        }
        assert!(error / value < 0.02, "network {seed}: {error} of {value}");
        (squared_error, squared_value) = (squared_error + error, squared_value + value);
    }
    let relative = (squared_error / squared_value).sqrt();
    eprintln!("relative error of the scores {relative:.4}");
    assert!(relative < 0.05, "relative error {relative}");
}

#[test]
fn costs_of_cells_are_known_before_training() {
    for (seed, network) in (0..).zip(networks(4)) {
        let case = Case::new(&network, seed, 4);
        let content = Content {
            homeostasis: [HomeostasisScope::Depthwise, HomeostasisScope::None][seed as usize % 2]
                .clone(),
            ..Content::new(&CLASSES)
        };
        let exported = case.export(&content);
        assert_eq!(
            cost_of_network(&case.network, &content).unwrap(),
            exported.costs
        );
        assert!(exported.costs.macs >= case.network.macs());
    }
}

/// Every operation of the space, reductions and an odd map.
#[test]
fn published_cells_run_on_the_emulated_device() {
    let elf = firmware().with_file_name("bench");
    let input = Shape { h: 14, w: 13, c: 1 };
    for (seed, name) in (0..).zip(["BIODARTS", "DARTS_V2", "LR_NAS1", "DARTS_maxpool"]) {
        let skeleton = darts_skeleton(input, Stem::Cifar);
        let network = skeleton.lower(&published(name).unwrap()).unwrap();
        let case = Case::new(&network, seed, 4);
        let has = |op: fn(&NodeOp) -> bool| case.network.nodes.iter().any(|n| op(&n.op));
        assert!(has(|op| *op == NodeOp::Concat) && has(|op| *op == NodeOp::Shift));
        let exported = case.export(&Content::new(&CLASSES));
        let model = Model::parse(&exported.blob).unwrap();
        let measured = measure(&M4, &elf, &exported.blob).unwrap();
        assert!(measured.exact, "{name}: the device computes other bits");
        let counted: u64 = measured.layers.iter().sum();
        let error = model.instructions() as f64 / counted as f64 - 1.0;
        eprintln!(
            "{name}: {} layers, arena {} of at least {}, {counted} instructions, predicted {:+.1} %, stack {}",
            model.n_layers(),
            exported.plan.arena_bytes,
            exported.plan.lower_bound_bytes,
            100.0 * error,
            measured.stack_bytes,
        );
        assert!(error.abs() < 0.03, "{name}: {error}");
    }
}

#[test]
fn nodes_without_an_input_are_zero_or_refused() {
    let skeleton = nb201::Skeleton {
        input: Shape { h: 8, w: 8, c: 1 },
        n_classes: CLASSES.len(),
        channels: 4,
        n_cells: 1,
        ..nb201::Skeleton::published(32, 10)
    };
    let network = |cell: &str| {
        let genotype = nb201::Genotype {
            cell: cell.parse().unwrap(),
            rules: nb201::PlaceRules::all(Rule::Bp),
        };
        skeleton.lower(&genotype).unwrap()
    };
    // Node 1 is zero; the convolution behind it gives its bias.
    let dark = network("|none~0|+|skip_connect~0|none~1|+|none~0|nor_conv_3x3~1|skip_connect~2|");
    let case = Case::new(&dark, 3, 4);
    let exported = case.export(&Content::new(&CLASSES));
    let model = Model::parse(&exported.blob).unwrap();
    let images = Images {
        pixels: &case.pixels,
        labels: &case.labels,
    };
    let int8 = evaluate(&model, images).unwrap();
    let images = case.float_images();
    let float = aplysia_learn::evaluate(&case.network, &case.params, images, Device::Cpu).unwrap();
    let out = model.output();
    for (q, want) in int8.scores.iter().zip(float.logits) {
        let got = out.scale * f32::from(i16::from(*q) - i16::from(out.zero_point));
        assert!(
            (got - want).abs() < 0.1 + 0.1 * want.abs(),
            "{got} for {want}"
        );
    }
    let nothing = network("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
        .inference()
        .0;
    let refused = cost_of_network(&nothing, &Content::new(&CLASSES)).unwrap_err();
    assert!(
        refused.to_string().contains("`zero` cannot be computed"),
        "{refused}"
    );
}
