//! From a layer graph to what is drawn: the whole network, or one of each kind of cell.
//!
//! Works by the names that the spaces give their nodes, documented at [`aplysia_space::Node::name`]: nodes
//! whose name has a part `cell<i>` are in a cell; within it, `node<i>.<j>…` is the operation on edge `j`
//! into node `i`. An operation of several layers (ReLU, depthwise, pointwise, …) is drawn as one box.

use aplysia_space::{Network, NodeOp, Rule};
use std::collections::BTreeMap;

/// One box.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it is, e.g. `block2.expand`, `node3.1`.
    pub name: String,
    /// What it computes.
    pub operation: String,
    /// Rule and weights of its weighted layers, in order.
    pub layers: Vec<(Rule, usize)>,
    /// The boxes it reads, all before it.
    pub inputs: Vec<usize>,
}

/// A graph to be drawn.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// `network`, or which cell and how many of its kind.
    pub title: String,
    /// Boxes in execution order.
    pub parts: Vec<Part>,
}

/// The drawings of a network: itself if it has no cells, else one of each kind of cell.
pub fn drawings(network: &Network) -> Vec<Drawing> {
    let mut cells: Vec<Cell<'_>> = vec![];
    for (i, node) in network.nodes.iter().enumerate() {
        let Some(name) = cell_of(&node.name) else {
            continue;
        };
        match cells.last_mut().filter(|(last, _)| *last == name) {
            Some((_, nodes)) => nodes.push(i),
            None => cells.push((name, vec![i])),
        }
    }
    if cells.is_empty() {
        let all: Vec<usize> = (0..network.nodes.len()).collect();
        let parts = contract(network, &all, |node| node.to_string());
        let title = "network".into();
        return vec![Drawing { title, parts }];
    }
    let mut kinds: Vec<Kind<'_>> = vec![];
    for cell in &cells {
        let kind = edges_of(network, cell);
        match kinds.iter_mut().find(|(other, _, _)| *other == kind) {
            Some((_, _, n)) => *n += 1,
            None => kinds.push((kind, cell, 1)),
        }
    }
    let drawing = |(_, (name, nodes), n): &Kind<'_>| Drawing {
        title: match n {
            1 => format!("{name}, the only one of its kind"),
            n => format!("{name}, one of {n} equal cells"),
        },
        parts: contract(network, nodes, |node| group(&node[name.len()..])),
    };
    kinds.iter().map(drawing).collect()
}

/// A cell's name and its nodes.
type Cell<'a> = (&'a str, Vec<usize>);

/// What makes cells equal, the first of them, and their number.
type Kind<'a> = (Vec<String>, &'a Cell<'a>, usize);

/// The part of a node's name that says its cell: `stage0.cell1` of `stage0.cell1.node2.0.relu`.
fn cell_of(name: &str) -> Option<&str> {
    let mut end = 0;
    for word in name.split('.') {
        end += word.len();
        let number = word.strip_prefix("cell");
        if number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            return Some(&name[..end]);
        }
        end += 1;
    }
    None
}

/// What makes two cells equal: the operations on their edges, whatever their shapes.
fn edges_of(network: &Network, (name, nodes): &Cell<'_>) -> Vec<String> {
    let nodes = nodes.iter().map(|&i| &network.nodes[i]);
    let edges = nodes.filter(|n| n.name[name.len()..].starts_with(".node"));
    edges
        .map(|n| format!("{} {:?}", &n.name[name.len()..], n.op))
        .collect()
}

/// The box of a node, from its name within the cell: `node2.0` of `.node2.0.1.pointwise`, `node2` of
/// `.node2.1.sum`.
fn group(name: &str) -> String {
    let words: Vec<&str> = name.trim_start_matches('.').split('.').collect();
    let is_edge = words.len() > 1 && words[0].starts_with("node") && words.last() != Some(&"sum");
    match is_edge {
        true => format!("{}.{}", words[0], words[1]),
        false => words[0].into(),
    }
}

/// The boxes of `nodes`, which are together where `name` of their own name is; what they read from
/// outside becomes boxes, too.
fn contract(network: &Network, nodes: &[usize], name: impl Fn(&str) -> String) -> Vec<Part> {
    let mut members: Vec<(String, Vec<usize>)> = vec![];
    let mut box_of: BTreeMap<usize, String> = BTreeMap::new();
    let inside = |i: &usize| nodes.contains(i);
    for &i in nodes {
        for &outer in network.nodes[i].inputs.iter().filter(|j| !inside(j)) {
            let name = format!("from {}", network.nodes[outer].name);
            if box_of.insert(outer, name.clone()).is_none() {
                members.push((name, vec![]));
            }
        }
    }
    for &i in nodes {
        let name = name(&network.nodes[i].name);
        box_of.insert(i, name.clone());
        // A box ends where its last node does: its inputs are before it.
        let found = members.iter().position(|(other, _)| *other == name);
        let mut ids = found.map_or(vec![], |at| members.remove(at).1);
        ids.push(i);
        members.push((name, ids));
    }
    let place = |name: &String| members.iter().position(|(other, _)| other == name);
    let part = |(name, ids): &(String, Vec<usize>)| {
        let read = ids.iter().flat_map(|&i| &network.nodes[i].inputs);
        let mut inputs: Vec<usize> = read
            .filter_map(|j| box_of.get(j).filter(|other| *other != name))
            .filter_map(place)
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
        let layers = ids
            .iter()
            .filter_map(|&i| Some((network.rule(i)?, network.n_weights(i))))
            .collect();
        Part {
            name: name.clone(),
            operation: operation(network, ids),
            layers,
            inputs,
        }
    };
    members.iter().map(part).collect()
}

/// The operations of a box, without those between them that have neither weights nor windows.
fn operation(network: &Network, ids: &[usize]) -> String {
    let plain = |i: &&usize| {
        let op = network.nodes[**i].op;
        let minor = matches!(
            op,
            NodeOp::Relu | NodeOp::BatchNorm { .. } | NodeOp::Shift | NodeOp::DropPath
        );
        !(minor || op == NodeOp::Concat && ids.len() > 1)
    };
    let ops: Vec<String> = ids
        .iter()
        .filter(plain)
        .map(|&i| network.nodes[i].op.to_string().replace(" relu", ""))
        .collect();
    let half = ops.len() / 2;
    if half > 0 && ops.len().is_multiple_of(2) && same(&ops[..half], &ops[half..]) {
        let once = ops[..half].join(", ");
        return if once == "add" {
            once
        } else {
            format!("2 × ({once})")
        };
    }
    let mut ops = ops;
    ops.dedup();
    ops.join(", ")
}

/// Whether two lists of operations differ in their steps at most.
fn same(a: &[String], b: &[String]) -> bool {
    let stepless = |op: &String| op.replace(" /2", "");
    a.iter().map(stepless).eq(b.iter().map(stepless))
}
