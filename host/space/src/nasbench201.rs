//! The space of NAS-Bench-201 with a learning rule per convolution (`nasbench201`).
//!
//! A cell has four nodes; node 0 is its input, node `i` the sum of one operation on each node before
//! it, node 3 its output. Six edges with five operations: 15,625 cells before rules. Three stages of `n_cells`
//! equal cells at C, 2C, 4C channels, with a residual block of stride 2 between them.
//!
//! Source: Dong and Yang 2020, *NAS-Bench-201: extending the scope of reproducible neural architecture
//! search*; the string form `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|` is theirs, a rule follows its
//! operation after a colon.

pub mod skeleton;
pub mod variation;

use crate::gene::{Gene, Operation};
use crate::{GenotypeError, Rule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub use skeleton::Skeleton;
pub use variation::NasBench201Space;

/// Edges of a cell.
pub const N_EDGES: usize = 6;

/// An operation on an edge. Convolutions are ReLU, convolution, batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Op {
    /// Nothing: the edge adds zeros.
    None,
    /// The identity.
    Skip,
    /// Dense 1×1 convolution.
    Conv1,
    /// Dense 3×3 convolution.
    Conv3,
    /// Mean over 3×3, without the padding.
    AvgPool3,
}

impl Operation for Op {
    const ALL: &'static [Op] = &[Op::None, Op::Skip, Op::Conv1, Op::Conv3, Op::AvgPool3];

    fn name(self) -> &'static str {
        match self {
            Op::None => "none",
            Op::Skip => "skip_connect",
            Op::Conv1 => "nor_conv_1x1",
            Op::Conv3 => "nor_conv_3x3",
            Op::AvgPool3 => "avg_pool_3x3",
        }
    }

    fn has_weights(self) -> bool {
        matches!(self, Op::Conv1 | Op::Conv3)
    }
}

impl TryFrom<String> for Op {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Op::named(&name)
    }
}

impl From<Op> for String {
    fn from(op: Op) -> String {
        op.name().into()
    }
}

/// The genes of the edges 1←0; 2←0, 2←1; 3←0, 3←1, 3←2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cell(pub [Gene<Op>; N_EDGES]);

impl Cell {
    /// The genes into node `i` of 1 to 3, one per node before it.
    pub fn into_node(&self, i: usize) -> &[Gene<Op>] {
        let first = i * (i - 1) / 2;
        &self.0[first..first + i]
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for i in 1..4 {
            f.write_str(if i == 1 { "|" } else { "+|" })?;
            for (from, gene) in self.into_node(i).iter().enumerate() {
                write!(f, "{gene}~{from}|")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cell {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not of the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|");
        let nodes: Vec<&str> = text.split('+').collect();
        let mut genes = vec![];
        for (i, node) in nodes.iter().enumerate() {
            let inner = node.strip_prefix('|').and_then(|n| n.strip_suffix('|'));
            let edges: Vec<&str> = inner.ok_or_else(form)?.split('|').collect();
            if edges.len() != i + 1 {
                return Err(form());
            }
            for (from, edge) in edges.iter().enumerate() {
                let gene = edge.strip_suffix(&format!("~{from}")).ok_or_else(form)?;
                genes.push(gene.parse()?);
            }
        }
        genes.try_into().map(Cell).map_err(|_| form())
    }
}

impl TryFrom<String> for Cell {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cell> for String {
    fn from(cell: Cell) -> String {
        cell.to_string()
    }
}

/// Rules of the layers that are no operation on an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceRules {
    /// The first convolution.
    pub stem: Rule,
    /// The three convolutions of each residual block.
    pub residual: Rule,
    /// The linear classifier.
    pub classifier: Rule,
}

impl PlaceRules {
    /// `rule` everywhere.
    pub const fn all(rule: Rule) -> Self {
        Self {
            stem: rule,
            residual: rule,
            classifier: rule,
        }
    }

    /// Every rule, to be changed.
    pub fn each_mut(&mut self) -> [&mut Rule; 3] {
        [&mut self.stem, &mut self.residual, &mut self.classifier]
    }

    /// `f` of every rule.
    pub(crate) fn map(mut self, mut f: impl FnMut(Rule) -> Rule) -> Self {
        self.each_mut()
            .into_iter()
            .for_each(|rule| *rule = f(*rule));
        self
    }
}

/// A cell, with a learning rule for everything that has weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genotype {
    /// The cell in its string form.
    pub cell: Cell,
    /// Rules outside of the edges.
    pub rules: PlaceRules,
}

impl Genotype {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`GenotypeError::Text`] with the line and column of the fault.
    pub fn from_toml(text: &str) -> Result<Self, GenotypeError> {
        toml::from_str(text).map_err(|e| GenotypeError::Text(e.to_string()))
    }

    /// Writes the text form.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The same operations under other rules: `f` of every rule, edge by edge, then the places.
    pub fn map_rules(&self, mut f: impl FnMut(Rule) -> Rule) -> Self {
        Self {
            cell: Cell(self.cell.0.map(|gene| gene.map_rule(&mut f))),
            rules: self.rules.map(f),
        }
    }
}
