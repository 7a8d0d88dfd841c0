//! The evidence as Markdown.

use super::claims::claims;
use super::{Arm, Comparison, Evidence, Kind, RANDOM, mean};
use crate::findings::mean_and_deviation;
use std::fmt::Write as _;

/// The whole text; `head` says what was run, `figures` are the names of the SVG files beside it.
pub fn markdown(evidence: &Evidence, head: &str, figures: &[String]) -> String {
    let mut text = head.trim_end().to_string() + "\n\n";
    let sections = [
        ("What held", verdicts(evidence)),
        ("Accuracy", accuracy(evidence)),
        ("Under attack", robustness(evidence)),
        ("Alignment and variance of the gradient", learning(evidence)),
        ("On the emulated device", device(evidence)),
    ];
    for (title, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "## {title}\n\n{}\n", body.trim_end());
    }
    for name in figures {
        let _ = writeln!(text, "![{name}]({name}.svg)");
    }
    text.trim_end().to_string() + "\n"
}

/// A Markdown table; the first `n_words` columns are text.
fn table(head: &[&str], n_words: usize, rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rule = |at| if at < n_words { "---" } else { "--:" };
    let rules: Vec<&str> = (0..head.len()).map(rule).collect();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|h| h.to_string()).collect();
    let mut text = line(&head) + &format!("|{}|\n", rules.join("|"));
    text.extend(rows.iter().map(|row| line(row)));
    text + "\n"
}

/// `91.63 ± 0.24`, or what is there.
fn spread(values: &[f64], digits: usize) -> String {
    match mean_and_deviation(values) {
        None => String::new(),
        Some((mean, None)) => format!("{mean:.digits$}"),
        Some((mean, Some(deviation))) => format!("{mean:.digits$} ± {deviation:.digits$}"),
    }
}

fn verdicts(evidence: &Evidence) -> String {
    let rows = claims(evidence).into_iter().map(|c| {
        let bold = format!("**{}**", c.verdict);
        vec![c.claim.to_string(), c.search, bold, c.why]
    });
    table(
        &["claim", "search", "", "numbers"],
        4,
        &rows.collect::<Vec<_>>(),
    )
}

fn p(value: f64) -> String {
    match value < 0.001 {
        true => "< 0.001".into(),
        false => format!("{value:.3}"),
    }
}

fn accuracy(evidence: &Evidence) -> String {
    let mut text = format!(
        "Percent, mean ± standard deviation over the seeds, after the last epoch; {} validation and {} test images. \
         Networks were chosen on validation images; the test images were looked at \
         once. Difference of the network as found to each other on the test images, Welch's t-test, two-sided; \
         Holm's correction within a table. Random assignments are drawn from the rules that the search had; whether the \
         one found is but a further draw is asked of their means (prediction interval, n − 1 degrees of freedom).\n\n",
        evidence.n_valid, evidence.n_test
    );
    for search in &evidence.searches {
        let comparisons = evidence.comparisons(&search.name);
        let shown = if search.has_controls {
            &comparisons[..]
        } else {
            &[]
        };
        let group = evidence.group(&search.name);
        let mut rows: Vec<Vec<String>> = group.iter().map(|arm| row(arm, shown)).collect();
        let own = |c: &&Comparison| !group.iter().any(|arm| arm.kind.to_string() == c.with);
        for c in shown.iter().filter(own) {
            let random = group
                .iter()
                .filter(|arm| matches!(arm.kind, Kind::Random(_)));
            let values: Vec<f64> = match c.with == RANDOM {
                true => random.map(|arm| arm.mean_test_pct()).collect(),
                false => evidence.group(&c.with)[0].values(|run| run.test_pct),
            };
            let name = match c.with == RANDOM {
                true => format!("all {}", c.with),
                false => format!("the network of {}", c.with),
            };
            rows.push(
                [
                    vec![
                        name,
                        String::new(),
                        format!("{}", c.n[1]),
                        String::new(),
                        spread(&values, 2),
                    ],
                    numbers(Some(c)),
                ]
                .concat(),
            );
        }
        let _ = writeln!(
            text,
            "Genotype of `{}` in the space `{}`, {} ({:.2} % of the validation images within the search); \
             training images: {}, epochs: {}:\n\n{}",
            search.name,
            search.space,
            match search.n_trials {
                1 => "its only candidate".to_string(),
                n => format!("best of {n} candidates"),
            },
            search.valid_pct,
            search.n_train,
            search.epochs,
            table(
                &[
                    "rules",
                    "weights trained by",
                    "n",
                    "validation",
                    "test",
                    "found − this",
                    "t (df)",
                    "p",
                    "p (Holm)"
                ],
                2,
                &rows
            )
        );
    }
    text
}

fn row(arm: &Arm, comparisons: &[Comparison]) -> Vec<String> {
    let cells = vec![
        arm.kind.to_string(),
        arm.rules.clone(),
        arm.runs.len().to_string(),
        spread(&arm.values(|run| run.valid_pct), 2),
        spread(&arm.values(|run| run.test_pct), 2),
    ];
    let with = arm.kind.to_string();
    [cells, numbers(comparisons.iter().find(|c| c.with == with))].concat()
}

fn numbers(comparison: Option<&Comparison>) -> Vec<String> {
    let Some(c) = comparison else {
        return vec![String::new(); 4];
    };
    let w = c.test;
    vec![
        format!("{:+.2}", w.difference),
        format!("{:.2} ({:.1})", w.t, w.df),
        p(w.p),
        p(c.p_holm),
    ]
}

fn robustness(evidence: &Evidence) -> String {
    let mut rows = vec![];
    let (mut n_images, mut n_faults, mut n_masking) = (0, 0, 0);
    for arm in &evidence.arms {
        let attacked: Vec<_> = arm
            .runs
            .iter()
            .filter_map(|run| run.attacked.as_ref())
            .collect();
        let Some(first) = attacked.first() else {
            continue;
        };
        n_images = first.n_images;
        n_faults += attacked.iter().map(|a| a.n_faults).sum::<usize>();
        n_masking += attacked.iter().map(|a| a.n_masking).sum::<usize>();
        for (at, strength) in first.strengths.iter().enumerate() {
            let of = |f: &dyn Fn(&crate::Strength) -> Option<f64>| {
                let values = attacked.iter().filter_map(|a| f(a.strengths.get(at)?));
                spread(&values.collect::<Vec<_>>(), 1)
            };
            let clean: Vec<f64> = attacked.iter().map(|a| a.clean_pct).collect();
            rows.push(vec![
                format!("{}: {}", arm.search, arm.kind),
                attacked.len().to_string(),
                spread(&clean, 1),
                format!("{}/255", strength.epsilon_255),
                of(&|s| s.own_pct),
                of(&|s| s.exact_pct),
                of(&|s| s.transfer_pct),
                of(&|s| s.square_pct),
                format!("**{}**", of(&|s| Some(s.worst_pct))),
                of(&|s| s.masked_pct),
            ]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "network",
        "n",
        "clean",
        "ε",
        "own feedback",
        "exact gradient",
        "transfer",
        "square",
        "worst case",
        "masked, % of own",
    ];
    format!(
        "Percent of {n_images} test images that withstand all attacks of a kind (`evaluate --robust`; its settings \
         are in `settings.toml`, the twin is the same genotype by back-propagation from another seed). `masked`: the share \
         of what seems robust along the own feedback and falls to another attack. {n_masking} sanity checks found \
         masking, {n_faults} a fault of the evaluation.\n\n{}",
        table(&head, 1, &rows)
    )
}

fn learning(evidence: &Evidence) -> String {
    let mut rows = vec![];
    for arm in &evidence.arms {
        let angle = |of: fn(&[Option<f64>]) -> Option<f64>| {
            let values = arm.runs.iter().filter_map(|run| of(&run.angles_deg));
            spread(&values.collect::<Vec<_>>(), 1)
        };
        let noise = |last: bool, of: fn(&super::Noise) -> f64| {
            let runs = arm.runs.iter();
            let each = runs.filter_map(|run| {
                if last {
                    run.noise.last()
                } else {
                    run.noise.first()
                }
            });
            let values: Vec<f64> = each.map(of).collect();
            match values.is_empty() {
                true => String::new(),
                false => format!("{:.3e}", mean(&values)),
            }
        };
        let n_noise = arm.runs.iter().filter(|run| !run.noise.is_empty()).count();
        rows.push(vec![
            format!("{}: {}", arm.search, arm.kind),
            angle(|a| *a.first()?),
            angle(|a| *a.last()?),
            n_noise.to_string(),
            noise(false, |n| n.variance),
            noise(true, |n| n.variance),
            noise(false, |n| n.to_signal),
            noise(true, |n| n.to_signal),
        ]);
    }
    let epochs = evidence.searches.iter().filter_map(|search| {
        let arms = evidence.group(&search.name);
        let mut runs = arms.iter().flat_map(|arm| &arm.runs);
        let noise = runs.find_map(|run| Some([run.noise.first()?, run.noise.last()?]));
        let [first, last] = noise?.map(|noise| noise.epoch);
        Some(format!("{}: {first} and {last}", search.name))
    });
    let epochs: Vec<String> = epochs.collect();
    let head = [
        "network",
        "angle after epoch 1",
        "at the end",
        "n",
        "variance, early",
        "late",
        "variance : mean², early",
        "late",
    ];
    format!(
        "Angle in degrees between feedback and weights, mean over the layers that have one, weighted by their weights \
         (0 is back-propagation, 90 unrelated). Variance of a weight's gradient between batches, mean over the weights; \
         and the sum of the variances by the square of the length of the mean gradient, after an early and a late epoch ({}; mean over n runs).\n\n{}",
        match epochs.is_empty() {
            true => "not measured".into(),
            false => epochs.join("; "),
        },
        table(&head, 1, &rows)
    )
}

fn device(evidence: &Evidence) -> String {
    let rows = evidence.searches.iter().filter_map(|search| {
        let d = search.device.as_ref()?;
        Some(vec![
            search.name.clone(),
            spread(&d.float_pct, 2),
            spread(&d.int8_pct, 2),
            d.flash_bytes.to_string(),
            d.ram_bytes.to_string(),
            d.macs.to_string(),
            format!("{:.0}", d.instructions),
            format!("{} of {}", d.n_equal, d.n_compared),
        ])
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "network of",
        "test, float",
        "test, int8",
        "flash (B)",
        "RAM (B)",
        "MACs",
        "instructions",
        "device = host",
    ];
    table(&head, 1, &rows)
}
