//! How much of a network each learning rule trains: part of every result.
//!
//! The one place that computes it and puts it into words; records (runs, ledgers, attacks) hold it as a table.

use crate::{Network, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// For each rule that occurs in a network, the share of all weights (biases and batch norm excluded) that it
/// trains, in 0..=1; the sum is 1. Empty where it is not known, in records of earlier versions.
///
/// As text, largest first, `frsf 63.6 %, usf 36.4 %`: one digit behind the point, or as many as the formatter's
/// precision says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleShare(BTreeMap<Rule, f64>);

impl RuleShare {
    /// Counts the weights of `network`, of the auxiliary head and of unread edges too.
    pub fn of(network: &Network) -> Self {
        let mut share = BTreeMap::new();
        for i in 0..network.nodes.len() {
            if let Some(rule) = network.rule(i) {
                *share.entry(rule).or_insert(0.0) += network.n_weights(i) as f64;
            }
        }
        let total = network.total_weights().max(1) as f64;
        share.values_mut().for_each(|n| *n /= total);
        Self(share)
    }

    /// True where it is not known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The share of `rule`, 0 if it does not occur.
    pub fn get(&self, rule: Rule) -> f64 {
        self.0.get(&rule).copied().unwrap_or(0.0)
    }

    /// The rule that trains most weights; of several the last in their order.
    pub fn main(&self) -> Option<Rule> {
        let most = self.0.iter().max_by(|a, b| a.1.total_cmp(b.1));
        most.map(|(&rule, _)| rule)
    }
}

impl IntoIterator for RuleShare {
    type Item = (Rule, f64);
    type IntoIter = std::collections::btree_map::IntoIter<Rule, f64>;

    /// The rules in their order, each with its share.
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for RuleShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let mut shares: Vec<_> = self.0.iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(a.1));
        let words = shares
            .iter()
            .map(|&(rule, share)| format!("{rule} {:.digits$} %", 100.0 * share));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}
