//! The page of the evidence for mixed rules.

use super::table::{grouped, spread, table};
use super::{document, grid, section, tiles_of};
use crate::evidence::claims::claims;
use crate::evidence::{Arm, Comparison, Evidence, Noise, Searched, mean};
use crate::figure::arms;
use crate::findings::Strength;
use crate::svg::{Figure, escape};

/// The whole file; `settings` is the text of what was asked for, empty if it is not known.
pub fn evidence(name: &str, evidence: &Evidence, settings: &str) -> String {
    let mut body = tiles(evidence);
    body += &section(
        "What held",
        "The paper's claims about every network whose rules were searched. A claim holds, or is contradicted, if the \
         difference has that sign and p, by Holm's correction, is below 0.05.",
        &card(&verdicts(evidence)),
    );
    body += &section(
        "Accuracy",
        "Percent, mean ± sample standard deviation over the training seeds, after the last epoch. Networks were chosen \
         on validation images; the test images were looked at once. Difference of the network as found to each other \
         on the test images by Welch's t-test, two-sided; of the random assignments it is asked whether the one found \
         may be a further draw.",
        &accuracy(evidence),
    );
    body += &charts(
        evidence,
        "Alignment",
        "Angle between the feedback of a layer and its weights, mean over the layers that have a feedback, weighted by \
         their weights, and over the seeds. At 90° the error that goes down is unrelated to the gradient, at 0° it is \
         the gradient.",
        |search, group| Some(arms::alignment(search, group)),
    );
    body += &charts(
        evidence,
        "Variance of the gradient",
        "How much the gradients of a training's batches differ: the sum of the variances of all weights by the square \
         of the length of the mean gradient.",
        arms::noise,
    );
    body += &card(&learning(evidence));
    let attacked = evidence.arms.iter().flat_map(|arm| &arm.runs);
    if attacked.clone().any(|run| run.attacked.is_some()) {
        body += &charts(
            evidence,
            "Under attack",
            "Test images whose pixels (0 to 255) may change by so much; percent of all images that are still answered \
             right, of the first training that was attacked. Worst case: after every attack along every gradient and \
             by queries (solid). Along the own feedback (dotted) a network may seem more robust than it is.",
            arms::worst_case,
        );
        body += "<p class=\"soft\">Masked: the share of what the own feedback leaves that the worst case takes away, \
                 gradient masking. Mean ± sample standard deviation over the trainings.</p>\n";
        body += &card(&robustness(evidence));
    }
    if evidence.searches.iter().any(|s| s.device.is_some()) {
        body += &section(
            "On the device",
            "The networks as found, exported in int8 and run on the emulated Cortex-M4; instructions were counted there.",
            &card(&device(evidence)),
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

fn card(table: &str) -> String {
    format!("<div class=\"card scroll\">{table}</div>\n")
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

fn verdicts(evidence: &Evidence) -> String {
    let row = |c: crate::evidence::claims::Claim| {
        let cells = vec![c.claim.to_string(), c.search, c.verdict.to_string(), c.why];
        (false, cells)
    };
    let rows: Vec<_> = claims(evidence).into_iter().map(row).collect();
    table(&["claim", "search", "", "numbers"], &[0, 1, 2, 3], &rows)
}

/// The figures that `of` makes of every search with controls, where there is something to see.
fn charts(
    evidence: &Evidence,
    title: &str,
    explanation: &str,
    of: impl Fn(&str, &[&Arm]) -> Option<Figure>,
) -> String {
    let searches = evidence.searches.iter().filter(|s| s.has_controls);
    let figures = searches.filter_map(|s| of(&s.name, &evidence.group(&s.name)));
    let figures: Vec<Figure> = figures.collect();
    match figures.is_empty() {
        true => String::new(),
        false => section(title, explanation, &grid("two", &figures)),
    }
}

fn accuracy(evidence: &Evidence) -> String {
    let searches = evidence.searches.iter();
    searches
        .map(|search| {
            let group = evidence.group(&search.name);
            let figure = match search.has_controls {
                true => grid("two", &[arms::accuracies(&search.name, &group)]),
                false => String::new(),
            };
            format!(
                "<h3>{}</h3>\n{figure}{}",
                escape(&title(search)),
                card(&accuracies(evidence, search, &group))
            )
        })
        .collect()
}

/// Of a search, in words.
fn title(search: &Searched) -> String {
    let chosen = match search.n_trials {
        1 => "its only candidate".to_string(),
        n => format!("best of {n} candidates"),
    };
    format!(
        "{}: space {}, {chosen}, trained for {} epochs on {} images",
        search.name,
        search.space,
        search.epochs,
        grouped(search.n_train as u64)
    )
}

fn accuracies(evidence: &Evidence, search: &Searched, group: &[&Arm]) -> String {
    let comparisons = match search.has_controls {
        true => evidence.comparisons(&search.name),
        false => vec![],
    };
    let numbers = |c: Option<&Comparison>| match c {
        None => vec![String::new(); 3],
        Some(c) => vec![
            format!("{:+.2}", c.test.difference),
            p(c.test.p),
            p(c.p_holm),
        ],
    };
    let row = |arm: &&Arm| {
        let name = arm.kind.to_string();
        let tests = arm.values(|run| run.test_pct);
        let by_seed = arm
            .runs
            .iter()
            .map(|run| format!("{}: {:.2}", run.seed, run.test_pct));
        let cells = vec![
            name.clone(),
            arm.rules.clone(),
            spread(&arm.values(|run| run.valid_pct)),
            spread(&tests),
            by_seed.collect::<Vec<_>>().join(", "),
        ];
        let compared = comparisons.iter().find(|c| c.with == name);
        (false, [cells, numbers(compared)].concat())
    };
    let mut rows: Vec<_> = group.iter().map(row).collect();
    let is_row = |c: &&Comparison| group.iter().any(|arm| arm.kind.to_string() == c.with);
    for c in comparisons.iter().filter(|c| !is_row(c)) {
        let cells = [vec![format!("against {}", c.with)], vec![String::new(); 4]];
        rows.push((false, [cells.concat(), numbers(Some(c))].concat()));
    }
    let head = [
        "rules",
        "weights trained by",
        "validation",
        "test",
        "test by seed (%)",
        "found − this",
        "p",
        "p (Holm)",
    ];
    table(&head, &[1], &rows)
}

fn p(value: f64) -> String {
    match value < 0.001 {
        true => "< 0.001".into(),
        false => format!("{value:.3}"),
    }
}

fn learning(evidence: &Evidence) -> String {
    let row = |arm: &Arm| {
        let angle = |of: fn(&[Option<f64>]) -> Option<f64>| {
            let values = arm.runs.iter().filter_map(|run| of(&run.angles_deg));
            let values: Vec<f64> = values.collect();
            match values.is_empty() {
                true => String::new(),
                false => format!("{:.1}", mean(&values)),
            }
        };
        let noise = |of: fn(&Noise) -> f64| {
            let values = arm.last_noise(of);
            match values.is_empty() {
                true => String::new(),
                false => format!("{:.3e}", mean(&values)),
            }
        };
        let cells = vec![
            format!("{}: {}", arm.search, arm.kind),
            angle(|a| *a.first()?),
            angle(|a| *a.last()?),
            noise(|n| n.variance),
            noise(|n| n.to_signal),
        ];
        (false, cells)
    };
    let rows: Vec<_> = evidence.arms.iter().map(row).collect();
    let head = [
        "network",
        "angle after epoch 1 (°)",
        "at the end (°)",
        "variance of a weight's gradient, last measured",
        "variance : mean², last measured",
    ];
    table(&head, &[], &rows)
}

fn robustness(evidence: &Evidence) -> String {
    let mut rows = vec![];
    for arm in &evidence.arms {
        let attacked = arm.runs.iter().filter_map(|run| run.attacked.as_ref());
        let attacked: Vec<_> = attacked.collect();
        let strengths = attacked.first().map_or(&[][..], |a| &a.strengths[..]);
        let clean: Vec<f64> = attacked.iter().map(|a| a.clean_pct).collect();
        for (at, strength) in strengths.iter().enumerate() {
            let of = |f: fn(&Strength) -> Option<f64>| {
                let values = attacked.iter().filter_map(|a| f(a.strengths.get(at)?));
                spread(&values.collect::<Vec<_>>())
            };
            let cells = vec![
                format!("{}: {}", arm.search, arm.kind),
                attacked.len().to_string(),
                spread(&clean),
                format!("{}/255", strength.epsilon_255),
                of(|s| s.own_pct),
                of(|s| s.exact_pct),
                of(|s| s.transfer_pct),
                of(|s| s.square_pct),
                of(|s| Some(s.worst_pct)),
                of(|s| s.masked_pct),
            ];
            rows.push((false, cells));
        }
    }
    let head = [
        "network",
        "n",
        "clean",
        "change",
        "own feedback",
        "exact gradient",
        "transfer",
        "square",
        "worst case",
        "masked",
    ];
    table(&head, &[], &rows)
}

fn device(evidence: &Evidence) -> String {
    let row = |search: &Searched| {
        let d = search.device.as_ref()?;
        let cells = vec![
            search.name.clone(),
            spread(&d.float_pct),
            spread(&d.int8_pct),
            grouped(d.flash_bytes),
            grouped(d.ram_bytes),
            grouped(d.macs),
            grouped(d.instructions.round() as u64),
            format!("{} of {}", d.n_equal, d.n_compared),
        ];
        Some((false, cells))
    };
    let rows: Vec<_> = evidence.searches.iter().filter_map(row).collect();
    let head = [
        "network of",
        "test, float",
        "test, int8",
        "flash (B)",
        "RAM (B)",
        "MACs",
        "instructions",
        "images where the device equals the host",
    ];
    table(&head, &[], &rows)
}
