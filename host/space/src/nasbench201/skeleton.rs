//! The skeleton around the cells of NAS-Bench-201, and lowering a genotype into it.

use super::{Cell, Genotype, Op, PlaceRules};
use crate::graph::Graph;
use crate::{Coverage, GenotypeError, Network, NodeOp, Norm, Rule, Shape, SpaceError, Window};
use serde::{Deserialize, Serialize};

/// Everything about a network but its cell: 3×3 convolution to C channels; three stages of cells at C, 2C,
/// 4C with a residual block of stride 2 between; batch norm, ReLU, mean, linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skeleton {
    /// Shape of the images; height and width multiples of 4.
    pub input: Shape,
    /// Number of classes.
    pub n_classes: usize,
    /// Channels C of the first stage.
    pub channels: usize,
    /// Cells of one stage.
    pub n_cells: usize,
    /// Which layers follow their rule genes.
    pub coverage: Coverage,
}

impl Skeleton {
    /// The published network (C 16, 5 cells a stage) for images of `side`×`side`×3: 32 for CIFAR, 16 for
    /// ImageNet16-120.
    pub fn published(side: usize, n_classes: usize) -> Self {
        Self {
            input: Shape {
                h: side,
                w: side,
                c: 3,
            },
            n_classes,
            channels: 16,
            n_cells: 5,
            coverage: Coverage::All,
        }
    }

    /// Checks the fields once, before anything is lowered.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn check(&self) -> Result<(), SpaceError> {
        let Shape { h, w, c } = self.input;
        let side = |n: usize| n > 0 && n.is_multiple_of(4);
        for (field, ok, got, allowed) in [
            (
                "input",
                side(h) && side(w) && c > 0,
                format!("{h}×{w}×{c}"),
                "height and width multiples of 4, at least one channel",
            ),
            (
                "n_classes",
                self.n_classes > 0,
                self.n_classes.to_string(),
                "at least 1",
            ),
            (
                "channels",
                (1..=512).contains(&self.channels),
                self.channels.to_string(),
                "1 to 512",
            ),
            (
                "n_cells",
                (1..=32).contains(&self.n_cells),
                self.n_cells.to_string(),
                "1 to 32",
            ),
        ] {
            if !ok {
                return Err(SpaceError {
                    field,
                    got,
                    allowed,
                });
            }
        }
        Ok(())
    }

    /// Spells out `genotype`. An edge that no output depends on is spelled out like any other.
    ///
    /// # Errors
    /// The skeleton is not valid.
    pub fn lower(&self, genotype: &Genotype) -> Result<Network, GenotypeError> {
        self.check()?;
        let rules: PlaceRules = genotype.rules.map(|rule| self.coverage.off_edge(rule));
        let mut graph = Graph::new(self.input);
        let stem = NodeOp::conv(3, 1, Norm::Affine, rules.stem);
        let mut x = graph.wide("stem", stem, &[0], self.channels);
        for stage in 0..3 {
            if stage > 0 {
                x = residual(&mut graph, &format!("residual{stage}"), x, rules.residual);
            }
            for i in 0..self.n_cells {
                x = cell(
                    &mut graph,
                    &format!("stage{stage}.cell{i}"),
                    x,
                    &genotype.cell,
                );
            }
        }
        x = graph.push("norm", NodeOp::BatchNorm { affine: true }, &[x]);
        x = graph.push("relu", NodeOp::Relu, &[x]);
        let rule = rules.classifier;
        graph.classify(x, NodeOp::Linear { rule }, self.n_classes);
        Ok(graph.finish(None))
    }
}

fn cell(graph: &mut Graph, name: &str, x: usize, cell: &Cell) -> usize {
    let mut states = vec![x];
    for i in 1..4 {
        let at = format!("{name}.node{i}");
        let mut sum: Option<usize> = None;
        for (from, gene) in cell.into_node(i).iter().enumerate() {
            let rule = gene.rule().unwrap_or(Rule::Bp);
            let (at, x) = (format!("{at}.{from}"), states[from]);
            let y = match gene.op() {
                Op::None => continue,
                Op::Skip => x,
                Op::Conv1 => relu_conv(graph, &at, x, (1, 1), graph.shape(x).c, rule),
                Op::Conv3 => relu_conv(graph, &at, x, (3, 1), graph.shape(x).c, rule),
                Op::AvgPool3 => graph.push(&at, NodeOp::AvgPool(Window::cell(1)), &[x]),
            };
            sum = Some(sum.map_or(y, |sum| {
                graph.push(&format!("{at}.sum"), NodeOp::Add, &[sum, y])
            }));
        }
        states.push(sum.unwrap_or_else(|| graph.zero(&at, x)));
    }
    states[3]
}

/// Two 3×3 convolutions, the first with stride 2 to twice the channels, plus the 2×2 mean through a
/// 1×1 convolution.
fn residual(graph: &mut Graph, name: &str, x: usize, rule: Rule) -> usize {
    let at = |part: &str| format!("{name}.{part}");
    let c = 2 * graph.shape(x).c;
    let y = relu_conv(graph, &at("0"), x, (3, 2), c, rule);
    let y = relu_conv(graph, &at("1"), y, (3, 1), c, rule);
    let pooled = graph.push(&at("pool"), NodeOp::AvgPool(Window::HALVE), &[x]);
    let shortcut = NodeOp::conv(1, 1, Norm::None, rule);
    let shortcut = graph.wide(&at("shortcut"), shortcut, &[pooled], c);
    graph.push(&at("add"), NodeOp::Add, &[shortcut, y])
}

fn relu_conv(
    graph: &mut Graph,
    at: &str,
    x: usize,
    (kernel, stride): (usize, usize),
    c: usize,
    rule: Rule,
) -> usize {
    let x = graph.push(&format!("{at}.relu"), NodeOp::Relu, &[x]);
    graph.wide(
        at,
        NodeOp::conv(kernel, stride, Norm::Affine, rule),
        &[x],
        c,
    )
}
