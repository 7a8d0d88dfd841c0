//! Which layers of a cell network take the rule of their gene.

use crate::Rule;
use serde::{Deserialize, Serialize};

/// How far the learning rules reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// Every layer with weights carries its gene's rule.
    #[default]
    All,
    /// Only the operations on the edges of the cells; all else is back-propagation, as in the published
    /// code of BioNAS (arXiv 2507.13485), which converts neither stem, preprocessing,
    /// FactorizedReduce, classifier nor auxiliary head.
    Paper,
}

impl std::str::FromStr for Coverage {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "all" => Ok(Coverage::All),
            "paper" => Ok(Coverage::Paper),
            _ => Err(format!("unknown coverage `{s}`; use all or paper")),
        }
    }
}

impl Coverage {
    /// The rule of a layer that is no operation on an edge and whose gene says `rule`.
    pub(crate) fn off_edge(self, rule: Rule) -> Rule {
        match self {
            Coverage::All => rule,
            Coverage::Paper => Rule::Bp,
        }
    }
}
