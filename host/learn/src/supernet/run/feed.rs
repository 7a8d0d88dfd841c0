//! The images of a search by supernet: which teach the weights and which the architecture, in what order.

use super::super::SupernetJob;
use super::super::gradient::Batch;
use crate::random::{Purpose, stream};
use crate::{Augment, LearnError};
use rand::seq::SliceRandom;

/// The images of a job.
#[derive(Clone)]
pub(super) struct Feed<'a> {
    job: &'a SupernetJob<'a>,
    /// Images of the weights, and of the architecture.
    pub(super) halves: [Vec<u32>; 2],
}

/// What a step learns from.
pub(super) struct Step {
    pub(super) weights: Batch,
    /// None while it does not descend.
    pub(super) architecture: Option<Batch>,
}

impl<'a> Feed<'a> {
    /// Draws the halves.
    pub(super) fn new(job: &'a SupernetJob<'a>) -> Self {
        let mut first: Vec<u32> = (0..job.images.len() as u32).collect();
        first.shuffle(&mut stream(job.training.seed, Purpose::Halves, 0, 0));
        let second = first.split_off(first.len() / 2);
        Self {
            job,
            halves: [first, second],
        }
    }

    pub(super) fn batch_len(&self) -> usize {
        self.job.training.batch.min(self.halves[0].len())
    }

    pub(super) fn steps_per_epoch(&self) -> u64 {
        (self.halves[0].len() / self.batch_len()) as u64
    }

    /// The images of `epoch` in their order: the weights', then the architecture's.
    pub(super) fn orders(&self, epoch: u64) -> [Vec<u32>; 2] {
        let seed = self.job.training.seed;
        let mut orders = self.halves.clone();
        orders[0].shuffle(&mut stream(seed, Purpose::Order, 0, epoch));
        orders[1].shuffle(&mut stream(seed, Purpose::Halves, 1, epoch));
        orders
    }

    /// The images `indices`, changed as `augment` says; `half` and `step` choose how.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(super) fn batch(
        &self,
        augment: &Augment,
        indices: &[u32],
        (step, half): (u64, u64),
    ) -> Result<Batch, LearnError> {
        let images = &self.job.images;
        let label = |&i: &u32| images.labels[i as usize];
        let time = 2 * step + half;
        Ok(Batch {
            pixels: augment.batch(images, indices, (self.job.training.seed, time))?,
            labels: indices.iter().map(label).collect(),
        })
    }

    /// The batches of the steps `from..to`.
    pub(super) fn steps(
        self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<Step, LearnError>> + Send {
        let mut known = (u64::MAX, Default::default());
        (from..to).map(move |step| {
            let (per_epoch, len) = (self.steps_per_epoch(), self.batch_len());
            let epoch = step / per_epoch;
            if known.0 != epoch {
                known = (epoch, self.orders(epoch));
            }
            let at = (step % per_epoch) as usize * len;
            let [weights, architecture] = known.1.each_ref().map(|order| &order[at..at + len]);
            let (augment, c) = (&self.job.training.augment, self.job.config);
            let descends = epoch >= c.warm_epochs as u64 && c.evolution.is_none();
            let second = descends.then(|| self.batch(augment, architecture, (step, 1)));
            Ok(Step {
                weights: self.batch(augment, weights, (step, 0))?,
                architecture: second.transpose()?,
            })
        })
    }
}
