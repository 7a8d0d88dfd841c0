//! Drawing, mutation and crossover in the space `darts`.
//!
//! Edges of a node are kept in the order of the nodes they read, so that equal networks are equal
//! genotypes.

use super::{Cell, Edge, Genotype, N_NODES, Op, PlaceRules, Skeleton};
use crate::gene::{Gene, Operation};
use crate::mcu::{palette, pick};
use crate::{Coverage, Rule, SpaceError};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Tries to find a mutation that changes something; a space of one operation and rule may have few.
const N_TRIES: usize = 64;

/// Bounds of the space `darts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DartsSpace {
    /// Operations an edge may carry.
    pub operations: Vec<Op>,
    /// Learning rules a weighted layer may carry.
    pub rules: Vec<Rule>,
    /// The network around the cells.
    pub skeleton: Skeleton,
}

impl DartsSpace {
    /// All operations, with the bio-inspired rules of the paper.
    pub fn new(skeleton: Skeleton) -> Self {
        Self {
            operations: Op::ALL.to_vec(),
            rules: vec![Rule::Usf, Rule::Brsf, Rule::Frsf, Rule::Fa],
            skeleton,
        }
    }

    /// Checks the bounds once, before anything is drawn.
    ///
    /// # Errors
    /// The first bound that is empty, or what [`Skeleton::check`] finds.
    pub fn check(&self) -> Result<(), SpaceError> {
        self.skeleton.check()?;
        SpaceError::if_empty("operations", &self.operations)?;
        SpaceError::if_empty("rules", &self.rules)
    }

    /// Draws a genotype: two different predecessors of every node, operations uniformly, rules from a
    /// palette of one to three that is drawn first.
    ///
    /// # Panics
    /// If [`DartsSpace::check`] does not accept the space.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        let rules = palette(&self.rules, rng);
        let mut cell = || -> Cell {
            std::array::from_fn(|i| {
                let (a, b) = two_of(2 + i, rng);
                [a, b].map(|from| Edge {
                    gene: Gene::sample(&self.operations, &rules, rng),
                    from,
                })
            })
        };
        let (normal, reduction) = (cell(), cell());
        let places = PlaceRules::all(Rule::Bp);
        let rules = match self.skeleton.coverage {
            Coverage::All => places.map(|_| pick(&rules, rng)),
            Coverage::Paper => places,
        };
        Genotype {
            normal,
            reduction,
            rules,
        }
    }
    /// A neighbour of `parent`: one or more elementary changes, different from `parent` unless the space
    /// holds nothing else nearby.
    ///
    /// Elementary changes: another operation or rule on one edge (the most frequent), another node
    /// read by one edge, another rule outside of the edges.
    pub fn mutate(&self, parent: &Genotype, rng: &mut impl Rng) -> Genotype {
        let parent = sorted(parent.clone());
        for _ in 0..N_TRIES {
            let mut child = parent.clone();
            self.change(&mut child, rng);
            while rng.random_bool(0.35) {
                self.change(&mut child, rng);
            }
            let child = sorted(child);
            if child != parent {
                return child;
            }
        }
        parent
    }

    /// Every node with its two edges, and every rule outside of the edges, from `a` or from `b`.
    pub fn crossover(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        let mut child = a.clone();
        let from_b = [&b.normal, &b.reduction];
        for (cell, other) in [&mut child.normal, &mut child.reduction]
            .into_iter()
            .zip(from_b)
        {
            for (node, other) in cell.iter_mut().zip(other) {
                *node = pick(&[*node, *other], rng);
            }
        }
        for (rule, other) in child
            .rules
            .each_mut()
            .into_iter()
            .zip(b.rules.clone().each_mut())
        {
            *rule = pick(&[*rule, *other], rng);
        }
        sorted(child)
    }

    fn change(&self, g: &mut Genotype, rng: &mut impl Rng) {
        if self.skeleton.coverage == Coverage::All && rng.random_bool(0.15) {
            let place = rng.random_range(0..g.rules.each_mut().len());
            *g.rules.each_mut()[place] = pick(&self.rules, rng);
            return;
        }
        let cell = if rng.random() {
            &mut g.normal
        } else {
            &mut g.reduction
        };
        let i = rng.random_range(0..N_NODES);
        let j = rng.random_range(0..2);
        let (edge, other) = (cell[i][j], cell[i][1 - j]);
        let free: Vec<usize> = (0..2 + i)
            .filter(|&from| from != edge.from && from != other.from)
            .collect();
        if !free.is_empty() && rng.random_bool(0.3) {
            cell[i][j].from = pick(&free, rng);
        } else {
            cell[i][j].gene = edge.gene.mutate(&self.operations, &self.rules, rng);
        }
    }
}

/// The same network with the edges of every node in order.
fn sorted(mut genotype: Genotype) -> Genotype {
    for node in genotype.normal.iter_mut().chain(&mut genotype.reduction) {
        node.sort_by_key(|edge| edge.from);
    }
    genotype
}

/// Two different numbers below `n`, ascending.
fn two_of(n: usize, rng: &mut impl Rng) -> (usize, usize) {
    let (a, b) = (rng.random_range(0..n), rng.random_range(0..n - 1));
    let b = if b >= a { b + 1 } else { b };
    (a.min(b), a.max(b))
}
