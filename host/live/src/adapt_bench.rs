//! What learning on the device is worth: every method on the same shifted streams, in the int8 engine.
//!
//! Owns the list of methods, one cell of the protocol (a stream, the images it is measured on) and the
//! table over all cells. It must not know data sets or files: the caller brings images and keeps lines.
//! Flow: streams of every shift and seed → [`measure`] → [`Outcome`]s → [`summary`] → report.
//!
//! The layers below the head are run once per trunk (with homeostasis or without) and their features are
//! kept; heads learn from features ([`Plastic::infer_features`]), which gives the device's bits.
//!
//! [`Plastic::infer_features`]: aplysia_shared::adapt::Plastic::infer_features

pub mod classes;
mod deep;
mod float_head;
mod head;
mod labels;
pub mod recall;
pub mod recurring;
pub mod replay;
mod script;
pub mod sealed;
pub mod summary;
pub mod targets;
mod trunk;
pub mod watched;

pub use labels::Teacher;

use crate::LiveError;
use crate::adaptation::{DEEP_RAM_BYTES, DEEP_RANDOM_RATE, DEEP_RATE};
use crate::evaluate::Images;
use aplysia_shared::Model;
use aplysia_shared::adapt::deep::{Deep, Feedback};
use aplysia_shared::adapt::{AdaptError, Config, Head, state_bytes};
use script::{Step, Trunks, accuracy_pct};
use serde::{Deserialize, Serialize};
use summary::Entry;

/// Labelled images of a stream after which accuracy is measured.
pub const CHECKPOINTS: [usize; 3] = [50, 100, 300];

/// Shares of wrong labels in percent; 100 is the adversary who always lies.
pub const NOISE_PCT: [u8; 4] = [0, 10, 30, 100];

/// What learns at the head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Learner {
    /// A rule of the device.
    Device(Head),
    /// Baseline: float gradient descent on the last layer, one step per label, over int8 features.
    FloatSgd {
        /// Learning rate in real (dequantized) units.
        rate: f32,
    },
    /// Baseline without labels: the mean of the features is moved back to that of training.
    Recentre,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Method {
    /// As reports call it.
    pub name: &'static str,
    /// Momentum shift of homeostasis below the head, if it is on.
    pub momentum: Option<u8>,
    /// At the head.
    pub learner: Learner,
}

const fn method(name: &'static str, momentum: Option<u8>, learner: Learner) -> Method {
    Method {
        name,
        momentum,
        learner,
    }
}

const fn instar(shift: u8) -> Learner {
    Learner::Device(Head::Instar { shift })
}

const fn delta(rate: u16) -> Learner {
    Learner::Device(Head::Delta { rate })
}

const fn perceptron(rate: u16, margin: u8) -> Learner {
    Learner::Device(Head::Perceptron { rate, margin })
}

const fn reward(rate: u16) -> Learner {
    Learner::Device(Head::Reward { rate })
}

/// The head at rate 1311, and the layers below it that learn in the RAM of a device at `rate`.
const fn deep(rate: u16, feedback: Feedback) -> Learner {
    let deep = Deep {
        ram_bytes: DEEP_RAM_BYTES,
        rate,
        feedback,
    };
    Learner::Device(Head::Deep { rate: 1311, deep })
}

const fn sgd(rate: f32) -> Learner {
    Learner::FloatSgd { rate }
}

const BASE: Learner = Learner::Device(Head::Base);

/// Every method, baselines first. Rates of delta are those of the float descent in 1/65536.
pub const METHODS: &[Method] = &[
    method("none", None, BASE),
    method("re-centring", None, Learner::Recentre),
    method("float last layer, rate 0.005", None, sgd(0.005)),
    method("float last layer, rate 0.02", None, sgd(0.02)),
    method("float last layer, rate 0.08", None, sgd(0.08)),
    method("instar 3", None, instar(3)),
    method("instar 4", None, instar(4)),
    method("delta 328", None, delta(328)),
    method("delta 1311", None, delta(1311)),
    method("delta 5243", None, delta(5243)),
    method("perceptron 1311", None, perceptron(1311, 0)),
    method("perceptron 1311 margin 16", None, perceptron(1311, 16)),
    method("reward 1311", None, reward(1311)),
    method("homeostasis 5", Some(5), BASE),
    method("homeostasis 5 + instar 3", Some(5), instar(3)),
    method("homeostasis 5 + instar 4", Some(5), instar(4)),
    method("homeostasis 5 + delta 328", Some(5), delta(328)),
    method("homeostasis 5 + delta 1311", Some(5), delta(1311)),
    method("homeostasis 5 + delta 5243", Some(5), delta(5243)),
    method(
        "homeostasis 5 + perceptron 1311",
        Some(5),
        perceptron(1311, 0),
    ),
    method(
        "homeostasis 5 + perceptron 1311 margin 16",
        Some(5),
        perceptron(1311, 16),
    ),
    method("homeostasis 5 + reward 1311", Some(5), reward(1311)),
    method(
        "deep 82 random",
        None,
        deep(DEEP_RANDOM_RATE, Feedback::Random),
    ),
    method(
        "homeostasis 5 + deep 328 signs",
        Some(5),
        deep(DEEP_RATE, Feedback::Signs),
    ),
];

impl Method {
    /// What a device is told; none for a baseline of the host.
    pub fn config(&self) -> Option<Config> {
        let homeostasis = self.momentum;
        match self.learner {
            Learner::Device(head) => Some(Config { homeostasis, head }),
            Learner::FloatSgd { .. } | Learner::Recentre => None,
        }
    }

    /// Whether `model` has what it needs: statistics for homeostasis, a layer that learns below the head.
    pub fn fits(&self, model: &Model<'_>) -> bool {
        let bytes = self.config().map(|config| state_bytes(model, &config));
        let lacks =
            |e: AdaptError| matches!(e, AdaptError::Deep { .. } | AdaptError::NoHomeostasis);
        !bytes.is_some_and(|bytes| bytes.is_err_and(lacks))
    }

    /// Bytes of learned state in RAM on a device; none for a baseline of the host, and where it does not fit.
    ///
    /// # Errors
    /// `model` cannot learn so.
    pub fn ram_bytes(&self, model: &Model<'_>) -> Result<Option<usize>, LiveError> {
        if !self.fits(model) {
            return Ok(None);
        }
        let bytes = self.config().map(|config| state_bytes(model, &config));
        Ok(bytes.transpose()?)
    }

    /// Whether homeostasis follows the images.
    pub fn observes(&self) -> bool {
        self.momentum.is_some()
    }

    /// As the table knows it, at the cost of `model`.
    ///
    /// # Errors
    /// `model` cannot learn so.
    pub fn entry(&self, model: &Model<'_>) -> Result<Entry, LiveError> {
        Ok(Entry {
            name: self.name.into(),
            learns_labels: self.learns_labels(),
            ram_bytes: self.ram_bytes(model)?,
        })
    }

    /// Whether wrong labels make a difference.
    pub fn learns_labels(&self) -> bool {
        !matches!(
            self.learner,
            Learner::Recentre | Learner::Device(Head::Base)
        )
    }
}

/// The methods that fit `model`.
pub fn fitting<'m>(model: &'m Model<'m>) -> impl Iterator<Item = &'static Method> + 'm {
    METHODS.iter().filter(|method| method.fits(model))
}

/// One cell of the protocol: one shift, one seed.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Shifted images with labels; learned from in order, once.
    pub stream: Images<'a>,
    /// Images under the same shift that are not in the stream.
    pub shifted: Images<'a>,
    /// Images without the shift.
    pub clean: Images<'a>,
    /// Of stochastic rounding and of wrong labels.
    pub seed: u32,
    /// Shares of wrong labels to try, of [`NOISE_PCT`].
    pub noise_pct: &'a [u8],
}

impl<'a> Cell<'a> {
    /// The stream with the labels `taught`, measured after each checkpoint, clean images at the end.
    fn script<'t>(&self, taught: &'t [u16]) -> Vec<Step<'t>>
    where
        'a: 't,
    {
        let image_bytes = self.stream.pixels.len() / self.stream.labels.len().max(1);
        let part = |range: std::ops::Range<usize>| {
            Step::See(Images {
                pixels: &self.stream.pixels[range.start * image_bytes..range.end * image_bytes],
                labels: &taught[range],
            })
        };
        let (mut script, mut seen) = (vec![], 0);
        for n in CHECKPOINTS.into_iter().filter(|&n| n <= taught.len()) {
            script.extend([part(seen..n), Step::Measure(self.shifted)]);
            seen = n;
        }
        script.extend([part(seen..taught.len()), Step::Measure(self.clean)]);
        script
    }

    /// What `teacher` says of the stream.
    pub fn taught(&self, teacher: Teacher, n_classes: usize) -> Vec<u16> {
        teacher.taught(self.stream.labels, self.seed, n_classes)
    }
}

/// One method in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`Method::name`].
    pub method: String,
    /// Share of wrong labels.
    pub noise_pct: u8,
    /// Accuracy in percent on the shifted images after each of [`CHECKPOINTS`], as far as the stream goes.
    pub shifted_pct: Vec<f64>,
    /// Accuracy in percent on the clean images at the end.
    pub clean_pct: f64,
}

/// Each of `methods` on one cell, one after the other on this thread: the same bits however many cells are
/// measured beside it. Methods that need no label are measured at the first noise share only, and methods
/// that do not fit the model not at all.
///
/// # Errors
/// The images do not fit `model`, or it has no prototypes, no statistics or no fully connected head.
pub fn measure(
    model: &Model<'_>,
    cell: &Cell<'_>,
    methods: &[&Method],
) -> Result<Vec<Outcome>, LiveError> {
    for images in [cell.stream, cell.shifted, cell.clean] {
        images.check(model)?;
    }
    let mut outcomes = Vec::new();
    let mut trunks = Trunks::new(model, cell.seed);
    for method in methods.iter().filter(|method| method.fits(model)) {
        for (i, &noise_pct) in cell.noise_pct.iter().enumerate() {
            if i > 0 && !method.learns_labels() {
                continue;
            }
            let taught = cell.taught(Teacher::Wrong(noise_pct), model.n_classes());
            let script = cell.script(&taught);
            let measured = trunks.classes(method, &script)?;
            let [shifted @ .., clean] = &measured[..] else {
                unreachable!("every script ends with the clean images")
            };
            let shifted_pct = shifted
                .iter()
                .map(|found| accuracy_pct(found, cell.shifted));
            outcomes.push(Outcome {
                method: method.name.into(),
                noise_pct,
                shifted_pct: shifted_pct.collect(),
                clean_pct: accuracy_pct(clean, cell.clean),
            });
        }
    }
    Ok(outcomes)
}
