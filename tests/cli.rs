//! The command line tool as its users meet it: killed, interrupted, out of disk, misused, without data.
//!
//! Starts the real program on the real images, with budgets of seconds. Every blow falls on something
//! observed (lines of the ledger, lines of output), never on a time.

use crate::program::{aplysia_binary, firmware};
use aplysia_data::Source;
use aplysia_data::fashion_mnist::FILES;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

pub(crate) const GENOTYPE: &str = r#"
[stem]
channels = 8
kernel = 3
stride = 2
rule = "usf"
[head]
rule = "brsf"
[[block]]
op = "separable"
kernel = 3
channels = 12
stride = 2
residual = false
pool = "none"
rules = ["frsf", "fa"]
"#;

#[derive(Clone, Copy)]
enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
}

impl Blow {
    fn strike(self, child: &mut Child) {
        match self {
            Blow::Kill => child.kill().unwrap(),
            Blow::Interrupt => {
                let line = format!("kill -INT {}", child.id());
                assert!(run(Command::new("sh").args(["-c", &line])).status.success());
            }
        }
    }

    fn check(self, status: ExitStatus) {
        match self {
            Blow::Kill => assert_eq!(status.signal(), Some(9)),
            Blow::Interrupt => assert_eq!(status.code(), Some(130)),
        }
    }
}

fn aplysia(args: &[&str]) -> Command {
    let mut command = Command::new(aplysia_binary());
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// The command on a disk that takes no file beyond 4 KiB.
fn on_full_disk(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    limited
}

/// Runs to the end, which must be a good one.
fn finish(args: &[&str]) {
    let output = run(&mut aplysia(args));
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
}

/// Runs to the end, which must be `code` with all `words` in the message.
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let output = run(command);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {message}");
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // A line may be half written.
    text.lines().flat_map(serde_json::from_str).collect()
}

/// The trainings in a file of JSON lines: (trial, rung).
fn trainings(lines: &[Value]) -> BTreeSet<(u64, u64)> {
    let pair = |line: &Value| Some((line["trial"].as_u64()?, line["rung"].as_u64()?));
    lines.iter().filter_map(pair).collect()
}

fn search(study: &str, resume: bool) -> Command {
    let line = "--trials 4 --population 2 --images 256 --rungs 1,2 --instructions 3000000 --seed 5";
    let mut command = aplysia(&["search", study]);
    match resume {
        true => command.arg("--resume"),
        false => command.args(line.split(' ')),
    };
    command
}

/// Starts or resumes the study and strikes as soon as its ledger has `n_lines`.
fn strike_at_line(study: &Path, n_lines: usize, blow: Blow) {
    let ledger = || lines(&study.join("ledger.jsonl"));
    let timings = || lines(&study.join("timings.jsonl"));
    let (finished, n_timings) = (trainings(&ledger()), timings().len());
    assert!(ledger().len() < n_lines, "the last process went too far");
    let mut child = search(study.to_str().unwrap(), study.join("study.toml").exists())
        .spawn()
        .unwrap();
    while ledger().len() < n_lines {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "ended before line {n_lines}"
        );
        std::thread::yield_now();
    }
    blow.strike(&mut child);
    blow.check(child.wait_with_output().unwrap().status);
    let repeated = &finished & &trainings(&timings()[n_timings..]);
    assert!(repeated.is_empty(), "trained again: {repeated:?}");
}

#[test]
fn a_search_cut_many_times_equals_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let output = run(&mut search(whole.to_str().unwrap(), false));
    assert!(output.status.success(), "{}", stderr(&output));
    // Two generations: 2 candidates, 2 trainings on the first rung, 1 on the second.
    assert_eq!(lines(&whole.join("ledger.jsonl")).len(), 10);

    strike_at_line(&cut, 1, Blow::Kill);
    let rung = cut.join("trials/00000/rung0");
    fs::create_dir_all(&rung).unwrap();
    let whole_study = search(cut.to_str().unwrap(), true);
    refused(
        &mut on_full_disk(&whole_study),
        1,
        &["checkpoint.bin", "File too large"],
    );
    assert_eq!(fs::read_dir(&rung).unwrap().count(), 0, "left behind");
    strike_at_line(&cut, 3, Blow::Kill);
    strike_at_line(&cut, 5, Blow::Kill);
    strike_at_line(&cut, 7, Blow::Interrupt);
    strike_at_line(&cut, 9, Blow::Kill);
    let output = run(&mut search(cut.to_str().unwrap(), true));
    assert!(output.status.success(), "{}", stderr(&output));

    for file in ["study.toml", "ledger.jsonl", "front.json"] {
        let text = |study: &Path| fs::read_to_string(study.join(file)).unwrap();
        assert_eq!(text(&cut), text(&whole), "{file}");
    }
}

/// Trains and strikes after the line of `epoch`.
fn strike_after_epoch(args: &[&str], epoch: usize, blow: Blow) {
    let mut child = aplysia(args).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(&format!("epoch {epoch:>3} ")) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "no epoch {epoch}");
    }
    blow.strike(&mut child);
    output.read_to_string(&mut line).unwrap();
    blow.check(child.wait().unwrap());
}

#[test]
fn a_training_cut_twice_equals_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let genotype = dir.path().join("genotype.toml");
    fs::write(&genotype, GENOTYPE).unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let line = |out: &Path, more: &str| {
        let (genotype, out) = (genotype.display(), out.display());
        format!("train {genotype} --out {out} --epochs 4 --seed 3 {more}")
    };
    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }
    finish(&words(&line(&whole, "--images 512")));

    let same = line(&cut, "--images 512");
    strike_after_epoch(&words(&same), 1, Blow::Kill);
    strike_after_epoch(&words(&same), 2, Blow::Interrupt);
    let other = line(&cut, "--images 512 --lr 0.05");
    let message = ["lr is 0.1 there, 0.05 here"];
    refused(&mut aplysia(&words(&other)), 1, &message);
    let other = line(&cut, "--images 256");
    let message = ["number of training images is 512 there, 256 here"];
    refused(&mut aplysia(&words(&other)), 1, &message);
    let files = || fs::read_dir(&cut).unwrap().count();
    let before = files();
    let full_disk = [
        "checkpoint.bin",
        "the same command goes on",
        "File too large",
    ];
    refused(&mut on_full_disk(&aplysia(&words(&same))), 1, &full_disk);
    assert_eq!(files(), before, "left behind");
    finish(&words(&same));

    let bytes = |run: &Path| fs::read(run.join("params.json")).unwrap();
    assert!(bytes(&cut) == bytes(&whole), "parameters differ");
    assert_eq!(history(&cut), history(&whole));
}

#[test]
fn a_last_training_takes_the_validation_images_too_and_its_card_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["genotype.toml", "run", "model"].map(|name| dir.path().join(name));
    let [genotype, run, model] = paths.each_ref().map(|path| path.to_str().unwrap());
    fs::write(genotype, GENOTYPE).unwrap();
    let flags = ["--first-classes", "2", "--with-validation"];
    let train = ["train", genotype, "--out", run, "--epochs", "1"];
    finish(&[&train[..], &flags].concat());
    let record: Value =
        serde_json::from_slice(&fs::read(paths[1].join("run.json")).unwrap()).unwrap();
    assert_eq!(record["n_train"], 12_000);
    assert_eq!(record["history"][0]["valid_accuracy"], Value::Null);
    let export = ["export", run, "--out", model, "--calibration", "32"];
    finish(&[&export[..], &flags[..2]].concat());
    let card = fs::read_to_string(paths[2].join("card.toml")).unwrap();
    assert!(
        card.contains("--with-validation --first-classes 2\"")
            && card.contains("--golden 32 --first-classes 2\"")
            && card.contains("n_train = 12000"),
        "{card}"
    );
    let both = [&train[..], &flags, &["--images", "64"]].concat();
    refused(&mut aplysia(&both), 2, &["--with-validation", "--images"]);
}

/// One record per epoch.
fn history(run: &Path) -> Value {
    let record: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["history"].as_array().unwrap().len(), 4);
    record["history"].clone()
}

#[test]
fn wrong_usage_ends_with_status_2_and_names_the_word() {
    for (line, word) in [
        ("serach here", "serach"),
        ("search", "<STUDY>"),
        ("search here --trials few", "few"),
        ("search here --rules usf,oja", "oja"),
        ("search here --device tpu", "tpu"),
        #[cfg(not(feature = "cuda"))]
        ("search here --device cuda", "cuda"),
        #[cfg(not(feature = "wgpu"))]
        ("search here --device wgpu", "wgpu"),
        ("search here --population 0", "at least 1"),
        ("search here --resume --trials 3", "--trials"),
        ("search here --resume --lr 0.1", "--lr"),
        ("search here --second-order", "--strategy darts"),
        (
            "search here --strategy random --partial 4",
            "darts or eg-nas",
        ),
        (
            "search here --strategy darts --es-sigma 2",
            "--strategy eg-nas",
        ),
        ("train genotype.toml --out run --epochs 0", "--epochs"),
        ("train genotype.toml --out run --lr fast", "fast"),
        ("train genotype.toml --out run --ephocs 3", "--ephocs"),
        #[cfg(not(feature = "cuda"))]
        ("train genotype.toml --out run --device cuda", "cuda"),
        ("evaluate run --severity 3", "--corruption"),
        ("evaluate run --corruption fog", "fog"),
        ("device adapt model.blob --severity 6", "6"),
        ("device adapt model.blob --homeostasis 11", "11"),
        ("device adapt model.blob --instar-shift 1", "--instar-shift"),
        ("device adapt model.blob --delta-rate 9", "--head"),
        ("completions tcsh", "tcsh"),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        refused(&mut aplysia(&args), 2, &[word]);
    }
    assert!(!Path::new("here").exists(), "a study without a device");
}

#[test]
fn what_is_not_there_is_named_with_what_to_do() {
    for (line, words) in [
        (
            "search nothing --resume",
            ["nothing holds no study", "without --resume"],
        ),
        ("evaluate nothing", ["nothing", "aplysia export"]),
        ("search here --cells 3", ["--cells", "space mcu"]),
        (
            "train BIODART --out here",
            ["BIODART;", "BIODARTS, LR_NAS1"],
        ),
        ("inspect BIODART", ["a blob that", "the folder of a run"]),
        ("report nothing", ["nothing is not the folder", "--run"]),
        (
            "export nothing --out here",
            ["nothing", "aplysia train --out"],
        ),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        refused(&mut aplysia(&args), 1, &words);
    }
}

#[test]
fn a_full_standard_output_is_said() {
    let blob = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../models/fashion-mnist-m4/model.blob"
    );
    for args in [
        &["run", blob][..],
        &["inspect", blob],
        &["completions", "bash"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let command = &mut aplysia(args);
        refused(command.stdout(full), 1, &["No space left on device"]);
    }
}

#[test]
fn missing_and_truncated_data_are_named_with_size_and_sha_256() {
    let dir = tempfile::tempdir().unwrap();
    let (data, study) = (dir.path().to_str().unwrap(), dir.path().join("study"));
    let spec = &FILES[0];
    let size = spec.gz_bytes.to_string();
    let words = [spec.name, &size, spec.gz_sha256, "--data DIR"];
    let mut command = aplysia(&["search", study.to_str().unwrap(), "--data", data]);
    refused(&mut command, 1, &words);
    let published = Source::FashionMnist.locate(None).unwrap();
    let whole = fs::read(published.join(spec.name)).unwrap();
    fs::write(dir.path().join(spec.name), &whole[..whole.len() / 3]).unwrap();
    refused(&mut command, 1, &words);
    assert!(!study.exists(), "a study without data");
}

#[test]
fn a_missing_emulator_is_named_with_the_way_to_get_it() {
    let blob = concat!(env!("CARGO_MANIFEST_DIR"), "/blobs/v1-tiny.blob");
    let elf = firmware();
    let args = [
        "device",
        "emulate",
        blob,
        "--firmware",
        elf.to_str().unwrap(),
    ];
    let words = ["qemu-system-arm not found", "apt-get install"];
    refused(aplysia(&args).env("PATH", ""), 2, &words);
    let foreign = ["device", "emulate", blob, "--firmware", blob];
    refused(&mut aplysia(&foreign), 1, &["is no program for Arm"]);
    // A study of hours says so at its start.
    let study = ["study", "paper", "here", args[3], args[4]];
    refused(aplysia(&study).env("PATH", ""), 2, &words);
    assert!(!Path::new("here").exists(), "a study without a board");
}
