//! How the search went: accuracy by trial, and what became of the rules.

use super::frame::{arrow_to_better, draw, horizontal, vertical};
use crate::findings::Search;
use crate::scale::Scale;
use crate::svg::{Anchor, Figure};
use aplysia_space::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Accuracy by trial: the end of the last rung filled, earlier rungs hollow, failures crossed, and the
/// best so far as a line; generations are bands.
pub fn accuracy(search: &Search) -> Figure {
    let title = "Validation accuracy by trial";
    let mut figure = Figure::new("history", title, 540.0, 320.0);
    let n = search.candidates.len();
    let all = search.candidates.iter().flat_map(|c| &c.accuracies);
    let y = Scale::around(all.map(|a| 100.0 * a), vertical(figure.height));
    let x = Scale::new(-0.5, n.max(1) as f64 - 0.5, horizontal(figure.width)).whole();
    bands(&mut figure, search, &x);
    draw(&mut figure, &x, &y, ["trial", "validation accuracy (%)"]);
    arrow_to_better(&mut figure, false);
    let mut best: Option<f64> = None;
    let mut line = vec![];
    for (i, accuracy) in search.finished() {
        let higher = best.map_or(accuracy, |b| b.max(accuracy));
        if let Some(before) = best {
            line.push([x.at(i as f64), y.at(100.0 * before)]);
        }
        line.push([x.at(i as f64), y.at(100.0 * higher)]);
        best = Some(higher);
    }
    if let Some(best) = best {
        line.push([horizontal(figure.width)[1], y.at(100.0 * best)]);
    }
    figure.polyline("best", &line);
    for (i, candidate) in search.candidates.iter().enumerate() {
        marks(&mut figure, search, i, [&x, &y]);
        if let Some(why) = &candidate.failure {
            let (cx, cy) = (x.at(i as f64), vertical(figure.height)[0] - 10.0);
            let (a, b, c, d) = (cx - 4.0, cx + 4.0, cy - 4.0, cy + 4.0);
            figure.path(
                "failed",
                &format!("M{a:.1} {c:.1}L{b:.1} {d:.1}M{a:.1} {d:.1}L{b:.1} {c:.1}"),
            );
            figure.disc("hit", [cx, cy], 7.0, &format!("trial {i} failed: {why}"));
        }
    }
    figure
}

fn marks(figure: &mut Figure, search: &Search, i: usize, [x, y]: [&Scale; 2]) {
    let candidate = &search.candidates[i];
    for (rung, accuracy) in candidate.accuracies.iter().enumerate() {
        let budget = search.budgets.get(rung).copied().unwrap_or(0);
        let tip = format!(
            "trial {i}, after {budget} epochs: {:.2} %",
            100.0 * accuracy
        );
        let class = match rung + 1 == search.budgets.len() {
            true if search.front.contains(&i) => "front",
            true => "trial",
            false => "early",
        };
        let radius = if class == "early" { 3.5 } else { 5.0 };
        figure.disc(
            class,
            [x.at(i as f64), y.at(100.0 * accuracy)],
            radius,
            &tip,
        );
    }
}

/// Every other generation in grey.
fn bands(figure: &mut Figure, search: &Search, x: &Scale) {
    let [bottom, top] = vertical(figure.height);
    for (generation, [first, last]) in generations(search) {
        if generation % 2 == 1 {
            let (a, b) = (x.at(first as f64 - 0.5), x.at(last as f64 + 0.5));
            let tip = format!("generation {generation}");
            figure.rect("band", [a, top, b - a, bottom - top], 0.0, &tip);
        }
    }
}

/// First and last trial of each generation.
fn generations(search: &Search) -> BTreeMap<usize, [usize; 2]> {
    let mut ends = BTreeMap::new();
    for (i, candidate) in search.candidates.iter().enumerate() {
        ends.entry(candidate.generation).or_insert([i, i])[1] = i;
    }
    ends
}

/// The mean share of weights that each rule trains, by generation.
pub fn rules(search: &Search) -> Figure {
    let title = "Share of weights trained by each rule, mean of a generation";
    let mut figure = Figure::new("history-rules", title, 540.0, 320.0);
    let ends = generations(search);
    let n = ends.len().max(1) as f64;
    let x = Scale::new(-0.5, n - 0.5, horizontal(figure.width)).whole();
    let shares = ends.into_iter();
    let shares = shares.map(|(g, [first, last])| (g as u32, mean_share(search, first, last)));
    stacks(&mut figure, &x, "generation", shares);
    figure
}

/// Bars of the share of weights that each rule trains, one at each whole number of `x`, which counts in `unit`.
pub(super) fn stacks(
    figure: &mut Figure,
    x: &Scale,
    unit: &str,
    bars: impl Iterator<Item = (u32, impl IntoIterator<Item = (Rule, f64)>)>,
) {
    let y = Scale::new(0.0, 100.0, vertical(figure.height));
    draw(figure, x, &y, [unit, "share of weights (%)"]);
    let mut seen = BTreeSet::new();
    for (at, shares) in bars {
        let (a, b) = (x.at(f64::from(at) - 0.4), x.at(f64::from(at) + 0.4));
        let mut base = 0.0;
        for (rule, share) in shares {
            let (low, high) = (y.at(100.0 * base), y.at(100.0 * (base + share)));
            let tip = format!("{unit} {at}: {rule} {:.1} %", 100.0 * share);
            let class = format!("fill-{rule} slice");
            figure.rect(&class, [a, high, b - a, low - high], 0.0, &tip);
            base += share;
            seen.insert(rule);
        }
    }
    let mut at = horizontal(figure.width)[0];
    for rule in seen {
        figure.rect(
            &format!("fill-{rule}"),
            [at, 10.0, 11.0, 11.0],
            2.0,
            rule.name(),
        );
        figure.text("small", [at + 16.0, 20.0], Anchor::Start, rule.name());
        at += 30.0 + 8.0 * rule.name().len() as f64;
    }
}

fn mean_share(search: &Search, first: usize, last: usize) -> BTreeMap<Rule, f64> {
    let mut mean = BTreeMap::new();
    let n = (last + 1 - first) as f64;
    for candidate in &search.candidates[first..=last] {
        for (rule, share) in candidate.network.rule_share() {
            *mean.entry(rule).or_insert(0.0) += share / n;
        }
    }
    mean
}
