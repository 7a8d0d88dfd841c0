//! A domain that comes back: A, then B, then A again.

use super::Method;
use super::script::{Step, Trunks, accuracy_pct};
use crate::LiveError;
use crate::evaluate::Images;
use aplysia_shared::Model;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// One method over one A, B, A; accuracies in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Return {
    /// [`Method::name`].
    pub method: String,
    /// On A, nothing learned.
    pub before_pct: f64,
    /// On A after its first stream.
    pub first_pct: f64,
    /// On B after its stream.
    pub other_pct: f64,
    /// On A then: what is left.
    pub left_pct: f64,
    /// On A after its second stream.
    pub again_pct: f64,
}

/// A stream and images under the same shift.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    /// Learned from.
    pub stream: Images<'a>,
    /// Measured on.
    pub test: Images<'a>,
}

/// Each of `methods` from A to B and back; `again` is what comes of A the second time.
///
/// # Errors
/// The images do not fit `model`, or a method cannot learn on it.
pub fn returns(
    model: &Model<'_>,
    (a, b, again): (Domain<'_>, Domain<'_>, Images<'_>),
    seed: u32,
    methods: &[&Method],
) -> Result<Vec<Return>, LiveError> {
    for images in [a.stream, a.test, b.stream, b.test, again] {
        images.check(model)?;
    }
    let script = [
        Step::Measure(a.test),
        Step::See(a.stream),
        Step::Measure(a.test),
        Step::See(b.stream),
        Step::Measure(b.test),
        Step::Measure(a.test),
        Step::See(again),
        Step::Measure(a.test),
    ];
    let tests = [a.test, a.test, b.test, a.test, a.test];
    let mut trunks = Trunks::new(model, seed);
    let mut returns = vec![];
    for method in methods {
        let found = trunks.classes(method, &script)?;
        let pct = |i: usize| accuracy_pct(&found[i], tests[i]);
        returns.push(Return {
            method: method.name.into(),
            before_pct: pct(0),
            first_pct: pct(1),
            other_pct: pct(2),
            left_pct: pct(3),
            again_pct: pct(4),
        });
    }
    Ok(returns)
}

/// The means of `returns` by method, one row each, in the order of `names`.
pub fn markdown(returns: &[Return], names: &[&str]) -> String {
    let mut text = String::from(
        "| method | A before | A after A | B after A, B | A after A, B | A after A, B, A |\n|---|",
    );
    text += &"--:|".repeat(5);
    text += "\n";
    for &name in names {
        let of: Vec<&Return> = returns.iter().filter(|r| r.method == name).collect();
        if of.is_empty() {
            continue;
        }
        let _ = write!(text, "| {name} |");
        let columns: [fn(&Return) -> f64; 5] = [
            |r| r.before_pct,
            |r| r.first_pct,
            |r| r.other_pct,
            |r| r.left_pct,
            |r| r.again_pct,
        ];
        for column in columns {
            let sum: f64 = of.iter().map(|r| column(r)).sum();
            let _ = write!(text, " {:.2} |", sum / of.len() as f64);
        }
        text += "\n";
    }
    text
}
