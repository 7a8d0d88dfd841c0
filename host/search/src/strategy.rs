//! The one trait of all strategies, and the space they draw from.

use crate::evolution::Evolution;
use crate::pareto::Point;
use crate::random::Random;
use aplysia_space::{DartsSpace, Genotype, McuSpace, NasBench201Space, darts, nasbench201};
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A search space: what may be drawn, changed and mixed.
pub trait Space {
    /// One candidate; its serialized form is its identity.
    type Genotype: Clone + PartialEq + Serialize + DeserializeOwned;
    /// Why the space cannot be searched, if so.
    fn fault(&self) -> Option<String>;
    /// Draws a candidate.
    fn sample(&self, rng: &mut ChaCha8Rng) -> Self::Genotype;
    /// A neighbour of `parent`.
    fn mutate(&self, parent: &Self::Genotype, rng: &mut ChaCha8Rng) -> Self::Genotype;
    /// A mix of `a` and `b`.
    fn crossover(
        &self,
        a: &Self::Genotype,
        b: &Self::Genotype,
        rng: &mut ChaCha8Rng,
    ) -> Self::Genotype;
}

/// The spaces have these operators as methods of their own.
macro_rules! impl_space {
    ($space:ty, $genotype:ty) => {
        impl Space for $space {
            type Genotype = $genotype;
            fn fault(&self) -> Option<String> {
                self.check().err().map(|e| e.to_string())
            }
            fn sample(&self, rng: &mut ChaCha8Rng) -> $genotype {
                <$space>::sample(self, rng)
            }
            fn mutate(&self, parent: &$genotype, rng: &mut ChaCha8Rng) -> $genotype {
                <$space>::mutate(self, parent, rng)
            }
            fn crossover(&self, a: &$genotype, b: &$genotype, rng: &mut ChaCha8Rng) -> $genotype {
                <$space>::crossover(self, a, b, rng)
            }
        }
    };
}

impl_space!(McuSpace, Genotype);
impl_space!(DartsSpace, darts::Genotype);
impl_space!(NasBench201Space, nasbench201::Genotype);

/// Proposes candidates one by one and hears of their results one generation at a time.
///
/// What [`Strategy::ask`] returns may depend on the generations told and on `rng` only: this is what
/// lets a study be replayed from its ledger.
pub trait Strategy<S: Space> {
    /// Proposes a candidate. It is asked again, with the same `rng` further on, if the candidate breaks
    /// a limit or was tried before.
    fn ask(&self, space: &S, rng: &mut ChaCha8Rng) -> S::Genotype;
    /// Takes in the trained candidates of a generation (failed ones are left out).
    fn tell(&mut self, generation: Vec<(S::Genotype, Point)>);
}

/// The strategies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// Every candidate drawn anew.
    Random,
    /// Constrained multi-objective evolution (NSGA-II).
    Evolution,
    /// Every candidate learned by gradients in a supernet of its own seed; all are then trained and
    /// compared like those of the others, as the authors of DARTS advise.
    Darts,
    /// The same by evolution of the supernet's numbers (EG-NAS).
    EgNas,
}

impl StrategyKind {
    /// All of them.
    pub const ALL: [StrategyKind; 4] = [
        StrategyKind::Evolution,
        StrategyKind::Random,
        StrategyKind::Darts,
        StrategyKind::EgNas,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            StrategyKind::Random => "random",
            StrategyKind::Evolution => "evolution",
            StrategyKind::Darts => "darts",
            StrategyKind::EgNas => "eg-nas",
        }
    }

    /// Whether candidates are learned by the evaluator ([`crate::Evaluate::propose`]), not drawn.
    pub fn is_learned(self) -> bool {
        matches!(self, StrategyKind::Darts | StrategyKind::EgNas)
    }

    /// A strategy that keeps `population` parents, where it has any; none where candidates are learned.
    pub fn start<S: Space + 'static>(self, population: usize) -> Option<Box<dyn Strategy<S>>> {
        match self {
            StrategyKind::Random => Some(Box::new(Random)),
            StrategyKind::Evolution => Some(Box::new(Evolution::new(population))),
            StrategyKind::Darts | StrategyKind::EgNas => None,
        }
    }
}

impl std::str::FromStr for StrategyKind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == s);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown strategy `{s}`; use one of {names}")
        })
    }
}
