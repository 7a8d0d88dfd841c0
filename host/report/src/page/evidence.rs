//! The page of the evidence for mixed rules.

use super::table::{grouped, table};
use super::{document, grid, section, tiles_of};
use crate::evidence::tables::{self, Table};
use crate::evidence::{Evidence, Searched};
use crate::figure::arms;
use crate::svg::{Figure, escape};

/// The whole file; `settings` is the text of what was asked for, empty if it is not known.
pub fn evidence(name: &str, evidence: &Evidence, settings: &str) -> String {
    let mut body = tiles(evidence);
    body += &section(
        "What held",
        "The paper's claims about every network whose rules were searched. A claim holds, or is contradicted, if the \
         difference has that sign and p is below 0.05, by Holm's correction among all comparisons of accuracy, or of \
         gradients, of its searches; the one about attacks is a single comparison of each.",
        &card(&tables::verdicts(evidence)),
    );
    body += &section("Accuracy", &tables::accuracy(evidence), &accuracy(evidence));
    body += &charts(
        evidence,
        "Alignment",
        "Angle between the feedback of a layer and its weights, mean over the layers that have a feedback, weighted by \
         their weights, and over the seeds. At 90° the error that goes down is unrelated to the gradient, at 0° it is \
         the gradient.",
        |search| Some(arms::alignment(evidence, search)),
    );
    body += &charts(
        evidence,
        "Variance of the gradient",
        "How much the gradients of a training's batches differ: the sum of the variances of all weights by the square \
         of the length of the mean gradient.",
        |search| arms::noise(evidence, search),
    );
    let (about, table) = tables::learning(evidence);
    body += &explained(&about, &table);
    if let Some((about, table)) = tables::robustness(evidence) {
        body += &charts(
            evidence,
            "Under attack",
            "Test images whose pixels (0 to 255) may change by so much; percent of all images that are still answered \
             right, of the first training that was attacked. Worst case: after every attack along every gradient and \
             by queries (solid). Along the own feedback (dotted) a network may seem more robust than it is.",
            |search| arms::worst_case(evidence, search),
        );
        body += &explained(&about, &table);
    }
    if evidence.searches.iter().any(|s| s.device.is_some()) {
        body += &section(
            "On the device",
            "The networks as found, exported in int8 and run on the emulated Cortex-M4; instructions were counted there.",
            &card(&tables::device(evidence)),
        );
    }
    body += "<h2>Everything</h2>\n";
    for search in &evidence.searches {
        body += &details(&format!("Genotype of {}", search.name), &search.genotype);
    }
    if !settings.is_empty() {
        body += &details("Settings of the study", settings);
    }
    document("do mixed learning rules help?", name, &body)
}

fn card(of: &Table) -> String {
    let words: Vec<usize> = (0..of.n_words).collect();
    let rows: Vec<_> = of.rows.iter().map(|row| (false, row.clone())).collect();
    let table = table(&of.head, &words, &rows);
    format!("<div class=\"card scroll\">{table}</div>\n")
}

fn explained(about: &str, table: &Table) -> String {
    format!("<p class=\"soft\">{}</p>\n{}", escape(about), card(table))
}

fn details(title: &str, text: &str) -> String {
    format!(
        "<details><summary>{}</summary>\n<pre class=\"card\">{}</pre>\n</details>\n",
        escape(title),
        escape(text)
    )
}

fn tiles(evidence: &Evidence) -> String {
    let runs = || evidence.arms.iter().flat_map(|arm| &arm.runs);
    let n_attacked = runs().filter(|run| run.attacked.is_some()).count();
    tiles_of(&[
        (evidence.searches.len().to_string(), "searches".into()),
        (
            evidence.arms.len().to_string(),
            "networks: genotypes under an assignment of rules".into(),
        ),
        (
            runs().count().to_string(),
            format!("trainings, {n_attacked} of them attacked"),
        ),
        (
            grouped(evidence.n_test as u64),
            format!(
                "test images, {} for choices",
                grouped(evidence.n_valid as u64)
            ),
        ),
    ])
}

/// The figures that `of` makes of the first search of every procedure with controls, where there is something to see.
fn charts(
    evidence: &Evidence,
    title: &str,
    explanation: &str,
    of: impl Fn(&Searched) -> Option<Figure>,
) -> String {
    let searches = evidence.procedures().filter(|s| s.has_controls);
    let figures = searches.filter_map(of);
    let figures: Vec<Figure> = figures.collect();
    match figures.is_empty() {
        true => String::new(),
        false => section(title, explanation, &grid("two", &figures)),
    }
}

fn accuracy(evidence: &Evidence) -> String {
    let of = |search: &Searched| {
        let figure = match search.has_controls {
            true => grid("two", &[arms::accuracies(evidence, search)]),
            false => String::new(),
        };
        let title = tables::genotypes(evidence, search).replace('`', "");
        format!(
            "<h3>{}</h3>\n{figure}{}",
            escape(&title),
            card(&tables::compared(evidence, search))
        )
    };
    evidence.procedures().map(of).collect()
}
