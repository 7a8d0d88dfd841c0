//! The page: one HTML file that needs nothing else.

mod evidence;
mod table;

pub use evidence::evidence;

use crate::figure::{curves, graph, history, pareto, robustness, rules_in_words, share, supernet};
use crate::findings::{Findings, Search};
use crate::palette;
use crate::svg::{Figure, escape};
use aplysia_space::{Network, Rule};
use std::collections::BTreeSet;

/// Networks of the front that are drawn at once; the others are drawn when asked for.
const N_DRAWN: usize = 3;

/// What a page forbids itself: anything from anywhere else, and scripts.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Every figure of a report, for files of their own.
pub fn figures(findings: &Findings) -> Vec<Figure> {
    let search = &findings.search;
    let mut all = pareto::panels(search);
    all.extend([history::accuracy(search), history::rules(search)]);
    all.extend(search.supernets.iter().flat_map(supernet::figures));
    for &i in &search.front {
        all.extend(network(search, i));
    }
    for (number, release) in (1..).zip(&findings.releases) {
        all.extend(graph::graphs(&format!("model-{number}"), &release.network));
    }
    all.push(share::bars(&named(findings)));
    if !findings.runs.is_empty() {
        all.push(curves::accuracy(&findings.runs));
    }
    all.extend(alignments(findings));
    all.extend(attacks(findings));
    all
}

fn network(search: &Search, i: usize) -> Vec<Figure> {
    graph::graphs(&format!("network-{i}"), &search.candidates[i].network)
}

fn attacks(findings: &Findings) -> Vec<Figure> {
    let attacked = &findings.attacked;
    let mut all = vec![];
    if !attacked.is_empty() {
        all.push(robustness::worst_case(attacked));
    }
    let each = (1..).zip(attacked);
    all.extend(each.map(|(n, network)| robustness::gradients(network, n)));
    all
}

fn alignments(findings: &Findings) -> Vec<Figure> {
    let runs = (1..).zip(&findings.runs);
    runs.filter_map(|(n, run)| curves::alignment(run, n))
        .collect()
}

/// The networks whose rules are shown: the front, then models, then one of each kind of run.
fn named(findings: &Findings) -> Vec<(String, &Network)> {
    let search = &findings.search;
    let front = search.front.iter();
    let mut all: Vec<(String, &Network)> = front
        .map(|&i| (format!("trial {i}"), &search.candidates[i].network))
        .collect();
    let releases = findings.releases.iter();
    all.extend(releases.map(|m| (m.name.clone(), &m.network)));
    let runs = crate::findings::repeats(&findings.runs);
    all.extend(runs.iter().map(|g| (g[0].name.clone(), &g[0].network)));
    all
}

/// The whole file.
pub fn html(findings: &Findings) -> String {
    let search = &findings.search;
    let mut body = tiles(search);
    body += &section(
        "Pareto front",
        "Every trial that trained on all rungs (grey), and the front (green, with the trial's number): \
         no other trial is at least as good in accuracy, instructions, flash and RAM together, and in accuracy \
         after learning on the device if the study asks for it. The line bounds what is best in the two numbers \
         of its panel alone.",
        &grid("three", &pareto::panels(search)),
    );
    body += &section(
        "Search history",
        "Filled: the end of the last rung; hollow: an earlier rung, after fewer epochs; crossed: failed. \
         The line is the best so far, bands are generations.",
        &grid("two", &[history::accuracy(search), history::rules(search)]),
    );
    if !search.supernets.is_empty() {
        let figures: Vec<Figure> = search
            .supernets
            .iter()
            .flat_map(supernet::figures)
            .collect();
        body += &section(
            "Supernets",
            "What learned the trials, a network that holds every choice at once: its accuracy while weights and \
             architecture learn from images of their own, the rules of the network it favoured, and the curvature \
             of its loss where that was evaluated.",
            &grid("two", &figures),
        );
    }
    body += &networks(findings);
    body += &section(
        "Costs of the front",
        "Exact for flash, RAM and multiply-accumulates (MACs); instructions of a Cortex-M4 are estimated. \
         Percentages are of the limit.",
        &format!(
            "<div class=\"card scroll\">{}</div>",
            table::costs(findings)
        ),
    );
    body += &section(
        "Who trained the weights",
        "The share of all weights (biases and batch norm left out) that each rule trains.",
        &shares(findings),
    );
    if !(findings.runs.is_empty() && findings.releases.is_empty()) {
        body += &section(
            "Accuracy by seed",
            "Mean ± sample standard deviation over the seeds. Validation images chose the settings; test \
             images were looked at once, by the exported model.",
            &format!(
                "<div class=\"card scroll\">{}</div>",
                table::accuracy(findings)
            ),
        );
    }
    if !findings.runs.is_empty() {
        let mut charts = vec![curves::accuracy(&findings.runs)];
        charts.extend(alignments(findings));
        body += &section(
            "Training runs",
            "Accuracy: solid on validation images, dotted on augmented training images, in the colour of \
             the rule that trains most weights. Alignment: the angle between the feedback of a layer and its \
             weights; at 90° the error that goes down is unrelated to the gradient, at 0° it is the gradient.",
            &grid("two", &charts),
        );
    }
    if !findings.attacked.is_empty() {
        body += &section(
            "Under attack",
            "Test images whose pixels (0 to 255) may change by so much; percent of all images that are still \
             answered right. Worst case: after every attack along every gradient and by queries (solid). Along \
             the own feedback (dotted) a network may seem more robust than it is.",
            &format!(
                "{}\n<p class=\"soft\">Masked: the share of what the own feedback leaves that the worst case takes \
                 away, gradient masking.</p>\n<div class=\"card scroll\">{}</div>",
                grid("two", &attacks(findings)),
                table::attacked(findings)
            ),
        );
    }
    body += &format!(
        "<h2>Everything</h2>\n<details><summary>All {} trials</summary>\n<div class=\"card scroll\">{}</div>\
         </details>\n<details><summary>Configuration of the study</summary>\n<pre class=\"card\">{}</pre>\
         </details>\n",
        search.candidates.len(),
        table::trials(search),
        escape(&search.config)
    );
    document(
        "architecture search with learning rules",
        &search.name,
        &body,
    )
}

/// A file with this `body`, about `what` of the study `name`.
fn document(what: &str, name: &str, body: &str) -> String {
    let name = escape(name);
    let (figures, page) = (palette::style(), include_str!("page.css"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}</title>\n<style>\n{page}{figures}</style>\n</head>\n<body>\n<main>\n\
         <header><span class=\"soft\">Aplysia · {what}</span>\n<h1>{name}</h1></header>\n{body}</main>\n\
         </body>\n</html>\n"
    )
}

fn section(title: &str, explanation: &str, content: &str) -> String {
    format!("<h2>{title}</h2>\n<p class=\"soft\">{explanation}</p>\n{content}\n")
}

fn grid(columns: &str, figures: &[Figure]) -> String {
    let cards = figures.iter().map(|figure| {
        let title = escape(&figure.title);
        let svg = figure.inline();
        format!("<div class=\"card chart\"><h3>{title}</h3>\n{svg}</div>\n")
    });
    format!(
        "<div class=\"{columns}\">\n{}</div>",
        cards.collect::<String>()
    )
}

fn tiles(search: &Search) -> String {
    let n_failed = search
        .candidates
        .iter()
        .filter(|c| c.failure.is_some())
        .count();
    let best = search.front.first().and_then(|&i| {
        let candidate = &search.candidates[i];
        let (of, accuracy) = match candidate.adapted.last() {
            Some(&adapted) => ("shifted images, learned on the device", adapted),
            None => (
                "best validation accuracy",
                candidate.final_accuracy(search.budgets.len())?,
            ),
        };
        Some((
            format!("{:.2} %", 100.0 * accuracy),
            format!("{of}, trial {i}"),
        ))
    });
    let epochs = search.budgets.last().copied().unwrap_or(0);
    let tiles = [
        Some((
            format!("{} of {}", search.candidates.len(), search.n_trials),
            "trials chosen".into(),
        )),
        Some((
            format!("{}", search.finished().count()),
            format!("trained to the end, {epochs} epochs; {n_failed} failed"),
        )),
        Some((
            format!("{}", search.front.len()),
            "on the Pareto front".into(),
        )),
        best,
    ];
    tiles_of(&tiles.into_iter().flatten().collect::<Vec<_>>())
}

/// Numbers, each with what it is.
fn tiles_of(tiles: &[(String, String)]) -> String {
    let tiles = tiles.iter().map(|(number, text)| {
        format!("<div class=\"card tile\"><b>{number}</b><span>{text}</span></div>\n")
    });
    format!(
        "<div class=\"tiles\">\n{}</div>\n",
        tiles.collect::<String>()
    )
}

fn networks(findings: &Findings) -> String {
    let search = &findings.search;
    let card = |title: String, network: &Network, figures: Vec<Figure>| {
        let words = escape(&rules_in_words(network));
        let mut text = format!(
            "<div class=\"card\"><h3>{}</h3><p class=\"soft\">{words}</p>\n",
            escape(&title)
        );
        let several = figures.len() > 1;
        for figure in figures {
            if several {
                text += &format!("<p>{}</p>\n", escape(&figure.title));
            }
            text += &format!("<div class=\"scroll\">{}</div>\n", figure.inline());
        }
        text + "</div>\n"
    };
    let trial = |i: &usize| {
        let candidate = &search.candidates[*i];
        let accuracy = candidate.final_accuracy(search.budgets.len());
        let title = format!("trial {i}: {:.2} %", 100.0 * accuracy.unwrap_or(0.0));
        card(title, &candidate.network, network(search, *i))
    };
    let mut shown: String = search.front.iter().take(N_DRAWN).map(trial).collect();
    for (number, release) in (1..).zip(&findings.releases) {
        let figures = graph::graphs(&format!("model-{number}"), &release.network);
        shown += &card(release.name.clone(), &release.network, figures);
    }
    let more: String = search.front.iter().skip(N_DRAWN).map(trial).collect();
    let mut content = legend(findings);
    content += &format!("<div class=\"networks\">\n{shown}</div>\n");
    if !more.is_empty() {
        content += &format!(
            "<details><summary>The other {} of the front</summary>\n<div class=\"networks\">\n{more}</div>\
             </details>\n",
            search.front.len() - N_DRAWN
        );
    }
    section(
        "Networks",
        "The best of the front first; every layer with weights in the colour of the rule that trains \
         it. Of cell networks, one of each kind of cell.",
        &content,
    )
}

/// The rules that occur.
fn legend(findings: &Findings) -> String {
    let networks = named(findings);
    let rules: BTreeSet<Rule> = networks
        .iter()
        .flat_map(|(_, n)| n.rule_share().into_iter().map(|(rule, _)| rule))
        .collect();
    let items = rules.iter().map(|rule| {
        let square = format!("<rect class=\"fill-{rule}\" width=\"12\" height=\"12\" rx=\"2\"/>");
        format!(
            "<li><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\">{square}</svg><b>{rule}</b> {}</li>\n",
            rule.long_name()
        )
    });
    format!(
        "<ul class=\"legend\">\n{}</ul>\n",
        items.collect::<String>()
    )
}

fn shares(findings: &Findings) -> String {
    let networks = named(findings);
    let half = networks.len().div_ceil(2).max(1);
    let columns: Vec<String> = networks
        .chunks(half)
        .map(|part| {
            format!(
                "<div class=\"card chart\">{}</div>\n",
                share::bars(part).inline()
            )
        })
        .collect();
    format!("<div class=\"two\">\n{}</div>", columns.concat())
}
