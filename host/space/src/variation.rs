//! Mutation and crossover in the space `mcu`.
//!
//! Both always give valid genotypes within the bounds: they change fields freely and then drop what
//! the shapes no longer allow (a residual between different shapes, a pooling of a single pixel).

use crate::mcu::pick;
use crate::{Block, BlockOp, Genotype, McuSpace, Pool, Rule};
use rand::Rng;

/// Probability that a change is one of what learns on the device, where the space plans it.
const P_PLASTICITY: f64 = 0.25;

/// Tries to find a mutation that changes something; a space of one genotype has none.
const N_TRIES: usize = 64;

impl McuSpace {
    /// A neighbour of `parent`: one to three elementary changes, different from `parent` unless the
    /// space holds nothing else nearby.
    ///
    /// Elementary changes: another rule on one layer (the most frequent), wider or narrower, another
    /// window, operation, expansion, step or pooling, residual on or off, one block more or less, and in a
    /// quarter of the cases something else that learns on the device, where the space plans it.
    pub fn mutate(&self, parent: &Genotype, rng: &mut impl Rng) -> Genotype {
        for _ in 0..N_TRIES {
            let mut child = parent.clone();
            self.change(&mut child, rng);
            while rng.random_bool(0.35) {
                self.change(&mut child, rng);
            }
            self.repair(&mut child);
            if child != *parent {
                return child;
            }
        }
        parent.clone()
    }

    /// The front of `a` and the back of `b`: stem and first blocks of the one, last blocks and head of
    /// the other, cut so that the number of blocks stays within bounds; what learns at the head goes with it.
    pub fn crossover(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        let (n_a, n_b) = (a.blocks.len(), b.blocks.len());
        let fits = |n: usize| (self.min_blocks..=self.max_blocks).contains(&n);
        let cuts: Vec<(usize, usize)> = (0..=n_a)
            .flat_map(|front| (0..=n_b).map(move |back| (front, back)))
            .filter(|&(front, back)| fits(front + back))
            .collect();
        let (front, back) = if cuts.is_empty() {
            (n_a, 0)
        } else {
            pick(&cuts, rng)
        };
        let mut blocks = a.blocks[..front].to_vec();
        blocks.extend_from_slice(&b.blocks[n_b - back..]);
        let mut child = Genotype {
            stem: a.stem.clone(),
            head: b.head.clone(),
            blocks,
            plasticity: b.plasticity,
        };
        self.repair(&mut child);
        child
    }

    fn change(&self, g: &mut Genotype, rng: &mut impl Rng) {
        if let Some(bounds) = &self.plasticity
            && rng.random_bool(P_PLASTICITY)
        {
            return bounds.change(g, rng);
        }
        match rng.random_range(0..12) {
            0..4 => self.change_rule(g, rng),
            4..6 => self.change_channels(g, rng),
            6 => self.insert(g, rng),
            7 if g.blocks.len() > self.min_blocks => {
                g.blocks.remove(rng.random_range(0..g.blocks.len()));
            }
            8 if rng.random_bool(0.25) => {
                g.stem.stride = 3 - g.stem.stride;
                g.stem.kernel = pick(&self.kernels, rng);
            }
            _ if !g.blocks.is_empty() => {
                let i = rng.random_range(0..g.blocks.len());
                self.change_block(&mut g.blocks[i], rng);
            }
            _ => self.change_rule(g, rng),
        }
    }

    fn change_rule(&self, g: &mut Genotype, rng: &mut impl Rng) {
        let rule = pick(&self.rules, rng);
        let mut genes: Vec<&mut Rule> = vec![&mut g.stem.rule, &mut g.head.rule];
        genes.extend(g.blocks.iter_mut().flat_map(|b| b.rules.iter_mut()));
        let i = rng.random_range(0..genes.len());
        *genes[i] = rule;
    }

    fn change_channels(&self, g: &mut Genotype, rng: &mut impl Rng) {
        let i = rng.random_range(0..=g.blocks.len());
        if i == g.blocks.len() {
            g.stem.channels = step(&self.stem_channels, g.stem.channels, rng);
            return;
        }
        // Blocks that add their input follow, so that their residuals survive.
        let channels = step(&self.channels, g.blocks[i].channels, rng);
        g.blocks[i].channels = channels;
        for b in &mut g.blocks[i + 1..] {
            if !b.residual {
                break;
            }
            b.channels = channels;
        }
    }

    /// Adds a block that does not shrink the map.
    fn insert(&self, g: &mut Genotype, rng: &mut impl Rng) {
        if g.blocks.len() >= self.max_blocks {
            return;
        }
        let i = rng.random_range(0..=g.blocks.len());
        let before = if i == 0 {
            g.stem.channels
        } else {
            g.blocks[i - 1].channels
        };
        let block = self.sample_block(0, before, &self.rules, rng);
        g.blocks.insert(i, block);
    }

    fn change_block(&self, b: &mut Block, rng: &mut impl Rng) {
        match rng.random_range(0..5) {
            0 => b.kernel = pick(&self.kernels, rng),
            1 => {
                b.op = pick(
                    &[BlockOp::Conv, BlockOp::Separable, BlockOp::Bottleneck],
                    rng,
                );
                b.expansion = pick(&self.expansions, rng);
            }
            2 => b.expansion = step(&self.expansions, b.expansion, rng),
            3 => b.residual = !b.residual,
            _ => {
                let choices = [
                    (1, Pool::None),
                    (2, Pool::None),
                    (1, Pool::Max),
                    (1, Pool::Avg),
                ];
                (b.stride, b.pool) = pick(&choices, rng);
            }
        }
    }
}

/// The next larger or smaller of `values` (ascending), each equally likely where both exist.
fn step(values: &[usize], from: usize, rng: &mut impl Rng) -> usize {
    let smaller = values.iter().rev().find(|&&v| v < from);
    let larger = values.iter().find(|&&v| v > from);
    let up: bool = rng.random();
    let (first, second) = if up {
        (larger, smaller)
    } else {
        (smaller, larger)
    };
    first.or(second).copied().unwrap_or(from)
}
