//! The learning rules a layer may carry. Their mathematics lives in `learn::rule`; here they are genes.

use serde::{Deserialize, Serialize};

/// The rule by which a weighted layer learns and hands the error signal down.
///
/// Up to [`Rule::Kp`], forward pass and weight gradient are the same for all; the rule chooses the
/// feedback tensor `B` of the input gradient `δ_x = T-conv(B, δ_y)`. The rules after it are local
/// ([`Rule::is_local`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Back-propagation: `B = W`.
    Bp,
    /// Feedback alignment (Lillicrap et al. 2016): `B` random and fixed.
    Fa,
    /// Uniform sign-concordant feedback (Liao et al. 2016): `B = s·sign(W)`.
    Usf,
    /// Batchwise random magnitude sign-concordant feedback: `B = |M_t|∘sign(W)`, `M_t` redrawn each step.
    Brsf,
    /// Fixed random magnitude sign-concordant feedback: `B = |M|∘sign(W)`.
    Frsf,
    /// Direct feedback alignment (Nøkland 2016): the loss error, broadcast through a fixed random `B`.
    Dfa,
    /// Kolen-Pollack: `B` starts random and learns with the increments and the decay of `W`.
    Kp,
    /// Hebbian learning with Oja's decay: weights follow input and response, not the error.
    Hebb,
    /// Soft competition of the units that see the same input, layer after layer.
    SoftHebb,
}

impl Rule {
    /// Every rule, in the order of the tables.
    pub const ALL: [Rule; 9] = [
        Rule::Bp,
        Rule::Fa,
        Rule::Usf,
        Rule::Brsf,
        Rule::Frsf,
        Rule::Dfa,
        Rule::Kp,
        Rule::Hebb,
        Rule::SoftHebb,
    ];
    /// The rules that a search mixes unless told otherwise: feedback without the exact weights, and no
    /// state of its own.
    pub const BIO: [Rule; 5] = [Rule::Fa, Rule::Usf, Rule::Brsf, Rule::Frsf, Rule::Dfa];

    /// The short name used in text forms and tables, e.g. `usf`.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Bp => "bp",
            Rule::Fa => "fa",
            Rule::Usf => "usf",
            Rule::Brsf => "brsf",
            Rule::Frsf => "frsf",
            Rule::Dfa => "dfa",
            Rule::Kp => "kp",
            Rule::Hebb => "hebb",
            Rule::SoftHebb => "softhebb",
        }
    }

    /// What the name stands for.
    pub fn long_name(self) -> &'static str {
        match self {
            Rule::Bp => "back-propagation",
            Rule::Fa => "feedback alignment",
            Rule::Usf => "uniform sign-concordant feedback",
            Rule::Brsf => "sign-concordant, magnitudes redrawn each step",
            Rule::Frsf => "sign-concordant, magnitudes fixed",
            Rule::Dfa => "direct feedback alignment",
            Rule::Kp => "Kolen-Pollack",
            Rule::Hebb => "Hebbian with Oja's decay",
            Rule::SoftHebb => "soft competition",
        }
    }

    /// Whether weights change by the layer's own input and response instead of the loss gradient.
    pub fn is_local(self) -> bool {
        matches!(self, Rule::Hebb | Rule::SoftHebb)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Rule {
    type Err = String;
    /// Reads the short name; `kolen-pollack` and `hebbian` are understood, too.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let name = match s {
            "kolen-pollack" => Rule::Kp.name(),
            "hebbian" => Rule::Hebb.name(),
            name => name,
        };
        Rule::ALL
            .into_iter()
            .find(|r| r.name() == name)
            .ok_or_else(|| {
                let all: Vec<_> = Rule::ALL.iter().map(|r| r.name()).collect();
                format!("unknown learning rule `{s}`; use one of {}", all.join(", "))
            })
    }
}
