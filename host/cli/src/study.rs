//! `aplysia study`: evidence that takes many searches and trainings, by one command.

mod paper;

use crate::Outcome;
use crate::args::study::StudyCommand;
use anyhow::Result;

/// Runs the study.
///
/// # Errors
/// Those of the study.
pub(crate) fn run(command: &StudyCommand) -> Result<Outcome> {
    match command {
        StudyCommand::Paper(args) => paper::run(args),
    }
}
