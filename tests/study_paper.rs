//! `aplysia study paper` at its smallest: killed and continued, the same results; grown; refused.

use crate::program::{aplysia_binary, firmware};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn study(out: &Path, size: &str) -> Command {
    let mut command = Command::new(aplysia_binary());
    command
        .args(["study", "paper"])
        .arg(out)
        .args(["--size", size]);
    command.arg("--firmware").arg(firmware());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into()
}

fn n_units(out: &Path) -> usize {
    let text = fs::read_to_string(out.join("units.jsonl")).unwrap_or_default();
    text.matches('\n').count().saturating_sub(1)
}

/// Runs until so many units are finished, then kills.
fn kill_at(out: &Path, n: usize) {
    let mut child = study(out, "smoke").stdout(Stdio::null()).spawn().unwrap();
    while n_units(out) < n {
        assert_eq!(child.try_wait().unwrap(), None, "ended before unit {n}");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_study_killed_and_continued_equals_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| dir.path().join(name));
    let output = study(&whole, "smoke").output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    // Five searches, one of them a repeat, four exports. From 2 seeds, trainings, gradients and attacks: of 8 networks
    // of the space mcu with gradients at two moments, of 7 of cells, which are trained for one epoch, at one.
    assert_eq!(n_units(&whole), 5 + 8 * 2 * 4 + 7 * 2 * 3 + 4);
    for n in [1, 5, 60, 112] {
        kill_at(&cut, n);
    }
    let output = study(&cut, "smoke").output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(n_units(&cut), n_units(&whole));
    let mut names: Vec<_> = fs::read_dir(whole.join("results"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    for name in &names {
        let read = |out: &Path| fs::read(out.join("results").join(name)).unwrap();
        assert!(read(&whole) == read(&cut), "{}", name.display());
    }
    assert_eq!(names.len(), 3 + 2 * 4, "{names:?}");

    let text = fs::read_to_string(whole.join("results/README.md")).unwrap();
    for words in [
        "| usf everywhere |",
        "| all random assignments |",
        "| the network of bp-search |",
        "Genotypes of 2 searches `bp-search` in the space `mcu`, each best of 2 candidates",
        "| the network of eg-nas |",
        "Genotype of `darts` in the space `darts`, its only candidate",
        "training images: 256, epochs: 1",
        "evolution: 0 and 2; bp-search: 0 and 2; darts: 0 and 0; eg-nas: 0 and 0",
        "searching the mix beats drawing it at random",
        "evolution: as found | 2 |",
        "4 of 4",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let summary = fs::read(whole.join("results/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let arms = summary["evidence"]["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 15);
    for arm in arms {
        let of_cells = arm["search"] == "darts" || arm["search"] == "eg-nas";
        // Without controls there is no twin by back-propagation.
        let has_twin = arm["search"] != "eg-nas";
        for run in arm["runs"].as_array().unwrap() {
            assert!(run["test_pct"].as_f64().is_some_and(|a| a > 0.0), "{arm}");
            let n_noise = run["noise"].as_array().unwrap().len();
            assert_eq!(n_noise, if of_cells { 1 } else { 2 });
            let transfer = &run["attacked"]["strengths"][0]["transfer_pct"];
            assert_eq!(transfer.is_number(), has_twin, "{arm}");
        }
    }
    // In both spaces three single rules, all random assignments, the network of the other search there.
    assert_eq!(summary["comparisons"].as_array().unwrap().len(), 2 * 5);
    // No search for back-propagation in the space darts.
    let claims = summary["claims"].as_array().unwrap();
    let of_bp = |c: &&Value| {
        c["claim"]
            .to_string()
            .contains("searched for back-propagation")
    };
    assert_eq!(claims.iter().filter(of_bp).count(), 1, "{claims:?}");
    for search in summary["evidence"]["searches"].as_array().unwrap() {
        // The first of its procedure runs on the device.
        let device = &search["device"];
        assert_eq!(
            device.is_null(),
            search["name"] == "bp-search-2",
            "{search}"
        );
        assert!(device.is_null() || device["n_equal"] == 4, "{search}");
    }

    // One more rule: only what it adds is measured.
    let settings = fs::read_to_string(whole.join("results/settings.toml")).unwrap();
    let more = settings.replace("\"kp\"", "\"fa\",\n    \"kp\"");
    assert_ne!(more, settings);
    let file = dir.path().join("more.toml");
    fs::write(&file, &more).unwrap();
    let before = n_units(&whole);
    let output = study(&whole, file.to_str().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(n_units(&whole), before + 2 * 4 + 2 * 3);

    for (wrong, why) in [
        (
            more.replace("--images 512", "--imags 512"),
            "flags of `train`",
        ),
        (
            more.replace("\"evolution\"", "\"bp-search-2\""),
            "two searches are named bp-search-2",
        ),
    ] {
        assert_ne!(wrong, more);
        fs::write(&file, wrong).unwrap();
        let output = study(&whole, file.to_str().unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(errors(&output).contains(why), "{}", errors(&output));
    }
}
