//! Which nodes a pass computes and what each of them reads: everything that an output needs, or of a
//! supernet only the candidates that take part.

use aplysia_space::{Network, NodeOp};
use std::collections::BTreeMap;

/// The way of a pass through a graph.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Nodes that the classifier needs.
    pub(super) main: Vec<bool>,
    /// Nodes that only the auxiliary head needs.
    pub(super) aside: Vec<bool>,
    /// What each node reads.
    pub(super) inputs: Vec<Vec<usize>>,
    /// Last node that reads each node's output.
    pub(super) last_reader: Vec<usize>,
}

impl Route {
    /// Of `network`, through all of its nodes.
    pub(super) fn new(network: &Network) -> Self {
        Self::along(
            network,
            network.nodes.iter().map(|node| node.inputs.clone()),
        )
    }

    /// Of `network`, whose node `i` reads its input number `j` if `takes(i, j)`. Of several ReLUs of one
    /// node, as every operation of a cell has one, the first stands for all.
    pub(super) fn shared(network: &Network, takes: impl Fn(usize, usize) -> bool) -> Self {
        let mut stands: Vec<usize> = (0..network.nodes.len()).collect();
        let mut first_of: BTreeMap<usize, usize> = BTreeMap::new();
        let inputs = network.nodes.iter().enumerate().map(|(i, node)| {
            let taken = node.inputs.iter().enumerate().filter(|&(j, _)| takes(i, j));
            let inputs: Vec<usize> = taken.map(|(_, &x)| stands[x]).collect();
            if node.op == NodeOp::Relu {
                stands[i] = *first_of.entry(inputs[0]).or_insert(i);
            }
            inputs
        });
        Self::along(network, inputs)
    }

    fn along(network: &Network, inputs: impl Iterator<Item = Vec<usize>>) -> Self {
        let n = network.nodes.len();
        let inputs: Vec<_> = inputs.collect();
        let needed_for = |output: usize| {
            let mut needed = vec![false; n];
            needed[output] = true;
            for i in (0..n).rev().filter(|&i| i <= output) {
                if needed[i] {
                    inputs[i].iter().for_each(|&j| needed[j] = true);
                }
            }
            needed
        };
        let main = needed_for(n - 1);
        let aside = match network.auxiliary {
            None => vec![false; n],
            Some(head) => {
                let needed = needed_for(head).into_iter();
                needed
                    .zip(&main)
                    .map(|(needed, main)| needed && !main)
                    .collect()
            }
        };
        let mut last_reader: Vec<usize> = (0..n).collect();
        for i in (0..n).filter(|&i| main[i] || aside[i]) {
            inputs[i].iter().for_each(|&j| last_reader[j] = i);
        }
        Self {
            main,
            aside,
            inputs,
            last_reader,
        }
    }
}
