//! The tables of the page.

use crate::figure::rules_in_words;
use crate::findings::{Candidate, Findings, Search, mean_and_deviation, repeats};
use crate::svg::escape;
use aplysia_search::Costs;
use aplysia_space::Network;

/// Rows under a head; `words` are the columns of text. Cells are escaped here.
pub(super) fn table(head: &[&str], words: &[usize], rows: &[(bool, Vec<String>)]) -> String {
    let class = |at: usize| {
        if words.contains(&at) {
            " class=\"words\""
        } else {
            ""
        }
    };
    let cells = |tag: &str, row: &[&str]| -> String {
        let cells = row.iter().enumerate();
        let cell =
            |(at, text): (usize, &&str)| format!("<{tag}{}>{}</{tag}>", class(at), escape(text));
        cells.map(cell).collect()
    };
    let mut text = format!(
        "<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
        cells("th", head)
    );
    for (marked, row) in rows {
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        let mark = if *marked { " class=\"front\"" } else { "" };
        text += &format!("<tr{mark}>{}</tr>\n", cells("td", &row));
    }
    text + "</tbody>\n</table>"
}

/// `n` with thin spaces between groups of three digits.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

fn of_limit(cost: u64, limit: u64) -> String {
    let share = 100.0 * cost as f64 / limit.max(1) as f64;
    format!("{} ({share:.0} %)", grouped(cost))
}

/// What the networks of the front cost, and the models.
pub(super) fn costs(findings: &Findings) -> String {
    let search = &findings.search;
    let limits = &search.limits;
    let row =
        |name: String, validation: String, c: &Costs, network: &Network, more: Vec<String>| {
            let mut cells = vec![
                name,
                validation,
                of_limit(c.flash_bytes, limits.flash_bytes),
                of_limit(c.device_ram_bytes(), limits.ram_bytes),
                grouped(c.macs),
                of_limit(c.instructions, limits.instructions),
            ];
            cells.extend(more);
            cells.push(rules_in_words(network));
            (false, cells)
        };
    let trial = |&i: &usize| {
        let c = &search.candidates[i];
        let accuracy = c.final_accuracy(search.budgets.len()).unwrap_or(0.0);
        let validation = format!("{:.2} %", 100.0 * accuracy);
        let more = learning(search, c);
        row(format!("trial {i}"), validation, &c.costs, &c.network, more)
    };
    let mut rows: Vec<_> = search.front.iter().map(trial).collect();
    let models = findings.releases.iter();
    let none = || vec![String::new(); learning_heads(search).len()];
    rows.extend(models.map(|m| row(m.name.clone(), String::new(), &m.costs, &m.network, none())));
    let mut head = vec![
        "network",
        "validation",
        "flash (B)",
        "RAM (B)",
        "MACs",
        "instructions",
    ];
    head.extend(learning_heads(search));
    head.push("weights trained by");
    table(&head, &[head.len() - 1], &rows)
}

/// `91.63 ± 0.24 %`, or what is there.
pub(super) fn spread(percent: &[f64]) -> String {
    match mean_and_deviation(percent) {
        None => String::new(),
        Some((mean, None)) => format!("{mean:.2} %"),
        Some((mean, Some(deviation))) => format!("{mean:.2} ± {deviation:.2} %"),
    }
}

/// Heads of what a search for learning on the device knows besides; none of another.
fn learning_heads(search: &Search) -> &'static [&'static str] {
    match search.adapts() {
        true => &[
            "shifted, learned (%)",
            "learned state (B)",
            "instructions to learn",
        ],
        false => &[],
    }
}

/// The cells below [`learning_heads`].
fn learning(search: &Search, c: &Candidate) -> Vec<String> {
    match search.adapts() {
        true => vec![
            list(&c.adapted, |a| format!("{:.2}", 100.0 * a)),
            grouped(c.costs.learned_bytes),
            grouped(c.costs.update_instructions),
        ],
        false => vec![],
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Models on test images, runs on validation images, repeats of one network in one row.
pub(super) fn accuracy(findings: &Findings) -> String {
    let mut rows = vec![];
    let percent = |a: &f64| format!("{a:.2}");
    for m in &findings.releases {
        for (kind, values) in [("int8", &m.int8_pct), ("float", &m.float_pct)] {
            rows.push((
                false,
                vec![
                    format!("{}, {kind}", m.name),
                    format!("{} test images", grouped(m.n_test as u64)),
                    list(&m.seeds, u64::to_string),
                    list(values, percent),
                    spread(values),
                    rules_in_words(&m.network),
                ],
            ));
        }
    }
    for group in repeats(&findings.runs) {
        let run = group[0];
        let values: Vec<f64> = group
            .iter()
            .filter_map(|r| Some(100.0 * r.valid_accuracy()?))
            .collect();
        if values.is_empty() {
            // Trained on the validation images, too.
            continue;
        }
        let epochs = format!("validation, {} epochs", run.epochs.len());
        rows.push((
            false,
            vec![
                list(&group, |r| r.name.clone()),
                format!("{epochs} of {} images", grouped(run.n_train as u64)),
                list(&group, |r| r.seed.to_string()),
                list(&values, percent),
                spread(&values),
                rules_in_words(&run.network),
            ],
        ));
    }
    let head = [
        "network",
        "measured on",
        "seeds",
        "accuracy by seed (%)",
        "mean ± deviation",
        "weights trained by",
    ];
    table(&head, &[1, 5], &rows)
}

/// Networks under attack, a row per strength.
pub(super) fn attacked(findings: &Findings) -> String {
    let percent = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.1}"));
    let mut rows = vec![];
    for a in &findings.attacked {
        for s in &a.strengths {
            rows.push((
                false,
                vec![
                    a.name.clone(),
                    format!("{}/255", s.epsilon_255),
                    percent(Some(a.clean_pct)),
                    percent(s.own_pct),
                    percent(s.exact_pct),
                    percent(s.transfer_pct),
                    percent(s.square_pct),
                    percent(Some(s.worst_pct)),
                    percent(s.masked_pct),
                    percent(a.one_pixel_pct),
                    a.n_images.to_string(),
                    a.rules.clone(),
                ],
            ));
        }
    }
    let head = [
        "network",
        "change",
        "clean (%)",
        "own feedback",
        "exact gradient",
        "transfer",
        "square",
        "worst case",
        "masked (%)",
        "one pixel",
        "images",
        "weights trained by",
    ];
    table(&head, &[11], &rows)
}

/// Every trial.
pub(super) fn trials(search: &Search) -> String {
    let row = |(i, c): (usize, &Candidate)| {
        let result = c.failure.as_ref().map(|why| format!("failed: {why}"));
        let mut cells = vec![
            format!("trial {i}"),
            c.generation.to_string(),
            list(&c.accuracies, |a| format!("{:.2}", 100.0 * a)),
            grouped(c.costs.flash_bytes),
            grouped(c.costs.ram_bytes),
            grouped(c.costs.macs),
            grouped(c.costs.instructions),
        ];
        cells.extend(learning(search, c));
        cells.push(result.unwrap_or_else(|| rules_in_words(&c.network)));
        (search.front.contains(&i), cells)
    };
    let rows: Vec<_> = search.candidates.iter().enumerate().map(row).collect();
    let mut head = vec![
        "trial",
        "generation",
        "validation by rung (%)",
        "flash (B)",
        "RAM (B)",
        "MACs",
        "instructions",
    ];
    head.extend(learning_heads(search));
    head.push("weights trained by");
    table(&head, &[head.len() - 1], &rows)
}
