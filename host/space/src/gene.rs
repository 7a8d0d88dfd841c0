//! The gene of the cell spaces: an operation, with a learning rule where it has weights.
//!
//! Text form `operation:rule`, e.g. `sep_conv_3x3:usf`; `operation` alone where there are no weights,
//! and where there are, it means back-propagation (as in strings published without rules).

use crate::Rule;
use crate::mcu::pick;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The operations of a cell space.
pub trait Operation: Copy + PartialEq + fmt::Debug + 'static {
    /// All of them, in the order of the published tables.
    const ALL: &'static [Self];
    /// The published name.
    fn name(self) -> &'static str;
    /// Whether it has weights, and so a learning rule, on an edge of stride 1.
    fn has_weights(self) -> bool;
    /// The operation of that name.
    ///
    /// # Errors
    /// No such operation; the message lists them.
    fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|op| op.name() == name);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|op| op.name()).collect();
            format!("unknown operation `{name}`; use one of {}", all.join(", "))
        })
    }
}

/// An operation; has a rule exactly if the operation has weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "O: Operation")]
pub struct Gene<O> {
    op: O,
    rule: Option<Rule>,
}

impl<O: Operation> Gene<O> {
    /// `op` under `rule`; the rule is dropped where there are no weights.
    pub fn new(op: O, rule: Rule) -> Self {
        let rule = op.has_weights().then_some(rule);
        Self { op, rule }
    }

    /// The operation.
    pub fn op(self) -> O {
        self.op
    }

    /// The learning rule of its weights, if it has any.
    pub fn rule(self) -> Option<Rule> {
        self.rule
    }

    /// The same operation under `f` of its rule.
    pub(crate) fn map_rule(self, f: impl FnMut(Rule) -> Rule) -> Self {
        let rule = self.rule.map(f);
        Self { rule, ..self }
    }

    /// One of `ops` under one of `rules`, each equally likely.
    pub(crate) fn sample(ops: &[O], rules: &[Rule], rng: &mut impl Rng) -> Self {
        Self::new(pick(ops, rng), pick(rules, rng))
    }

    /// Another operation under the same rule where it has one, or another rule.
    pub(crate) fn mutate(self, ops: &[O], rules: &[Rule], rng: &mut impl Rng) -> Self {
        match self.rule {
            Some(_) if rng.random_bool(0.5) => Self::new(self.op, pick(rules, rng)),
            Some(rule) => Self::new(pick(ops, rng), rule),
            None => Self::sample(ops, rules, rng),
        }
    }
}

impl<O: Operation> fmt::Display for Gene<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            None | Some(Rule::Bp) => f.write_str(self.op.name()),
            Some(rule) => write!(f, "{}:{rule}", self.op.name()),
        }
    }
}

impl<O: Operation> FromStr for Gene<O> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rule) = match text.split_once(':') {
            Some((name, rule)) => (name, Some(rule.parse()?)),
            None => (text, None),
        };
        let op = O::named(name)?;
        if rule.is_some() && !op.has_weights() {
            return Err(format!(
                "`{text}`: {name} has no weights; leave the rule out"
            ));
        }
        Ok(Self::new(op, rule.unwrap_or(Rule::Bp)))
    }
}

impl<O: Operation> TryFrom<String> for Gene<O> {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl<O: Operation> From<Gene<O>> for String {
    fn from(gene: Gene<O>) -> String {
        gene.to_string()
    }
}
