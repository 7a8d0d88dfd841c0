//! Which nodes are the same as others, which are zero, which are needed, and who reads whom.
//!
//! Owns the simplification of the graph; must not know layers.

use aplysia_space::{Network, NodeOp};

/// What is known of every node of a network.
pub(super) struct Roots<'n> {
    network: &'n Network,
    /// The node whose output is the same; itself if there is none before it.
    pub(super) root: Vec<usize>,
    /// Whether the output is 0 everywhere.
    pub(super) zero: Vec<bool>,
    needed: Vec<bool>,
    /// Roots that read it, in order.
    readers: Vec<Vec<usize>>,
}

impl<'n> Roots<'n> {
    pub(super) fn new(network: &'n Network) -> Self {
        let n = network.nodes.len();
        let mut roots = Self {
            network,
            root: (0..n).collect(),
            zero: vec![false; n],
            needed: vec![false; n],
            readers: vec![vec![]; n],
        };
        for i in 0..n {
            roots.simplify(i);
        }
        roots.needed[0] = true;
        roots.needed[n - 1] = true;
        for i in (0..n).rev().filter(|&i| roots.root[i] == i) {
            if roots.needed[i] && !roots.zero[i] {
                for &j in &network.nodes[i].inputs {
                    let j = roots.root[j];
                    roots.needed[j] = true;
                    roots.readers[j].insert(0, i);
                }
            }
        }
        roots
    }

    fn simplify(&mut self, i: usize) {
        let node = &self.network.nodes[i];
        let inputs: Vec<usize> = node.inputs.iter().map(|&j| self.root[j]).collect();
        match (node.op, inputs.as_slice()) {
            (NodeOp::Zero, _) => self.zero[i] = true,
            (NodeOp::DropPath, &[x]) => self.root[i] = x,
            (NodeOp::Add, &[x, y]) if self.zero[x] => self.root[i] = y,
            (NodeOp::Add, &[x, y]) if self.zero[y] => self.root[i] = x,
            (NodeOp::Relu | NodeOp::MaxPool(_) | NodeOp::AvgPool(_) | NodeOp::Shift, &[x])
                if self.zero[x] =>
            {
                self.zero[i] = true;
            }
            (NodeOp::Relu, &[x]) => {
                let same = |&j: &usize| {
                    let other = &self.network.nodes[j];
                    let reads = || self.root[other.inputs[0]];
                    self.root[j] == j && other.op == NodeOp::Relu && reads() == x
                };
                self.root[i] = match self.network.nodes[x].op {
                    NodeOp::Relu | NodeOp::Conv { relu: true, .. } => x,
                    _ => (0..i).find(same).unwrap_or(i),
                };
            }
            _ => {}
        }
    }

    /// Whether the classifier needs node `i`, and no node before it is the same.
    pub(super) fn is_needed(&self, i: usize) -> bool {
        self.needed[i] && self.root[i] == i
    }

    /// The ReLU that is all that reads node `i`, if the layer of `i` can limit its output.
    pub(super) fn fused_relu(&self, i: usize) -> Option<usize> {
        let can = !matches!(
            self.network.nodes[i].op,
            NodeOp::Input | NodeOp::Relu | NodeOp::Shift
        );
        let is_relu = |&j: &usize| self.network.nodes[j].op == NodeOp::Relu;
        match self.readers[i].as_slice() {
            &[reader] if can && !self.zero[i] && is_relu(&reader) => Some(reader),
            _ => None,
        }
    }
}
