//! The layer graph: a genotype with every shape spelled out.
//!
//! Nodes are in execution order; node `i` reads only nodes `< i`. `learn` makes each convolution node
//! `conv → batch norm → activation`; `deploy` folds the same node into one integer layer.

use crate::{Block, BlockOp, Genotype, GenotypeError, Pool, Rule};
use serde::{Deserialize, Serialize};

/// Height, width and channels of one feature map (batch excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Height in pixels.
    pub h: usize,
    /// Width in pixels.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// Number of elements.
    pub fn len(self) -> usize {
        self.h * self.w * self.c
    }
    /// True when a dimension is zero.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a node computes. All windows are square; padding is `kernel / 2` on top and left and
/// whatever the output size `ceil(in / stride)` needs at the bottom and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeOp {
    /// The image.
    Input,
    /// Convolution without bias, then batch norm, then ReLU if `relu`.
    Conv {
        /// Window side, 1, 3 or 5.
        kernel: usize,
        /// Step, 1 or 2.
        stride: usize,
        /// True: one filter per channel (`groups = channels`); false: dense.
        depthwise: bool,
        /// Whether a ReLU follows.
        relu: bool,
        /// Learning rule of the weights.
        rule: Rule,
    },
    /// Maximum over 2×2 windows, stride 2, no padding, odd border dropped (`out = in / 2`).
    MaxPool2,
    /// Mean over 2×2 windows, stride 2, no padding, odd border dropped (`out = in / 2`).
    AvgPool2,
    /// Sum of two equal shapes.
    Add,
    /// Mean over all pixels, output 1×1×c.
    GlobalAvgPool,
    /// `y = W x + b` on a 1×1×c input.
    Linear {
        /// Learning rule of the weights.
        rule: Rule,
    },
}

/// One node of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A readable place, e.g. `stem`, `block2.expand`, `block2.add`, `head`.
    pub name: String,
    /// What it computes.
    pub op: NodeOp,
    /// Indices of the nodes it reads (1, or 2 for `Add`, none for `Input`).
    pub inputs: Vec<usize>,
    /// Shape of its output.
    pub shape: Shape,
}

/// A network ready to be trained or quantized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Nodes in execution order; the first is `Input`, the last is the classifier.
    pub nodes: Vec<Node>,
    /// Number of classes.
    pub n_classes: usize,
}

impl Network {
    /// Spells out `genotype` for an input of shape `input`.
    ///
    /// # Errors
    /// The genotype is not valid (see [`Genotype::validate`]).
    pub fn lower(
        genotype: &Genotype,
        input: Shape,
        n_classes: usize,
    ) -> Result<Self, GenotypeError> {
        genotype.validate(input)?;
        let mut g = Builder {
            nodes: vec![Node {
                name: "input".into(),
                op: NodeOp::Input,
                inputs: vec![],
                shape: input,
            }],
        };
        let s = &genotype.stem;
        let mut x = g.conv(
            "stem", 0, s.channels, s.kernel, s.stride, false, true, s.rule,
        );
        for (i, block) in genotype.blocks.iter().enumerate() {
            x = g.block(&format!("block{i}"), x, block);
        }
        let c = g.nodes[x].shape.c;
        let x = g.push(
            "pool",
            NodeOp::GlobalAvgPool,
            vec![x],
            Shape { h: 1, w: 1, c },
        );
        let head = NodeOp::Linear {
            rule: genotype.head.rule,
        };
        g.push(
            "head",
            head,
            vec![x],
            Shape {
                h: 1,
                w: 1,
                c: n_classes,
            },
        );
        Ok(Self {
            nodes: g.nodes,
            n_classes,
        })
    }

    /// Indices of the nodes that carry weights, in graph order (the order of
    /// [`crate::NetworkParams::layers`]).
    pub fn weighted(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|&i| self.rule(i).is_some())
    }

    /// The learning rule of node `i`, if it carries weights.
    pub fn rule(&self, i: usize) -> Option<Rule> {
        match self.nodes[i].op {
            NodeOp::Conv { rule, .. } | NodeOp::Linear { rule } => Some(rule),
            _ => None,
        }
    }

    /// Shape of the first input of node `i`.
    pub fn input_shape(&self, i: usize) -> Shape {
        self.nodes[self.nodes[i].inputs[0]].shape
    }

    /// Number of trained weights (biases and batch norm excluded) of node `i`.
    pub fn n_weights(&self, i: usize) -> usize {
        let (cin, cout) = (|| self.input_shape(i).c, self.nodes[i].shape.c);
        match self.nodes[i].op {
            NodeOp::Conv {
                kernel,
                depthwise: true,
                ..
            } => kernel * kernel * cout,
            NodeOp::Conv {
                kernel,
                depthwise: false,
                ..
            } => kernel * kernel * cin() * cout,
            NodeOp::Linear { .. } => cin() * cout,
            _ => 0,
        }
    }

    /// Multiply-accumulates of one inference, padding taps counted.
    pub fn macs(&self) -> u64 {
        (0..self.nodes.len()).map(|i| self.node_macs(i)).sum()
    }
}

struct Builder {
    nodes: Vec<Node>,
}

impl Builder {
    fn push(&mut self, name: &str, op: NodeOp, inputs: Vec<usize>, shape: Shape) -> usize {
        self.nodes.push(Node {
            name: name.into(),
            op,
            inputs,
            shape,
        });
        self.nodes.len() - 1
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of one convolution, spelled out"
    )]
    fn conv(
        &mut self,
        name: &str,
        x: usize,
        c: usize,
        kernel: usize,
        stride: usize,
        depthwise: bool,
        relu: bool,
        rule: Rule,
    ) -> usize {
        let s = self.nodes[x].shape;
        let shape = Shape {
            h: s.h.div_ceil(stride),
            w: s.w.div_ceil(stride),
            c,
        };
        self.push(
            name,
            NodeOp::Conv {
                kernel,
                stride,
                depthwise,
                relu,
                rule,
            },
            vec![x],
            shape,
        )
    }

    fn block(&mut self, name: &str, x: usize, b: &Block) -> usize {
        let input = self.nodes[x].shape;
        let (k, s, c) = (b.kernel, b.stride, b.channels);
        let at = |part: &str| format!("{name}.{part}");
        let mut y = match b.op {
            BlockOp::Conv => self.conv(&at("conv"), x, c, k, s, false, true, b.rules[0]),
            BlockOp::Separable => {
                let d = self.conv(&at("depthwise"), x, input.c, k, s, true, true, b.rules[0]);
                self.conv(&at("pointwise"), d, c, 1, 1, false, true, b.rules[1])
            }
            BlockOp::Bottleneck => {
                let e = input.c * b.expansion;
                let u = self.conv(&at("expand"), x, e, 1, 1, false, true, b.rules[0]);
                let d = self.conv(&at("depthwise"), u, e, k, s, true, true, b.rules[1]);
                self.conv(&at("project"), d, c, 1, 1, false, false, b.rules[2])
            }
        };
        if b.residual {
            let shape = self.nodes[y].shape;
            y = self.push(&at("add"), NodeOp::Add, vec![x, y], shape);
        }
        let op = match b.pool {
            Pool::None => return y,
            Pool::Max => NodeOp::MaxPool2,
            Pool::Avg => NodeOp::AvgPool2,
        };
        let s = self.nodes[y].shape;
        self.push(
            &at("pool"),
            op,
            vec![y],
            Shape {
                h: s.h / 2,
                w: s.w / 2,
                c: s.c,
            },
        )
    }
}
