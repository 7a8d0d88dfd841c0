//! Outcome and time of each step; a failed step does not hide the ones after it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps so far, in the order in which they ran.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

impl Report {
    /// Runs a step and notes its time; the value comes back if it passed.
    pub(crate) fn step<T>(&mut self, name: &str, body: impl FnOnce() -> Result<T>) -> Option<T> {
        eprintln!("== {name}");
        let start = Instant::now();
        let (value, outcome) = match body() {
            Ok(value) => (Some(value), Outcome::Passed),
            Err(error) => {
                eprintln!("{error:#}");
                (None, Outcome::Failed(format!("{error:#}")))
            }
        };
        self.steps.push(Step {
            name: name.to_owned(),
            took: start.elapsed(),
            outcome,
        });
        value
    }

    /// Notes a step that cannot run here, with the reason.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        eprintln!("== {name}: skipped, {reason}");
        let outcome = Outcome::Skipped(reason.to_owned());
        self.steps.push(Step {
            name: name.to_owned(),
            took: Duration::ZERO,
            outcome,
        });
    }

    /// Whether any step failed.
    pub(crate) fn failed(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step.outcome, Outcome::Failed(_)))
    }

    /// Prints every step with its time, then every failure; success only if none failed.
    pub(crate) fn finish(&self) -> ExitCode {
        eprintln!("\n{self}");
        if self.failed() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Step {
            name,
            took,
            outcome,
        } in &self.steps
        {
            let seconds = took.as_secs_f64();
            match outcome {
                Outcome::Passed => writeln!(f, "passed  {seconds:7.1} s  {name}")?,
                Outcome::Failed(_) => writeln!(f, "FAILED  {seconds:7.1} s  {name}")?,
                Outcome::Skipped(reason) => writeln!(f, "skipped            {name}: {reason}")?,
            }
        }
        for Step { name, outcome, .. } in &self.steps {
            if let Outcome::Failed(error) = outcome {
                writeln!(f, "\nFAILED {name}\n  {}", error.replace('\n', "\n  "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_kept_and_later_steps_still_run() {
        let mut report = Report::default();
        assert_eq!(report.step("one", || anyhow::Ok(1)), Some(1));
        assert!(!report.failed());
        assert_eq!(report.step("two", || anyhow::bail!("broken")), None::<i32>);
        report.skip("three", "nothing to do");
        assert_eq!(report.step("four", || anyhow::Ok(4)), Some(4));
        assert!(report.failed());
        let text = report.to_string();
        for line in ["FAILED two\n  broken", "three: nothing to do"] {
            assert!(text.contains(line), "{text}");
        }
    }
}
