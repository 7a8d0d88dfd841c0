//! The search space `mcu`: which genotypes may occur, and how one is drawn.
//!
//! Drawing is biased towards what a microcontroller can hold: the map shrinks early, channels grow as
//! it shrinks, and blocks that keep their shape are often residual. The bias only shapes the first
//! candidates; mutation and crossover (`variation`) reach every genotype within the bounds.

use crate::plasticity::{self, PlasticityBounds, sample_block_homeostatic, sample_homeostatic};
use crate::{Block, BlockOp, Genotype, Head, Pool, Rule, Shape, Stem};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

/// Bounds of the space `mcu`. Lists are ascending; every genotype drawn, mutated or crossed from
/// them is valid for `input`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McuSpace {
    /// Shape of the images.
    pub input: Shape,
    /// Channels the stem may have.
    pub stem_channels: Vec<usize>,
    /// Fewest blocks.
    pub min_blocks: usize,
    /// Most blocks.
    pub max_blocks: usize,
    /// Channels a block may put out.
    pub channels: Vec<usize>,
    /// Window sides, of 3 and 5.
    pub kernels: Vec<usize>,
    /// Expansions of a bottleneck, of 1 to 6.
    pub expansions: Vec<usize>,
    /// Learning rules a weighted layer may carry.
    pub rules: Vec<Rule>,
    /// What may go on learning on the device; none for genotypes without such a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plasticity: Option<PlasticityBounds>,
}

/// A space from which nothing can be drawn, or only invalid genotypes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("space: {field} = {got}; allowed: {allowed}")]
pub struct SpaceError {
    /// Which bound.
    pub field: &'static str,
    /// Its value.
    pub got: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl SpaceError {
    /// Refuses an empty list.
    pub(crate) fn if_empty<T>(field: &'static str, list: &[T]) -> Result<(), Self> {
        if !list.is_empty() {
            return Ok(());
        }
        Err(Self {
            field,
            got: "[]".into(),
            allowed: "at least one",
        })
    }
}

impl McuSpace {
    /// The usual bounds for images of shape `input`, with the bio-inspired rules ([`Rule::BIO`]).
    pub fn new(input: Shape) -> Self {
        Self {
            input,
            stem_channels: vec![8, 12, 16, 20, 24],
            min_blocks: 2,
            max_blocks: 7,
            channels: vec![8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96],
            kernels: vec![3, 5],
            expansions: vec![1, 2, 3, 4, 5, 6],
            rules: Rule::BIO.to_vec(),
            plasticity: None,
        }
    }

    /// The same bounds with other learning rules: `&Rule::ALL` admits back-propagation, `&[rule]` makes
    /// every layer carry `rule`.
    pub fn with_rules(self, rules: &[Rule]) -> Self {
        Self {
            rules: rules.to_vec(),
            ..self
        }
    }

    /// Checks the bounds once, before anything is drawn.
    ///
    /// # Errors
    /// The first bound that is empty or outside of what a genotype may hold.
    pub fn check(&self) -> Result<(), SpaceError> {
        let channel = |c: &usize| *c > 0 && *c <= 512 && c.is_multiple_of(4);
        let list = |field, values: &[usize], fits: &dyn Fn(&usize) -> bool, allowed| {
            let ok = !values.is_empty() && values.is_sorted() && values.iter().all(fits);
            let got = format!("{values:?}");
            if ok {
                Ok(())
            } else {
                Err(SpaceError {
                    field,
                    got,
                    allowed,
                })
            }
        };
        let channels = "ascending multiples of 4 up to 512, at least one";
        list("stem_channels", &self.stem_channels, &channel, channels)?;
        list("channels", &self.channels, &channel, channels)?;
        list(
            "kernels",
            &self.kernels,
            &|k| matches!(k, 3 | 5),
            "of 3 and 5, at least one",
        )?;
        list(
            "expansions",
            &self.expansions,
            &|e| (1..=6).contains(e),
            "of 1 to 6, ascending",
        )?;
        let blocks = [self.min_blocks, self.max_blocks];
        list(
            "min_blocks, max_blocks",
            &blocks,
            &|n| *n <= 32,
            "min <= max <= 32",
        )?;
        SpaceError::if_empty("rules", &self.rules)?;
        self.plasticity.as_ref().map_or(Ok(()), |b| b.check())?;
        let Shape { h, w, c } = self.input;
        list(
            "input",
            &[h.min(w).min(c)],
            &|n| *n > 0,
            "no dimension is zero",
        )
    }

    /// Draws a genotype.
    ///
    /// Learning rules come from a palette of one to three that is drawn first, so that single-rule and
    /// mixed networks are both common.
    ///
    /// # Panics
    /// If [`McuSpace::check`] does not accept the space.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        let palette = palette(&self.rules, rng);
        let stem = Stem {
            channels: pick(&self.stem_channels, rng),
            kernel: self.kernel(rng),
            stride: if rng.random_bool(0.4) { 2 } else { 1 },
            rule: pick(&palette, rng),
            homeostatic: self.plasticity.is_some() && sample_homeostatic(true, rng),
        };
        let mut side = self.input.h.min(self.input.w).div_ceil(stem.stride);
        let mut channels = stem.channels;
        let n_blocks = rng.random_range(self.min_blocks..=self.max_blocks);
        let mut blocks = Vec::with_capacity(n_blocks);
        for _ in 0..n_blocks {
            let block = self.sample_block(side, channels, &palette, rng);
            side = side.div_ceil(block.stride);
            side /= if block.pool == Pool::None { 1 } else { 2 };
            channels = block.channels;
            blocks.push(block);
        }
        let mut genotype = Genotype {
            stem,
            head: Head {
                rule: pick(&palette, rng),
            },
            blocks,
            plasticity: self.plasticity.as_ref().map(|bounds| bounds.sample(rng)),
        };
        self.repair(&mut genotype);
        genotype
    }

    /// Draws a block for a map of `side`×`side` pixels and `channels` channels.
    pub(crate) fn sample_block(
        &self,
        side: usize,
        channels: usize,
        palette: &[Rule],
        rng: &mut impl Rng,
    ) -> Block {
        let shrinks = match side {
            15.. => rng.random_bool(0.8),
            8..15 => rng.random_bool(0.45),
            _ => false,
        };
        let grown: Vec<usize> = self
            .channels
            .iter()
            .copied()
            .filter(|&c| c >= channels)
            .collect();
        let widest = self.channels[self.channels.len() - 1];
        let nearest = grown.first().copied().unwrap_or(widest);
        let reach = grown.len().min(if shrinks { 5 } else { 3 });
        let keeps = grown.is_empty() || (!shrinks && rng.random_bool(0.5));
        let out = if keeps {
            nearest
        } else {
            pick(&grown[..reach], rng)
        };
        let op = pick(
            &[BlockOp::Conv, BlockOp::Separable, BlockOp::Bottleneck],
            rng,
        );
        let (stride, pool) = if shrinks {
            pick(
                &[
                    (2, Pool::None),
                    (1, Pool::Max),
                    (1, Pool::Max),
                    (1, Pool::Avg),
                ],
                rng,
            )
        } else {
            (1, Pool::None)
        };
        Block {
            op,
            expansion: pick(&self.expansions, rng),
            kernel: self.kernel(rng),
            stride,
            channels: out,
            residual: rng.random_bool(0.7),
            pool,
            rules: (0..op.n_weighted()).map(|_| pick(palette, rng)).collect(),
            homeostatic: match self.plasticity {
                Some(_) => sample_block_homeostatic(op, rng),
                None => vec![],
            },
        }
    }

    /// A window side; the smallest three times out of four.
    fn kernel(&self, rng: &mut impl Rng) -> usize {
        if rng.random_bool(0.75) {
            self.kernels[0]
        } else {
            pick(&self.kernels, rng)
        }
    }

    /// Makes a genotype whose fields are within bounds valid for the input: drops what its shapes do
    /// not allow and gives every weighted layer one rule.
    pub(crate) fn repair(&self, genotype: &mut Genotype) {
        plasticity::repair(self.plasticity.as_ref(), genotype);
        let stem = &genotype.stem;
        let mut x = Shape {
            h: self.input.h.div_ceil(stem.stride),
            w: self.input.w.div_ceil(stem.stride),
            c: stem.channels,
        };
        for b in &mut genotype.blocks {
            if b.op != BlockOp::Bottleneck {
                b.expansion = 1;
            } else if !self.expansions.contains(&b.expansion) {
                b.expansion = self.expansions[0];
            }
            let last = b.rules.last().copied().unwrap_or(self.rules[0]);
            b.rules.resize(b.op.n_weighted(), last);
            let y = Shape {
                h: x.h.div_ceil(b.stride),
                w: x.w.div_ceil(b.stride),
                c: b.channels,
            };
            b.residual &= x == y;
            if y.h.min(y.w) < 2 {
                b.pool = Pool::None;
            }
            let side = if b.pool == Pool::None { 1 } else { 2 };
            x = Shape {
                h: y.h / side,
                w: y.w / side,
                c: y.c,
            };
        }
    }
}

/// One to three of `rules`.
pub(crate) fn palette(rules: &[Rule], rng: &mut impl Rng) -> Vec<Rule> {
    let n_rules = rng.random_range(1..=rules.len().min(3));
    rules.choose_multiple(rng, n_rules).copied().collect()
}

/// One of `values`, each equally likely.
pub(crate) fn pick<T: Copy>(values: &[T], rng: &mut impl Rng) -> T {
    values[rng.random_range(0..values.len())]
}
