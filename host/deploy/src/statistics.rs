//! What on-device learning starts from: source statistics of accumulators and class prototypes.
//!
//! Measured by running the int8 model itself over calibration images, so that they are exactly what the
//! device would see. Sums are integers, so the result does not depend on threads or order. Flow: a blob
//! without statistics → **`statistics`** → the blob with them.

use crate::DeployError;
use crate::assemble::Content;
use crate::lowering::{Lowered, Step};
use aplysia_live::evaluate::{Images, input_of_pixels};
use aplysia_shared::kernel::dsp::Native;
use aplysia_shared::kernel::sums::{CHANNELS, ChannelStat, Lattice};
use aplysia_shared::{Hooks, LayerHooks, Model, infer_with, sums};
use aplysia_space::Network;
use rayon::prelude::*;

/// Images per unit of parallel work.
const CHUNK: usize = 16;

/// Source statistics of one layer, one value per output channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelStatistics {
    /// Mean of the accumulator without bias, over images and pixels.
    pub mean: Vec<i32>,
    /// Mean absolute deviation from `mean`, at least 1.
    pub deviation: Vec<i32>,
}

/// Everything on-device learning reads from the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// One per weighted layer; `None` without a homeostasis section.
    pub layers: Vec<Option<ChannelStatistics>>,
    /// `[n_classes][d]`: mean of `q − zero_point` of the head's input over a class, times 128.
    pub prototypes: Option<Vec<i16>>,
}

impl Statistics {
    /// Neutral numbers of the right shape.
    pub fn placeholder(network: &Network, content: &Content) -> Self {
        let channels = |i: usize| {
            let n = network.nodes[i].shape.c;
            let statistics = ChannelStatistics {
                mean: vec![0; n],
                deviation: vec![1; n],
            };
            content.has_homeostasis(network, i).then_some(statistics)
        };
        let features = network.input_shape(network.nodes.len() - 1).len();
        Self {
            layers: network.weighted().map(channels).collect(),
            prototypes: content
                .prototypes
                .then(|| vec![0; network.n_classes * features]),
        }
    }
}

/// Sums over images.
#[derive(Clone)]
struct Sums<'m> {
    model: &'m Model<'m>,
    /// Per layer of the model, per channel; empty without statistics.
    channels: Vec<Vec<ChannelStat>>,
    /// `[n_classes][d]`, of `q − zero_point`.
    features: Vec<i64>,
    /// Images per class.
    n: Vec<i64>,
    zero_point: i64,
    label: usize,
}

impl Hooks for Sums<'_> {
    fn layer(&mut self, layer: usize, arena: &[i8]) -> LayerHooks<'_> {
        let stats = &mut self.channels[layer];
        if !stats.is_empty() {
            let sums = sums(self.model, layer, arena).expect("a layer with statistics has weights");
            for (i, stats) in stats.chunks_mut(CHANNELS).enumerate() {
                sums.add::<Native>(i * CHANNELS, Lattice::ALL, stats);
            }
        }
        LayerHooks::default()
    }

    fn features(&mut self, features: &[i8]) {
        let sums = self.features[self.label * features.len()..].iter_mut();
        for (sum, &q) in sums.zip(features) {
            *sum += i64::from(q) - self.zero_point;
        }
        self.n[self.label] += 1;
    }
}

impl<'m> Sums<'m> {
    fn new(model: &'m Model<'m>, centers: &[Vec<i32>]) -> Self {
        let stat = |&center: &i32| ChannelStat {
            center,
            ..ChannelStat::default()
        };
        let channels = centers.iter().map(|layer| layer.iter().map(stat).collect());
        Self {
            model,
            channels: channels.collect(),
            features: vec![0; model.n_classes() * model.features().len()],
            n: vec![0; model.n_classes()],
            zero_point: i64::from(model.features().zero_point),
            label: 0,
        }
    }

    fn merge(mut self, other: Self) -> Self {
        let channels = self
            .channels
            .iter_mut()
            .flatten()
            .zip(other.channels.iter().flatten());
        for (a, b) in channels {
            a.sum += b.sum;
            a.deviation += b.deviation;
        }
        self.features
            .iter_mut()
            .zip(other.features)
            .for_each(|(a, b)| *a += b);
        self.n.iter_mut().zip(other.n).for_each(|(a, b)| *a += b);
        self
    }

    fn measure(
        model: &'m Model<'m>,
        images: Images<'_>,
        centers: &[Vec<i32>],
    ) -> Result<Self, DeployError> {
        let image_bytes = model.input().len();
        let pixels = images.pixels.par_chunks(CHUNK * image_bytes);
        let sum = |(pixels, labels): (&[u8], &[u16])| {
            let mut sums = Self::new(model, centers);
            let mut arena = vec![0; model.arena_bytes()];
            let mut scores = vec![0; model.n_classes()];
            for (image, &label) in pixels.chunks_exact(image_bytes).zip(labels) {
                sums.label = usize::from(label);
                infer_with(
                    model,
                    &mut arena,
                    &input_of_pixels(image),
                    &mut scores,
                    &mut sums,
                )?;
            }
            Ok(sums)
        };
        let chunks: Vec<Self> = pixels
            .zip(images.labels.par_chunks(CHUNK))
            .map(sum)
            .collect::<Result<_, DeployError>>()?;
        Ok(chunks
            .into_iter()
            .fold(Self::new(model, centers), Self::merge))
    }
}

/// Measures `content`'s statistics of `model` over `images`; a class without images gets a prototype
/// of zeros.
///
/// # Errors
/// Images or labels do not fit the model.
pub fn measure(
    network: &Network,
    model: &Model<'_>,
    images: Images<'_>,
    content: &Content,
) -> Result<Statistics, DeployError> {
    images.check(model)?;
    let mut statistics = Statistics::placeholder(network, content);
    if images.labels.is_empty() {
        return Ok(statistics);
    }
    // Deviations need the means, hence two passes.
    let steps = Lowered::new(network)?.steps;
    let zeros = |step: &Step| {
        let observed = step.params.is_some() && content.has_homeostasis(network, step.node);
        vec![
            0;
            if observed {
                network.nodes[step.node].shape.c
            } else {
                0
            }
        ]
    };
    let zeros: Vec<Vec<i32>> = steps.iter().map(zeros).collect();
    let first = Sums::measure(model, images, &zeros)?;
    let n_images = images.labels.len();
    let per_channel = |sums: &Sums<'_>, value: fn(&ChannelStat) -> i64| -> Vec<Vec<i32>> {
        let layers = sums.channels.iter().zip(&steps);
        let mean = |total: i64, n: usize| (total as f64 / n as f64).round() as i32;
        layers
            .map(|(stats, step)| {
                let shape = network.nodes[step.node].shape;
                let n = n_images * shape.h * shape.w;
                stats.iter().map(|s| mean(value(s), n)).collect()
            })
            .collect()
    };
    let means = per_channel(&first, |s| s.sum);
    if means.iter().any(|m| !m.is_empty()) {
        let second = Sums::measure(model, images, &means)?;
        let deviations = per_channel(&second, |s| s.deviation);
        for (i, step) in steps.iter().enumerate() {
            let layer = step.params.and_then(|at| statistics.layers[at].as_mut());
            if let Some(layer) = layer {
                layer.mean.clone_from(&means[i]);
                layer.deviation = deviations[i].iter().map(|&d| d.max(1)).collect();
            }
        }
    }
    if let Some(prototypes) = &mut statistics.prototypes {
        let d = model.features().len();
        for (i, p) in prototypes.iter_mut().enumerate() {
            let mean = 128.0 * first.features[i] as f64 / first.n[i / d].max(1) as f64;
            *p = mean.round() as i16;
        }
    }
    Ok(statistics)
}
