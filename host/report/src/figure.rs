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
    network.rule_share().main().unwrap_or(Rule::Bp)
}

/// The rules of a network by the share of weights they train, as `frsf 64 %, usf 31 %`, largest first.
pub fn rules_in_words(network: &Network) -> String {
    format!("{:.0}", network.rule_share())
}
