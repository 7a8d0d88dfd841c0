//! A network under construction: every space appends its nodes here, shapes follow.
//!
//! Owns the shape of each node's output. Must not know any space.

use crate::{Network, Node, NodeOp, Padding, Shape, Window};

/// Nodes so far; the first is the image.
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

impl Graph {
    pub(crate) fn new(input: Shape) -> Self {
        let mut graph = Self { nodes: vec![] };
        graph.node("input", NodeOp::Input, &[], input);
        graph
    }

    /// Shape of node `x`.
    pub(crate) fn shape(&self, x: usize) -> Shape {
        self.nodes[x].shape
    }

    /// Appends a node that keeps the number of channels (`Concat`: adds them up).
    pub(crate) fn push(&mut self, name: &str, op: NodeOp, inputs: &[usize]) -> usize {
        let shapes = inputs.iter().map(|&i| self.shape(i));
        let c = match op {
            NodeOp::Concat => shapes.map(|s| s.c).sum(),
            _ => self.shape(inputs[0]).c,
        };
        self.wide(name, op, inputs, c)
    }

    /// Appends a node with `c` output channels.
    pub(crate) fn wide(&mut self, name: &str, op: NodeOp, inputs: &[usize], c: usize) -> usize {
        let Shape { h, w, .. } = self.shape(inputs[0]);
        let (h, w) = match op {
            NodeOp::Conv {
                kernel,
                stride,
                padding,
                ..
            } => output(h, w, kernel, stride, padding),
            NodeOp::MaxPool(p) | NodeOp::AvgPool(p) => output(h, w, p.kernel, p.stride, p.padding),
            NodeOp::GlobalAvgPool | NodeOp::Linear { .. } => (1, 1),
            _ => (h, w),
        };
        self.node(name, op, inputs, Shape { h, w, c })
    }

    /// Appends zeros in the shape of `x`.
    pub(crate) fn zero(&mut self, name: &str, x: usize) -> usize {
        self.node(name, NodeOp::Zero, &[], self.shape(x))
    }

    /// Appends the mean over all pixels and a linear classifier.
    pub(crate) fn classify(&mut self, x: usize, head: NodeOp, n_classes: usize) -> usize {
        let pooled = self.push("pool", NodeOp::GlobalAvgPool, &[x]);
        self.wide("head", head, &[pooled], n_classes)
    }

    /// The network, whose classifier is the last node.
    pub(crate) fn finish(self, auxiliary: Option<usize>) -> Network {
        let n_classes = self.nodes[self.nodes.len() - 1].shape.c;
        Network {
            nodes: self.nodes,
            n_classes,
            auxiliary,
        }
    }

    fn node(&mut self, name: &str, op: NodeOp, inputs: &[usize], shape: Shape) -> usize {
        self.nodes.push(Node {
            name: name.into(),
            op,
            inputs: inputs.to_vec(),
            shape,
        });
        self.nodes.len() - 1
    }
}

fn output(h: usize, w: usize, kernel: usize, stride: usize, padding: Padding) -> (usize, usize) {
    let window = Window {
        kernel,
        stride,
        padding,
    };
    (window.output(h), window.output(w))
}
