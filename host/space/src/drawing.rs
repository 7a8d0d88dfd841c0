//! A network as text for people, and its sums.

use crate::{Network, NodeOp, Rule, RuleShare, Window};
use std::fmt::{self, Write as _};

impl Network {
    /// Total number of trained weights (biases and batch norm excluded).
    pub fn total_weights(&self) -> usize {
        (0..self.nodes.len()).map(|i| self.n_weights(i)).sum()
    }

    /// Total number of trained parameters, of the auxiliary head and of unread edges too.
    pub fn total_params(&self) -> usize {
        (0..self.nodes.len()).map(|i| self.n_params(i)).sum()
    }

    /// Multiply-accumulates of node `i`, padding taps counted.
    pub fn node_macs(&self, i: usize) -> u64 {
        let shape = self.nodes[i].shape;
        (self.n_weights(i) * shape.h * shape.w) as u64
    }

    /// The share of all weights that each rule trains.
    pub fn rule_share(&self) -> RuleShare {
        RuleShare::of(self)
    }

    /// Which rules train which shares of the weights, in words.
    pub fn trained_by(&self) -> String {
        format!("trained by: {}", self.rule_share())
    }

    /// One line per layer: place, operation, output shape, rule, weights, multiply-accumulates; then
    /// the sums and the share of each rule. Ends in a newline.
    pub fn draw(&self) -> String {
        let mut text = String::new();
        let widest = self.nodes.iter().map(|node| node.name.chars().count());
        let place_width = widest.max().unwrap_or(0).max(18);
        let mut line = |cells: [&str; 6]| {
            let [place, op, shape, rule, weights, macs] = cells;
            let row = format!(
                "{place:<place_width$} {op:<18} {shape:<10} {rule:<5} {weights:>8} {macs:>10}"
            );
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
                &node.op.to_string(),
                &shape,
                rule,
                &weights,
                &macs,
            ]);
        }
        let (weights, macs) = (self.total_weights().to_string(), self.macs().to_string());
        line(["total", "", "", "", &weights, &macs]);
        let _ = writeln!(text, "weights {}", self.trained_by());
        text
    }
}

impl fmt::Display for NodeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            NodeOp::Input => f.write_str("image"),
            NodeOp::Conv {
                kernel,
                stride,
                dilation,
                depthwise,
                relu,
                ..
            } => {
                let kind = if depthwise { "dw" } else { "conv" };
                write!(f, "{kind} {kernel}×{kernel}")?;
                step(f, stride)?;
                if dilation > 1 {
                    write!(f, " dil{dilation}")?;
                }
                f.write_str(if relu { " relu" } else { "" })
            }
            NodeOp::MaxPool(w) => pool(f, "max", w),
            NodeOp::AvgPool(w) => pool(f, "avg", w),
            NodeOp::Add => f.write_str("add"),
            NodeOp::GlobalAvgPool => f.write_str("global avg pool"),
            NodeOp::Linear { .. } => f.write_str("linear"),
            NodeOp::Relu => f.write_str("relu"),
            NodeOp::BatchNorm { .. } => f.write_str("batch norm"),
            NodeOp::Concat => f.write_str("concat"),
            NodeOp::Shift => f.write_str("shift"),
            NodeOp::Zero => f.write_str("zero"),
            NodeOp::DropPath => f.write_str("drop path"),
            NodeOp::Slice { first } => write!(f, "channels {first}.."),
            NodeOp::Shuffle { groups } => write!(f, "shuffle {groups}"),
            NodeOp::Mix { row, .. } => write!(f, "mix {row}"),
        }
    }
}

fn step(f: &mut fmt::Formatter<'_>, stride: usize) -> fmt::Result {
    if stride == 1 {
        return Ok(());
    }
    write!(f, " /{stride}")
}

fn pool(f: &mut fmt::Formatter<'_>, kind: &str, window: Window) -> fmt::Result {
    write!(f, "{kind} pool {0}×{0}", window.kernel)?;
    if window == Window::HALVE {
        return Ok(());
    }
    step(f, window.stride)
}
