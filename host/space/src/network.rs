//! The layer graph: a genotype with every shape spelled out. One graph for all spaces.
//!
//! Nodes are in execution order; node `i` reads only nodes `< i`. A convolution carries its batch norm
//! and ReLU, because `deploy` folds the three into one integer layer; the cell spaces, whose ReLU comes
//! first, use nodes of their own ([`NodeOp::Relu`], [`NodeOp::BatchNorm`]). What exists only in training
//! (auxiliary head, drop-path, edges that reach no output) is in the graph as well;
//! [`Network::inference`] takes it out. A supernet is the same graph with [`NodeOp::Mix`] nodes.
//!
//! Invariant: knows no space; spaces append their nodes to it.

use crate::Rule;
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

/// Batch norm after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// None, and no bias either.
    None,
    /// Normalisation alone: no trained scale and shift (`affine = False`), as in a supernet.
    Plain,
    /// With a trained scale and shift per channel.
    Affine,
}

/// What surrounds the map under a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// `⌊dilation·(kernel − 1) / 2⌋` on top and left, and whatever `out = ⌈in / stride⌉` needs at the
    /// bottom and right.
    Same,
    /// Nothing; a border that fills no window is dropped: `out = ⌊(in − kernel) / stride⌋ + 1`.
    Valid,
}

/// The window of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Side.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Padding; padded places are no part of a maximum or mean.
    pub padding: Padding,
}

impl Window {
    /// 2×2, stride 2, odd border dropped (`out = ⌊in / 2⌋`).
    pub const HALVE: Window = Window {
        kernel: 2,
        stride: 2,
        padding: Padding::Valid,
    };

    /// 3×3 with padding, as in the cells.
    pub const fn cell(stride: usize) -> Window {
        Window {
            kernel: 3,
            stride,
            padding: Padding::Same,
        }
    }

    /// Output side for an input side.
    pub fn output(self, side: usize) -> usize {
        match self.padding {
            Padding::Same => side.div_ceil(self.stride),
            Padding::Valid => (side + self.stride).saturating_sub(self.kernel) / self.stride,
        }
    }
}

/// What the inputs of a [`NodeOp::Mix`] are, and so which table holds its coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixture {
    /// Candidate operations of one edge.
    Candidates,
    /// Incoming edges of one cell node (the edge weights of partial channels).
    Edges,
    /// One layer outside of the edges, once per learning rule.
    Places,
}

/// What a node computes. All windows are square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeOp {
    /// The image.
    Input,
    /// Convolution without bias, then batch norm by `norm`, then ReLU if `relu`.
    Conv {
        /// Window side.
        kernel: usize,
        /// Step, 1 or 2.
        stride: usize,
        /// Distance of neighbouring taps, 1 or 2.
        dilation: usize,
        /// Padding with zeros.
        padding: Padding,
        /// True: one filter per channel (`groups = channels`); false: dense.
        depthwise: bool,
        /// Batch norm after it.
        norm: Norm,
        /// Whether a ReLU follows.
        relu: bool,
        /// Learning rule of the weights.
        rule: Rule,
    },
    /// Maximum over windows.
    MaxPool(Window),
    /// Mean over windows.
    AvgPool(Window),
    /// Sum of two equal shapes.
    Add,
    /// Mean over all pixels, output 1×1×c.
    GlobalAvgPool,
    /// `y = W x + b` on a 1×1×c input.
    Linear {
        /// Learning rule of the weights.
        rule: Rule,
    },
    /// `max(x, 0)`.
    Relu,
    /// Batch norm on its own.
    BatchNorm {
        /// Whether scale and shift are trained.
        affine: bool,
    },
    /// The channels of all inputs, in the order of the inputs.
    Concat,
    /// `y[i, j] = x[i + 1, j + 1]`, 0 beyond the border.
    Shift,
    /// 0 everywhere in its shape.
    Zero,
    /// In training, the whole image's map times `mask / keep`, `mask ~ Bernoulli(keep)` per image
    /// (Larsson et al. 2017, *FractalNet*); otherwise the identity.
    DropPath,
    /// The channels from `first` on, as many as its shape has.
    Slice {
        /// First channel.
        first: usize,
    },
    /// Channel `g·n + i` goes to `i·groups + g`, where `n = c / groups` (Zhang et al. 2018,
    /// *ShuffleNet*).
    Shuffle {
        /// Groups.
        groups: usize,
    },
    /// `Σ_j w[row][j]·x_j` with coefficients that belong to the architecture, not to the network.
    Mix {
        /// Which table of coefficients.
        of: Mixture,
        /// Row of that table, see [`crate::darts::Supernet`].
        row: usize,
    },
}

impl NodeOp {
    /// Dense convolution with padding, no ReLU.
    pub(crate) fn conv(kernel: usize, stride: usize, norm: Norm, rule: Rule) -> Self {
        NodeOp::Conv {
            kernel,
            stride,
            dilation: 1,
            padding: Padding::Same,
            depthwise: false,
            norm,
            relu: false,
            rule,
        }
    }

    /// Depthwise convolution with padding, neither batch norm nor ReLU.
    pub(crate) fn depthwise(kernel: usize, stride: usize, dilation: usize, rule: Rule) -> Self {
        NodeOp::Conv {
            kernel,
            stride,
            dilation,
            padding: Padding::Same,
            depthwise: true,
            norm: Norm::None,
            relu: false,
            rule,
        }
    }
}

/// One node of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A readable place, e.g. `stem`, `block2.expand`, `cell3.node2.0.pointwise`, `head`.
    pub name: String,
    /// What it computes.
    pub op: NodeOp,
    /// Indices of the nodes it reads: 2 for `Add`, any number for `Concat` and `Mix`, none for `Input`
    /// and `Zero`, otherwise 1.
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
    /// The classifier of the auxiliary head, if there is one: its loss is added in training.
    pub auxiliary: Option<usize>,
}

impl Network {
    /// Indices of the nodes that carry parameters, in graph order (the order of
    /// [`crate::NetworkParams::layers`]).
    pub fn weighted(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|&i| {
            let op = self.nodes[i].op;
            self.rule(i).is_some() || matches!(op, NodeOp::BatchNorm { .. })
        })
    }

    /// The learning rule of node `i`, if it has weights.
    pub fn rule(&self, i: usize) -> Option<Rule> {
        match self.nodes[i].op {
            NodeOp::Conv { rule, .. } | NodeOp::Linear { rule } => Some(rule),
            _ => None,
        }
    }

    /// Shape of the first input of node `i`, which has one.
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

    /// Number of trained parameters of node `i`: its weights, biases, scales and shifts.
    pub fn n_params(&self, i: usize) -> usize {
        let c = self.nodes[i].shape.c;
        let extra = match self.nodes[i].op {
            NodeOp::Conv {
                norm: Norm::Affine, ..
            }
            | NodeOp::BatchNorm { affine: true } => 2 * c,
            NodeOp::Linear { .. } => c,
            _ => 0,
        };
        self.n_weights(i) + extra
    }

    /// Multiply-accumulates of one inference, padding taps counted.
    pub fn macs(&self) -> u64 {
        (0..self.nodes.len()).map(|i| self.node_macs(i)).sum()
    }

    /// For each node whether the output of node `output` depends on it.
    pub fn needed_for(&self, output: usize) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        needed[output] = true;
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if needed[i] {
                node.inputs.iter().for_each(|&j| needed[j] = true);
            }
        }
        needed
    }

    /// The nodes that the classifier's output needs outside of training, without drop-path; and for
    /// each of its [`Network::weighted`] nodes the position among this network's.
    pub fn inference(&self) -> (Network, Vec<usize>) {
        let mut needed = self.needed_for(self.nodes.len() - 1);
        needed[0] = true;
        let mut nodes: Vec<Node> = vec![];
        let mut moved = vec![0; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            if node.op == NodeOp::DropPath {
                moved[i] = moved[node.inputs[0]];
            } else if needed[i] {
                moved[i] = nodes.len();
                let inputs = node.inputs.iter().map(|&j| moved[j]).collect();
                nodes.push(Node {
                    inputs,
                    ..node.clone()
                });
            }
        }
        let kept = self.weighted().enumerate();
        let kept = kept.filter(|&(_, i)| needed[i]).map(|(at, _)| at).collect();
        let network = Network {
            nodes,
            n_classes: self.n_classes,
            auxiliary: None,
        };
        (network, kept)
    }
}
