//! The supernet of DARTS: every edge computes all candidates and mixes them.
//!
//! It is a layer graph like any other, whose [`NodeOp::Mix`] nodes weigh their inputs by coefficients from
//! outside: a table with a row per edge and a column per candidate. All cells of a kind share their rows:
//! row `e` is edge `e` of the normal cell, row `14 + e` that of the reduction cell, edges ordered by
//! their node and then by the node they read. Column 0 is `none`, which takes its share of the mixture and
//! adds nothing, so input `j` of a mix has the coefficient of column `j + 1`. Where the rules of the layers outside
//! of the edges are searched, too ([`Places::Searched`]), each of these layers is there once per rule, mixed by a
//! table with a row per [`super::Place`] and a column per rule.
//!
//! Must not know where coefficients come from (softmax, sampling, evolution): that is search.
//! Sources: see [`crate::darts`]; partial channels: Xu et al. 2020, *PC-DARTS*.

use super::layers::{CellPlace, Layers, Phase};
use super::places::Places;
use super::{Cell, Edge, Genotype, N_EDGES, N_NODES, Op, PlaceRules, Skeleton};
use crate::gene::{Gene, Operation};
use crate::graph::Graph;
use crate::{Coverage, Mixture, Network, NodeOp, Padding, Rule, SpaceError, Window};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Which candidates an edge has, and how their coefficients are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Columns {
    /// Operation × rule: `none`, the pools and one skip without rule, every convolution once per rule.
    /// An operation is as strong as the sum of its columns.
    Factored(Vec<Rule>),
    /// The 22 columns of BioNAS as published: every column votes alone, three of them are skips.
    Flat,
}

/// One column. `op` is none for `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The operation.
    pub op: Option<Op>,
    /// Its rule; on a skip it is that of its FactorizedReduce.
    pub rule: Option<Rule>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.map_or("none", Op::name))?;
        match self.rule {
            Some(rule) => write!(f, ":{rule}"),
            None => Ok(()),
        }
    }
}

impl Columns {
    /// The columns in order.
    pub fn candidates(&self) -> Vec<Candidate> {
        use Rule::{Brsf, Fa, Frsf, Usf};
        let (skips, rules): (Vec<Option<Rule>>, &[Rule]) = match self {
            Columns::Factored(rules) => (vec![None], rules),
            Columns::Flat => ([Usf, Frsf, Brsf].map(Some).to_vec(), &[Usf, Brsf, Frsf, Fa]),
        };
        let plain = |op| Candidate { op, rule: None };
        let mut all = vec![plain(None)];
        for &op in Op::ALL {
            let with = |rule| Candidate { op: Some(op), rule };
            match op {
                Op::Skip => all.extend(skips.iter().copied().map(with)),
                _ if op.has_weights() => all.extend(rules.iter().copied().map(Some).map(with)),
                _ => all.push(plain(Some(op))),
            }
        }
        all
    }
}

/// The supernet and the meaning of its coefficients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supernet {
    /// The graph.
    pub network: Network,
    /// The columns of a row of coefficients.
    pub candidates: Vec<Candidate>,
    columns: Columns,
    places: Places,
}

impl Supernet {
    /// Rows of the table of coefficients.
    pub const N_ROWS: usize = 2 * N_EDGES;

    /// Builds the supernet; `places` says whose the rules outside of the edges are. Only `1 / partial` of the
    /// channels go through the candidates of an edge (1: all); with `partial > 1` the edges of a node are mixed as
    /// well, row `i` being node `2 + i` of the normal and row `4 + i` of the reduction cell.
    ///
    /// # Errors
    /// The skeleton is not valid or has parts that only a final network has, `partial` does not leave an
    /// even number of channels, or there is no rule.
    pub fn new(
        skeleton: &Skeleton,
        places: impl Into<Places>,
        columns: Columns,
        partial: usize,
    ) -> Result<Self, SpaceError> {
        skeleton.check()?;
        let fault = |field, got: String, allowed| {
            Err(SpaceError {
                field,
                got,
                allowed,
            })
        };
        if skeleton.auxiliary || skeleton.drop_path {
            let allowed = "false in a supernet";
            return fault("auxiliary, drop_path", "true".into(), allowed);
        }
        if partial == 0 || !skeleton.channels.is_multiple_of(2 * partial) {
            let allowed = "a number that leaves an even share of the channels";
            return fault("partial", partial.to_string(), allowed);
        }
        let places = places.into().resolved(skeleton.coverage);
        let none = places == Places::Searched(vec![]);
        if none || columns == Columns::Factored(vec![]) {
            return fault("rules", "[]".into(), "at least one learning rule");
        }
        let candidates = columns.candidates();
        let (rules, searched) = match &places {
            Places::Fixed(rules) => (*rules, vec![]),
            Places::Searched(rules) => (PlaceRules::all(rules[0]), rules.clone()),
        };
        let layers = Layers {
            graph: Graph::new(skeleton.input),
            rules: rules.map(|rule| skeleton.coverage.off_edge(rule)),
            searched,
            phase: Phase::Search,
        };
        let mixed = Mixed {
            candidates: &candidates,
            coverage: skeleton.coverage,
            partial,
        };
        let network = layers.stack(skeleton, |layers, place, inputs| {
            mixed.cell(layers, place, inputs)
        });
        Ok(Self {
            network,
            candidates,
            columns,
            places,
        })
    }

    /// The rules that are searched outside of the edges, the columns of their table; none where they are fixed.
    pub fn place_rules(&self) -> &[Rule] {
        match &self.places {
            Places::Fixed(_) => &[],
            Places::Searched(rules) => rules,
        }
    }

    /// [`Places::favoured`] of this supernet.
    ///
    /// # Errors
    /// The table has another size.
    pub fn places(&self, coefficients: &[Vec<f64>]) -> Result<PlaceRules, SpaceError> {
        self.places.favoured(coefficients)
    }

    /// The genotype that the coefficients favour, with `rules` outside of the edges: every node keeps its
    /// two strongest edges, every edge its strongest operation but `none`, and that operation its
    /// strongest rule; among equals the first. Weights of edges are multiplied in by the caller.
    ///
    /// # Errors
    /// The table is not [`Supernet::N_ROWS`] × the number of candidates.
    pub fn discretize(
        &self,
        coefficients: &[Vec<f64>],
        rules: PlaceRules,
    ) -> Result<Genotype, SpaceError> {
        let width = self.candidates.len();
        let widths_fit = coefficients.iter().all(|row| row.len() == width);
        if coefficients.len() != Self::N_ROWS || !widths_fit {
            return Err(SpaceError {
                field: "coefficients",
                got: format!("{} rows", coefficients.len()),
                allowed: "28 rows of one number per candidate",
            });
        }
        Ok(Genotype {
            normal: self.favoured(&coefficients[..N_EDGES]),
            reduction: self.favoured(&coefficients[N_EDGES..]),
            rules,
        })
    }

    fn favoured(&self, rows: &[Vec<f64>]) -> Cell {
        let mut first = 0;
        std::array::from_fn(|i| {
            let edges = rows[first..first + 2 + i].iter().enumerate();
            first += 2 + i;
            let mut edges: Vec<(f64, Edge)> = edges
                .map(|(from, row)| {
                    let (strength, gene) = self.strongest(row);
                    (strength, Edge { gene, from })
                })
                .collect();
            edges.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut kept = [edges[0].1, edges[1].1];
            kept.sort_by_key(|e| e.from);
            kept
        })
    }

    /// The columns of each operation, those of `none` first.
    pub fn operations(&self) -> Vec<Range<usize>> {
        let runs = self.candidates.chunk_by(|a, b| a.op == b.op);
        let mut first = 0;
        let runs = runs.map(|run| {
            first += run.len();
            first - run.len()..first
        });
        runs.collect()
    }

    /// Whether the columns of an operation share its vote.
    pub fn is_factored(&self) -> bool {
        self.columns != Columns::Flat
    }

    /// The strongest operation of a row and its strength.
    fn strongest(&self, row: &[f64]) -> (f64, Gene<Op>) {
        let mut best = (f64::NEG_INFINITY, Gene::new(Op::Skip, Rule::Bp));
        let columns = match self.is_factored() {
            true => self.operations(),
            false => (0..row.len()).map(|j| j..j + 1).collect(),
        };
        for group in columns {
            let strength = row[group.clone()].iter().sum();
            let first = group.start;
            let top = group.fold(first, |top, j| if row[j] > row[top] { j } else { top });
            let candidate = self.candidates[top];
            if let (Some(op), true) = (candidate.op, strength > best.0) {
                best = (strength, Gene::new(op, candidate.rule.unwrap_or(Rule::Bp)));
            }
        }
        best
    }
}

/// How the cells of a supernet are made.
struct Mixed<'a> {
    candidates: &'a [Candidate],
    coverage: Coverage,
    partial: usize,
}

impl Mixed<'_> {
    fn cell(&self, layers: &mut Layers, place: &CellPlace, inputs: [usize; 2]) -> usize {
        let kind = usize::from(place.reduction);
        let mut row = kind * N_EDGES;
        let mut states = inputs.to_vec();
        for i in 0..N_NODES {
            let name = format!("{}.node{}", place.name, i + 2);
            let mut edges = vec![];
            for (from, &x) in states.iter().enumerate() {
                let stride = if place.reduction && from < 2 { 2 } else { 1 };
                edges.push(self.edge(layers, &format!("{name}.{from}"), (x, stride), row));
                row += 1;
            }
            let graph = &mut layers.graph;
            let sum = if self.partial > 1 {
                let (of, row) = (Mixture::Edges, kind * N_NODES + i);
                graph.push(&name, NodeOp::Mix { of, row }, &edges)
            } else {
                let mut sum = edges[0];
                for (from, &edge) in edges.iter().enumerate().skip(1) {
                    let name = format!("{name}.{from}.sum");
                    sum = graph.push(&name, NodeOp::Add, &[sum, edge]);
                }
                sum
            };
            states.push(sum);
        }
        let name = format!("{}.concat", place.name);
        layers.graph.push(&name, NodeOp::Concat, &states[2..])
    }

    fn edge(
        &self,
        layers: &mut Layers,
        at: &str,
        (x, stride): (usize, usize),
        row: usize,
    ) -> usize {
        let part = layers.graph.shape(x).c / self.partial;
        let name = |part: &str| format!("{at}.{part}");
        let mut through = x;
        if self.partial > 1 {
            let slice = NodeOp::Slice { first: 0 };
            through = layers.graph.wide(&name("part"), slice, &[x], part);
        }
        let mut mixed = vec![];
        for candidate in self.candidates {
            let Some(op) = candidate.op else { continue };
            let rule = match candidate.rule {
                Some(rule) if op == Op::Skip => Some(self.coverage.off_edge(rule)),
                rule => rule,
            };
            mixed.push(layers.operation(
                &name(&candidate.to_string()),
                (op, rule),
                through,
                stride,
            ));
        }
        let of = Mixture::Candidates;
        let y = layers.graph.push(at, NodeOp::Mix { of, row }, &mixed);
        if self.partial > 1 {
            self.rejoin(layers, at, (x, y), stride)
        } else {
            y
        }
    }

    /// Puts the channels of `x` that passed the candidates by beside `y`, and shuffles.
    fn rejoin(
        &self,
        layers: &mut Layers,
        at: &str,
        (x, y): (usize, usize),
        stride: usize,
    ) -> usize {
        let graph = &mut layers.graph;
        let name = |part: &str| format!("{at}.{part}");
        let (all, first) = (graph.shape(x).c, graph.shape(y).c);
        let mut rest = graph.wide(&name("rest"), NodeOp::Slice { first }, &[x], all - first);
        if stride == 2 {
            let halve = NodeOp::MaxPool(Window {
                padding: Padding::Same,
                ..Window::HALVE
            });
            rest = graph.push(&name("rest.pool"), halve, &[rest]);
        }
        let joined = graph.push(&name("concat"), NodeOp::Concat, &[y, rest]);
        let groups = self.partial;
        graph.push(&name("shuffle"), NodeOp::Shuffle { groups }, &[joined])
    }
}
