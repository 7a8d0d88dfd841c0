//! Drawing, mutation and crossover in the space `nasbench201`.

use super::{Cell, Genotype, N_EDGES, Op, PlaceRules, Skeleton};
use crate::gene::{Gene, Operation};
use crate::mcu::{palette, pick};
use crate::{Coverage, Rule, SpaceError};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Tries to find a mutation that changes something; a space of one operation and rule may have few.
const N_TRIES: usize = 64;

/// Bounds of the space `nasbench201`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NasBench201Space {
    /// Operations an edge may carry.
    pub operations: Vec<Op>,
    /// Learning rules a weighted layer may carry.
    pub rules: Vec<Rule>,
    /// The network around the cells.
    pub skeleton: Skeleton,
}

impl NasBench201Space {
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

    /// Draws a genotype: operations uniformly, rules from a palette of one to three that is drawn first.
    ///
    /// # Panics
    /// If [`NasBench201Space::check`] does not accept the space.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        let rules = palette(&self.rules, rng);
        let gene = |_| Gene::sample(&self.operations, &rules, rng);
        let cell = Cell(std::array::from_fn(gene));
        let places = PlaceRules::all(Rule::Bp);
        let rules = match self.skeleton.coverage {
            Coverage::All => places.map(|_| pick(&rules, rng)),
            Coverage::Paper => places,
        };
        Genotype { cell, rules }
    }

    /// A neighbour of `parent`: one or more elementary changes, different from `parent` unless the space
    /// holds nothing else nearby.
    ///
    /// Elementary changes: another operation or rule on one edge (the most frequent), another rule outside
    /// of the edges.
    pub fn mutate(&self, parent: &Genotype, rng: &mut impl Rng) -> Genotype {
        for _ in 0..N_TRIES {
            let mut child = parent.clone();
            self.change(&mut child, rng);
            while rng.random_bool(0.35) {
                self.change(&mut child, rng);
            }
            if child != *parent {
                return child;
            }
        }
        parent.clone()
    }

    /// Every edge, and every rule outside of the edges, from `a` or from `b`.
    pub fn crossover(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        let (mut child, mut other) = (a.clone(), b.clone());
        for (gene, other) in child.cell.0.iter_mut().zip(b.cell.0) {
            *gene = pick(&[*gene, other], rng);
        }
        for (rule, other) in child
            .rules
            .each_mut()
            .into_iter()
            .zip(other.rules.each_mut())
        {
            *rule = pick(&[*rule, *other], rng);
        }
        child
    }

    fn change(&self, g: &mut Genotype, rng: &mut impl Rng) {
        if self.skeleton.coverage == Coverage::All && rng.random_bool(0.15) {
            let place = rng.random_range(0..g.rules.each_mut().len());
            *g.rules.each_mut()[place] = pick(&self.rules, rng);
            return;
        }
        let gene = &mut g.cell.0[rng.random_range(0..N_EDGES)];
        *gene = gene.mutate(&self.operations, &self.rules, rng);
    }
}
