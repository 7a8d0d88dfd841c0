//! The model card, `card.toml`: what a released model is, what it costs, how good it is, and how to
//! make it again.
//!
//! Owns the text form only; every number is given by the caller. Units are in the field names.

use crate::golden::GoldenSpec;
use crate::{Content, Costs, DeployError};
use aplysia_shared::adapt::deep::Deep;
use aplysia_shared::adapt::{Config, Head};
use aplysia_space::{Design, Network, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A model card. `None` means not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Short name, e.g. `fashion-mnist-m4`.
    pub name: String,
    /// What it does, in one sentence.
    pub description: String,
    /// SPDX expression of the model's licence.
    pub licence: String,
    /// Model id: first 16 bytes of the SHA-256 over graph and data, in hexadecimal.
    pub model_id: String,
    /// Seed of the released training run.
    pub seed: u64,
    /// `rustc --version` of the exporting build.
    pub toolchain: String,
    /// Commands that make the model again, in order.
    pub commands: Vec<String>,
    /// What it was trained on.
    pub data: DataCard,
    /// How pixels become inputs.
    pub input: InputCard,
    /// How good it is.
    pub accuracy: AccuracyCard,
    /// What it costs.
    pub costs: Costs,
    /// How its memory is used.
    pub memory: MemoryCard,
    /// How it was trained.
    pub rules: RulesCard,
    /// How it learns on the device, unless told otherwise.
    pub adaptation: AdaptationCard,
    /// The architecture, of the cell spaces with its skeleton: a table like the file of a genotype.
    #[serde(with = "table")]
    pub genotype: Design,
}

/// A design as the table that its text form is.
mod table {
    use aplysia_space::Design;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(design: &Design, to: S) -> Result<S::Ok, S::Error> {
        let table: Result<toml::Table, _> = design.to_toml().parse();
        table.map_err(S::Error::custom)?.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Design, D::Error> {
        let table = toml::Table::deserialize(from)?;
        Design::from_toml(&table.to_string()).map_err(D::Error::custom)
    }
}

/// What the model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataCard {
    /// Data set, e.g. `fashion-mnist`.
    pub name: String,
    /// SHA-256 of the data set, in hexadecimal.
    pub sha256: String,
    /// Images trained on.
    pub n_train: usize,
    /// Images the accuracy was measured on; not seen by training or search.
    pub n_test: usize,
}

/// How pixels become inputs: `x = (p − mean_pixel)/(255·std)`; on the device `q = p − 128`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputCard {
    /// Height, width, channels.
    pub shape_hwc: [usize; 3],
    /// Pixel value that means 0.
    pub mean_pixel: u8,
    /// Standard deviation of pixels scaled to 0..1.
    pub std: f32,
    /// Images that gave the activation ranges.
    pub n_calibration: usize,
}

/// Test accuracies over training seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracyCard {
    /// Float accuracy of the released run.
    pub float_pct: f64,
    /// Int8 accuracy of the released run, by the blob itself.
    pub int8_pct: f64,
    /// Training seeds of the lists below.
    pub seeds: Vec<u64>,
    /// Float accuracy per seed.
    pub float_per_seed_pct: Vec<f64>,
    /// Int8 accuracy per seed.
    pub int8_per_seed_pct: Vec<f64>,
    /// Mean of `int8_per_seed_pct`, to 0.01.
    pub int8_mean_pct: f64,
    /// Sample standard deviation of `int8_per_seed_pct`, to 0.01; 0 for one seed.
    pub int8_std_pct: f64,
}

impl AccuracyCard {
    /// From one (seed, float %, int8 %) per run, the released run first.
    pub fn new(runs: &[(u64, f64, f64)]) -> Self {
        let int8: Vec<f64> = runs.iter().map(|r| r.2).collect();
        let n = int8.len().max(1) as f64;
        let mean = int8.iter().sum::<f64>() / n;
        let squares: f64 = int8.iter().map(|x| (x - mean).powi(2)).sum();
        Self {
            float_pct: runs.first().map_or(0.0, |r| r.1),
            int8_pct: runs.first().map_or(0.0, |r| r.2),
            seeds: runs.iter().map(|r| r.0).collect(),
            float_per_seed_pct: runs.iter().map(|r| r.1).collect(),
            int8_mean_pct: hundredth(mean),
            int8_std_pct: if n > 1.0 {
                hundredth((squares / (n - 1.0)).sqrt())
            } else {
                0.0
            },
            int8_per_seed_pct: int8,
        }
    }
}

/// `x` to the nearest 0.01.
fn hundredth(x: f64) -> f64 {
    (100.0 * x).round() / 100.0
}

/// How the arena is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryCard {
    /// Size of the arena.
    pub arena_bytes: usize,
    /// No arena for this network in this order can be smaller.
    pub lower_bound_bytes: usize,
    /// Every tensor with its place and lifetime.
    pub map: String,
}

/// Learning rules of the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesCard {
    /// Rule of each weighted layer, in execution order.
    pub layers: Vec<LayerRule>,
    /// Share of all weights trained by each rule, in percent, to 0.01.
    pub weights_pct: BTreeMap<Rule, f64>,
}

/// One weighted layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRule {
    /// Which layer, e.g. `block2.expand`.
    pub layer: String,
    /// How it was trained.
    pub rule: Rule,
    /// Its weights (biases excluded).
    pub n_weights: usize,
}

impl RulesCard {
    /// Counts the rules of `network`.
    pub fn new(network: &Network) -> Self {
        let layers: Vec<LayerRule> = network
            .weighted()
            .filter_map(|i| {
                Some(LayerRule {
                    layer: network.nodes[i].name.clone(),
                    rule: network.rule(i)?,
                    n_weights: network.n_weights(i),
                })
            })
            .collect();
        let share = network.rule_share().into_iter();
        let weights_pct = share
            .map(|(rule, share)| (rule, hundredth(100.0 * share)))
            .collect();
        Self {
            layers,
            weights_pct,
        }
    }
}

/// Defaults of on-device learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptationCard {
    /// Momentum shift of homeostasis; absent if channels do not keep their statistics.
    pub homeostasis_shift: Option<u8>,
    /// Shift of the instar head; absent with another head.
    pub instar_shift: Option<u8>,
    /// Learning rate of the delta head in 1/65536; absent with another head.
    pub delta_rate: Option<u16>,
    /// Rate in 1/65536 and margin of the perceptron head; absent with another head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptron: Option<(u16, u8)>,
    /// Layers with source statistics for homeostasis.
    pub homeostasis_layers: Vec<String>,
    /// Whether the blob carries class prototypes.
    pub prototypes: bool,
    /// Seed of stochastic rounding.
    pub seed: u32,
    /// What the guard scores; absent if the blob has no golden set. Its bytes are in the costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<GoldenCard>,
    /// What learns below the head, which is a delta head (rate 0: it stays); absent if nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep: Option<Deep>,
}

/// The golden set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCard {
    /// Samples, balanced over the classes, of the validation part.
    pub n_samples: usize,
    /// `inputs` of the model or `features`, inputs of its last layer.
    pub kind: String,
}

impl GoldenCard {
    /// What `spec` asks for.
    pub fn new(spec: GoldenSpec) -> Self {
        Self {
            n_samples: spec.n,
            kind: spec.kind_name().into(),
        }
    }
}

impl AdaptationCard {
    /// `config` and `seed`, with what a blob of `network` and `content` carries for them.
    pub fn new(network: &Network, content: &Content, config: Config, seed: u32) -> Self {
        let (mut instar_shift, mut delta_rate, mut perceptron, mut deep) = (None, None, None, None);
        match config.head {
            Head::Instar { shift } => instar_shift = Some(shift),
            Head::Delta { rate } => delta_rate = Some(rate),
            Head::Perceptron { rate, margin } => perceptron = Some((rate, margin)),
            Head::Deep { rate, deep: below } => (delta_rate, deep) = (Some(rate), Some(below)),
            Head::Base | Head::Reward { .. } => {}
        }
        let carries = |&i: &usize| content.has_homeostasis(network, i);
        Self {
            homeostasis_shift: config.homeostasis,
            instar_shift,
            delta_rate,
            perceptron,
            deep,
            homeostasis_layers: network
                .weighted()
                .filter(carries)
                .map(|i| network.nodes[i].name.clone())
                .collect(),
            prototypes: content.prototypes,
            seed,
            golden: content.golden.map(GoldenCard::new),
        }
    }
}

impl Card {
    /// Reads `card.toml`.
    ///
    /// # Errors
    /// [`DeployError::Card`] with the line and column of the fault.
    pub fn from_toml(text: &str) -> Result<Self, DeployError> {
        toml::from_str(text).map_err(|e| DeployError::Card(e.to_string()))
    }

    /// Writes `card.toml`.
    ///
    /// # Errors
    /// [`DeployError::Card`] if a number does not fit TOML, e.g. a seed of 2^63 or more.
    pub fn to_toml(&self) -> Result<String, DeployError> {
        toml::to_string(self).map_err(|e| DeployError::Card(e.to_string()))
    }
}
