//! Which nodes a pass computes and what each of them reads: everything that an output needs, or of a
//! supernet only the candidates that take part.

use aplysia_space::Network;

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
    /// Of `network`, whose node `i` reads its input number `j` if `takes(i, j)`.
    pub(super) fn new(network: &Network, takes: impl Fn(usize, usize) -> bool) -> Self {
        let n = network.nodes.len();
        let inputs: Vec<Vec<usize>> = (0..n)
            .map(|i| {
                let inputs = network.nodes[i].inputs.iter().enumerate();
                let taken = inputs.filter(|&(j, _)| takes(i, j));
                taken.map(|(_, &x)| x).collect()
            })
            .collect();
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
