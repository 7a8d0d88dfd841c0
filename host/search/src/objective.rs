//! What a network costs, what it may cost, and how candidates are compared.

use crate::pareto::Point;
use serde::{Deserialize, Serialize};

/// Costs of a genotype, known without training. Flash, RAM and instructions are those on the device, all 0
/// where networks of the space cannot be deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// Length of the exported blob.
    pub flash_bytes: u64,
    /// Arena for activations and scratch.
    pub ram_bytes: u64,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Estimated instructions of one inference.
    pub instructions: u64,
    /// Trained parameters of inference; 0 (and not written) where flash says it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub params: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Hard limits. A candidate above one of them is never trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of flash.
    pub flash_bytes: u64,
    /// Most bytes of RAM.
    pub ram_bytes: u64,
    /// Most instructions.
    pub instructions: u64,
    /// Most trained parameters; none for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<u64>,
    /// Most multiply-accumulates; none for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<u64>,
    /// Accuracy (0..=1) below which a network is of no use: a trained candidate below it ranks behind
    /// all above it, the nearer the better. 0 switches this off.
    #[serde(default)]
    pub min_accuracy: f64,
}

impl Limits {
    /// Sum of the relative excesses `max(0, cost/limit − 1)` over the costs; 0 = all are kept.
    pub fn violation(&self, costs: &Costs) -> f64 {
        let excess = |cost: u64, limit: u64| (cost as f64 / limit.max(1) as f64 - 1.0).max(0.0);
        excess(costs.flash_bytes, self.flash_bytes)
            + excess(costs.ram_bytes, self.ram_bytes)
            + excess(costs.instructions, self.instructions)
            + self.params.map_or(0.0, |limit| excess(costs.params, limit))
            + self.macs.map_or(0.0, |limit| excess(costs.macs, limit))
    }

    /// The candidate as a point to be minimised: −accuracy, instructions, flash, RAM; without costs on the
    /// device −accuracy, multiply-accumulates, parameters.
    pub fn point(&self, costs: &Costs, accuracy: f64) -> Point {
        let [work, size, ram] = match costs.flash_bytes {
            0 => [costs.macs, costs.params, 0],
            flash => [costs.instructions, flash, costs.ram_bytes],
        };
        Point {
            objectives: [-accuracy, work as f64, size as f64, ram as f64],
            violation: self.violation(costs) + (self.min_accuracy - accuracy).max(0.0),
        }
    }
}
