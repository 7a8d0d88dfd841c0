//! The table over all cells.
//!
//! Owns means and their Markdown form. Every number is a mean over the cells given, in the order given, so
//! that equal cells give equal bytes. With `A_0` the shifted accuracy of `none`, `A` that of a method and
//! `A_c` the clean accuracy of `none`, the recovered share is `(A − A_0)/(A_c − A_0)` of the means.

use super::replay::Replayed;
use super::{CHECKPOINTS, NOISE_PCT, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A method as the table knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As outcomes call it.
    pub name: String,
    /// Whether wrong labels make a difference.
    pub learns_labels: bool,
    /// Learned state in RAM on a device; none for a baseline of the host.
    pub ram_bytes: Option<usize>,
}

/// What was measured of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Name of the corruption.
    pub corruption: String,
    /// 1 to 5.
    pub severity: u8,
    /// Of camera, stream and stochastic rounding.
    pub seed: u32,
    /// Of some methods.
    pub outcomes: Vec<Outcome>,
}

impl Group {
    /// What it belongs to.
    pub fn cell(&self) -> (&str, u8, u32) {
        (&self.corruption, self.severity, self.seed)
    }
}

/// One group per cell, in the order of their names: equal outcomes give equal groups, whatever the order in
/// which they were measured.
pub fn merged(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by(|a, b| a.cell().cmp(&b.cell()));
    let mut merged: Vec<Group> = Vec::new();
    for group in groups {
        match merged.last_mut().filter(|last| last.cell() == group.cell()) {
            Some(last) => last.outcomes.extend(group.outcomes),
            None => merged.push(group),
        }
    }
    merged
}

/// One method over all cells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// [`Entry::name`].
    pub method: String,
    /// Mean shifted accuracy after each of [`CHECKPOINTS`].
    pub shifted_pct: Vec<f64>,
    /// The same at the end for severities 1 to 5; none for one without cells.
    pub severity_pct: [Option<f64>; 5],
    /// Standard deviation over the seeds of a seed's mean shifted accuracy at the end; none for one seed.
    pub spread_pct: Option<f64>,
    /// Mean clean accuracy at the end.
    pub clean_pct: f64,
    /// The least clean accuracy at the end of any cell.
    pub worst_clean_pct: f64,
    /// Recovered share at the end in percent.
    pub recovered_pct: f64,
    /// First checkpoint with 90 % of the gain at the end; none without a gain.
    pub samples_to_90_pct: Option<usize>,
    /// Mean shifted accuracy at the end for each of [`NOISE_PCT`], over the cells that tried it; none for
    /// methods without labels.
    pub noise_pct: Vec<Option<f64>>,
    /// Learned state in RAM on the device.
    pub ram_bytes: Option<usize>,
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0_u32);
    for value in values {
        sum += value;
        n += 1;
    }
    (n > 0).then(|| sum / f64::from(n))
}

/// Sample standard deviation (divided by `n - 1`); none for fewer than two.
fn deviation(values: &[f64]) -> Option<f64> {
    let center = mean(values.iter().copied())?;
    let squares: f64 = values.iter().map(|v| (v - center).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// One row for each of `entries` that `groups`, one per cell, hold; the first entry learns nothing.
pub fn rows<'a>(groups: &'a [Group], entries: &'a [Entry]) -> Vec<Row> {
    let of = |method: &'a str, noise: u8| {
        let outcomes = groups
            .iter()
            .flat_map(|g| g.outcomes.iter().map(move |o| (g, o)));
        outcomes.filter(move |(_, o)| o.method == method && o.noise_pct == noise)
    };
    let last = |o: &Outcome| o.shifted_pct.last().copied().unwrap_or(0.0);
    let none = entries.first().map_or("", |entry| &entry.name);
    let base = mean(of(none, 0).map(|(_, o)| last(o))).unwrap_or(0.0);
    let clean = mean(of(none, 0).map(|(_, o)| o.clean_pct)).unwrap_or(0.0);
    let row = |method: &'a Entry| {
        let at = |i: usize| {
            let values = of(&method.name, 0).filter_map(|(_, o)| o.shifted_pct.get(i).copied());
            mean(values)
        };
        let shifted_pct: Vec<f64> = (0..CHECKPOINTS.len()).map_while(at).collect();
        let end = *shifted_pct.last()?;
        let severity = |s: u8| {
            mean(
                of(&method.name, 0)
                    .filter(|(g, _)| g.severity == s)
                    .map(|(_, o)| last(o)),
            )
        };
        let noise = |&noise: &u8| {
            let tried = groups
                .iter()
                .filter(|g| g.outcomes.iter().any(|o| o.noise_pct > 0));
            let outcomes = tried.flat_map(|g| &g.outcomes);
            let outcomes = outcomes.filter(|o| o.method == method.name && o.noise_pct == noise);
            mean(outcomes.map(last)).filter(|_| method.learns_labels)
        };
        let seeds: BTreeSet<u32> = groups.iter().map(|g| g.seed).collect();
        let of_seed = |seed: &u32| {
            let cells = of(&method.name, 0).filter(|(g, _)| g.seed == *seed);
            mean(cells.map(|(_, o)| last(o)))
        };
        let ends: Vec<f64> = seeds.iter().filter_map(of_seed).collect();
        let cleans = || of(&method.name, 0).map(|(_, o)| o.clean_pct);
        let reached = |&(_, &pct): &(usize, &f64)| end > base && pct - base >= 0.9 * (end - base);
        Some(Row {
            method: method.name.clone(),
            severity_pct: [1, 2, 3, 4, 5].map(severity),
            spread_pct: deviation(&ends),
            clean_pct: mean(cleans())?,
            worst_clean_pct: cleans().reduce(f64::min)?,
            recovered_pct: 100.0 * (end - base) / (clean - base),
            samples_to_90_pct: shifted_pct
                .iter()
                .enumerate()
                .find(reached)
                .map(|(i, _)| CHECKPOINTS[i]),
            noise_pct: NOISE_PCT.iter().map(noise).collect(),
            ram_bytes: method.ram_bytes,
            shifted_pct,
        })
    };
    entries.iter().filter_map(row).collect()
}

fn or_dash(pct: Option<f64>) -> String {
    pct.map_or("–".into(), |pct| format!("{pct:.2}"))
}

/// Columns of `row` that a device counted; dashes where none did.
fn costs(row: &Row, replayed: &[Replayed], inference: Option<f64>) -> String {
    let counted = replayed.iter().find(|r| r.method == row.method);
    let Some((counted, inference)) = counted.zip(inference) else {
        return " – | – | – | – |".into();
    };
    let more = counted.image - inference;
    let share = 100.0 * (more + counted.label) / inference;
    let (label, bytes) = (counted.label, counted.commit_bytes);
    format!(" {more:.0} | {label:.0} | {share:.2} % | {bytes} B |")
}

/// The rows as two Markdown tables, with what a device counted for them.
pub fn markdown(rows: &[Row], replayed: &[Replayed]) -> String {
    let none = rows.first().map(|row| row.method.clone());
    let inference = replayed.iter().find(|r| Some(&r.method) == none.as_ref());
    let inference = inference.map(|r| r.image);
    let mut text = String::from("| method |");
    for n in CHECKPOINTS {
        let _ = write!(text, " after {n} |");
    }
    text += " ± | recovered | severity 1 | 2 | 3 | 4 | 5 | clean after | in the worst cell | 90 % of the gain at | RAM \
             | more instructions per image | instructions per label | both, share of an inference | flash per \
             commit |\n|---|";
    text += &"--:|".repeat(CHECKPOINTS.len() + 15);
    text += "\n";
    for row in rows {
        let _ = write!(text, "| {} |", row.method);
        // A shorter stream has fewer.
        for i in 0..CHECKPOINTS.len() {
            let _ = write!(text, " {} |", or_dash(row.shifted_pct.get(i).copied()));
        }
        let (spread, recovered) = (or_dash(row.spread_pct), row.recovered_pct);
        let _ = write!(text, " {spread} | {recovered:.1} % |");
        for pct in row.severity_pct {
            let _ = write!(text, " {} |", or_dash(pct));
        }
        let samples = row.samples_to_90_pct.map_or("–".into(), |n| n.to_string());
        let ram = row.ram_bytes.map_or("host".into(), |n| format!("{n} B"));
        let (clean, worst) = (row.clean_pct, row.worst_clean_pct);
        let _ = write!(text, " {clean:.2} | {worst:.2} | {samples} | {ram} |");
        text += &(costs(row, replayed, inference) + "\n");
    }
    text += "\n| wrong labels: |";
    for pct in NOISE_PCT {
        let _ = write!(text, " {pct} % |");
    }
    text += "\n|---|";
    text += &"--:|".repeat(NOISE_PCT.len());
    text += "\n";
    for row in rows
        .iter()
        .filter(|row| row.noise_pct.iter().any(Option::is_some))
    {
        let _ = write!(text, "| {} |", row.method);
        for pct in &row.noise_pct {
            let _ = write!(text, " {} |", or_dash(*pct));
        }
        text += "\n";
    }
    text
}
