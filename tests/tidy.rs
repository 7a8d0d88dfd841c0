//! What the compiler does not check about the source tree: module docs, file sizes, unfinished
//! code, machine paths, and the arrows between the crates (README, code map). Reads files only;
//! must not know what any of them computes.

use std::fs;
use std::path::{Path, PathBuf};

/// Each manifest with the crates of ours that it names. Every other one is a wrong arrow.
const ARROWS: &[(&str, &[&str])] = &[
    ("Cargo.toml", &[]),
    ("shared/Cargo.toml", &[]),
    ("firmware/Cargo.toml", &["shared"]),
    ("host/data/Cargo.toml", &[]),
    ("host/space/Cargo.toml", &[]),
    ("host/learn/Cargo.toml", &["data", "space"]),
    ("host/search/Cargo.toml", &["space"]),
    ("host/live/Cargo.toml", &["shared"]),
    ("host/deploy/Cargo.toml", &["space", "live", "shared"]),
    ("host/report/Cargo.toml", &["space", "search"]),
    ("host/attack/Cargo.toml", &[]),
    ("host/bench/Cargo.toml", &["space", "learn"]),
    (
        "host/cli/Cargo.toml",
        &[
            "data", "space", "learn", "search", "live", "deploy", "report", "attack", "shared",
        ],
    ),
    ("host/xtask/Cargo.toml", &[]),
    (
        "tests/Cargo.toml",
        &[
            "data", "space", "learn", "search", "live", "deploy", "report", "attack", "shared",
        ],
    ),
    ("tests/fuzz/Cargo.toml", &["live", "deploy", "shared"]),
];

/// The only manifest that may name a crate of the burn family as a dependency.
const BURN_HOME: &str = "host/learn/Cargo.toml";

const MAX_LINES: usize = 400;
/// Characters of a line of comment, but for the rows of tables.
const MAX_WIDTH: usize = 120;

/// Written in two halves so that this file passes its own check.
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
    concat!("should_", "panic"),
];

/// First folders of absolute paths that exist on somebody's machine only.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Use", "rs/"),
    concat!("/wo", "rk/"),
];

/// Complaints about one Rust source file.
fn check_source(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{path}: does not start with `//!`"));
    }
    let n_lines = text.lines().count();
    if n_lines > MAX_LINES {
        complaints.push(format!("{path}: {n_lines} lines, the limit is {MAX_LINES}"));
    }
    for (line_idx, line) in text.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("//");
        let text = comment.map(|comment| comment.trim_start_matches(['/', '!', ' ']));
        if text.is_some_and(|text| !text.starts_with('|')) && line.chars().count() > MAX_WIDTH {
            complaints.push(format!("{path}:{}: wider than {MAX_WIDTH}", line_idx + 1));
        }
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            complaints.push(format!("{path}:{}: `{word}`", line_idx + 1));
        }
    }
    complaints
}

/// Complaints about absolute paths of a machine in any text file.
fn check_paths(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line_idx, line) in text.lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            // Inside a longer path, after a name or `$HOME`, it is not absolute.
            let absolute = line.match_indices(folder).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-}~*".contains(c))
            });
            if absolute {
                complaints.push(format!("{path}:{}: absolute path {folder}", line_idx + 1));
            }
        }
    }
    complaints
}

/// Complaints about the dependencies that one manifest names.
fn check_arrows(path: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(manifest, _)| *manifest == path) else {
        return vec![format!(
            "{path}: not in the table of arrows in tests/tidy.rs"
        )];
    };
    let mut complaints = Vec::new();
    let mut missing = allowed.to_vec();
    for name in dependencies(text) {
        if name.split('-').next() == Some("burn") && path != BURN_HOME {
            complaints.push(format!("{path}: {name} belongs to {BURN_HOME} only"));
        }
        let ours = if name == "aplysia" {
            Some("cli")
        } else {
            name.strip_prefix("aplysia-")
        };
        missing.retain(|other| Some(*other) != ours);
        if let Some(ours) = ours.filter(|ours| !allowed.contains(ours)) {
            complaints.push(format!(
                "{path}: must not depend on {ours} (allowed: {allowed:?})"
            ));
        }
    }
    complaints.extend(missing.iter().map(|name| {
        format!("{path}: does not name {name}; take it from the table of arrows in tests/tidy.rs")
    }));
    complaints
}

/// Names under every kind of `[dependencies]` table but the workspace's own.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            inside = table.ends_with("dependencies") && table != "workspace.dependencies";
            if let Some((_, name)) = table.split_once("dependencies.") {
                names.extend((!table.starts_with("workspace.")).then_some(name));
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next());
        }
    }
    names
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below a folder with a `/`-separated path relative to it, without build outputs.
fn files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), root.to_path_buf())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().unwrap();
            if kind.is_file() {
                found.push((path, entry.path()));
            } else if kind.is_dir() && !["target", ".git", "studies"].contains(&name.as_str()) {
                folders.push((format!("{path}/"), entry.path()));
            }
        }
    }
    found.sort();
    found
}

/// Runs a check over all files whose name ends in one of the given ways.
fn tidy(endings: &[&str], check: impl Fn(&str, &str) -> Vec<String>) {
    let mut complaints = Vec::new();
    let mut n_checked = 0;
    for (path, file) in files(&repository()) {
        if endings.iter().any(|ending| path.ends_with(ending)) {
            complaints.extend(check(&path, &fs::read_to_string(&file).unwrap()));
            n_checked += 1;
        }
    }
    assert!(n_checked > 0, "no file ends with {endings:?}");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn sources_are_documented_short_and_finished() {
    tidy(&[".rs"], check_source);
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    tidy(&[".rs", ".toml", ".md", ".x", ".ci/run"], check_paths);
}

#[test]
fn crates_depend_along_the_arrows_only() {
    tidy(&["Cargo.toml"], check_arrows);
}

#[test]
fn the_checks_find_what_they_look_for() {
    let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
    let wide = format!("//! A.\n    // {}\n", "w".repeat(MAX_WIDTH));
    for bad in [
        "fn main() {}\n",
        &long,
        &wide,
        &format!("//! A.\n{}0)\n", UNFINISHED[0]),
    ] {
        assert_eq!(check_source("a.rs", bad).len(), 1, "{bad:?}");
    }
    for folder in MACHINE_FOLDERS {
        assert_eq!(check_paths("a.md", &format!("see {folder}me")).len(), 1);
        assert_eq!(check_paths("a.md", &format!("see src{folder}me")).len(), 0);
    }
    let manifest = "[workspace.dependencies]\nburn = \"1\"\n[dependencies]\n# why\nburn-flex = \"1\"\n\
                    [dev-dependencies]\naplysia-learn.workspace = true\n[lints]\nworkspace = true\n";
    assert_eq!(dependencies(manifest), ["burn-flex", "aplysia-learn"]);
    // burn, `learn`, and no `space`; itself, and neither `data` nor `space`.
    assert_eq!(check_arrows("host/search/Cargo.toml", manifest).len(), 3);
    assert_eq!(check_arrows("host/learn/Cargo.toml", manifest).len(), 3);
    assert_eq!(check_arrows("host/new/Cargo.toml", manifest).len(), 1);
    assert_eq!(
        dependencies("[target.'cfg(unix)'.dependencies.libc]\nversion = \"1\"\n"),
        ["libc"]
    );
}
