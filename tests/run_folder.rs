//! A run folder on the command line: what a training says at its start, damaged files, what they say.

use crate::program::aplysia_binary;
use std::fs;
use std::path::Path;
use std::process::Command;

const GENOTYPE: &str = "[stem]\nchannels = 4\nkernel = 3\nstride = 2\nrule = \"usf\"\n\
                        [head]\nrule = \"bp\"\n\
                        [[block]]\nop = \"conv\"\nkernel = 3\nstride = 2\nchannels = 8\nresidual = false\n\
                        pool = \"none\"\nrules = [\"usf\"]\n";

/// Whether the command ended well, its standard output and its messages.
fn aplysia(line: &str, paths: &[&Path]) -> (bool, String, String) {
    let mut paths = paths.iter();
    let words = line.split_whitespace().map(|word| match word {
        "PATH" => paths.next().unwrap().display().to_string(),
        word => word.to_string(),
    });
    let output = Command::new(aplysia_binary()).args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn damage_is_named_and_mended_by_the_same_command() {
    let dir = tempfile::tempdir().unwrap();
    let [genotype, run] = ["genotype.toml", "run"].map(|name| dir.path().join(name));
    fs::write(&genotype, GENOTYPE).unwrap();
    let line = "train PATH --out PATH --images 64 --epochs 1 --rule kolen-pollack --weight-decay 0";
    let train = |more: &str| aplysia(&format!("{line}{more}"), &[&genotype, &run]);

    for (more, words) in [
        (" --channels 8", "--channels changes nothing"),
        (" --drop-path 0.5", "--drop-path changes nothing"),
    ] {
        let (done, _, errors) = train(more);
        assert!(!done && errors.contains(words), "{errors}");
    }
    let (done, story, errors) = train("");
    assert!(done, "{errors}");
    assert!(
        story.contains(" weights, trained by: kp 100.0 %")
            && story.ends_with("/run, weights trained by: kp 100.0 %\n"),
        "{story}"
    );
    assert!(
        errors.contains("the feedback of kp never aligns"),
        "{errors}"
    );

    let [params, checkpoint] = ["params.json", "checkpoint.bin"].map(|name| run.join(name));
    let halve = |path: &Path| {
        let whole = fs::read(path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
        whole
    };
    let other = fs::File::open(&run).unwrap();
    other.try_lock().unwrap();
    let (done, _, errors) = train("");
    assert!(
        !done && errors.contains("no other process trains there"),
        "{errors}"
    );
    drop(other);
    let whole = halve(&params);
    let (done, _, errors) = aplysia("evaluate PATH", &[&run]);
    assert!(!done, "half of the parameters");
    assert!(
        errors.contains("params.json is damaged; the same `aplysia train` command"),
        "{errors}"
    );
    assert!(train("").0);
    assert!(fs::read(&params).unwrap() == whole, "parameters differ");

    // A record of an earlier version, which does not say which rules trained the weights.
    let path = run.join("run.json");
    let record = fs::read(&path).unwrap();
    let mut old: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let share = old.as_object_mut().unwrap().remove("rule_share").unwrap();
    assert_eq!(share, serde_json::json!({ "kp": 1.0 }));
    fs::write(&path, old.to_string()).unwrap();
    let (done, story, errors) = aplysia("evaluate PATH", &[&run]);
    assert!(done, "{errors}");
    assert!(
        story.ends_with(" test images\nweights trained by: kp 100.0 %\n"),
        "{story}"
    );
    fs::write(&path, record).unwrap();

    let whole = halve(&checkpoint);
    let (done, _, errors) = train("");
    assert!(!done, "half of a checkpoint");
    for words in ["checkpoint.bin: not a checkpoint", "remove its run.json"] {
        assert!(errors.contains(words), "{errors}");
    }
    for path in [&checkpoint, &run.join("run.json")] {
        fs::remove_file(path).unwrap();
    }
    assert!(train("").0);
    assert!(
        fs::read(&checkpoint).unwrap() == whole,
        "checkpoint differs"
    );
}

#[test]
fn a_search_trains_with_the_options_of_its_rules_and_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let [options, clipped, plain, none] =
        ["options.toml", "clipped", "plain", "none"].map(|name| dir.path().join(name));
    fs::write(&options, "[rules.usf]\ngradient_clip = 0.0009765625\n").unwrap();
    let line = "search PATH --trials 1 --population 1 --rungs 1 --images 2000 --rules usf";
    let with = format!("{line} --rule-options PATH");
    let (done, _, errors) = aplysia(&with, &[&clipped, &options]);
    assert!(done, "{errors}");
    let (done, _, errors) = aplysia(line, &[&plain]);
    assert!(done, "{errors}");
    let read = |study: &Path, file: &str| fs::read_to_string(study.join(file)).unwrap();
    let kept = read(&clipped, "study.toml");
    assert!(kept.contains("gradient_clip = 0.0009765625"), "{kept}");
    let [a, b] = [&clipped, &plain].map(|study| read(study, "ledger.jsonl"));
    let (first, score) = a.split_once('\n').unwrap();
    assert!(b.starts_with(first), "the same candidate");
    assert!(!b.ends_with(score), "the options changed nothing");

    let resumed = format!("{with} --resume");
    let (done, _, errors) = aplysia(&resumed, &[&clipped, &options]);
    assert!(!done && errors.contains("--rule-options"), "{errors}");
    fs::write(&options, "[rules.usf]\ngradient_clop = 1\n").unwrap();
    let (done, _, errors) = aplysia(&with, &[&none, &options]);
    assert!(
        !done && errors.contains("holds no rule options"),
        "{errors}"
    );
    assert!(!none.exists());
}
