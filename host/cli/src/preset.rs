//! Settings by name: files of flags and their values, read before the flags of the user, which win.
//!
//! A file has a line `about` and a table per command that takes it.

use crate::args::Cli;
use anyhow::{Context, Result, bail};
use clap::{ArgAction, CommandFactory};
use std::ffi::OsString;
use toml::{Table, Value};

macro_rules! presets {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../presets/", $name, ".toml")))),*]
    };
}

/// Names and texts.
const ALL: &[(&str, &str)] = presets![
    "fashion-minutes",
    "fashion-hour",
    "fashion-night",
    "fashion-eg-nas",
    "fashion-evolution",
    "cifar10",
    "second-order-cifar10",
    "pc-darts-cifar10",
    "eg-nas-cifar10",
    "cifar100",
    "imagenet16-120",
    "nasbench201-cifar10",
    "nasbench201-imagenet16-120",
    "tiny-imagenet",
    "imagenet"
];

/// What `--preset` is called in the list.
const HELP: &str = "help";

/// `line`, a command line with the program's name, with the flags of its preset put before those of the
/// user; none if it asks for the list of presets, which is printed.
///
/// # Errors
/// A preset that does not exist, that says nothing of the command, or that is for another space than the user's.
pub(crate) fn expand(mut line: Vec<OsString>) -> Result<Option<Vec<OsString>>> {
    let Some(name) = named(&line) else {
        return Ok(Some(line));
    };
    if name == HELP {
        say!("{}", list()?);
        return Ok(None);
    }
    let command = line.get(1).and_then(|c| c.to_str()).unwrap_or_default();
    let flags = flags(&name, command, &line)?;
    line.splice(2..2, flags.into_iter().map(OsString::from));
    Ok(Some(line))
}

/// The value of `--preset` in `line`, the last if there are several.
fn named(line: &[OsString]) -> Option<String> {
    given(line, "preset").map(String::from)
}

fn list() -> Result<String> {
    let mut text = "presets:".to_string();
    for (name, _) in ALL {
        let preset = read(name)?;
        let about = preset
            .get("about")
            .and_then(Value::as_str)
            .unwrap_or_default();
        text += &format!("\n  {name:<26} {about}");
    }
    Ok(text)
}

fn read(name: &str) -> Result<Table> {
    let Some((_, text)) = ALL.iter().find(|(n, _)| *n == name) else {
        bail!("unknown preset `{name}`\n{}", list()?);
    };
    toml::from_str(text).with_context(|| format!("preset {name}"))
}

/// Whether `line` has the flag `--flag`.
fn gives(line: &[OsString], flag: &str) -> bool {
    let words = line.iter().filter_map(|word| word.to_str());
    let flags = words
        .take_while(|&word| word != "--")
        .filter_map(|word| word.strip_prefix("--"));
    flags
        .map(|word| word.split('=').next())
        .any(|name| name == Some(flag))
}

/// The value that `line` gives `--flag`, the last if there are several.
fn given<'a>(line: &'a [OsString], flag: &str) -> Option<&'a str> {
    let words = line.iter().filter_map(|word| word.to_str());
    let words: Vec<&str> = words.take_while(|&word| word != "--").collect();
    let at = |i: usize| {
        let rest = words[i].strip_prefix("--")?.strip_prefix(flag)?;
        match rest.is_empty() {
            true => words.get(i + 1).copied(),
            false => rest.strip_prefix('='),
        }
    };
    (0..words.len()).rev().find_map(at)
}

/// Checks that `line` asks for no other space than the preset is for: skeleton, strategy and training belong to it. A
/// file with bounds is taken as it is.
fn check_space(name: &str, table: &Table, line: &[OsString]) -> Result<()> {
    let spaces = ["mcu", "darts", "nasbench201"];
    let own = table.get("space").and_then(Value::as_str);
    let other = given(line, "space").filter(|space| spaces.contains(space) && Some(*space) != own);
    if let (Some(own), Some(other)) = (own, other) {
        bail!("the preset {name} is for the space {own}: leave out --space {other}, or the preset");
    }
    Ok(())
}

/// The flags of `command` in the preset `name`, without the lists that `line` gives: the last of a flag wins,
/// but lists add up.
fn flags(name: &str, command: &str, line: &[OsString]) -> Result<Vec<String>> {
    let preset = read(name)?;
    let Some(table) = preset.get(command).and_then(Value::as_table) else {
        bail!("the preset {name} says nothing of `{command}`");
    };
    check_space(name, table, line)?;
    let grammar = Cli::command();
    let grammar = grammar.find_subcommand(command);
    let mut flags = vec![];
    for (flag, value) in table {
        let arg = grammar.and_then(|c| c.get_arguments().find(|a| a.get_long() == Some(flag)));
        let arg = arg.with_context(|| format!("preset {name}: `{command}` has no --{flag}"))?;
        match (arg.get_action(), value) {
            (ArgAction::SetTrue, Value::Boolean(true)) => flags.push(format!("--{flag}")),
            (ArgAction::SetTrue, _) => bail!("preset {name}: {flag} is true or left out"),
            (ArgAction::Append, _) if gives(line, flag) => {}
            _ => flags.push(format!("--{flag}={}", text(value))),
        }
    }
    Ok(flags)
}

/// As on the command line: lists with commas.
fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
