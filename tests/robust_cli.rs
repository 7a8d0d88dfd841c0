//! `aplysia evaluate --robust` on a small run: cut and resumed, added to, refused.

use crate::program::aplysia_binary;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const GENOTYPE: &str = "[stem]\nchannels = 4\nkernel = 3\nstride = 2\nrule = \"brsf\"\n\
                        [head]\nrule = \"fa\"\n\
                        [[block]]\nop = \"conv\"\nkernel = 3\nstride = 2\nchannels = 8\nresidual = false\n\
                        pool = \"none\"\nrules = [\"usf\"]\n";

/// Small enough for a test: every attack, few images, steps and queries.
const SMALL: &str = "--images 24 --epsilons 8,4 --steps 3 --restarts 2 --apgd-steps 4 --queries 20 \
                     --generations 2 --draws 3 --seed 3";

fn aplysia(line: &str, paths: &[&Path]) -> Output {
    let mut paths = paths.iter();
    let words = line.split_whitespace().map(|word| match word {
        "PATH" => paths.next().unwrap().display().to_string(),
        word => word.to_string(),
    });
    Command::new(aplysia_binary()).args(words).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into()
}

/// Two runs, the second by back-propagation.
fn train(dir: &Path) -> [std::path::PathBuf; 2] {
    let genotype = dir.join("genotype.toml");
    fs::write(&genotype, GENOTYPE).unwrap();
    [("run", ""), ("twin", "--rule bp")].map(|(name, rule)| {
        let run = dir.join(name);
        let line = format!("train PATH --out PATH --images 2000 --epochs 1 --batch 32 {rule}");
        let output = aplysia(&line, &[&genotype, &run]);
        assert!(output.status.success(), "{}", errors(&output));
        run
    })
}

#[test]
fn an_evaluation_cut_and_resumed_equals_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let [run, twin] = train(dir.path());
    let line = format!("evaluate PATH --robust --twin PATH {SMALL}");
    let whole = aplysia(&line, &[&run, &twin]);
    let text = String::from_utf8(whole.stdout.clone()).unwrap();
    for words in [
        "| apgd-dlr | own |",
        "| pgd | transfer |",
        "| square | queries |",
        "worst case",
        "| rotation |",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    // So few steps may fail a check; then, and only then, the command says so.
    assert_eq!(
        whole.status.success(),
        !text.contains("FAULT"),
        "{}",
        errors(&whole)
    );
    let read = |name: &str| fs::read_to_string(run.join("robust").join(name)).unwrap();
    let (cells, summary) = (read("cells.jsonl"), read("summary.json"));
    let record: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let share = &record["rule_share"];
    assert!(share["usf"].as_f64() > share["brsf"].as_f64(), "{share}");
    let kept: Vec<&str> = cells.split_inclusive('\n').collect();
    assert_eq!(kept.len(), 1 + 5 * 3 * 2 + 2 + 1 + 1);
    let cut = kept[..9].concat() + &kept[9][..20];
    fs::write(run.join("robust/cells.jsonl"), cut).unwrap();
    aplysia(&line, &[&run, &twin]);
    assert_eq!(
        (read("cells.jsonl"), read("summary.json")),
        (cells.clone(), summary)
    );

    // Another strength is added to what is there; other settings are not.
    let more = line.replace("8,4", "8,4,1") + " --attacks fgsm";
    let output = aplysia(&more, &[&run, &twin]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(read("cells.jsonl").starts_with(&cells));
    assert_eq!(read("cells.jsonl").lines().count(), kept.len() + 3);
    let other = aplysia(
        &line.replace("--queries 20", "--queries 21"),
        &[&run, &twin],
    );
    let words = "n_queries is 20 there, 21 here; use them, or choose another --out";
    assert!(errors(&other).contains(words), "{}", errors(&other));
    let other = aplysia(&line.replace("--images 24", "--images 23"), &[&run, &twin]);
    let words = "n_images is 24 there, 23 here";
    assert!(errors(&other).contains(words), "{}", errors(&other));

    // Nothing to compare is no pass.
    let alone = aplysia(&format!("{line} --attacks one-pixel"), &[&run, &twin]);
    let text = String::from_utf8(alone.stdout).unwrap();
    assert!(text.contains("no check is possible: add pgd"), "{text}");

    for (victim, other, words) in [
        (&run, &run, "is the run under attack itself"),
        (&twin, &run, "not by bp alone"),
    ] {
        let output = aplysia(&line, &[victim, other]);
        assert!(errors(&output).contains(words), "{}", errors(&output));
    }
}

#[test]
fn what_has_no_gradient_is_refused() {
    let blob = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-mnist-m4/model.blob");
    let output = aplysia("evaluate PATH --robust", &[&blob]);
    assert!(
        errors(&output).contains("needs a run folder"),
        "{}",
        errors(&output)
    );
    for line in [
        "evaluate PATH --queries 5",
        "evaluate PATH --robust --corruption rotation",
        "evaluate PATH --robust --attacks fgsn",
    ] {
        assert_eq!(aplysia(line, &[&blob]).status.code(), Some(2), "{line}");
    }
}
