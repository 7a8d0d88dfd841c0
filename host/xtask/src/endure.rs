//! The emulated device for as long as its promises say: hostile frames, and kills while it commits or is updated.
//!
//! Owns how often, and where what was seen is kept; the tests own what must hold and what they count.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::firmware;
use crate::fuzz;
use crate::options::Options;
use crate::tree::Tree;

/// Every run: its name, which test it is, how often it does what it does.
const RUNS: [(&str, &str, u64); 3] = [
    ("soak", "soak::", 100_000),
    ("commits", "a_killed_commit", 1_000),
    ("updates", "a_killed_update", 1_000),
];
/// What they saw.
const FILE: &str = "models/bench/endurance.json";

/// Runs one of them, or all in turn; what they saw is kept unless `--times` makes them shorter.
///
/// # Errors
/// No such run, a build that fails, or a promise that was broken.
pub(crate) fn run(tree: &Tree, options: &Options) -> Result<()> {
    let wanted = |name: &str| {
        options
            .target
            .as_deref()
            .is_none_or(|target| target == name)
    };
    if !RUNS.iter().any(|(name, ..)| wanted(name)) {
        bail!("no such run; there are soak, commits, updates");
    }
    let elf = firmware::build(tree)?;
    for (name, filter, times) in RUNS {
        if !wanted(name) {
            continue;
        }
        let mut test = fuzz::tests(tree, filter);
        test.env("APLYSIA_FIRMWARE", &elf);
        test.env(
            "APLYSIA_ENDURE_TIMES",
            options.times.unwrap_or(times).to_string(),
        );
        if options.times.is_none() {
            test.env("APLYSIA_ENDURE_FILE", tree.root().join(FILE));
            test.env("APLYSIA_ENDURE_PROGRAM", program(tree)?);
        }
        command::run(&mut test)?;
    }
    Ok(())
}

/// The last commit that changed the device's program, and whether something has changed since.
fn program(tree: &Tree) -> Result<String> {
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        let places = ["--", "shared", "firmware", ":!*.md"];
        command::output(git.args(args).args(places).current_dir(tree.root()))
    };
    let commit = git(&["log", "-1", "--format=%h"])?;
    Ok(match git(&["diff", "HEAD", "--name-only"])?.is_empty() {
        true => commit,
        false => format!("{commit}, changed"),
    })
}
