//! Reports of the flagship's study: every trial shown, well-formed, nothing from outside, hostile names.

use aplysia_report::figure::cell::drawings;
use aplysia_report::figure::graph::graphs;
use aplysia_report::figure::{main_rule, rules_in_words};
use aplysia_report::spark::spark;
use aplysia_report::{
    Attacked, Epoch, Findings, Run, Search, Strength, Supernet, SupernetEpoch, optuna, page, svg,
};
use aplysia_search::Record;
use aplysia_space::{McuSpace, Network, Rule, darts, nasbench201};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) const HOSTILE: &str = "</title><script>alert(1)</script>\"onload='x'&\u{1}";

fn record() -> Record<McuSpace> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-mnist-m4/search");
    Record::read(&dir).unwrap()
}

fn findings(name: &str) -> Findings {
    let record = record();
    let input = record.config.space.input;
    let mut search = Search::new::<_, Box<dyn std::error::Error>>(name.into(), &record, |g| {
        Ok(Network::lower(g, input, 10)?)
    })
    .unwrap();
    search.candidates[3].failure = Some(name.into());
    let network = search.candidates[0].network.clone();
    let angles_deg = network.weighted().map(|_| Some(41.5)).collect();
    let epoch = Epoch {
        train_accuracy: 0.5,
        valid_accuracy: Some(0.6),
        angles_deg,
    };
    let strength = |epsilon_255: f64| Strength {
        epsilon_255,
        own_pct: Some(80.0),
        exact_pct: Some(40.0 - epsilon_255),
        transfer_pct: None,
        square_pct: Some(50.0),
        worst_pct: 36.75 - epsilon_255,
        masked_pct: Some(61.5),
    };
    let attacked = Attacked {
        name: name.into(),
        rules: rules_in_words(&network),
        main_rule: main_rule(&network),
        n_images: 200,
        clean_pct: 91.0,
        strengths: vec![strength(2.0), strength(8.0)],
        one_pixel_pct: Some(70.0),
    };
    let run = Run {
        name: name.into(),
        settings: String::new(),
        seed: 1,
        n_train: 100,
        network,
        epochs: vec![epoch.clone(), epoch],
    };
    Findings {
        search,
        runs: vec![run],
        releases: vec![],
        attacked: vec![attacked],
    }
}

/// Whether every element is closed in order and every `&` begins an entity; `void` need no closing.
pub(crate) fn check_markup(text: &str, void: &[&str]) {
    let mut open: Vec<&str> = vec![];
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let before = &rest[..at];
        for entity in before.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(
                ["amp", "lt", "gt", "quot", "#39"].contains(&name),
                "&{name}"
            );
        }
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '/']).find(|n| !n.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !tag.starts_with('!') && !void.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

pub(crate) fn check_alone(text: &str) {
    let text = text.replace("http://www.w3.org/2000/svg", "");
    for word in [
        "http:", "https:", "//", "url(", "@import", "<script", "src=", "href=", "onload='",
    ] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn a_page_shows_every_trial_and_needs_nothing_else() {
    let findings = findings("first");
    let html = page::html(&findings);
    check_markup(&html, &["meta"]);
    check_alone(&html);
    for i in 0..findings.search.candidates.len() {
        assert!(html.contains(&format!("<td>trial {i}</td>")), "trial {i}");
        assert!(
            html.contains(&format!("<title>trial {i}, after 2 epochs")),
            "{i}"
        );
    }
}

#[test]
fn a_page_shows_what_attacks_leave() {
    let mut findings = findings("first");
    let html = page::html(&findings);
    let row =
        "<td>8/255</td><td>91.0</td><td>80.0</td><td>32.0</td><td></td><td>50.0</td><td>28.8</td>";
    assert!(html.contains(row));
    assert!(html.contains("Under attack"));
    let figures = page::figures(&findings);
    let gradients = figures.iter().find(|f| f.name == "robustness-1").unwrap();
    let text = gradients.inline();
    assert!(text.contains("own feedback") && text.contains("square"));
    assert!(!text.contains("transfer"), "nothing was tried");
    findings.attacked.clear();
    assert!(!page::html(&findings).contains("Under attack"));
}

#[test]
fn a_page_shows_how_supernets_learned() {
    let mut findings = findings("first");
    assert!(!page::html(&findings).contains("<h2>Supernets</h2>"));
    let favoured = findings.search.candidates[0].network.clone();
    let epoch = |architecture_accuracy, eigenvalue| SupernetEpoch {
        weights_accuracy: 0.25,
        architecture_accuracy,
        eigenvalue,
        favoured: favoured.clone(),
    };
    let epochs = vec![epoch(None, None), epoch(Some(0.125), Some(0.75))];
    findings.search.supernets = vec![Supernet { trial: 3, epochs }];
    let html = page::html(&findings);
    check_markup(&html, &["meta"]);
    for tip in [
        "epoch 1: 25.00 % of the images of the weights",
        "epoch 2: 12.50 % of the images of the architecture",
        "epoch 2: 0.7500",
    ] {
        assert!(html.contains(tip), "{tip}");
    }
    assert!(
        !html.contains("epoch 1: 0.00 %"),
        "weights alone learned then"
    );
    let figures = page::figures(&findings);
    let of = figures.iter().filter(|f| f.name.starts_with("supernet-3-"));
    assert_eq!(of.count(), 3);
    for (rule, share) in favoured.rule_share() {
        let tip = format!("epoch 2: {rule} {:.1} %", 100.0 * share);
        assert!(html.contains(&tip), "{tip}");
    }
}

#[test]
fn hostile_names_are_text() {
    let findings = findings(HOSTILE);
    let html = page::html(&findings);
    check_markup(&html, &["meta"]);
    check_alone(&html);
    assert!(html.contains("&lt;script&gt;alert(1)"));
    assert_eq!(svg::escape("\u{1}<'\""), "\u{fffd}&lt;&#39;&quot;");
}

#[test]
fn every_figure_is_a_file_of_its_own() {
    let figures = page::figures(&findings(HOSTILE));
    let names: BTreeSet<&String> = figures.iter().map(|f| &f.name).collect();
    assert_eq!(names.len(), figures.len());
    for name in [
        "pareto-ram",
        "history",
        "history-rules",
        "rule-share",
        "accuracy",
        "alignment-1",
        "robustness",
        "robustness-1",
    ] {
        assert!(names.contains(&name.to_string()), "{name}");
    }
    for figure in &figures {
        let file = figure.file();
        check_markup(&file, &[]);
        check_alone(&file);
    }
}

#[test]
fn cells_are_drawn_by_kind() {
    let genotype = darts::published("BIODARTS").unwrap();
    let network = darts::Skeleton::cifar(10).lower(&genotype).unwrap();
    let cells = drawings(&network);
    assert_eq!(cells.len(), 2, "normal and reduction");
    for cell in &cells {
        let edges = cell
            .parts
            .iter()
            .filter(|p| p.name.starts_with("node") && p.name.contains('.'));
        assert!(edges.count() <= 8);
        assert!(
            cell.parts
                .iter()
                .any(|p| p.layers.iter().any(|(rule, _)| *rule != Rule::Bp))
        );
        for (i, part) in cell.parts.iter().enumerate() {
            assert!(
                part.inputs.iter().all(|&j| j < i),
                "{} reads what comes later",
                part.name
            );
        }
    }
    let cell =
        "|nor_conv_3x3:usf~0|+|none~0|skip_connect~1|+|nor_conv_1x1:fa~0|none~1|avg_pool_3x3~2|";
    let genotype = nasbench201::Genotype {
        cell: cell.parse().unwrap(),
        rules: nasbench201::PlaceRules::all(Rule::Bp),
    };
    let network = nasbench201::Skeleton::published(16, 10)
        .lower(&genotype)
        .unwrap();
    let cells = drawings(&network);
    assert_eq!(cells.len(), 1);
    let names: Vec<&str> = cells[0].parts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        ["from stem", "node1.0", "node3.0", "node3.2", "node3"]
    );
    for figure in graphs("cell", &network) {
        check_markup(&figure.file(), &[]);
    }
}

#[test]
fn the_journal_holds_every_trial_as_optuna_reads_it() {
    let search = findings("first").search;
    let journal = optuna::journal(&search);
    let lines: Vec<Value> = journal
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let codes: Vec<u64> = lines
        .iter()
        .map(|l| l["op_code"].as_u64().unwrap())
        .collect();
    let n = search.candidates.len();
    assert_eq!(codes, [vec![0, 3, 2], vec![4; n]].concat());
    assert_eq!(lines[0]["study_name"], "first");
    for (trial, candidate) in lines[3..].iter().zip(&search.candidates) {
        let full = candidate.final_accuracy(search.budgets.len());
        assert_eq!(trial["values"][0].as_f64(), full);
        let state = match (&candidate.failure, full) {
            (Some(_), _) => 3,
            (None, Some(_)) => 1,
            (None, None) => 2,
        };
        assert_eq!(trial["state"], state);
        assert_eq!(
            trial["params"].as_object().unwrap().len(),
            trial["distributions"].as_object().unwrap().len()
        );
        let rule: Value =
            serde_json::from_str(trial["distributions"]["stem.rule"].as_str().unwrap()).unwrap();
        let index = trial["params"]["stem.rule"].as_f64().unwrap() as usize;
        assert_eq!(
            rule["attributes"]["choices"][index],
            candidate.genotype["stem"]["rule"]
        );
        assert_eq!(
            trial["params"]["stem.channels"].as_f64(),
            candidate.genotype["stem"]["channels"].as_f64()
        );
    }
}

#[test]
fn a_curve_in_a_line_has_the_shape_of_its_values() {
    let line = |values: &[f64]| spark(values, 8);
    assert_eq!(line(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
    assert_eq!(line(&[2.0, f64::NAN, 1.0]), "█ ▁");
    assert_eq!((line(&[]), line(&[3.0; 3])), (String::new(), "▁▁▁".into()));
    // Nine values in eight characters: the last is the mean of two.
    let nine: Vec<f64> = (0..9).map(|i| f64::from(u8::from(i == 8))).collect();
    assert_eq!(line(&nine), "▁▁▁▁▁▁▁█");
    let many: Vec<f64> = (0..1001).map(f64::from).collect();
    assert_eq!(line(&many), "▁▂▃▄▅▆▇█");
}
