//! What learning on the device is to reach, against what the table holds.
//!
//! Owns the targets and how each is read off the rows; a target is as good as what was measured, and none
//! where that is missing.

use super::recall::AFTER;
use super::replay::Replayed;
use super::sealed::Sealed;
use super::summary::Row;
use super::watched::{Watched, worst_loss};
use super::{Learner, METHODS, Method};
use aplysia_shared::adapt::Head;
use serde::Serialize;

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What is measured, with the rows that it is read off.
    pub what: String,
    /// What was found.
    pub found: f64,
    /// Its bound.
    pub bound: f64,
    /// Whether the bound is the least that is allowed; the most otherwise.
    pub at_least: bool,
}

impl Target {
    /// Whether it is reached.
    pub fn is_met(&self) -> bool {
        match self.at_least {
            true => self.found >= self.bound,
            false => self.found <= self.bound,
        }
    }

    /// As a line of a list.
    pub fn line(&self) -> String {
        let (relation, verdict) = match (self.at_least, self.is_met()) {
            (true, true) => ("at least", "met".into()),
            (true, false) => ("at least", missed(self.bound - self.found)),
            (false, true) => ("at most", "met".into()),
            (false, false) => ("at most", missed(self.found - self.bound)),
        };
        let (what, found, bound) = (&self.what, self.found, self.bound);
        format!("- {what}: {found:.2}, to be {relation} {bound}: {verdict}")
    }
}

fn missed(by: f64) -> String {
    format!("**missed by {by:.2}**")
}

/// What the targets are read off.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The table.
    pub rows: &'a [Row],
    /// Name of the row of float batch norm with re-estimated statistics, and that of the same network as it is.
    pub reestimated: (&'a str, &'a str),
    /// Counted on a device.
    pub replayed: &'a [Replayed],
    /// Runs under the guard.
    pub watched: &'a [Watched],
    /// The same with domain slots and a sealed base.
    pub sealed: &'a [Sealed],
}

/// Every target for which something was measured.
pub fn targets(found: &Found<'_>) -> Vec<Target> {
    let all = [
        unlabelled(found),
        labelled(found),
        dearest(found, 5.0, "update of a head", head_share),
        dearest(found, 150.0, "update below the head", deep_share),
        dearest(found, 12.0, "homeostasis", homeostasis_share),
        guarded(found),
        sealed(found),
    ];
    all.into_iter().flatten().collect()
}

fn end(row: &Row) -> f64 {
    row.shifted_pct.last().copied().unwrap_or(0.0)
}

fn best(rows: &[Row], wanted: impl Fn(&Method) -> bool) -> Option<&Row> {
    let of = |row: &&Row| METHODS.iter().any(|m| m.name == row.method && wanted(m));
    let rows = rows.iter().filter(of);
    rows.max_by(|a, b| end(a).total_cmp(&end(b)))
}

/// `(A − A_0)/(B − B_0)` with `A` of homeostasis alone and `B` of the float re-estimation.
fn unlabelled(found: &Found<'_>) -> Option<Target> {
    let named = |name: &str| found.rows.iter().find(|row| row.method == name);
    let (float, start) = (named(found.reestimated.0)?, named(found.reestimated.1)?);
    let alone = |m: &Method| m.momentum.is_some() && m.learner == Learner::Device(Head::Base);
    let own = best(found.rows, alone)?;
    let gain = end(own) - end(found.rows.first()?);
    Some(Target {
        what: format!(
            "gain of `{}` in % of the gain of `{}` ({gain:.2} of {:.2} points)",
            own.method,
            float.method,
            end(float) - end(start)
        ),
        found: 100.0 * gain / (end(float) - end(start)),
        bound: 90.0,
        at_least: true,
    })
}

fn labelled(found: &Found<'_>) -> Option<Target> {
    let own = best(found.rows, |m| m.config().is_some())?;
    let float = best(found.rows, |m| {
        matches!(m.learner, Learner::FloatSgd { .. })
    })?;
    Some(Target {
        what: format!("points of `{}` above `{}`", own.method, float.method),
        found: end(own) - end(float),
        bound: 8.0,
        at_least: true,
    })
}

fn is_deep(method: &Method) -> bool {
    matches!(method.learner, Learner::Device(Head::Deep { .. }))
}

/// Share of a label's instructions in one inference, in percent; none for rows with more than a head.
fn head_share(method: &Method, replayed: &Replayed, inference: f64) -> Option<f64> {
    let alone = method.momentum.is_none() && !is_deep(method);
    (alone && replayed.label > 0.0).then(|| 100.0 * replayed.label / inference)
}

/// The same for layers below the head.
fn deep_share(method: &Method, replayed: &Replayed, inference: f64) -> Option<f64> {
    is_deep(method).then(|| 100.0 * replayed.label / inference)
}

/// Share of what homeostasis adds to an image in one inference, in percent; none for rows with a head.
fn homeostasis_share(method: &Method, replayed: &Replayed, inference: f64) -> Option<f64> {
    let alone = method.momentum.is_some() && method.learner == Learner::Device(Head::Base);
    alone.then(|| 100.0 * (replayed.image - inference) / inference)
}

type Share = fn(&Method, &Replayed, f64) -> Option<f64>;

fn shares<'a>(found: &Found<'a>, share: Share) -> Vec<(&'a str, f64)> {
    let Some(none) = found.replayed.iter().find(|r| r.method == METHODS[0].name) else {
        return vec![];
    };
    let of = |replayed: &'a Replayed| {
        let method = METHODS.iter().find(|m| m.name == replayed.method)?;
        Some((method.name, share(method, replayed, none.image)?))
    };
    found.replayed.iter().filter_map(of).collect()
}

fn dearest(found: &Found<'_>, bound: f64, what: &str, share: Share) -> Option<Target> {
    let shares = shares(found, share).into_iter();
    let (name, found) = shares.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Target {
        what: format!("dearest {what}, `{name}`, in % of an inference"),
        found,
        bound,
        at_least: false,
    })
}

fn guarded(found: &Found<'_>) -> Option<Target> {
    Some(Target {
        what: format!(
            "points of clean accuracy lost in the worst of {} guarded runs",
            found.watched.len()
        ),
        found: worst_loss(found.watched)?,
        bound: 1.0,
        at_least: false,
    })
}

fn sealed(found: &Found<'_>) -> Option<Target> {
    let losses = found.sealed.iter().map(Sealed::lost);
    Some(Target {
        what: format!(
            "points of clean accuracy lost in the worst of {} guarded runs with domain slots and a sealed base, \
             {} clean images later",
            found.sealed.len(),
            AFTER[AFTER.len() - 1]
        ),
        found: losses.reduce(f64::max)?,
        bound: 1.0,
        at_least: false,
    })
}
