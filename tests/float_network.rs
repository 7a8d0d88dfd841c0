//! Random float networks and their slow evaluation in f64, from the formulas: the oracle of quantization.
//! Shares no arithmetic with `deploy` or the kernels.

use aplysia_deploy::{Calibration, Content, Export, InputNormalization, export};
use aplysia_live::evaluate::Images;
use aplysia_space::{
    BatchNorm, Genotype, LayerParams, McuSpace, Network, NetworkParams, NodeOp, Norm,
    PlasticityBounds, Shape, Window,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const INPUT: Shape = Shape { h: 12, w: 12, c: 1 };
pub(crate) const NORMALIZATION: InputNormalization = InputNormalization {
    mean_pixel: 73,
    std: 0.353,
};
pub(crate) const CLASSES: [&str; 5] = ["shirt", "boot", "bag", "coat", "dress"];

pub(crate) fn random_params(network: &Network, rng: &mut impl Rng) -> NetworkParams {
    let mut vector = |n: usize, lo: f32, hi: f32| -> Vec<f32> {
        (0..n).map(|_| rng.random_range(lo..hi)).collect()
    };
    let layers = network.weighted().map(|i| {
        let out_ch = network.nodes[i].shape.c;
        let fan_in = network.n_weights(i) / out_ch;
        let limit = (3.0 / fan_in as f32).sqrt();
        let weight = vector(network.n_weights(i), -limit, limit);
        let linear = matches!(network.nodes[i].op, NodeOp::Linear { .. });
        let bare = matches!(
            network.nodes[i].op,
            NodeOp::Conv {
                norm: Norm::None,
                ..
            }
        );
        let bn = BatchNorm {
            gamma: vector(out_ch, 0.3, 1.5),
            beta: vector(out_ch, -0.5, 0.5),
            mean: vector(out_ch, -0.3, 0.3),
            var: vector(out_ch, 0.2, 2.0),
            eps: 1e-5,
        };
        LayerParams {
            weight,
            bias: if linear {
                vector(out_ch, -0.5, 0.5)
            } else {
                vec![]
            },
            bn: (!linear && !bare).then_some(bn),
        }
    });
    NetworkParams {
        layers: layers.collect(),
    }
}

/// One real activation and the standard deviation expected of its int8 twin's error.
#[derive(Clone, Copy, Default)]
pub(crate) struct Uncertain {
    pub(crate) value: f64,
    pub(crate) deviation: f64,
}

/// Slow evaluation of `network`, batch norm unfolded. With the scales `steps` (one per node) it also
/// carries the expected error of quantization: every rounding to a step `s` adds a variance `s²/12`
/// (uniform noise); errors of different taps are taken as independent, those of pooled pixels, which
/// share their weights, as equal.
pub(crate) fn evaluate_slowly(
    network: &Network,
    params: &NetworkParams,
    pixels: &[u8],
    steps: Option<&[f64]>,
) -> Vec<Vec<Uncertain>> {
    let norm = 255.0 * f64::from(NORMALIZATION.std);
    let input = |&p: &u8| Uncertain {
        value: (f64::from(p) - f64::from(NORMALIZATION.mean_pixel)) / norm,
        deviation: 0.0,
    };
    let mut maps = vec![pixels.iter().map(input).collect()];
    let mut layers = params.layers.iter();
    for i in 1..network.nodes.len() {
        let layer = network.rule(i).and_then(|_| layers.next());
        let step = steps.map_or(0.0, |s| s[i]);
        maps.push(run_node(network, i, layer, &maps, step));
    }
    maps
}

/// Output of node `i` from the outputs `maps` of the nodes before it.
fn run_node(
    network: &Network,
    i: usize,
    layer: Option<&LayerParams>,
    maps: &[Vec<Uncertain>],
    step: f64,
) -> Vec<Uncertain> {
    let node = &network.nodes[i];
    let (from, to) = (network.input_shape(i), node.shape);
    let x: &Vec<Uncertain> = &maps[node.inputs[0]];
    let places = (0..to.len()).map(|j| (j / to.c / to.w, j / to.c % to.w, j % to.c));
    let window = |(y, column, c): (usize, usize, usize)| {
        let at = move |k: usize| -> Uncertain {
            x[((2 * y + k / 2) * from.w + 2 * column + k % 2) * from.c + c]
        };
        (0..4).map(at)
    };
    match (node.op, layer) {
        (NodeOp::MaxPool(Window::HALVE), _) => places
            .map(|place| Uncertain {
                value: window(place).map(|p| p.value).fold(f64::MIN, f64::max),
                deviation: window(place).map(|p| p.deviation).fold(0.0, f64::max),
            })
            .collect(),
        (NodeOp::AvgPool(Window::HALVE), _) => {
            places.map(|place| mean(window(place), step)).collect()
        }
        (NodeOp::GlobalAvgPool, _) => places
            .map(|(_, _, c)| mean(x.iter().copied().skip(c).step_by(from.c), step))
            .collect(),
        (NodeOp::Add, _) => x
            .iter()
            .zip(&maps[node.inputs[1]])
            .map(|(a, b)| Uncertain {
                value: a.value + b.value,
                deviation: a.deviation.hypot(b.deviation).hypot(rounding(step)),
            })
            .collect(),
        (_, Some(layer)) => places
            .map(|place| weighted(network, i, layer, place, x, step))
            .collect(),
        (_, None) => Vec::new(),
    }
}

fn mean(pixels: impl Iterator<Item = Uncertain> + Clone, step: f64) -> Uncertain {
    let n = pixels.clone().count() as f64;
    let deviation = pixels.clone().map(|p| p.deviation).sum::<f64>() / n;
    Uncertain {
        value: pixels.map(|p| p.value).sum::<f64>() / n,
        deviation: deviation.hypot(rounding(step)),
    }
}

/// Standard deviation of rounding to a multiple of `step`.
fn rounding(step: f64) -> f64 {
    step / 12.0_f64.sqrt()
}

fn weighted(
    network: &Network,
    i: usize,
    layer: &LayerParams,
    (y, x, o): (usize, usize, usize),
    input: &[Uncertain],
    step_out: f64,
) -> Uncertain {
    let from = network.input_shape(i);
    let (kernel, stride, depthwise, relu) = match network.nodes[i].op {
        NodeOp::Conv {
            kernel,
            stride,
            depthwise,
            relu,
            ..
        } => (kernel, stride, depthwise, relu),
        _ => (1, 1, false, false),
    };
    let in_ch = if depthwise { 1 } else { from.c };
    let weights = &layer.weight[o * in_ch * kernel * kernel..][..in_ch * kernel * kernel];
    let (gain, shift) = match &layer.bn {
        Some(bn) => {
            let deviation = (f64::from(bn.var[o]) + f64::from(bn.eps)).sqrt();
            let gain = f64::from(bn.gamma[o]) / deviation;
            (gain, f64::from(bn.beta[o]) - gain * f64::from(bn.mean[o]))
        }
        None => (1.0, f64::from(layer.bias[o])),
    };
    let largest = weights
        .iter()
        .fold(0.0_f64, |m, w| m.max(f64::from(w.abs())));
    let weight_step = largest * gain.abs() / 127.0;
    let mut sum = Uncertain {
        value: shift,
        deviation: rounding(step_out),
    };
    for (j, &w) in weights.iter().enumerate() {
        let (ch, ky, kx) = (j / (kernel * kernel), j / kernel % kernel, j % kernel);
        let row = (y * stride + ky)
            .checked_sub(kernel / 2)
            .filter(|&r| r < from.h);
        let column = (x * stride + kx)
            .checked_sub(kernel / 2)
            .filter(|&c| c < from.w);
        if let (Some(row), Some(column)) = (row, column) {
            let ch = if depthwise { o } else { ch };
            let x = input[(row * from.w + column) * from.c + ch];
            let w = f64::from(w) * gain;
            sum.value += w * x.value;
            let tap = (w * x.deviation).hypot(rounding(weight_step) * x.value);
            sum.deviation = sum.deviation.hypot(tap);
        }
    }
    if relu {
        sum.value = sum.value.max(0.0);
    }
    sum
}

fn random_images(n: usize, rng: &mut impl Rng) -> (Vec<u8>, Vec<u16>) {
    let pixels = (0..n * INPUT.len()).map(|_| rng.random()).collect();
    (pixels, (0..n).map(|i| (i % CLASSES.len()) as u16).collect())
}

fn ranges(maps: &[Vec<Vec<Uncertain>>]) -> Vec<(f32, f32)> {
    let node = |i: usize| {
        let values = maps.iter().flat_map(|m| &m[i]).map(|b| b.value as f32);
        values.fold((f32::MAX, f32::MIN), |(lo, hi), x| (lo.min(x), hi.max(x)))
    };
    (0..maps[0].len()).map(node).collect()
}

pub(crate) struct Case {
    pub(crate) network: Network,
    pub(crate) params: NetworkParams,
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u16>,
    pub(crate) ranges: Vec<(f32, f32)>,
}

impl Case {
    pub(crate) fn random(seed: u64, input: Shape, n_images: usize) -> Self {
        Self::planned(seed, input, n_images, None).1
    }

    /// With its genotype, which plans learning on the device within `plasticity`.
    pub(crate) fn planned(
        seed: u64,
        input: Shape,
        n_images: usize,
        plasticity: Option<PlasticityBounds>,
    ) -> (Genotype, Self) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let space = McuSpace {
            max_blocks: 5,
            channels: vec![8, 12, 20, 32],
            expansions: vec![1, 2, 3],
            plasticity,
            ..McuSpace::new(input)
        };
        let genotype = space.sample(&mut rng);
        let network = Network::lower(&genotype, input, CLASSES.len()).unwrap();
        let params = random_params(&network, &mut rng);
        let (pixels, labels) = random_images(n_images, &mut rng);
        let images = pixels.chunks_exact(input.len());
        let maps: Vec<_> = images
            .map(|image| evaluate_slowly(&network, &params, image, None))
            .collect();
        let ranges = ranges(&maps);
        let case = Self {
            network,
            params,
            pixels,
            labels,
            ranges,
        };
        (genotype, case)
    }

    pub(crate) fn images(&self) -> Images<'_> {
        Images {
            pixels: &self.pixels,
            labels: &self.labels,
        }
    }

    pub(crate) fn export(&self, content: &Content) -> Export {
        let calibration = Calibration {
            golden: Images::NONE,
            input: NORMALIZATION,
            ranges: &self.ranges,
            images: self.images(),
        };
        export(&self.network, &self.params, calibration, content).unwrap()
    }
}
