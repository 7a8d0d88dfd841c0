//! Classes that come later: a model that was trained on the first ones learns the others from a few images.
//!
//! Owns the order of lessons and their numbers. One session per new class, in the order of the classes: its
//! first images are learned, then all test images of the classes known so far are classified among all
//! outputs of the model.

use super::Method;
use super::script::{Step, Trunks};
use crate::LiveError;
use crate::evaluate::Images;
use aplysia_shared::Model;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Images of every new class.
pub const SHOTS: [usize; 3] = [1, 5, 10];

/// After one session of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// [`Method::name`].
    pub method: String,
    /// Images of every new class, of [`SHOTS`].
    pub shots: usize,
    /// New classes so far.
    pub n_new: usize,
    /// Accuracy in percent on the classes of training.
    pub old_pct: f64,
    /// Accuracy in percent on the new classes so far.
    pub new_pct: f64,
}

/// What is learned, and what it is measured on.
#[derive(Clone, Copy, Debug)]
pub struct Lessons<'a> {
    /// Classes of training: the first ones.
    pub n_old: usize,
    /// Images to learn new classes from; of each class the first are taken.
    pub support: Images<'a>,
    /// Images of all classes.
    pub test: Images<'a>,
    /// Of stochastic rounding.
    pub seed: u32,
}

/// Every session of each of `methods`, which leave the layers below the head alone.
///
/// # Errors
/// The images do not fit `model`, or a method cannot learn on it.
pub fn sessions(
    model: &Model<'_>,
    lessons: &Lessons<'_>,
    methods: &[&Method],
) -> Result<Vec<Session>, LiveError> {
    for images in [lessons.support, lessons.test] {
        images.check(model)?;
    }
    let image_bytes = model.input().len();
    let mut all = vec![];
    for shots in SHOTS {
        let mut support: Vec<(Vec<u8>, Vec<u16>)> = vec![];
        for class in lessons.n_old..model.n_classes() {
            let of_class = lessons.support.iter(image_bytes);
            let of_class = of_class.filter(|(_, label)| usize::from(**label) == class);
            let (pixels, labels): (Vec<&[u8]>, Vec<u16>) = of_class.take(shots).unzip();
            support.push((pixels.concat(), labels));
        }
        let mut script = vec![];
        for (pixels, labels) in &support {
            script.push(Step::See(Images { pixels, labels }));
            script.push(Step::Measure(lessons.test));
        }
        let mut trunks = Trunks::new(model, lessons.seed);
        for method in methods {
            for (n, found) in trunks.classes(method, &script)?.iter().enumerate() {
                let known = lessons.n_old + n + 1;
                let pct = |classes: std::ops::Range<usize>| share_pct(found, lessons.test, classes);
                all.push(Session {
                    method: method.name.into(),
                    shots,
                    n_new: n + 1,
                    old_pct: pct(0..lessons.n_old),
                    new_pct: pct(lessons.n_old..known),
                });
            }
        }
    }
    Ok(all)
}

/// Share of the images of `classes` that are found to be what they are.
fn share_pct(found: &[u16], images: Images<'_>, classes: std::ops::Range<usize>) -> f64 {
    let pairs = found.iter().zip(images.labels);
    let asked = pairs.filter(|(_, label)| classes.contains(&usize::from(**label)));
    let right: Vec<bool> = asked.map(|(found, label)| found == label).collect();
    100.0 * right.iter().filter(|&&r| r).count() as f64 / right.len().max(1) as f64
}

/// `2ab/(a + b)`, 0 if both are.
pub fn harmonic_mean(a: f64, b: f64) -> f64 {
    if a + b > 0.0 {
        2.0 * a * b / (a + b)
    } else {
        0.0
    }
}

/// Means of equal sessions, in the order of their first appearance; the means of accuracies are theirs.
pub fn means(sessions: &[Session]) -> Vec<Session> {
    let mut means: Vec<(Session, f64)> = vec![];
    for session in sessions {
        let key = |s: &Session| (s.method.clone(), s.shots, s.n_new);
        match means.iter_mut().find(|(mean, _)| key(mean) == key(session)) {
            Some((sum, n)) => {
                sum.old_pct += session.old_pct;
                sum.new_pct += session.new_pct;
                *n += 1.0;
            }
            None => means.push((session.clone(), 1.0)),
        }
    }
    let mean = |(sum, n): (Session, f64)| Session {
        old_pct: sum.old_pct / n,
        new_pct: sum.new_pct / n,
        ..sum
    };
    means.into_iter().map(mean).collect()
}

/// A row per method and number of shots: old, new, harmonic mean after each session.
pub fn markdown(means: &[Session]) -> String {
    let n_sessions = means.iter().map(|s| s.n_new).max().unwrap_or(0);
    let mut text = String::from("| method | shots |");
    for n in 1..=n_sessions {
        let _ = write!(text, " +{n}: old, new, harmonic |");
    }
    text += "\n|---|--:|";
    text += &"--:|".repeat(n_sessions);
    for session in means {
        if session.n_new == 1 {
            let _ = write!(text, "\n| {} | {} |", session.method, session.shots);
        }
        let (old, new) = (session.old_pct, session.new_pct);
        let _ = write!(
            text,
            " {old:.2}, {new:.2}, **{:.2}** |",
            harmonic_mean(old, new)
        );
    }
    text + "\n"
}
