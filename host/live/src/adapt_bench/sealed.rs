//! Learning under the guard with domain slots and a sealed base: what is gained on a changed camera, and where
//! clean accuracy ends when clean images are back, honest teachers and liars.
//!
//! Owns the order of what is shown and measured: a shifted stream, then clean images, both with labels of the
//! same teacher. What clean accuracy ends at is that of the state which the device itself puts in place.

use super::labels::Teacher;
use super::recall::AFTER;
use super::{Cell, Method};
use crate::LiveError;
use crate::adaptation::{Plan, evaluate_snapshot};
use crate::evaluate::Images;
use crate::flash::MemoryFlash;
use crate::guarded::learn_guarded;
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::Domains;
use aplysia_shared::adapt::guard::{Guard, Learner, Limits};
use aplysia_shared::adapt::{AdaptError, Plastic};
use aplysia_shared::store::Store;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The slots unless told otherwise, over a base that stays.
pub const DOMAINS: Domains = Domains {
    sealed: true,
    ..crate::adaptation::DOMAINS
};

/// Golden samples of which one may be lost.
const PER_LOST: u16 = 16;

/// How careful the guard is over `n_samples` golden ones: a check every 10 updates, a sixteenth may be lost.
pub fn limits(n_samples: u16) -> Limits {
    Limits {
        drop: n_samples / PER_LOST,
        ..super::watched::LIMITS
    }
}

/// One stream and the way back; accuracies in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The method and its golden set.
    pub name: String,
    /// Who named the classes, those of clean images as well.
    pub teacher: Teacher,
    /// On the shifted images, nothing learned, and behind the stream.
    pub shifted_pct: [f64; 2],
    /// On clean images, nothing learned.
    pub before_pct: f64,
    /// On clean images after each of [`AFTER`] clean ones.
    pub clean_pct: [f64; 4],
    /// Checks made.
    pub checks: u32,
    /// Of these, states taken back.
    pub rollbacks: u32,
    /// Domains begun.
    pub opened: u32,
}

impl Sealed {
    /// Points of clean accuracy lost in the end.
    pub fn lost(&self) -> f64 {
        self.before_pct - self.clean_pct[AFTER.len() - 1]
    }
}

/// `method` on `cell` with [`DOMAINS`] under [`limits`], by the golden set of `model`; then `back`, clean images
/// that are not in the cell.
///
/// # Errors
/// A method without homeostasis, images that do not fit, or a model without a golden set that can watch it.
pub fn sealed(
    model: &Model<'_>,
    (name, method): (&str, &Method),
    cell: &Cell<'_>,
    back: Images<'_>,
    teacher: Teacher,
) -> Result<Option<Sealed>, LiveError> {
    let Some(config) = method.config() else {
        return Ok(None);
    };
    for images in [cell.stream, cell.shifted, cell.clean, back] {
        images.check(model)?;
    }
    let plan = Plan {
        domains: Some(DOMAINS),
        ..Plan::ALWAYS
    };
    let state_bytes = plan.state_bytes(model, &config)?;
    let mut buffer = vec![0; state_bytes];
    let mut plastic = Plastic::new(model, config, cell.seed, &mut buffer)?;
    plan.set(&mut plastic, model)?;
    let (flash, end) = (MemoryFlash::holding(&[]), MemoryFlash::BYTES);
    let mut learner = Learner {
        model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store: &mut Store::open(flash, 0..end).map_err(|_| LiveError::Store)?,
        scratch: &mut vec![0; end as usize],
    };
    let golden = model.golden().ok_or(AdaptError::NoGolden)?;
    let mut guard = Guard::new(limits(golden.n_samples()), &mut learner)?;
    let pct = |plastic: &mut Plastic<'_>, images| -> Result<f64, LiveError> {
        let found = evaluate_snapshot(model, plastic.snapshot(), state_bytes, images)?;
        Ok(found.accuracy_pct())
    };
    let mut teach = |learner: &mut Learner<'_, '_, MemoryFlash>,
                     of: Images<'_>,
                     range: std::ops::Range<usize>|
     -> Result<(), LiveError> {
        let labels = teacher.taught(of.labels, cell.seed, model.n_classes());
        let images = of.iter(model.input().len()).zip(labels);
        for ((pixels, _), label) in images.skip(range.start).take(range.len()) {
            learn_guarded(&mut guard, learner, (pixels, label))?;
        }
        guard.check(learner)?;
        Ok(())
    };
    let before_pct = pct(learner.plastic, cell.clean)?;
    let shifted_pct = pct(learner.plastic, cell.shifted)?;
    teach(&mut learner, cell.stream, 0..cell.stream.labels.len())?;
    let shifted_pct = [shifted_pct, pct(learner.plastic, cell.shifted)?];
    let (mut seen, mut clean_pct) = (0, [0.0; 4]);
    for (clean, after) in clean_pct.iter_mut().zip(AFTER) {
        let after = after.min(back.labels.len());
        teach(&mut learner, back, seen..after)?;
        seen = after;
        *clean = pct(learner.plastic, cell.clean)?;
    }
    let report = guard.report();
    let domains = plastic.domains().map(|(_, report)| report);
    Ok(Some(Sealed {
        name: name.into(),
        teacher,
        shifted_pct,
        before_pct,
        clean_pct,
        checks: report.checks,
        rollbacks: report.rollbacks,
        opened: domains.unwrap_or_default().opened,
    }))
}

/// A row per method and teacher.
pub fn markdown(runs: &[Sealed]) -> String {
    let mut text = String::from(
        "| learns | wrong labels | runs | shifted before | after | clean before | clean again, after 0 | 10 | 50 \
         | 100 | most lost in a run | runs that lost more than 1 point | rollbacks per run | begun |\n|---|",
    );
    text += &"--:|".repeat(13);
    text += "\n";
    let mut keys: Vec<(&str, Teacher)> =
        runs.iter().map(|r| (r.name.as_str(), r.teacher)).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let of: Vec<&Sealed> = runs
            .iter()
            .filter(|r| (r.name.as_str(), r.teacher) == key)
            .collect();
        let n = of.len();
        let mean =
            |value: &dyn Fn(&Sealed) -> f64| of.iter().map(|r| value(r)).sum::<f64>() / n as f64;
        let _ = write!(text, "| {} | {} | {n} |", key.0, key.1);
        for i in 0..2 {
            let _ = write!(text, " {:.2} |", mean(&|r| r.shifted_pct[i]));
        }
        let _ = write!(text, " {:.2} |", mean(&|r| r.before_pct));
        for i in 0..AFTER.len() {
            let _ = write!(text, " {:.2} |", mean(&|r| r.clean_pct[i]));
        }
        let _ = writeln!(
            text,
            " {:.2} | {} | {:.1} | {:.1} |",
            of.iter().map(|r| r.lost()).fold(f64::MIN, f64::max),
            of.iter().filter(|r| r.lost() > 1.0).count(),
            mean(&|r| f64::from(r.rollbacks)),
            mean(&|r| f64::from(r.opened)),
        );
    }
    text
}
