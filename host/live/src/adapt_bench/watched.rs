//! Learning under the guard, honest teachers and liars: what is gained, and what is lost at most.

use super::labels::Teacher;
use super::{Cell, Method};
use crate::LiveError;
use crate::adaptation::{adapt, evaluate_snapshot};
use crate::evaluate::Images;
use crate::guarded::adapt_guarded;
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::Limits;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// How careful the guard is in the bench: a check every 10 updates and one at the end, no golden sample may be
/// lost.
pub const LIMITS: Limits = Limits {
    every: 10,
    drop: 0,
    commit_every: 0,
};

/// One stream under the guard; accuracies in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The method and its golden set.
    pub name: String,
    /// Who named the classes.
    pub teacher: Teacher,
    /// On the shifted images, nothing learned, and at the end.
    pub shifted_pct: [f64; 2],
    /// On clean images, nothing learned, and at the end.
    pub clean_pct: [f64; 2],
    /// Checks made.
    pub checks: u32,
    /// Of these, states taken back.
    pub rollbacks: u32,
}

/// `method` on `cell` under [`LIMITS`], by the golden set of `model`.
///
/// # Errors
/// A baseline of the host, images that do not fit, or a model without a golden set that can watch it.
pub fn watched(
    model: &Model<'_>,
    (name, method): (&str, &Method),
    cell: &Cell<'_>,
    teacher: Teacher,
) -> Result<Option<Watched>, LiveError> {
    let Some(config) = method.config() else {
        return Ok(None);
    };
    let taught = cell.taught(teacher, model.n_classes());
    let stream = Images {
        labels: &taught,
        ..cell.stream
    };
    let first = adapt(model, config, cell.seed, Images::NONE)?;
    let last = adapt_guarded(model, config, cell.seed, stream, LIMITS, &[])?;
    let pct = |images| -> Result<[f64; 2], LiveError> {
        let mut pct = [0.0; 2];
        for (pct, state) in pct.iter_mut().zip([&first, &last.adapted]) {
            let found = evaluate_snapshot(model, &state.snapshot, state.state_bytes, images)?;
            *pct = found.accuracy_pct();
        }
        Ok(pct)
    };
    Ok(Some(Watched {
        name: name.into(),
        teacher,
        shifted_pct: pct(cell.shifted)?,
        clean_pct: pct(cell.clean)?,
        checks: last.report.checks,
        rollbacks: last.report.rollbacks,
    }))
}

/// Most points of clean accuracy that any of `runs` has lost; none without runs.
pub fn worst_loss(runs: &[Watched]) -> Option<f64> {
    let losses = runs.iter().map(|run| run.clean_pct[0] - run.clean_pct[1]);
    losses.fold(None, |worst, loss| {
        Some(worst.map_or(loss, |w: f64| w.max(loss)))
    })
}

/// A row per method and teacher.
pub fn markdown(runs: &[Watched]) -> String {
    let mut text = String::from(
        "| learns | wrong labels | runs | shifted before | after | clean before | after, mean | most lost \
         in a run | runs that lost more than 1 point | rollbacks per run |\n|---|",
    );
    text += &"--:|".repeat(9);
    text += "\n";
    let mut keys: Vec<(&str, Teacher)> =
        runs.iter().map(|r| (r.name.as_str(), r.teacher)).collect();
    keys.sort_unstable();
    keys.dedup();
    for (name, teacher) in keys {
        let of = runs
            .iter()
            .filter(|r| (r.name.as_str(), r.teacher) == (name, teacher));
        let of: Vec<Watched> = of.cloned().collect();
        let n = of.len();
        let mean = |value: fn(&Watched) -> f64| of.iter().map(value).sum::<f64>() / n as f64;
        let over = of
            .iter()
            .filter(|r| r.clean_pct[0] - r.clean_pct[1] > 1.0)
            .count();
        let _ = writeln!(
            text,
            "| {name} | {teacher} | {n} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {over} | {:.1} |",
            mean(|r| r.shifted_pct[0]),
            mean(|r| r.shifted_pct[1]),
            mean(|r| r.clean_pct[0]),
            mean(|r| r.clean_pct[1]),
            worst_loss(&of).unwrap_or(0.0),
            mean(|r| f64::from(r.rollbacks)),
        );
    }
    text
}
