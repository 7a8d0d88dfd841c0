//! The command line, parsed by hand. Knows the words, not what they do.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Printed by `--help` and after a command line that does not parse.
pub(crate) const HELP: &str = "\
cargo xtask TASK [OPTIONS]

  demo [ARGS]   set up what is missing, build the firmware, run `aplysia demo ARGS`
  test          set up what is missing, then format, lints, all tests, cross checks
  setup         only the set-up: ARM target, qemu-system-arm, Fashion-MNIST, C compiler
  firmware      build the device program by the route that setup chose, print its path
  bench-device  measure layers and networks on every emulated core, write models/bench
  bench-genotypes  measure networks of 50 random genotypes and what the cost model predicts of them
  bench-train [ARGS]  training speed against PyTorch (installed beside the build), write models/bench
  fuzz [TARGET] attack blob, flash, import, protocol, update or all: guided on a nightly Rust
  endure [RUN]  the emulated device for hours, what it saw into models/bench/endurance.json: soak (100000 hostile
                frames), commits and updates (1000 kills while it commits, while it is updated), or all

Options of setup and test, and of demo before or among ARGS:
  --data DIR             the Fashion-MNIST files are here; nothing is installed for them
                         (the same as the variable APLYSIA_DATA)
Options of setup and test, and of demo before ARGS:
  --force-debian-rust    build the firmware with Debian's Rust packages, as if rustup failed
Options of fuzz:
  --seconds N, --runs N  how long each target runs; 60 seconds
  --keep                 then keep in tests/fuzz/corpus what reaches every edge that was reached
Options of endure:
  --times N              so many frames or kills, and nothing is kept
ARGS of bench-train: --device cpu|cuda|wgpu, --network NAME, --rounds N, --seconds N, --batch N

Examples:
  cargo xtask demo --json story.json
  cargo xtask test --data ~/fashion-mnist
  cargo xtask setup --force-debian-rust && cargo xtask firmware

CARGO_TARGET_DIR is respected. Exit status: 0 done, 1 a step failed, 2 the command line is wrong;
demo ends with the status of `aplysia demo`.
";

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Setup,
    Firmware,
    Test,
    BenchDevice,
    BenchGenotypes,
    BenchTrain,
    Fuzz,
    Endure,
    Demo,
}

/// How long a target of the fuzzer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Seconds(u64),
    Runs(u64),
}

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) task: Task,
    /// Build the firmware with Debian's toolchain although rustup might do.
    pub(crate) force_debian_rust: bool,
    /// Folder of the dataset, if the user names one.
    pub(crate) data: Option<PathBuf>,
    /// What to fuzz, or which run of endurance; everything if none.
    pub(crate) target: Option<String>,
    /// How long to fuzz.
    pub(crate) limit: Option<Limit>,
    /// Whether what reaches every edge becomes the kept corpus.
    pub(crate) keep: bool,
    /// Frames or kills of a run of endurance, if not as many as its promise says.
    pub(crate) times: Option<u64>,
    /// Arguments for `aplysia demo`, `--data` included, or for the bench of training.
    pub(crate) rest: Vec<String>,
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// An unknown task or option, `--data` without a folder, or a limit that is no number.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Options> {
    let mut args = args.into_iter();
    let task = match args.next().as_deref() {
        None | Some("help" | "-h" | "--help") => Task::Help,
        Some("setup") => Task::Setup,
        Some("firmware") => Task::Firmware,
        Some("test") => Task::Test,
        Some("bench-device") => Task::BenchDevice,
        Some("bench-genotypes") => Task::BenchGenotypes,
        Some("bench-train") => Task::BenchTrain,
        Some("fuzz") => Task::Fuzz,
        Some("endure") => Task::Endure,
        Some("demo") => Task::Demo,
        Some(other) => bail!("unknown task `{other}`"),
    };
    let mut options = Options {
        task,
        force_debian_rust: false,
        data: None,
        target: None,
        limit: None,
        keep: false,
        times: None,
        rest: Vec::new(),
    };
    let takes_options = matches!(task, Task::Setup | Task::Test | Task::Demo);
    while let Some(arg) = args.next() {
        if takes_options && arg == "--force-debian-rust" && options.rest.is_empty() {
            options.force_debian_rust = true;
        } else if takes_options && arg == "--data" {
            let dir = args.next().context("--data needs a folder")?;
            options.data = Some(dir.clone().into());
            options.keep_for_demo([arg, dir]);
        } else if let Some(dir) = arg.strip_prefix("--data=").filter(|_| takes_options) {
            options.data = Some(dir.into());
            options.keep_for_demo([arg]);
        } else if matches!(task, Task::Demo | Task::BenchTrain) {
            options.rest.push(arg);
        } else if matches!(arg.as_str(), "-h" | "--help") {
            options.task = Task::Help;
            break;
        } else if task == Task::Fuzz && arg == "--seconds" {
            options.limit = Some(Limit::Seconds(number(&arg, args.next())?));
        } else if task == Task::Fuzz && arg == "--runs" {
            options.limit = Some(Limit::Runs(number(&arg, args.next())?));
        } else if task == Task::Fuzz && arg == "--keep" {
            options.keep = true;
        } else if task == Task::Endure && arg == "--times" {
            options.times = Some(number(&arg, args.next())?);
        } else if matches!(task, Task::Fuzz | Task::Endure)
            && options.target.is_none()
            && !arg.starts_with('-')
        {
            options.target = Some(arg);
        } else {
            bail!("unknown option `{arg}`");
        }
    }
    Ok(options)
}

/// The number behind `option`.
fn number(option: &str, word: Option<String>) -> Result<u64> {
    let word = word.with_context(|| format!("{option} needs a number"))?;
    word.parse()
        .with_context(|| format!("{option}: `{word}` is no number"))
}

impl Options {
    fn keep_for_demo<const N: usize>(&mut self, args: [String; N]) {
        if self.task == Task::Demo {
            self.rest.extend(args);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Options> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn demo_keeps_its_own_arguments_and_setup_sees_the_data_folder() {
        let options = parse_line("demo --force-debian-rust --json a --data d --seed 3").unwrap();
        assert!(options.force_debian_rust);
        assert_eq!(options.data, Some("d".into()));
        assert_eq!(options.rest, ["--json", "a", "--data", "d", "--seed", "3"]);
    }

    #[test]
    fn attacks_take_a_target_and_a_limit() {
        let options = parse_line("fuzz blob --runs 5 --keep").unwrap();
        assert_eq!(options.target.as_deref(), Some("blob"));
        assert_eq!((options.limit, options.keep), (Some(Limit::Runs(5)), true));
        let options = parse_line("endure soak --times 9").unwrap();
        assert_eq!(
            (options.target.as_deref(), options.times),
            (Some("soak"), Some(9))
        );
    }

    #[test]
    fn both_spellings_of_data_are_understood() {
        assert_eq!(
            parse_line("test --data=d").unwrap(),
            parse_line("test --data d").unwrap()
        );
    }

    #[test]
    fn wrong_lines_are_refused_by_name() {
        for (line, word) in [
            ("tset", "tset"),
            ("test --fast", "--fast"),
            ("setup --data", "--data"),
            ("fuzz --runs many", "many"),
            ("endure --times", "--times"),
        ] {
            let message = parse_line(line).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn help_is_found_alone_and_after_a_task_but_demo_has_its_own() {
        for line in ["", "--help", "test --help", "firmware -h"] {
            assert_eq!(parse_line(line).unwrap().task, Task::Help, "{line}");
        }
        assert_eq!(parse_line("demo --help").unwrap().rest, ["--help"]);
    }
}
