//! What a network costs, what it may cost, and how candidates are compared.

use crate::pareto::Point;
use serde::{Deserialize, Serialize};

/// Costs of a genotype, known without training. Flash, RAM and instructions are those on the device, all 0
/// where networks of the space cannot be deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// RAM of what it learns on the device, beside the arena; 0 (and not written) without a plan for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub learned_bytes: u64,
    /// Estimated instructions that learning from an image adds to its inference; 0 (and not written) without.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub update_instructions: u64,
}

impl Costs {
    /// RAM of a device that infers and, if that is planned, learns.
    pub fn device_ram_bytes(&self) -> u64 {
        self.ram_bytes + self.learned_bytes
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What a training is worth on the validation part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Share of right answers, 0..=1.
    pub accuracy: f64,
    /// The same on shifted images after learning from others on the device; none if the search does not ask.
    pub adapted: Option<f64>,
}

impl Score {
    /// What the search looks for first: accuracy after learning on the device, if it asks for that.
    pub fn lead(&self) -> f64 {
        self.adapted.unwrap_or(self.accuracy)
    }
}

/// Hard limits. A candidate above one of them is never trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of flash.
    pub flash_bytes: u64,
    /// Most bytes of RAM, what is learned on the device included.
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
    /// Every limit there is: its name, what a network costs of it, and the limit.
    fn all(&self, costs: &Costs) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let on_device = [
            ("bytes of flash", costs.flash_bytes, self.flash_bytes),
            ("bytes of RAM", costs.device_ram_bytes(), self.ram_bytes),
            ("instructions", costs.instructions, self.instructions),
        ];
        let params = self.params.map(|limit| ("parameters", costs.params, limit));
        let macs = self.macs.map(|limit| ("MACs", costs.macs, limit));
        on_device.into_iter().chain(params).chain(macs)
    }

    /// Sum of the relative excesses `max(0, cost/limit − 1)` over the costs; 0 = all are kept.
    pub fn violation(&self, costs: &Costs) -> f64 {
        let excess = |cost: u64, limit: u64| (cost as f64 / limit.max(1) as f64 - 1.0).max(0.0);
        let all = self.all(costs);
        all.map(|(_, cost, limit)| excess(cost, limit)).sum()
    }

    /// The limits that `costs` exceed, in words: `9000 bytes of RAM (limit 5000)`; empty if all are kept.
    pub fn exceeded(&self, costs: &Costs) -> String {
        let above = self.all(costs).filter(|(_, cost, limit)| cost > limit);
        let words = above.map(|(name, cost, limit)| format!("{cost} {name} (limit {limit})"));
        words.collect::<Vec<_>>().join(", ")
    }

    /// The candidate as a point to be minimised: −[`Score::lead`], −accuracy where that is another number,
    /// instructions, flash, RAM; without costs on the device multiply-accumulates and parameters in their place.
    pub fn point(&self, costs: &Costs, score: Score) -> Point {
        let [work, size, ram] = match costs.flash_bytes {
            0 => [costs.macs, costs.params, 0],
            flash => [costs.instructions, flash, costs.device_ram_bytes()],
        };
        let unlearned = score.adapted.map_or(0.0, |_| -score.accuracy);
        let [work, size, ram] = [work, size, ram].map(|n| n as f64);
        Point {
            objectives: [-score.lead(), unlearned, work, size, ram],
            violation: self.violation(costs) + (self.min_accuracy - score.accuracy).max(0.0),
        }
    }
}
