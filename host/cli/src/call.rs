//! Commands of this program as other commands call them: flags in text, read by the same grammar. It owns no flag.

use crate::args::{self, Command, DataArgs, EvaluateArgs, ExportArgs, SearchArgs, TrainArgs};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The command `name` with `flags` and arguments that may hold any character.
fn parse(name: &str, flags: &str, further: &[&OsStr]) -> Result<Command> {
    let words = ["aplysia", name]
        .into_iter()
        .chain(flags.split_whitespace());
    let words = words.map(OsString::from);
    let line = words.chain(further.iter().map(|&word| word.to_owned()));
    let parsed = args::parse(line);
    Ok(parsed
        .with_context(|| format!("flags of `{name}`: {flags}"))?
        .command)
}

/// `aplysia search DIR FLAGS`, with `--resume` if there is a study.
pub(crate) fn search(dir: &Path, flags: &str, data: &DataArgs) -> Result<SearchArgs> {
    match parse("search", flags, &[dir.as_os_str()])? {
        Command::Search(args) => Ok(SearchArgs {
            resume: dir.join("study.toml").exists(),
            data: data.clone(),
            ..*args
        }),
        _ => bail!("no search: {flags}"),
    }
}

/// `aplysia train GENOTYPE --out DIR FLAGS`.
pub(crate) fn train(
    genotype: &Path,
    dir: &Path,
    flags: &str,
    data: &DataArgs,
) -> Result<TrainArgs> {
    let further = [genotype.as_os_str(), OsStr::new("--out"), dir.as_os_str()];
    match parse("train", flags, &further)? {
        Command::Train(args) => {
            ensure!(
                !args.with_validation,
                "--with-validation leaves nothing to choose networks by: leave it out of the study's flags"
            );
            Ok(TrainArgs {
                data: data.clone(),
                ..args
            })
        }
        _ => bail!("no training: {flags}"),
    }
}

/// `aplysia evaluate RUN --robust --out DIR FLAGS`.
pub(crate) fn robust(run: &Path, dir: &Path, flags: &str, data: &DataArgs) -> Result<EvaluateArgs> {
    let [robust, out] = ["--robust", "--out"].map(OsStr::new);
    let further = [run.as_os_str(), robust, out, dir.as_os_str()];
    match parse("evaluate", flags, &further)? {
        Command::Evaluate(args) => Ok(EvaluateArgs {
            data: data.clone(),
            ..*args
        }),
        _ => bail!("no evaluation: {flags}"),
    }
}

/// `aplysia export RUN --out DIR FLAGS`.
pub(crate) fn export(run: &Path, dir: &Path, flags: &str, data: &DataArgs) -> Result<ExportArgs> {
    let further = [run.as_os_str(), OsStr::new("--out"), dir.as_os_str()];
    match parse("export", flags, &further)? {
        Command::Export(args) => Ok(ExportArgs {
            data: data.clone(),
            ..args
        }),
        _ => bail!("no export: {flags}"),
    }
}
