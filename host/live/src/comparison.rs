//! Does the device compute what the host computes? Every score of every image, and what it cost there.
//!
//! Owns the comparison only: the host's scores come from [`crate::evaluate()`], the device's
//! over its serial line. Flow: blob, images → **`comparison`** → reports.

use crate::LiveError;
use crate::adaptation::Instructions;
use crate::device::{Device, Line};
use crate::evaluate::{Evaluation, Images};
use std::ops::ControlFlow;

/// An image on which device and host differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image {index}: the device gives {device:?}, the host {host:?}")]
pub struct Difference {
    /// Place of the image among those compared, from 0.
    pub index: usize,
    /// Scores of the device, `[n_classes]`.
    pub device: Vec<i8>,
    /// Scores of the host, `[n_classes]`.
    pub host: Vec<i8>,
}

/// A device beside the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Images whose class and every score were equal.
    pub n_equal: usize,
    /// Images compared.
    pub n: usize,
    /// The first difference, if there is one.
    pub difference: Option<Difference>,
    /// Of classifying one image on the device.
    pub inference: Instructions,
}

impl Comparison {
    /// This comparison and then `other`, of the images that follow.
    pub fn and(self, other: Self) -> Self {
        let further = other.difference.map(|difference| Difference {
            index: self.n + difference.index,
            ..difference
        });
        Self {
            n_equal: self.n_equal + other.n_equal,
            n: self.n + other.n,
            difference: self.difference.or(further),
            inference: self.inference.and(other.inference),
        }
    }
}

/// Classifies `images` on the device and compares with `host`, the host's result on the same images.
/// `on_step` hears of the number of images done after each; a break ends the comparison there.
///
/// # Errors
/// The images do not fit the device's model, or the line fails.
pub fn compare<T: Line>(
    device: &mut Device<T>,
    images: Images<'_>,
    host: &Evaluation,
    on_step: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Comparison, LiveError> {
    let info = device.info()?;
    let (image_bytes, n_classes) = (
        info.input.iter().map(|&n| usize::from(n)).product(),
        usize::from(info.n_classes),
    );
    images.check_sizes(image_bytes, n_classes)?;
    let answers = host
        .predictions
        .iter()
        .zip(host.scores.chunks_exact(n_classes.max(1)));
    let mut found = Comparison::default();
    for ((pixels, _), (&class, scores)) in images.iter(image_bytes).zip(answers) {
        let answer = device.infer(pixels, false)?;
        found.inference.add(answer.instructions);
        if (answer.class, &answer.scores[..]) == (class, scores) {
            found.n_equal += 1;
        } else if found.difference.is_none() {
            found.difference = Some(Difference {
                index: found.n,
                device: answer.scores,
                host: scores.to_vec(),
            });
        }
        found.n += 1;
        if on_step(found.n).is_break() {
            break;
        }
    }
    Ok(found)
}
