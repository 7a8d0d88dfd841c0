//! The evidence in tables, which the text and the page of a report show.

use super::claims::claims;
use super::{Comparison, Evidence, Group, Kind, RANDOM, Searched, Trained, mean};
use crate::findings::mean_and_deviation;

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Names of the columns.
    pub(crate) head: Vec<&'static str>,
    /// So many of the first columns are text.
    pub(crate) n_words: usize,
    /// The column that says most.
    pub(crate) bold: Option<usize>,
    /// As long as the head each.
    pub(crate) rows: Vec<Vec<String>>,
}

/// What a table is about, and the table.
pub(crate) type Told = (String, Table);

impl Table {
    fn new(head: &[&'static str], n_words: usize, rows: Vec<Vec<String>>) -> Self {
        Self {
            head: head.to_vec(),
            n_words,
            bold: None,
            rows,
        }
    }
}

/// `91.63 ± 0.24`, or what is there.
fn spread(values: &[f64], digits: usize) -> String {
    match mean_and_deviation(values) {
        None => String::new(),
        Some((mean, None)) => format!("{mean:.digits$}"),
        Some((mean, Some(deviation))) => format!("{mean:.digits$} ± {deviation:.digits$}"),
    }
}

/// The claims and what became of them.
pub(crate) fn verdicts(evidence: &Evidence) -> Table {
    let rows = claims(evidence).into_iter();
    let rows = rows.map(|c| {
        vec![
            c.claim.to_string(),
            c.procedure,
            c.verdict.to_string(),
            c.why,
        ]
    });
    Table {
        bold: Some(2),
        ..Table::new(&["claim", "search", "", "numbers"], 4, rows.collect())
    }
}

/// The rows of tables over all procedures.
fn listed(evidence: &Evidence) -> impl Iterator<Item = (&str, Group)> {
    let procedures = evidence.procedures().map(|s| s.name.as_str());
    procedures.flat_map(|name| {
        evidence
            .groups(name)
            .into_iter()
            .map(move |group| (name, group))
    })
}

fn p(value: f64) -> String {
    match value < 0.001 {
        true => "< 0.001".into(),
        false => format!("{value:.3}"),
    }
}

/// What the tables of accuracies say.
pub(crate) fn accuracy(evidence: &Evidence) -> String {
    format!(
        "Percent, mean ± standard deviation over n, after the last epoch; {} validation and {} test images. \
         Networks were chosen on validation images; the test images were looked at \
         once. Difference of the network as found to each other on the test images, two-sided; Holm's correction within a \
         table. Where a search was done once, n counts trainings and Welch's t-test compares them; whether the \
         assignment found is but a further draw is asked of the means of the random ones (prediction interval, n − 1 \
         degrees of freedom). Where it was repeated from other seeds, n counts searches, each a mean over its trainings, and \
         Student's t-test for pairs compares networks of one genotype. Random assignments are drawn from the rules that \
         the search had.",
        evidence.n_valid, evidence.n_test
    )
}

/// What a procedure found.
pub(crate) fn genotypes(evidence: &Evidence, first: &Searched) -> String {
    let repeats = evidence.repeats(&first.name);
    let valid: Vec<f64> = repeats.iter().map(|s| s.valid_pct).collect();
    let (whose, each) = match repeats.len() {
        1 => ("Genotype of".into(), ""),
        n => (format!("Genotypes of {n} searches"), "each "),
    };
    let chosen = match first.n_trials {
        1 => "its only candidate".to_string(),
        n => format!("best of {n} candidates"),
    };
    format!(
        "{whose} `{}` in the space `{}`, {each}{chosen} ({} % of the validation images within the search); training \
         images: {}, epochs: {}",
        first.name,
        first.space,
        spread(&valid, 2),
        first.n_train,
        first.epochs
    )
}

/// The networks of a procedure, those it is compared with, and how they differ.
pub(crate) fn compared(evidence: &Evidence, first: &Searched) -> Table {
    let comparisons = match first.has_controls {
        true => evidence.comparisons(&first.name),
        false => vec![],
    };
    let against = |with: &str| numbers(comparisons.iter().find(|c| c.with == with));
    let of = |procedure: &str, group, of: fn(&Trained) -> f64| -> Vec<f64> {
        let values = evidence.values(procedure, group, |run| Some(of(run)));
        values.into_iter().flatten().collect()
    };
    let groups = evidence.groups(&first.name);
    let mut rows = vec![];
    for &group in &groups {
        let test = of(&first.name, group, |run| run.test_pct);
        let cells = vec![
            group.to_string(),
            rules(evidence, first, group),
            test.len().to_string(),
            spread(&of(&first.name, group, |run| run.valid_pct), 2),
            spread(&test, 2),
        ];
        rows.push([cells, against(&group.to_string())].concat());
    }
    let listed = |c: &&Comparison| !groups.iter().any(|group| group.to_string() == c.with);
    for c in comparisons.iter().filter(listed) {
        let (name, values) = match c.with == RANDOM {
            true => {
                let arms = evidence.group(&first.name).into_iter();
                let drawn = arms.filter(|arm| matches!(arm.kind, Kind::Random(_)));
                (
                    format!("all {}", c.with),
                    drawn.map(|arm| arm.mean_test_pct()).collect(),
                )
            }
            false => {
                let found = of(&c.with, Group::Of(Kind::Searched), |run| run.test_pct);
                (format!("the network of {}", c.with), found)
            }
        };
        let [_, n] = c.n;
        let cells = vec![
            name,
            String::new(),
            n.to_string(),
            String::new(),
            spread(&values, 2),
        ];
        rows.push([cells, numbers(Some(c))].concat());
    }
    let head = [
        "rules",
        "weights trained by",
        "n",
        "validation",
        "test",
        "found − this",
        "t (df)",
        "p",
        "p (Holm)",
    ];
    Table::new(&head, 2, rows)
}

/// The shares of weights by rule, search by search where they differ.
fn rules(evidence: &Evidence, first: &Searched, group: Group) -> String {
    let mut shares: Vec<String> = vec![];
    for search in evidence.repeats(&first.name) {
        let arms = evidence.group(&search.name).into_iter();
        shares.extend(
            arms.filter(|arm| group == Group::Of(arm.kind))
                .map(|arm| arm.rules.clone()),
        );
    }
    shares.dedup();
    shares.join("; ")
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

/// What attacks leave.
pub(crate) fn robustness(evidence: &Evidence) -> Option<Told> {
    let attacked = evidence.arms.iter().flat_map(|arm| &arm.runs);
    let attacked: Vec<_> = attacked.filter_map(|run| run.attacked.as_ref()).collect();
    let first = attacked.first()?;
    let n_images = first.n_images;
    let n_masking: usize = attacked.iter().map(|a| a.n_masking).sum();
    let faults = match attacked.iter().map(|a| a.n_faults).sum() {
        0 => "none a fault of the evaluation".to_string(),
        n => format!("{n} a fault of the evaluation: do not trust these numbers"),
    };
    let mut rows = vec![];
    for (procedure, group) in listed(evidence) {
        let known = |of: &dyn Fn(&super::Attacked) -> Option<f64>| -> Vec<f64> {
            let values = evidence.values(procedure, group, |run| of(run.attacked.as_ref()?));
            values.into_iter().flatten().collect()
        };
        let clean = known(&|a| Some(a.clean_pct));
        for (at, strength) in first
            .strengths
            .iter()
            .enumerate()
            .filter(|_| !clean.is_empty())
        {
            let of = |f: fn(&crate::Strength) -> Option<f64>| {
                spread(&known(&|a| f(a.strengths.get(at)?)), 1)
            };
            rows.push(vec![
                format!("{procedure}: {group}"),
                clean.len().to_string(),
                spread(&clean, 1),
                format!("{}/255", strength.epsilon_255),
                of(|s| s.own_pct),
                of(|s| s.exact_pct),
                of(|s| s.transfer_pct),
                of(|s| s.square_pct),
                of(|s| Some(s.worst_pct)),
                of(|s| s.masked_pct),
            ]);
        }
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
    let about = format!(
        "Percent of {n_images} test images that withstand all attacks of a kind (`evaluate --robust`; its settings \
         are in `settings.toml`, the twin is the same genotype by back-propagation from another seed). `masked`: the share \
         of what seems robust along the own feedback and falls to another attack. {n_masking} sanity checks found \
         masking, {faults}."
    );
    let table = Table {
        bold: Some(8),
        ..Table::new(&head, 1, rows)
    };
    Some((about, table))
}

/// Alignment and variance.
pub(crate) fn learning(evidence: &Evidence) -> Told {
    let mut rows = vec![];
    for (procedure, group) in listed(evidence) {
        let known = |of: &dyn Fn(&Trained) -> Option<f64>| -> Vec<f64> {
            let values = evidence.values(procedure, group, of);
            values.into_iter().flatten().collect()
        };
        let noise = |of: &dyn Fn(&Trained) -> Option<f64>| match known(of) {
            values if values.is_empty() => String::new(),
            values => format!("{:.3e}", mean(&values)),
        };
        rows.push(vec![
            format!("{procedure}: {group}"),
            spread(&known(&|run| *run.angles_deg.first()?), 1),
            spread(&known(&|run| *run.angles_deg.last()?), 1),
            known(&|run| Some(run.noise.first()?.variance))
                .len()
                .to_string(),
            noise(&|run| Some(run.noise.first()?.variance)),
            noise(&|run| Some(run.noise.last()?.variance)),
            noise(&|run| Some(run.noise.first()?.to_signal)),
            noise(&|run| Some(run.noise.last()?.to_signal)),
        ]);
    }
    let epochs = evidence.procedures().filter_map(|search| {
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
    let about = format!(
        "Angle in degrees between feedback and weights, mean over the layers that have one, weighted by their weights \
         (0 is back-propagation, 90 unrelated). Variance of a weight's gradient between batches, mean over the weights; \
         and the sum of the variances by the square of the length of the mean gradient, after an early and a late epoch ({}; mean over n).",
        match epochs.is_empty() {
            true => "not measured".into(),
            false => epochs.join("; "),
        }
    );
    (about, Table::new(&head, 1, rows))
}

/// The exported networks.
pub(crate) fn device(evidence: &Evidence) -> Table {
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
    Table::new(&head, 1, rows)
}
