//! The cell space of DARTS with a learning rule per operation (`darts`).
//!
//! A network is a stack of two kinds of cell, normal and reduction. A cell reads the outputs of the two
//! cells before it (nodes 0 and 1), has four intermediate nodes (2 to 5), each the sum of two operations
//! on earlier nodes, and puts out the concatenation of the four. Only operations with weights carry a
//! rule; the layers outside of the edges have genes of their own ([`PlaceRules`]).
//!
//! Owns the genotype and its text form; [`skeleton`] stacks and lowers it, [`mod@published`] holds those of the
//! literature, [`supernet`] is the weighted sum of all, [`variation`] draws and changes them.
//!
//! Sources: Liu et al. 2019, *DARTS: differentiable architecture search*; Hamzaoui and Baghdadi 2025
//! (arXiv 2507.13485), whose 21 operations are those of DARTS times four rules.

pub mod published;
pub mod skeleton;
pub mod supernet;
pub mod variation;

mod layers;
mod places;

use crate::gene::{Gene, Operation};
use crate::{GenotypeError, Rule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub use places::{Place, Places};
pub use published::published;
pub use skeleton::{Skeleton, Stem};
pub use supernet::{Candidate, Columns, Supernet};
pub use variation::DartsSpace;

/// Intermediate nodes of a cell.
pub const N_NODES: usize = 4;

/// Edges of a cell before any is dropped: node `i` reads the `2 + i` nodes before it.
pub const N_EDGES: usize = 14;

/// An operation on an edge. Convolutions are ReLU, convolution, batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Op {
    /// Maximum over 3×3.
    MaxPool3,
    /// Mean over 3×3, without the padding.
    AvgPool3,
    /// The identity; with stride 2 a FactorizedReduce, see [`PlaceRules::reduce`].
    Skip,
    /// Twice depthwise 3×3 and pointwise.
    SepConv3,
    /// Twice depthwise 5×5 and pointwise.
    SepConv5,
    /// Depthwise 3×3 with dilation 2, pointwise.
    DilConv3,
    /// Depthwise 5×5 with dilation 2, pointwise.
    DilConv5,
}

impl Operation for Op {
    const ALL: &'static [Op] = &[
        Op::MaxPool3,
        Op::AvgPool3,
        Op::Skip,
        Op::SepConv3,
        Op::SepConv5,
        Op::DilConv3,
        Op::DilConv5,
    ];

    fn name(self) -> &'static str {
        match self {
            Op::MaxPool3 => "max_pool_3x3",
            Op::AvgPool3 => "avg_pool_3x3",
            Op::Skip => "skip_connect",
            Op::SepConv3 => "sep_conv_3x3",
            Op::SepConv5 => "sep_conv_5x5",
            Op::DilConv3 => "dil_conv_3x3",
            Op::DilConv5 => "dil_conv_5x5",
        }
    }

    fn has_weights(self) -> bool {
        !matches!(self, Op::MaxPool3 | Op::AvgPool3 | Op::Skip)
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

/// One incoming edge of an intermediate node. Text form `operation:rule~from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Edge {
    /// Operation and rule.
    pub gene: Gene<Op>,
    /// The node it reads, earlier than its own: 0 and 1 are the inputs of the cell.
    pub from: usize,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.gene, self.from)
    }
}

impl FromStr for Edge {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not of the form operation:rule~node");
        let (gene, from) = text.split_once('~').ok_or_else(form)?;
        Ok(Edge {
            gene: gene.parse()?,
            from: from.parse().map_err(|_| form())?,
        })
    }
}

impl TryFrom<String> for Edge {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Edge> for String {
    fn from(edge: Edge) -> String {
        edge.to_string()
    }
}

/// The two edges into each of the nodes 2 to 5.
pub type Cell = [[Edge; 2]; N_NODES];

/// Rules of the layers that are no operation on an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceRules {
    /// The convolutions before the first cell.
    pub stem: Rule,
    /// The 1×1 convolutions at the inputs of every cell.
    pub preprocess: Rule,
    /// FactorizedReduce: the input from before a reduction, and `skip_connect` with stride 2.
    pub reduce: Rule,
    /// The linear classifier.
    pub classifier: Rule,
    /// All layers of the auxiliary head.
    pub auxiliary: Rule,
}

impl PlaceRules {
    /// `rule` everywhere.
    pub const fn all(rule: Rule) -> Self {
        Self {
            stem: rule,
            preprocess: rule,
            reduce: rule,
            classifier: rule,
            auxiliary: rule,
        }
    }

    /// Every rule, to be changed.
    pub fn each_mut(&mut self) -> [&mut Rule; 5] {
        [
            &mut self.stem,
            &mut self.preprocess,
            &mut self.reduce,
            &mut self.classifier,
            &mut self.auxiliary,
        ]
    }

    /// `f` of every rule.
    pub(crate) fn map(mut self, mut f: impl FnMut(Rule) -> Rule) -> Self {
        self.each_mut()
            .into_iter()
            .for_each(|rule| *rule = f(*rule));
        self
    }
}

/// A normal and a reduction cell, with a learning rule for everything that has weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genotype {
    /// The cell that keeps the shape.
    pub normal: Cell,
    /// The cell that halves the map and doubles the channels.
    pub reduction: Cell,
    /// Rules outside of the edges.
    pub rules: PlaceRules,
}

impl Genotype {
    /// Reads the text form and checks it.
    ///
    /// # Errors
    /// [`GenotypeError::Text`] with the line and column of the fault, or what [`Genotype::validate`] finds.
    pub fn from_toml(text: &str) -> Result<Self, GenotypeError> {
        let genotype: Self =
            toml::from_str(text).map_err(|e| GenotypeError::Text(e.to_string()))?;
        genotype.validate()?;
        Ok(genotype)
    }

    /// Writes the text form, one node a line.
    pub fn to_toml(&self) -> String {
        let node = |[a, b]: &[Edge; 2]| format!("    [\"{a}\", \"{b}\"],\n");
        let cell = |cell: &Cell| cell.iter().map(node).collect::<String>();
        format!(
            "normal = [\n{}]\nreduction = [\n{}]\n\n[rules]\n{}",
            cell(&self.normal),
            cell(&self.reduction),
            toml::to_string(&self.rules).unwrap_or_default()
        )
    }

    /// The same operations under other rules: `f` of every rule, edge by edge, then the places.
    pub fn map_rules(&self, mut f: impl FnMut(Rule) -> Rule) -> Self {
        let mut cell = |cell: Cell| {
            cell.map(|node| {
                node.map(|edge| Edge {
                    gene: edge.gene.map_rule(&mut f),
                    ..edge
                })
            })
        };
        let (normal, reduction) = (cell(self.normal), cell(self.reduction));
        Self {
            normal,
            reduction,
            rules: self.rules.map(f),
        }
    }

    /// Checks that every node reads two different earlier nodes.
    ///
    /// # Errors
    /// The first edge that does not.
    pub fn validate(&self) -> Result<(), GenotypeError> {
        for (kind, cell) in [("normal", &self.normal), ("reduction", &self.reduction)] {
            for (i, node) in cell.iter().enumerate() {
                let fault = |edge: Edge, reason| GenotypeError::Edge {
                    place: format!("{kind}.node{}", i + 2),
                    edge: edge.to_string(),
                    reason,
                };
                if let Some(&edge) = node.iter().find(|e| e.from >= i + 2) {
                    return Err(fault(edge, "reads a node that is not before its own"));
                }
                if node[0].from == node[1].from {
                    return Err(fault(node[1], "reads the same node as the edge before it"));
                }
            }
        }
        Ok(())
    }
}
