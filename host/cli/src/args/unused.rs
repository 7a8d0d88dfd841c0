//! Flags of a search that its strategy does not use: refused, so that nobody waits for what they would change.

use super::{Cli, Command, SupernetArgs};
use aplysia_search::StrategyKind;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// Reads a command line, the program's name first.
///
/// # Errors
/// Wrong usage, flags without use included.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut grammar = Cli::command();
    let matches = grammar.try_get_matches_from_mut(line)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut grammar))?;
    if let (Command::Search(args), Some((_, given))) = (&cli.command, matches.subcommand()) {
        // A preset sets the flags of its own strategy, which the user's may replace.
        let unused = unused(args.strategy, given).filter(|_| args.preset.is_none());
        if let Some(fault) = unused {
            return Err(grammar.error(ErrorKind::ArgumentConflict, fault));
        }
    }
    Ok(cli)
}

/// What is wrong with the first flag of a supernet that is `given` although `strategy` does not use it.
fn unused(strategy: StrategyKind, given: &ArgMatches) -> Option<String> {
    let flags = SupernetArgs::augment_args(clap::Command::new("search"));
    let flag = flags.get_arguments().find(|flag| {
        let id = flag.get_id().as_str();
        let is_given = given.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        is_given && !is_used(strategy, id)
    })?;
    let users = StrategyKind::ALL.into_iter();
    let users = users.filter(|&other| is_used(other, flag.get_id().as_str()));
    let users: Vec<&str> = users.map(StrategyKind::name).collect();
    Some(format!(
        "--{} changes nothing under --strategy {}: leave it out, or give --strategy {}",
        flag.get_long().unwrap_or_default(),
        strategy.name(),
        users.join(" or ")
    ))
}

/// Whether `strategy` uses the flag of a supernet that is kept as `id`.
fn is_used(strategy: StrategyKind, id: &str) -> bool {
    match id {
        "alpha_lr" | "alpha_weight_decay" | "second_order" => strategy == StrategyKind::Darts,
        id if id.starts_with("es_") => strategy == StrategyKind::EgNas,
        _ => strategy.is_learned(),
    }
}
