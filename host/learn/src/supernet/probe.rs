//! One look at a supernet under search: loss and gradient by its logits, as the first step sees them.
//!
//! For tests, and for measuring what draws and rules do to the gradient.

use super::SupernetJob;
use super::architecture::{Draw, Tables};
use super::gradient::{Batch, Engine, LOGITS, Place};
use crate::network::numbers;
use crate::{Augment, LearnError};

/// Loss, gradient and answers at given logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Glance {
    /// On the second half of the images.
    pub loss: f32,
    /// `∂L/∂α`.
    pub by_logits: Tables,
    /// `[images, classes]`.
    pub outputs: Vec<f32>,
}

/// Looks at the second half of the job's images, as one batch without augmentation, with fresh weights; or
/// with those one step of plain descent by `ahead` on the first half later, to second order.
///
/// # Errors
/// The device is missing, images do not fit, or the loss is not finite.
pub fn glance(
    job: &SupernetJob,
    logits: &Tables,
    draw: &Draw,
    ahead: Option<f32>,
) -> Result<Glance, LearnError> {
    job.images.check(&job.supernet.network)?;
    on_device!(job.device, |B, place| {
        let mut engine = Engine::<B>::new(job, &place);
        let n = job.images.len() as u32;
        let batch = |from: u32, to: u32| {
            let indices: Vec<u32> = (from..to).collect();
            let label = |&i: &u32| job.images.labels[i as usize];
            Ok::<_, LearnError>(Batch {
                pixels: Augment::NONE.batch(&job.images, &indices, (0, 0))?,
                labels: indices.iter().map(label).collect(),
            })
        };
        let (first, second) = (batch(0, n / 2)?, batch(n / 2, n)?);
        let at = Place {
            step: 0,
            draw,
            bonus: 0.0,
        };
        let (look, gradient) = match ahead {
            Some(lr) => engine.look_ahead((&first, &second), logits, lr, at)?,
            None => engine.look(&second, logits, LOGITS, at)?.split(logits),
        };
        Ok(Glance {
            loss: look.loss,
            by_logits: gradient,
            outputs: numbers(look.taped.logits.inner()),
        })
    })
}
