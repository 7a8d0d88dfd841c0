//! The evidence as Markdown.

use super::Evidence;
use super::tables::{Table, accuracy, compared, device, genotypes, learning, robustness, verdicts};
use std::fmt::Write as _;

/// The whole text; `head` says what was run, `figures` are the names of the SVG files beside it.
pub fn markdown(evidence: &Evidence, head: &str, figures: &[String]) -> String {
    let mut text = head.trim_end().to_string() + "\n\n";
    let accuracies = evidence.procedures().map(|search| {
        (
            genotypes(evidence, search) + ":",
            compared(evidence, search),
        )
    });
    let about = accuracy(evidence);
    let none = || String::new();
    let sections = [
        ("What held", none(), vec![(none(), verdicts(evidence))]),
        ("Accuracy", about, accuracies.collect()),
        (
            "Under attack",
            none(),
            robustness(evidence).into_iter().collect(),
        ),
        (
            "Alignment and variance of the gradient",
            none(),
            vec![learning(evidence)],
        ),
        (
            "On the emulated device",
            none(),
            vec![(none(), device(evidence))],
        ),
    ];
    // Writing to a String cannot fail.
    for (title, about, tables) in &sections {
        if tables.iter().all(|(_, table)| table.rows.is_empty()) {
            continue;
        }
        let _ = writeln!(text, "## {title}\n");
        let tables = tables
            .iter()
            .map(|(about, table)| [about.clone(), table.markdown()]);
        for part in std::iter::once(about.clone())
            .chain(tables.flatten())
            .filter(|part| !part.is_empty())
        {
            let _ = writeln!(text, "{}\n", part.trim_end());
        }
    }
    for name in figures {
        let _ = writeln!(text, "![{name}]({name}.svg)");
    }
    text.trim_end().to_string() + "\n"
}

impl Table {
    fn markdown(&self) -> String {
        let rule = |at| if at < self.n_words { "---" } else { "--:" };
        let rules: Vec<&str> = (0..self.head.len()).map(rule).collect();
        let mut text = format!("| {} |\n|{}|\n", self.head.join(" | "), rules.join("|"));
        for row in &self.rows {
            let cell =
                |(at, cell): (usize, &String)| match Some(at) == self.bold && !cell.is_empty() {
                    true => format!("**{cell}**"),
                    false => cell.clone(),
                };
            let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}
