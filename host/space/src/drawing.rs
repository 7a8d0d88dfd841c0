//! A network as text for people, and the share of its weights that each rule trains.

use crate::{Network, NodeOp, Rule};
use std::collections::BTreeMap;
use std::fmt::Write;

impl Network {
    /// Total number of trained weights (biases and batch norm excluded).
    pub fn total_weights(&self) -> usize {
        (0..self.nodes.len()).map(|i| self.n_weights(i)).sum()
    }

    /// Multiply-accumulates of node `i`, padding taps counted.
    pub fn node_macs(&self, i: usize) -> u64 {
        let shape = self.nodes[i].shape;
        (self.n_weights(i) * shape.h * shape.w) as u64
    }

    /// For each rule that occurs, the share of all weights it trains, in 0..=1; the sum is 1.
    pub fn rule_share(&self) -> BTreeMap<Rule, f64> {
        let mut share = BTreeMap::new();
        for i in self.weighted() {
            if let Some(rule) = self.rule(i) {
                *share.entry(rule).or_insert(0.0) += self.n_weights(i) as f64;
            }
        }
        let total = self.total_weights().max(1) as f64;
        share.values_mut().for_each(|n| *n /= total);
        share
    }

    /// One line per layer: place, operation, output shape, rule, weights, multiply-accumulates; then
    /// the sums and the share of each rule. Ends in a newline.
    pub fn draw(&self) -> String {
        let mut text = String::new();
        let mut line = |cells: [&str; 6]| {
            let [place, op, shape, rule, weights, macs] = cells;
            let row = format!("{place:<18} {op:<18} {shape:<10} {rule:<5} {weights:>8} {macs:>10}");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", row.trim_end());
        };
        line(["layer", "operation", "output", "rule", "weights", "MACs"]);
        for (i, node) in self.nodes.iter().enumerate() {
            let shape = format!("{}×{}×{}", node.shape.h, node.shape.w, node.shape.c);
            let rule = self.rule(i).map_or("", Rule::name);
            let (mut weights, mut macs) = (String::new(), String::new());
            if !rule.is_empty() {
                (weights, macs) = (self.n_weights(i).to_string(), self.node_macs(i).to_string());
            }
            line([
                &node.name,
                &describe(node.op),
                &shape,
                rule,
                &weights,
                &macs,
            ]);
        }
        let (weights, macs) = (self.total_weights().to_string(), self.macs().to_string());
        line(["total", "", "", "", &weights, &macs]);
        let share = self.rule_share();
        let share: Vec<_> = share
            .iter()
            .map(|(rule, part)| format!("{rule} {:.1} %", 100.0 * part))
            .collect();
        let _ = writeln!(text, "weights trained by: {}", share.join(", "));
        text
    }
}

fn describe(op: NodeOp) -> String {
    match op {
        NodeOp::Input => "image".into(),
        NodeOp::Conv {
            kernel,
            stride,
            depthwise,
            relu,
            ..
        } => {
            let kind = if depthwise { "dw" } else { "conv" };
            let step = if stride == 1 {
                String::new()
            } else {
                format!(" /{stride}")
            };
            let relu = if relu { " relu" } else { "" };
            format!("{kind} {kernel}×{kernel}{step}{relu}")
        }
        NodeOp::MaxPool2 => "max pool 2×2".into(),
        NodeOp::AvgPool2 => "avg pool 2×2".into(),
        NodeOp::Add => "add".into(),
        NodeOp::GlobalAvgPool => "global avg pool".into(),
        NodeOp::Linear { .. } => "linear".into(),
    }
}
