//! The figures. Each is a function of the findings.

pub mod arms;
pub mod cell;
pub mod curves;
pub mod frame;
pub mod graph;
pub mod history;
pub mod layout;
pub mod pareto;
pub mod robustness;
pub mod share;
pub mod supernet;

use aplysia_space::{Network, Rule};

/// The rule that trains most weights.
pub fn main_rule(network: &Network) -> Rule {
    let shares = network.rule_share().into_iter();
    let most = shares.max_by(|a, b| a.1.total_cmp(&b.1));
    most.map_or(Rule::Bp, |(rule, _)| rule)
}

/// The rules of a network by the share of weights they train, as `frsf 64 %, usf 31 %`, largest first.
pub fn rules_in_words(network: &Network) -> String {
    let mut shares: Vec<_> = network.rule_share().into_iter().collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let words = shares
        .iter()
        .map(|(rule, part)| format!("{rule} {:.0} %", 100.0 * part));
    words.collect::<Vec<_>>().join(", ")
}
