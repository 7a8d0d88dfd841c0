//! A study as an Optuna journal, for `optuna-dashboard` and every other tool of that world.
//!
//! The format is that of Optuna's `JournalStorage` (`optuna/storages/journal/_storage.py`): one JSON
//! object per line; `op_code` 0 makes a study, 2 and 3 set its user and system attributes, 4 makes a trial,
//! here with everything it has. What a journal holds of ours:
//!
//! | Optuna | here |
//! |---|---|
//! | values | validation accuracy (maximise), instructions, flash bytes, RAM bytes (minimise); accuracy on shifted images after learning on the device (maximise), if the study asks for it |
//! | parameters | the leaves of the genotype by their path, e.g. `block.2.rules.1`; an edge of a cell in string form is a leaf |
//! | intermediate values | accuracy by budget (epochs) at the end of each rung |
//! | `COMPLETE` (1) | trained on every rung |
//! | `PRUNED` (2) | stopped by halving |
//! | `FAIL` (3) | failed; why is the user attribute `failure` |
//! | `RUNNING` (0) | of the generation under way |
//!
//! A study has no clock in its ledger, and Optuna wants dates: every trial begins and ends at [`DATE`].

use crate::findings::{Candidate, Search};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The date of everything.
const DATE: &str = "1970-01-01T00:00:00+00:00";

/// Distribution of every parameter, and the value of each trial in it.
struct Parameter {
    /// Distinct values over the study, in order.
    values: Vec<Value>,
}

/// The journal, one operation per line.
pub fn journal(search: &Search) -> String {
    let worker = |op_code: u64, mut fields: Map<String, Value>| {
        fields.insert("op_code".into(), op_code.into());
        fields.insert("worker_id".into(), "aplysia".into());
        Value::Object(fields).to_string() + "\n"
    };
    let fields = |value: Value| value.as_object().cloned().unwrap_or_default();
    let mut names = vec!["accuracy", "instructions", "flash_bytes", "ram_bytes"];
    let mut directions = vec![2, 1, 1, 1];
    if search.adapts() {
        names.push("adapted_accuracy");
        directions.push(2);
    }
    let mut text = worker(
        0,
        fields(json!({"study_name": search.name, "directions": directions})),
    );
    let system = json!({"study_id": 0, "system_attr": {"study:metric_names": names}});
    text += &worker(3, fields(system));
    let user = json!({"study_id": 0, "user_attr": {"config": search.config}});
    text += &worker(2, fields(user));
    let leaves: Vec<BTreeMap<String, Value>> = search
        .candidates
        .iter()
        .map(|c| {
            let mut leaves = BTreeMap::new();
            flatten("", &c.genotype, &mut leaves);
            leaves
        })
        .collect();
    let parameters = parameters(&leaves);
    for (i, candidate) in search.candidates.iter().enumerate() {
        text += &worker(4, fields(trial(search, candidate, &leaves[i], &parameters)));
    }
    text
}

fn trial(
    search: &Search,
    candidate: &Candidate,
    leaves: &BTreeMap<String, Value>,
    parameters: &BTreeMap<String, Parameter>,
) -> Value {
    let costs = candidate.costs;
    let accuracy = candidate.final_accuracy(search.budgets.len());
    let values = accuracy.map(|a| {
        let cost = |n: u64| n as f64;
        let mut values = vec![
            a,
            cost(costs.instructions),
            cost(costs.flash_bytes),
            cost(costs.device_ram_bytes()),
        ];
        values.extend(candidate.adapted.last());
        values
    });
    let under_way = search.candidates.last().map(|c| c.generation) == Some(candidate.generation)
        && !search
            .candidates
            .iter()
            .filter(|c| c.generation == candidate.generation)
            .any(|c| c.final_accuracy(search.budgets.len()).is_some());
    let state = match (&candidate.failure, &values) {
        (Some(_), _) => 3,
        (None, Some(_)) => 1,
        (None, None) if under_way => 0,
        (None, None) => 2,
    };
    let rungs = search.budgets.iter().zip(&candidate.accuracies);
    let intermediate: Map<String, Value> = rungs
        .map(|(budget, accuracy)| (budget.to_string(), json!(accuracy)))
        .collect();
    let mut user = json!({
        "generation": candidate.generation,
        "macs": costs.macs,
        "weights": candidate.network.total_weights(),
        "rule_share": candidate.network.rule_share(),
    });
    if let Some(why) = &candidate.failure {
        user["failure"] = json!(why);
    }
    let (mut inner, mut distributions) = (Map::new(), Map::new());
    for (name, value) in leaves {
        let parameter = &parameters[name];
        inner.insert(name.clone(), parameter.inner(value));
        distributions.insert(name.clone(), parameter.distribution().into());
    }
    let mut trial = json!({
        "study_id": 0,
        "state": state,
        "value": null,
        "values": values,
        "datetime_start": DATE,
        "params": inner,
        "distributions": distributions,
        "intermediate_values": intermediate,
        "user_attrs": user,
        "system_attrs": {},
    });
    if state != 0 {
        trial["datetime_complete"] = json!(DATE);
    }
    trial
}

/// The leaves of a serialized genotype by their paths.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    let under = |key: &str| match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, v)| flatten(&under(key), v, leaves)),
        Value::Array(items) => (0..)
            .zip(items)
            .for_each(|(i, v)| flatten(&under(&format!("{i}")), v, leaves)),
        Value::String(cell) if cell.starts_with('|') => {
            for (node, edges) in (1..).zip(cell.split('+')) {
                let edges = edges.split('|').filter(|edge| !edge.is_empty());
                for (from, edge) in edges.enumerate() {
                    let gene = edge.split('~').next().unwrap_or(edge);
                    leaves.insert(under(&format!("{node}.{from}")), gene.into());
                }
            }
        }
        leaf => {
            leaves.insert(path.into(), leaf.clone());
        }
    }
}

/// Every parameter with all values that occur.
fn parameters(trials: &[BTreeMap<String, Value>]) -> BTreeMap<String, Parameter> {
    let names: BTreeSet<&String> = trials.iter().flat_map(BTreeMap::keys).collect();
    let parameter = |name: &String| {
        let mut values: Vec<Value> = trials.iter().filter_map(|t| t.get(name)).cloned().collect();
        values.sort_by(|a, b| {
            let numbers = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            let by_number = numbers.0.total_cmp(&numbers.1);
            by_number.then_with(|| a.to_string().cmp(&b.to_string()))
        });
        values.dedup();
        (name.clone(), Parameter { values })
    };
    names.into_iter().map(parameter).collect()
}

impl Parameter {
    /// Whole numbers are a range of integers, anything else a choice.
    fn range(&self) -> Option<(i64, i64)> {
        let numbers: Option<Vec<i64>> = self.values.iter().map(Value::as_i64).collect();
        let numbers = numbers?;
        Some((*numbers.first()?, *numbers.last()?))
    }

    /// The distribution as Optuna writes it: JSON in a string.
    fn distribution(&self) -> String {
        let value = match self.range() {
            Some((low, high)) => json!({
                "name": "IntDistribution",
                "attributes": {"log": false, "step": 1, "low": low, "high": high},
            }),
            None => json!({
                "name": "CategoricalDistribution",
                "attributes": {"choices": self.values},
            }),
        };
        value.to_string()
    }

    /// The value as Optuna keeps it: the number itself, or the index of the choice.
    fn inner(&self, value: &Value) -> Value {
        let choice = || self.values.iter().position(|v| v == value);
        match self.range() {
            Some(_) => json!(value.as_f64()),
            None => json!(choice().map(|i| i as f64)),
        }
    }
}
