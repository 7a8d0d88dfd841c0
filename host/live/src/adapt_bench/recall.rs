//! A domain that comes back, and clean images behind it, with and without domain slots.
//!
//! Owns the order of what is shown and measured; when a state is recalled is `aplysia_shared::adapt::domains`'s.

use super::Method;
use super::labels::Teacher;
use crate::LiveError;
use crate::adaptation::{Plan, evaluate_snapshot, see};
use crate::evaluate::Images;
use aplysia_shared::Model;
use aplysia_shared::adapt::Plastic;
use aplysia_shared::adapt::domains::Domains;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Images of a stream after which accuracy is measured.
pub const AFTER: [usize; 4] = [0, 10, 50, 100];

/// A, B, A, then clean images; what is measured on is not in the streams.
#[derive(Clone, Copy, Debug)]
pub struct Journey<'a> {
    /// Streams of A, B, A and clean images.
    pub streams: [Images<'a>; 4],
    /// A, B and clean images to measure on.
    pub tests: [Images<'a>; 3],
}

/// One method over one journey; accuracies in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    /// [`Method::name`].
    pub method: String,
    /// Who named the classes.
    pub teacher: Teacher,
    /// Slots besides the base; 0 = one state for all.
    pub slots: u8,
    /// Whether the base is sealed.
    #[serde(default)]
    pub sealed: bool,
    /// RAM of the learned state.
    pub ram_bytes: usize,
    /// On clean images, nothing learned.
    pub before_pct: f64,
    /// On A after A, and on B after A, B.
    pub first_pct: [f64; 2],
    /// On A after each of [`AFTER`] images of the second stream of A.
    pub again_pct: [f64; 4],
    /// On clean images after each of [`AFTER`] clean ones.
    pub clean_pct: [f64; 4],
    /// Domains begun, the first included.
    pub opened: u32,
    /// Slots recalled.
    pub recalled: u32,
}

/// `method` on `journey`, with `domains` or without; `teacher` names the classes of every stream.
///
/// # Errors
/// The images do not fit `model`, or it cannot learn so.
pub fn recalled(
    model: &Model<'_>,
    method: &Method,
    domains: Option<Domains>,
    journey: &Journey<'_>,
    (seed, teacher): (u32, Teacher),
) -> Result<Option<Recalled>, LiveError> {
    let Some(config) = method.config() else {
        return Ok(None);
    };
    for images in journey.streams.iter().chain(&journey.tests) {
        images.check(model)?;
    }
    let plan = Plan {
        domains,
        ..Plan::ALWAYS
    };
    let mut buffer = vec![0; plan.state_bytes(model, &config)?];
    let ram_bytes = buffer.len();
    let mut plastic = Plastic::new(model, config, seed, &mut buffer)?;
    plan.set(&mut plastic, model)?;
    let mut traveller = Traveller {
        model,
        plastic,
        state_bytes: ram_bytes,
        arena: vec![0; model.arena_bytes()],
    };
    let labels = journey
        .streams
        .map(|stream| teacher.taught(stream.labels, seed, model.n_classes()));
    let [first, other, again, back] = [0, 1, 2, 3].map(|i| Images {
        labels: &labels[i],
        ..journey.streams[i]
    });
    let [a, b, clean] = journey.tests;
    let before_pct = traveller.accuracy_pct(clean)?;
    traveller.travel(first)?;
    let first_pct = traveller.accuracy_pct(a)?;
    traveller.travel(other)?;
    let first_pct = [first_pct, traveller.accuracy_pct(b)?];
    let again_pct = traveller.measured(again, a)?;
    let clean_pct = traveller.measured(back, clean)?;
    let report = traveller.plastic.domains().map(|(_, report)| report);
    let report = report.unwrap_or_default();
    Ok(Some(Recalled {
        method: method.name.into(),
        teacher,
        slots: domains.map_or(0, |domains| domains.slots),
        sealed: domains.is_some_and(|domains| domains.sealed),
        ram_bytes,
        before_pct,
        first_pct,
        again_pct,
        clean_pct,
        opened: report.opened,
        recalled: report.recalled,
    }))
}

/// What learns on the way.
struct Traveller<'m, 'b> {
    model: &'m Model<'m>,
    plastic: Plastic<'b>,
    state_bytes: usize,
    arena: Vec<i8>,
}

impl Traveller<'_, '_> {
    fn travel(&mut self, stream: Images<'_>) -> Result<(), LiveError> {
        let observe = self.plastic.config().homeostasis.is_some();
        for (pixels, &label) in stream.iter(self.model.input().len()) {
            let image = (pixels, observe);
            see(&mut self.plastic, self.model, &mut self.arena, image)?;
            self.plastic.learn(self.model, usize::from(label))?;
        }
        Ok(())
    }

    /// Nothing learning.
    fn accuracy_pct(&mut self, images: Images<'_>) -> Result<f64, LiveError> {
        let snapshot = self.plastic.snapshot();
        let found = evaluate_snapshot(self.model, snapshot, self.state_bytes, images)?;
        Ok(found.accuracy_pct())
    }

    /// Accuracy on `test` after each of [`AFTER`] images of `stream`.
    fn measured(&mut self, stream: Images<'_>, test: Images<'_>) -> Result<[f64; 4], LiveError> {
        let image_bytes = self.model.input().len();
        let (mut seen, mut pct) = (0, [0.0; 4]);
        for (pct, after) in pct.iter_mut().zip(AFTER) {
            let after = after.min(stream.labels.len());
            self.travel(Images {
                pixels: &stream.pixels[seen * image_bytes..after * image_bytes],
                labels: &stream.labels[seen..after],
            })?;
            seen = after;
            *pct = self.accuracy_pct(test)?;
        }
        Ok(pct)
    }
}

/// A row per method, teacher and number of slots: means.
pub fn markdown(runs: &[Recalled]) -> String {
    let mut text = String::from(
        "| learns | wrong labels | slots | RAM | A after A | B after B | A again, after 0 | 10 | 50 | 100 | \
         clean again, after 0 | 10 | 50 | 100 | runs that end more than 1 point below the start | begun | \
         recalled |\n|---|",
    );
    text += &"--:|".repeat(16);
    text += "\n";
    let key = |r: &Recalled| (r.method.clone(), r.teacher, r.slots, r.sealed);
    let mut keys: Vec<_> = runs.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    for of_row in keys {
        let of: Vec<&Recalled> = runs.iter().filter(|r| key(r) == of_row).collect();
        let (method, teacher, slots, sealed) = of_row;
        let base = if sealed { ", sealed base" } else { "" };
        let mean = |value: &dyn Fn(&Recalled) -> f64| {
            of.iter().map(|r| value(r)).sum::<f64>() / of.len() as f64
        };
        let _ = write!(
            text,
            "| {method} | {teacher} | {slots}{base} | {} B |",
            of[0].ram_bytes
        );
        for i in 0..2 {
            let _ = write!(text, " {:.2} |", mean(&|r| r.first_pct[i]));
        }
        for i in 0..AFTER.len() {
            let _ = write!(text, " {:.2} |", mean(&|r| r.again_pct[i]));
        }
        for i in 0..AFTER.len() {
            let _ = write!(text, " {:.2} |", mean(&|r| r.clean_pct[i]));
        }
        let below = of
            .iter()
            .filter(|r| r.before_pct - r.clean_pct[AFTER.len() - 1] > 1.0)
            .count();
        let _ = writeln!(
            text,
            " {below} of {} | {:.1} | {:.1} |",
            of.len(),
            mean(&|r| f64::from(r.opened)),
            mean(&|r| f64::from(r.recalled))
        );
    }
    text
}
