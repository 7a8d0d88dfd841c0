//! The page of the evidence for mixed rules, made from the stored results.

use crate::program::aplysia_binary;
use crate::report::{HOSTILE, check_alone, check_markup};
use aplysia_report::evidence::{Evidence, Kind};
use aplysia_report::figure::arms;
use aplysia_report::page;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/paper")
}

fn stored() -> Value {
    let bytes = fs::read(folder().join("summary.json")).unwrap();
    let mut summary: Value = serde_json::from_slice(&bytes).unwrap();
    summary["evidence"].take()
}

#[test]
fn results_are_read_back_as_they_were_written() {
    let evidence: Evidence = serde_json::from_value(stored()).unwrap();
    assert_eq!(serde_json::to_value(&evidence).unwrap(), stored());
}

#[test]
fn a_page_shows_all_evidence_and_needs_nothing_else() {
    let mut evidence: Evidence = serde_json::from_value(stored()).unwrap();
    let html = page::evidence("paper", &evidence, "about = \"settings\"");
    check_markup(&html, &["meta"]);
    check_alone(&html);
    for words in [
        "<h2>What held</h2>",
        "<h2>Alignment</h2>",
        "<h2>Variance of the gradient</h2>",
        "<h2>Under attack</h2>",
        "<h2>On the device</h2>",
        "about = &quot;settings&quot;",
        "random assignments",
    ] {
        assert!(html.contains(words), "{words}");
    }
    for arm in &evidence.arms {
        let search = evidence
            .searches
            .iter()
            .find(|s| s.name == arm.search)
            .unwrap();
        let procedure = &search.procedure;
        let kind = match arm.kind {
            Kind::Random(_) if evidence.repeats(procedure).len() > 1 => "random assignments".into(),
            kind => kind.to_string(),
        };
        let row = format!("<td class=\"words\">{procedure}: {kind}</td>");
        assert!(html.contains(&row), "{row}");
        for run in &arm.runs {
            let tip = format!("{}, seed {}: {:.2} %", arm.kind, run.seed, run.test_pct);
            let shown = search.has_controls && search.name == *procedure;
            assert!(html.contains(&tip) || !shown, "{tip}");
        }
    }
    // The tables are those of the stored text.
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(" ± "));
    for cell in rows.flat_map(|row| row.trim_matches('|').split(" | ")) {
        let cell = cell
            .trim()
            .trim_matches('*')
            .replace("< 0.001", "&lt; 0.001");
        assert!(html.contains(&format!(">{cell}</td>")), "{cell}");
    }
    // Four figures of a genotype of every procedure that was trained under other rules.
    let figures = arms::all(&evidence);
    let with_controls = evidence.procedures().filter(|s| s.has_controls);
    assert_eq!(figures.len(), 4 * with_controls.count());
    for figure in &figures {
        assert!(html.contains(&figure.inline()), "{}", figure.name);
    }

    // What was not measured is not shown, and texts from outside are texts.
    evidence.searches[0].genotype = HOSTILE.into();
    for search in &mut evidence.searches {
        search.device = None;
    }
    for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
        run.attacked = None;
        run.noise.clear();
    }
    let html = page::evidence(HOSTILE, &evidence, "");
    check_markup(&html, &["meta"]);
    check_alone(&html);
    for words in [
        "Under attack",
        "Variance of the gradient",
        "On the device",
        "Settings",
    ] {
        assert!(!html.contains(words), "{words}");
    }
}

fn report(study: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(aplysia_binary());
    command
        .arg("report")
        .arg(study)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn a_report_is_made_of_a_study_of_the_paper_without_its_images() {
    let dir = tempfile::tempdir().unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let nowhere = ["--data", "/nowhere"];
    let [page, figures] = ["page.html", "figures"].map(|name| dir.path().join(name));
    let to = ["--out", &text(&page), "--svg", &text(&figures)];
    let output = report(&folder(), &[&nowhere[..], &to].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(fs::read_to_string(&page).unwrap().contains("What held"));
    let robustness = fs::read_to_string(figures.join("robustness-evolution.svg")).unwrap();
    check_markup(&robustness, &[]);

    let study = dir.path().join("study");
    fs::create_dir_all(study.join("results")).unwrap();
    let summary = study.join("results/summary.json");
    fs::copy(folder().join("summary.json"), &summary).unwrap();
    assert!(report(&study, &nowhere).status.success());
    assert!(study.join("report.html").exists());
    let refused = report(&study, &["--run", "some-run"]);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(
        errors.contains("belong to the report of a search"),
        "{errors}"
    );
    fs::write(&summary, "{\"evidence\":{}}").unwrap();
    let errors = report(&study, &nowhere).stderr;
    let errors = String::from_utf8_lossy(&errors);
    assert!(
        errors.contains("summary.json is not the evidence"),
        "{errors}"
    );
}
