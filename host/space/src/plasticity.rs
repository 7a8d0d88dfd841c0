//! What a network of the space `mcu` goes on learning on the device: genes beside its training rules.
//!
//! Owns the choice of layers and rules, its bounds, and how it is drawn and varied. Invariant: knows no rate, no
//! state and no arithmetic of these rules; what they are told is `deploy`'s (`deploy::plasticity`). Which
//! convolutions keep their statistics stands with them ([`crate::Stem`], [`crate::Block`]), so that it moves with
//! its block; the rest is [`Plasticity`]. A genotype without it has no plan, as those written before there were any.

use crate::mcu::pick;
use crate::{Block, BlockOp, Genotype, GenotypeError, SpaceError};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// What learns on the device beside the convolutions that keep their statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plasticity {
    /// What labels teach the classifier.
    pub head: HeadRule,
    /// What they teach the layers below it.
    #[serde(default, skip_serializing_if = "Below::is_none")]
    pub below: Below,
}

/// What labels teach the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadRule {
    /// Nothing.
    None,
    /// A prototype per class, moved towards what it is shown.
    Instar,
    /// Gradient steps.
    Delta,
    /// Steps on two classes, after mistakes.
    Perceptron,
}

impl HeadRule {
    /// All of them.
    pub const ALL: [HeadRule; 4] = [
        HeadRule::None,
        HeadRule::Instar,
        HeadRule::Delta,
        HeadRule::Perceptron,
    ];

    /// Whether layers below can learn beside it: they go by the errors of gradient steps.
    pub fn goes_below(self) -> bool {
        matches!(self, HeadRule::None | HeadRule::Delta)
    }
}

/// Which layers below the classifier learn from labels, by the deep local rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Below {
    /// None.
    #[default]
    None,
    /// The pointwise one that reaches the classifier through pooling alone, fed back by the classifier's signs.
    Signs,
    /// As many pointwise ones as a fixed RAM holds, from the last on, fed back at random.
    Random,
}

impl Below {
    /// All of them.
    pub const ALL: [Below; 3] = [Below::None, Below::Signs, Below::Random];

    fn is_none(&self) -> bool {
        *self == Below::None
    }
}

/// Which plans may occur in a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlasticityBounds {
    /// Rules that a classifier may have.
    pub heads: Vec<HeadRule>,
    /// Choices of layers below it.
    pub below: Vec<Below>,
}

impl PlasticityBounds {
    /// Everything, or what needs no label.
    pub fn new(labels: bool) -> Self {
        let n = |all: usize| if labels { all } else { 1 };
        Self {
            heads: HeadRule::ALL[..n(4)].to_vec(),
            below: Below::ALL[..n(3)].to_vec(),
        }
    }

    /// # Errors
    /// The first list that is empty.
    pub(crate) fn check(&self) -> Result<(), SpaceError> {
        SpaceError::if_empty("plasticity.heads", &self.heads)?;
        SpaceError::if_empty("plasticity.below", &self.below)
    }

    pub(crate) fn sample(&self, rng: &mut impl Rng) -> Plasticity {
        Plasticity {
            head: pick(&self.heads, rng),
            below: pick(&self.below, rng),
        }
    }

    /// One convolution more or less that keeps its statistics (as likely as the others together), another rule of
    /// the head, or other layers below it.
    pub(crate) fn change(&self, g: &mut Genotype, rng: &mut impl Rng) {
        let Some(plan) = &mut g.plasticity else {
            return;
        };
        match rng.random_range(0..4) {
            0 => plan.head = pick(&self.heads, rng),
            1 => plan.below = pick(&self.below, rng),
            _ => {
                let blocks = g.blocks.iter_mut().flat_map(|b| &mut b.homeostatic);
                let mut flags: Vec<&mut bool> = [&mut g.stem.homeostatic]
                    .into_iter()
                    .chain(blocks)
                    .collect();
                let i = rng.random_range(0..flags.len());
                *flags[i] = !*flags[i];
            }
        }
    }
}

/// Whether a drawn convolution keeps its statistics: often where a channel has few weights, seldom elsewhere.
pub(crate) fn sample_homeostatic(few_weights: bool, rng: &mut impl Rng) -> bool {
    rng.random_bool(if few_weights { 0.75 } else { 0.25 })
}

/// [`sample_homeostatic`] of every convolution of a block.
pub(crate) fn sample_block_homeostatic(op: BlockOp, rng: &mut impl Rng) -> Vec<bool> {
    let depthwise = match op {
        BlockOp::Conv => None,
        BlockOp::Separable => Some(0),
        BlockOp::Bottleneck => Some(1),
    };
    let layers = 0..op.n_weighted();
    layers
        .map(|at| sample_homeostatic(depthwise == Some(at), rng))
        .collect()
}

/// Makes the plan of `genotype` one of `bounds` that its layers allow; without bounds there is none.
pub(crate) fn repair(bounds: Option<&PlasticityBounds>, genotype: &mut Genotype) {
    let plan = genotype.plasticity.filter(|_| bounds.is_some());
    genotype.plasticity = plan.map(|plan| match plan.head.goes_below() {
        true => plan,
        false => Plasticity {
            below: Below::None,
            ..plan
        },
    });
    genotype.stem.homeostatic &= plan.is_some();
    for block in &mut genotype.blocks {
        let n = plan.map_or(0, |_| block.op.n_weighted());
        block.homeostatic.resize(n, false);
    }
}

impl Genotype {
    /// Whether each convolution keeps its statistics on the device, in execution order; none without a plan.
    pub fn homeostatic(&self) -> Option<Vec<bool>> {
        self.plasticity?;
        let mut flags = vec![self.stem.homeostatic];
        for block in &self.blocks {
            let given = block.homeostatic.iter().copied();
            let all = given.chain(std::iter::repeat(false));
            flags.extend(all.take(block.op.n_weighted()));
        }
        Some(flags)
    }

    /// # Errors
    /// The first fault of the plan.
    pub(crate) fn check_plasticity(&self) -> Result<(), GenotypeError> {
        match self.plasticity {
            Some(plan) if !plan.below.is_none() && !plan.head.goes_below() => {
                Err(GenotypeError::Below { head: plan.head })
            }
            Some(_) => Ok(()),
            None => {
                let flagged = |block: &Block| block.homeostatic.contains(&true);
                let block = self.blocks.iter().position(flagged);
                let stem = self.stem.homeostatic.then(|| "stem".to_string());
                match stem.or(block.map(|i| format!("block{i}"))) {
                    Some(place) => Err(GenotypeError::NoPlan { place }),
                    None => Ok(()),
                }
            }
        }
    }
}
