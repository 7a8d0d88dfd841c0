//! The numbers of an architecture: logits, the coefficients they stand for, and which candidates a step
//! computes. Plain numbers, no backend.
//!
//! A row of coefficients is `softmax(α)` over all columns, or, factored,
//! `q_j = softmax(α_op)[o]·softmax(α_rule | o)[j]` for column `j` of operation `o`: an operation votes once
//! however many rules it is tried under. Where a step draws one column `r` per operation by
//! `p_r = q_r / S`, `S` the operation's sum, that column has the coefficient `q_r / p_r = S` and the gradient
//! `∂L/∂q_r = (∂L/∂c)/p_r`, the others none: on average that of the whole mixture, to first order.
//!
//! The rules outside of the edges have rows of their own, one per kind of place, `q = softmax(α)`, and a step computes
//! all of them: batch norm follows most of these layers, so that the coefficient of one drawn alone would have no
//! effect and no gradient. They are a small part of a supernet.
//! Sources: Liu et al. 2019 (*DARTS*); Hu et al. 2020 (*DSNAS*) for the estimate by one path.

use crate::network::Table;
use crate::random::{Purpose, normal, stream};
use aplysia_space::darts::{N_EDGES, N_NODES, Place, Supernet};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Standard deviation of the first logits.
const FIRST: f64 = 1e-3;

/// Three tables of numbers: logits, coefficients or gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tables {
    /// A row per edge, see [`Supernet`].
    pub candidates: Vec<Vec<f64>>,
    /// With partial channels a row per node, one number per edge into it; none otherwise.
    pub edges: Vec<Vec<f64>>,
    /// Where the rules outside of the edges are searched a row per [`Place`], one number per rule; none otherwise.
    pub places: Vec<Vec<f64>>,
}

impl Tables {
    /// All numbers, row by row.
    pub fn numbers(&self) -> Vec<f64> {
        let rows = self.candidates.iter().chain(&self.edges);
        let rows = rows.chain(&self.places);
        rows.flatten().copied().collect()
    }

    /// The same tables with other numbers, in the order of [`Tables::numbers`].
    ///
    /// # Panics
    /// When there are fewer numbers.
    pub fn with(&self, numbers: &[f64]) -> Self {
        let mut rest = numbers;
        let mut row = |row: &Vec<f64>| {
            let (head, tail) = rest.split_at(row.len());
            rest = tail;
            head.to_vec()
        };
        Self {
            candidates: self.candidates.iter().map(&mut row).collect(),
            edges: self.edges.iter().map(&mut row).collect(),
            places: self.places.iter().map(&mut row).collect(),
        }
    }

    /// `f` of every pair of rows of candidates, `g` of the others.
    fn zip(
        &self,
        other: &Self,
        f: impl Fn(&[f64], &[f64]) -> Vec<f64>,
        g: impl Fn(&[f64], &[f64]) -> Vec<f64>,
    ) -> Self {
        let candidates = self.candidates.iter().zip(&other.candidates);
        let edges = self.edges.iter().zip(&other.edges);
        let places = self.places.iter().zip(&other.places);
        Self {
            candidates: candidates.map(|(a, b)| f(a, b)).collect(),
            edges: edges.map(|(a, b)| g(a, b)).collect(),
            places: places.map(|(a, b)| g(a, b)).collect(),
        }
    }
}

/// How logits become coefficients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    operations: Vec<Range<usize>>,
    factored: bool,
    mixes_edges: bool,
    /// Rules that are searched outside of the edges.
    n_place_rules: usize,
}

impl Layout {
    /// Of a supernet with `1 / partial` of its channels in the candidates.
    pub fn new(supernet: &Supernet, partial: usize) -> Self {
        Self {
            operations: supernet.operations(),
            factored: supernet.is_factored(),
            mixes_edges: partial > 1,
            n_place_rules: supernet.place_rules().len(),
        }
    }

    /// Columns of a row.
    fn width(&self) -> usize {
        self.operations.last().map_or(0, |last| last.end)
    }

    /// Logits of a row: one per column; factored, one per operation and one per column that shares.
    fn n_logits(&self) -> usize {
        let shared = self.operations.iter().map(|o| o.len()).filter(|&n| n > 1);
        match self.factored {
            true => self.operations.len() + shared.sum::<usize>(),
            false => self.width(),
        }
    }

    /// The first logits, `N(0, 0.001²)`.
    pub fn first(&self, seed: u64) -> Tables {
        let rng = &mut stream(seed, Purpose::Architecture, 0, 0);
        let mut row = |n: usize| (0..n).map(|_| FIRST * normal(rng)).collect();
        let candidates = (0..Supernet::N_ROWS)
            .map(|_| row(self.n_logits()))
            .collect();
        let n_nodes = if self.mixes_edges { 2 * N_NODES } else { 0 };
        let edges = (0..n_nodes).map(|i| row(2 + i % N_NODES)).collect();
        let places = Place::ALL.iter().filter(|_| self.n_place_rules > 0);
        let places = places.map(|_| row(self.n_place_rules)).collect();
        Tables {
            candidates,
            edges,
            places,
        }
    }

    /// The coefficients of `logits`: of every row they sum up to 1.
    pub fn coefficients(&self, logits: &Tables) -> Tables {
        let row = |a: &[f64], _: &[f64]| match self.factored {
            false => softmax(a),
            true => {
                let strength = softmax(&a[..self.operations.len()]);
                let parts = self.shares(a).into_iter().zip(strength);
                parts
                    .flat_map(|(p, s)| p.into_iter().map(move |p| s * p))
                    .collect()
            }
        };
        logits.zip(logits, row, |a, _| softmax(a))
    }

    /// `∂L/∂α` from `∂L/∂q`.
    pub fn gradient(&self, logits: &Tables, by_coefficients: &Tables) -> Tables {
        let row = |a: &[f64], d: &[f64]| match self.factored {
            false => through_softmax(&softmax(a), d),
            true => self.through_factors(a, d),
        };
        let edge = |a: &[f64], d: &[f64]| through_softmax(&softmax(a), d);
        logits.zip(by_coefficients, row, edge)
    }

    /// `softmax(α_rule | o)` of every operation of a row.
    fn shares(&self, logits: &[f64]) -> Vec<Vec<f64>> {
        let mut rest = &logits[self.operations.len()..];
        let of = |o: &Range<usize>| {
            if o.len() == 1 {
                return vec![1.0];
            }
            let (own, others) = rest.split_at(o.len());
            rest = others;
            softmax(own)
        };
        self.operations.iter().map(of).collect()
    }

    fn through_factors(&self, logits: &[f64], d: &[f64]) -> Vec<f64> {
        let strength = softmax(&logits[..self.operations.len()]);
        let (mut by_operation, mut by_rule) = (vec![], vec![]);
        for ((o, p), s) in self
            .operations
            .iter()
            .zip(self.shares(logits))
            .zip(&strength)
        {
            let d = &d[o.clone()];
            by_operation.push(p.iter().zip(d).map(|(p, d)| p * d).sum());
            if o.len() > 1 {
                by_rule.extend(through_softmax(&p, d).iter().map(|d| s * d));
            }
        }
        let mut all = through_softmax(&strength, &by_operation);
        all.extend(by_rule);
        all
    }

    /// What a genotype is read off: coefficients, times those of their edge where edges are mixed.
    pub fn strengths(&self, logits: &Tables) -> Vec<Vec<f64>> {
        let q = self.coefficients(logits);
        if !self.mixes_edges {
            return q.candidates;
        }
        let edges = q.edges.concat();
        let rows = q.candidates.into_iter().zip(edges);
        rows.map(|(row, edge)| row.into_iter().map(|q| q * edge).collect())
            .collect()
    }
}

/// The columns that a step computes, each with the factor on its coefficient; 0: not computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw(Vec<Vec<f64>>);

impl Draw {
    /// Everything but `none`.
    pub fn all(layout: &Layout) -> Self {
        let mut row = vec![1.0; layout.width()];
        row[0] = 0.0;
        Self(vec![row; Supernet::N_ROWS])
    }

    /// One column per operation and row, by its share of the operation: factor `1 / share`.
    pub fn sample(layout: &Layout, coefficients: &Tables, rng: &mut impl Rng) -> Self {
        let draw = |row: &Vec<f64>| {
            let mut factors = vec![0.0; row.len()];
            for o in layout.operations.iter().skip(1) {
                let all: f64 = row[o.clone()].iter().sum();
                let mut left = rng.random::<f64>() * all;
                let beyond = |j: &usize| {
                    left -= row[*j];
                    left < 0.0
                };
                let r = o.clone().find(beyond).unwrap_or(o.end - 1);
                factors[r] = all / row[r];
            }
            factors
        };
        Self(coefficients.candidates.iter().map(draw).collect())
    }

    /// What the mixtures multiply by: `bonus` is added to the identity's, whose columns are `skips`.
    pub(super) fn table(
        &self,
        coefficients: &Tables,
        (skips, bonus): (&Range<usize>, f64),
    ) -> Table {
        let row = |(factors, q): (&Vec<f64>, &Vec<f64>)| {
            let first = skips.clone().find(|&j| factors[j] > 0.0);
            let of = |(j, (&f, &q)): (usize, (&f64, &f64))| {
                let bonus = if first == Some(j) { bonus } else { 0.0 };
                (f > 0.0).then_some((f * q + bonus) as f32)
            };
            factors.iter().zip(q).enumerate().map(of).collect()
        };
        self.0
            .iter()
            .zip(&coefficients.candidates)
            .map(row)
            .collect()
    }

    /// `∂L/∂q` from the gradients by what the mixtures multiply by.
    pub fn gradient(&self, by_mixture: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let rows = self.0.iter().zip(by_mixture);
        rows.map(|(factors, d)| factors.iter().zip(d).map(|(f, d)| f * d).collect())
            .collect()
    }

    /// The columns computed in `row`.
    pub fn columns(&self, row: usize) -> Vec<usize> {
        (0..self.0[row].len())
            .filter(|&j| self.0[row][j] > 0.0)
            .collect()
    }
}

/// Rows of the edges into node `i` (0 to 3) of the normal or reduction cell.
pub(super) fn edge_row(reduction: bool, i: usize, from: usize) -> usize {
    usize::from(reduction) * N_EDGES + (0..i).map(|i| 2 + i).sum::<usize>() + from
}

fn softmax(a: &[f64]) -> Vec<f64> {
    let top = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = a.iter().map(|a| (a - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

/// `∂L/∂α_j = q_j (d_j − Σ q d)`.
fn through_softmax(q: &[f64], d: &[f64]) -> Vec<f64> {
    let mean: f64 = q.iter().zip(d).map(|(q, d)| q * d).sum();
    q.iter().zip(d).map(|(q, d)| q * (d - mean)).collect()
}
