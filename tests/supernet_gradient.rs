//! Gradients of a supernet by its logits against finite differences, and a task whose answer is planted.

use crate::quadrants::{CLASSES, SHAPE};
use crate::supernet_search::skeleton;
use aplysia_learn::supernet::*;
use aplysia_learn::{Augment, Device, Images, TrainConfig};
use aplysia_space::Rule;
use aplysia_space::darts::{Op, Skeleton, Supernet};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;
use std::path::Path;

// Columns in a supernet with one rule.
pub(crate) const MAX_POOL: usize = 1;
const SEP_CONV_3: usize = 4;

fn net(rules: &[Rule], config: &SupernetConfig) -> Supernet {
    net_of(&skeleton(), rules, config)
}

fn net_of(skeleton: &Skeleton, rules: &[Rule], config: &SupernetConfig) -> Supernet {
    config.supernet(skeleton, rules).unwrap()
}

fn training() -> TrainConfig {
    TrainConfig {
        batch: 48,
        augment: Augment::NONE,
        momentum: 0.0,
        weight_decay: 0.01,
        seed: 3,
        ..TrainConfig::default()
    }
}

fn pixels(n: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n * SHAPE.len()).map(|_| rng.random()).collect()
}

fn job<'a>(
    supernet: &'a Supernet,
    (pixels, labels): (&'a [u8], &'a [u16]),
    (training, config): (&'a TrainConfig, &'a SupernetConfig),
) -> SupernetJob<'a> {
    SupernetJob {
        supernet,
        images: Images {
            pixels: pixels.into(),
            labels,
            shape: SHAPE,
            mean_pixel: &[127],
            std: 0.3,
        },
        training,
        config,
        device: Device::Cpu,
        checkpoint: None,
    }
}

/// Logits that matter, and a direction.
fn somewhere(layout: &Layout, seed: u64) -> (Tables, Vec<f64>) {
    let first = layout.first(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |by: f64| {
        first
            .numbers()
            .iter()
            .map(|_| rng.random_range(-by..by))
            .collect::<Vec<f64>>()
    };
    (first.with(&draw(0.8)), draw(1.5))
}

/// A way through the logits.
struct Way<'a> {
    logits: &'a Tables,
    direction: &'a [f64],
    length: f64,
    n_points: usize,
}

impl Way<'_> {
    /// The mean slope of the loss along the way: as gradients on it say, and as the losses at its ends say.
    ///
    /// Gradients jump where a rectifier or a maximum changes sides, so that the loss at two points close to
    /// each other says little about the gradient between them; over a way the jumps are part of the mean.
    fn slopes(&self, job: &SupernetJob, draw: &Draw, ahead: Option<f32>) -> [f64; 2] {
        let at = |share: f64| {
            let by = self.length * share;
            let moved = self.logits.numbers().into_iter().zip(self.direction);
            let moved: Vec<f64> = moved.map(|(a, d)| a + by * d).collect();
            glance(job, &self.logits.with(&moved), draw, ahead).unwrap()
        };
        let slope = |i: usize| {
            let gradient = at((i as f64 + 0.5) / self.n_points as f64).by_logits;
            let parts = gradient.numbers().into_iter().zip(self.direction);
            parts.map(|(g, d)| g * d).sum::<f64>()
        };
        let mean = (0..self.n_points).map(slope).sum::<f64>() / self.n_points as f64;
        let rise = f64::from(at(1.0).loss) - f64::from(at(0.0).loss);
        [mean, rise / self.length]
    }
}

#[test]
fn the_gradient_by_logits_is_the_slope_of_the_loss() {
    let pixels = pixels(32, 1);
    let labels: Vec<u16> = (0..32).map(|i| i % CLASSES as u16).collect();
    let training = training();
    let mut apart = 0;
    let cases = [
        (1, false, false),
        (1, false, true),
        (2, true, true),
        (2, false, false),
    ];
    for (partial, flat, sample) in cases {
        let config = SupernetConfig {
            partial,
            flat,
            ..SupernetConfig::default()
        };
        let net = net(&[Rule::Fa, Rule::Brsf, Rule::Dfa, Rule::Hebb], &config);
        let job = job(&net, (&pixels, &labels), (&training, &config));
        let layout = Layout::new(&net, partial);
        for seed in 0..2 {
            let (logits, direction) = somewhere(&layout, seed);
            let q = layout.coefficients(&logits);
            let draw = match sample {
                true => Draw::sample(&layout, &q, &mut ChaCha8Rng::seed_from_u64(seed)),
                false => Draw::all(&layout),
            };
            let way = Way {
                logits: &logits,
                direction: &direction,
                length: 0.2,
                n_points: 20,
            };
            let [got, want] = way.slopes(&job, &draw, None);
            let case = (partial, flat, sample, seed);
            assert!(
                (got - want).abs() < 0.03 * want.abs() + 4e-3,
                "{case:?}: {got} {want}"
            );
            if seed > 0 {
                continue;
            }
            let config = SupernetConfig {
                exact_logits: false,
                ..config.clone()
            };
            let job = self::job(&net, (&pixels, &labels), (&training, &config));
            let pseudo = way.slopes(&job, &draw, None)[0];
            apart += usize::from((pseudo - want).abs() > 0.1 * want.abs() + 0.02);
        }
    }
    // Through the rules' own feedback it is none.
    assert!(apart >= 3, "{apart} of 4");
}

/// A wrong sign would double the distance from the truth that the first order has, a factor of 2 would leave
/// half of it or more.
#[test]
fn the_second_order_gradient_is_the_slope_after_a_step_of_the_weights() {
    let pixels = pixels(32, 2);
    let labels: Vec<u16> = (0..32).map(|i| i / 3 % CLASSES as u16).collect();
    let (training, config) = (training(), SupernetConfig::default());
    let net = net(&[Rule::Bp], &config);
    let job = job(&net, (&pixels, &labels), (&training, &config));
    let layout = Layout::new(&net, 1);
    let draw = Draw::all(&layout);
    let (mut second_off, mut first_off) = (0.0, 0.0);
    for seed in 0..2 {
        let (logits, direction) = somewhere(&layout, seed);
        let way = Way {
            logits: &logits,
            direction: &direction,
            length: 0.5,
            n_points: 100,
        };
        let [second, want] = way.slopes(&job, &draw, Some(0.003));
        let [first, _] = way.slopes(&job, &draw, None);
        second_off += (second - want).abs();
        first_off += (first - want).abs();
    }
    assert!(second_off < 0.35 * first_off, "{second_off} {first_off}");
    assert!(
        first_off > 0.05,
        "the second order must matter: {first_off}"
    );
}

/// Random images with the labels that a supernet itself gives where every edge is one operation; of many
/// those that it is surest of.
pub(crate) struct Planted {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    training: TrainConfig,
}

impl Planted {
    /// By the operation of column `op`, with the supernet.
    pub(crate) fn new(op: usize) -> (Supernet, Self) {
        Self::of(&skeleton(), op, [192, 1500])
    }

    /// `n` images of `pool`, by the operation of column `op` in `skeleton`, with the supernet.
    pub(crate) fn of(skeleton: &Skeleton, op: usize, [n, pool]: [usize; 2]) -> (Supernet, Self) {
        let n_pool = pool;
        let pool = pixels(n_pool, 3);
        let training = TrainConfig {
            lr: 1e-9,
            weight_decay: 0.0,
            ..training()
        };
        let config = SupernetConfig::default();
        let net = net_of(skeleton, &[Rule::Bp], &config);
        let layout = Layout::new(&net, 1);
        let mut planted = layout.first(0);
        planted.candidates.iter_mut().for_each(|row| row[op] = 50.0);
        // A glance sees the second half of the images.
        let (twice, blank) = ([&pool[..], &pool].concat(), vec![0; 2 * n_pool]);
        let job = job(&net, (&twice, &blank), (&training, &config));
        let outputs = glance(&job, &planted, &Draw::all(&layout), None)
            .unwrap()
            .outputs;
        let mut answers: Vec<(f32, usize, u16)> = outputs
            .chunks(CLASSES)
            .enumerate()
            .map(|(i, row)| {
                let mut classes: Vec<usize> = (0..CLASSES).collect();
                classes.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
                (row[classes[0]] - row[classes[1]], i, classes[0] as u16)
            })
            .collect();
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        let of_class = |class: u16| {
            let own = answers.iter().filter(move |a| a.2 == class);
            own.take(n / CLASSES)
        };
        let surest: Vec<_> = (0..CLASSES as u16).flat_map(of_class).collect();
        assert_eq!(surest.len(), n);
        let image = |i: usize| &pool[i * SHAPE.len()..][..SHAPE.len()];
        let data = Self {
            pixels: surest.iter().flat_map(|a| image(a.1)).copied().collect(),
            labels: surest.iter().map(|a| a.2).collect(),
            training,
        };
        (net, data)
    }

    /// A search with the supernet's weights, which do not move.
    pub(crate) fn job<'a>(
        &'a self,
        net: &'a Supernet,
        config: &'a SupernetConfig,
        checkpoint: Option<&'a Path>,
    ) -> SupernetJob<'a> {
        SupernetJob {
            checkpoint,
            ..job(net, (&self.pixels, &self.labels), (&self.training, config))
        }
    }
}

/// Mean coefficient of every column.
fn means(net: &Supernet, logits: &Tables) -> Vec<f64> {
    let q = Layout::new(net, 1).coefficients(logits).candidates;
    let mean = |j: usize| q.iter().map(|row| row[j]).sum::<f64>() / q.len() as f64;
    (0..q[0].len()).map(mean).collect()
}

/// With weights that stay, the architecture has to find what gave the labels.
#[test]
fn the_planted_operation_is_found() {
    let config = SupernetConfig {
        epochs: 12,
        min_lr: 0.0,
        alpha_lr: 0.2,
        alpha_weight_decay: 0.0,
        ..SupernetConfig::default()
    };
    let found = [MAX_POOL, SEP_CONV_3].map(|op| {
        let (net, data) = Planted::new(op);
        let found = search(&data.job(&net, &config, None), &mut |_| {
            ControlFlow::Continue(())
        });
        let found = found.unwrap();
        let losses: Vec<f32> = found.history.iter().filter_map(|e| e.alpha_loss).collect();
        assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
        (means(&net, &found.logits), found.genotype)
    });
    let [(max_pools, genotype), (convolutions, _)] = found;
    let others = (0..max_pools.len()).filter(|&j| j != MAX_POOL);
    let next = others.map(|j| max_pools[j]).fold(0.0, f64::max);
    assert!(max_pools[MAX_POOL] > 2.0 * next, "{max_pools:?}");
    let edges = genotype.normal.iter().chain(&genotype.reduction).flatten();
    let planted = edges.filter(|e| e.gene.op() == Op::MaxPool3).count();
    assert!(planted >= 10, "{genotype:?}");
    // Each is favoured more where it is the answer than where the other one is.
    for op in [MAX_POOL, SEP_CONV_3] {
        let (own, other) = match op {
            MAX_POOL => (&max_pools, &convolutions),
            _ => (&convolutions, &max_pools),
        };
        assert!(own[op] > 1.5 * other[op], "{op}: {own:?} {other:?}");
    }
}
