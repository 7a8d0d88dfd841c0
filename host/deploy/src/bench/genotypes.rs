//! Networks of random genotypes with random numbers: what the cost model is held against.
//!
//! Owns which networks these are and where their numbers come from. It must not know the cost model. A
//! network is drawn as a search draws it, taken without what training alone needs, and given numbers as
//! training leaves them: weights of a bell shape that reach 127 in every channel, factors that spread the
//! outputs, another scale for every activation that can have its own.

use super::{BenchError, measure};
use crate::assemble::{Content, assemble};
use crate::lowering::Lowered;
use crate::processor::M4;
use crate::quantize::{Activation, QuantizedNetwork, WeightedLayer};
use crate::statistics::Statistics;
use crate::{DeployError, Export, HomeostasisScope};
use aplysia_live::device::ICOUNT;
use aplysia_space::darts::{self, Stem};
use aplysia_space::{DartsSpace, McuSpace, NasBench201Space, Network, Shape, nasbench201};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// Number of genotypes measured. Of every five, three are from `mcu`, one from `darts`, one from `nasbench201`.
pub const GENOTYPES: u64 = 50;
/// Arena of the firmware that measures.
const MOST_ARENA_BYTES: usize = 88 * 1024;
/// Images of the two kinds that the data sets have.
const INPUTS: [Shape; 2] = [Shape { h: 28, w: 28, c: 1 }, Shape { h: 32, w: 32, c: 3 }];
const CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// A network of a random genotype.
struct Drawn {
    /// Space, size and number.
    name: String,
    /// Ready for the device.
    export: Export,
}

/// What the cost model says of a network, and what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Space, cells and channels, image, number.
    pub name: String,
    /// Layers.
    pub layers: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Executed instructions.
    pub instructions: u64,
    /// Instructions that the cost model predicts.
    pub predicted: u64,
    /// Arena, bytes.
    pub ram_bytes: u64,
    /// What the planner proved that no arena can do without, bytes.
    pub ram_bound_bytes: u64,
    /// Whether the device computed the host's bits.
    pub exact: bool,
}

impl Prediction {
    /// `predicted / instructions − 1` in per cent.
    pub fn error_pct(&self) -> f64 {
        100.0 * (self.predicted as f64 / self.instructions as f64 - 1.0)
    }
}

/// Measures network `i` with the bench firmware `elf` on the Cortex-M4.
///
/// # Errors
/// [`BenchError`].
pub fn predict(elf: &Path, i: u64) -> Result<Prediction, BenchError> {
    let Drawn { name, export } = draw(i)?;
    let measured = measure(&M4, elf, &export.blob)?;
    Ok(Prediction {
        name,
        layers: measured.layers.len(),
        macs: export.costs.macs,
        instructions: measured.layers.iter().sum(),
        predicted: export.costs.instructions,
        ram_bytes: export.plan.arena_bytes as u64,
        ram_bound_bytes: export.plan.lower_bound_bytes as u64,
        exact: measured.exact,
    })
}

/// The predictions as a Markdown table with their conditions.
pub fn predictions_table(predictions: &[Prediction], toolchain: &str) -> String {
    let worst = predictions
        .iter()
        .map(|p| p.error_pct().abs())
        .fold(0.0, f64::max);
    let mut text = format!(
        "Networks of {} random genotypes with random numbers (`host/deploy/src/bench/genotypes.rs`), as a \
         search draws them, of which the arena fits into 88 KiB: instructions executed by the bench firmware \
         ({toolchain}, opt-level 3) in QEMU, board {}, `-icount {ICOUNT}`, and predicted by the cost model, \
         whose constants are fitted to other networks. Largest error {worst:.2} %. `bound`: bytes that the \
         planner proved that no arena can do without.\n\n\
         | network | layers | MACs | instructions | predicted | error, % | arena, bytes | bound | bits |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
        predictions.len(),
        M4.board.machine,
    );
    for p in predictions {
        let bits = if p.exact { "equal" } else { "DIFFERENT" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:+.2} | {} | {} | {bits} |",
            p.name,
            p.layers,
            p.macs,
            p.instructions,
            p.predicted,
            p.error_pct(),
            p.ram_bytes,
            p.ram_bound_bytes
        );
    }
    text
}

/// The first network drawn from seed `i` that needs its image and fits the arena of the bench firmware. Those of
/// `i < GENOTYPES` are measured.
///
/// # Errors
/// A network exceeds the blob format although it fits.
fn draw(i: u64) -> Result<Drawn, DeployError> {
    let mut rng = ChaCha8Rng::seed_from_u64(i);
    loop {
        let (name, network) = network(i, &mut rng)?;
        let Ok(lowered) = Lowered::new(&network) else {
            continue;
        };
        if lowered.arena.plan.arena_bytes > MOST_ARENA_BYTES {
            continue;
        }
        let quantized = numbers(&network, &lowered, &mut rng);
        let content = Content {
            homeostasis: HomeostasisScope::None,
            prototypes: false,
            ..Content::new(&CLASSES)
        };
        let statistics = Statistics::placeholder(&network, &content);
        match assemble(&network, &quantized, &statistics, &content).and_then(Export::of) {
            Err(DeployError::Capacity { .. }) => continue,
            export => {
                return Ok(Drawn {
                    name,
                    export: export?,
                });
            }
        }
    }
}

fn network(i: u64, rng: &mut ChaCha8Rng) -> Result<(String, Network), DeployError> {
    let input = INPUTS[rng.random_range(0..INPUTS.len())];
    let n_classes = CLASSES.len();
    let (name, network) = match i % 5 {
        0..=2 => {
            let genotype = McuSpace::new(input).sample(rng);
            ("mcu".into(), Network::lower(&genotype, input, n_classes)?)
        }
        3 => {
            let skeleton = darts::Skeleton {
                input,
                n_classes,
                channels: 2 * rng.random_range(2..7),
                n_cells: rng.random_range(2..6),
                stem: [Stem::Cifar, Stem::Imagenet][rng.random_range(0..2)],
                ..darts::Skeleton::search()
            };
            let genotype = DartsSpace::new(skeleton).sample(rng);
            let name = format!("darts-{}x{}", skeleton.n_cells, skeleton.channels);
            (name, skeleton.lower(&genotype)?)
        }
        _ => {
            let skeleton = nasbench201::Skeleton {
                input,
                n_classes,
                channels: rng.random_range(4..17),
                n_cells: rng.random_range(1..4),
                ..nasbench201::Skeleton::published(32, n_classes)
            };
            let genotype = NasBench201Space::new(skeleton).sample(rng);
            let name = format!("nasbench201-{}x{}", skeleton.n_cells, skeleton.channels);
            (name, skeleton.lower(&genotype)?)
        }
    };
    Ok((
        format!("{name}-{}x{}x{}-{i}", input.h, input.w, input.c),
        network.inference().0,
    ))
}

/// Numbers as training leaves them.
fn numbers(network: &Network, lowered: &Lowered, rng: &mut ChaCha8Rng) -> QuantizedNetwork {
    let mut activations: Vec<Activation> = vec![];
    for value in &lowered.values {
        let own = Activation {
            scale: rng.random_range(0.01..0.1),
            zero_point: if value.relu {
                i8::MIN
            } else {
                rng.random_range(-40..40)
            },
        };
        activations.push(value.keeps.map_or(own, |other| activations[other]));
    }
    let layer = |i: usize| {
        let out_ch = network.nodes[i].shape.c;
        let n = network.n_weights(i).max(out_ch);
        let fan_in = (n / out_ch).max(1);
        let mut weight = |_| {
            // The sum of four is close to normal, with a deviation of 32.
            let sum: i32 = (0..4).map(|_| rng.random_range(-28..=28)).sum();
            sum as i8
        };
        let mut layer = WeightedLayer {
            weights: (0..n).map(&mut weight).collect(),
            bias: vec![],
            multiplier: vec![],
            shift: vec![],
        };
        for _ in 0..out_ch {
            layer.bias.push(rng.random_range(-3000..3000));
            layer.multiplier.push(rng.random_range(1 << 30..=i32::MAX));
            layer.shift.push(-6 - fan_in.ilog2() as i8 / 2);
        }
        layer
    };
    QuantizedNetwork {
        activations,
        layers: network.weighted().map(layer).collect(),
    }
}
