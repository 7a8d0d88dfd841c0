//! The batches of a run: which images a step learns from, and how they look then.

use super::Job;
use crate::LearnError;
use crate::random::{Purpose, stream};
use rand::seq::SliceRandom;

/// What a step learns from.
pub(super) struct Batch {
    /// Normalised.
    pub(super) images: Vec<f32>,
    pub(super) labels: Vec<u16>,
}

/// The batches of the steps of a run from one on, in order, without end.
pub(super) struct Batches<'a> {
    job: &'a Job<'a>,
    step: u64,
    /// An epoch and its images in the order of its steps.
    order: (u64, Vec<u32>),
}

impl<'a> Batches<'a> {
    /// From the step that comes next.
    pub(super) fn new(job: &'a Job<'a>, step: u64) -> Self {
        Self {
            job,
            step,
            order: (u64::MAX, vec![]),
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, LearnError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (c, train) = (self.job.config, &self.job.train);
        let (epoch, at) = (
            self.step / self.job.steps_per_epoch(),
            self.step % self.job.steps_per_epoch(),
        );
        if self.order.0 != epoch {
            let mut images: Vec<u32> = (0..train.len() as u32).collect();
            images.shuffle(&mut stream(c.seed, Purpose::Order, 0, epoch));
            self.order = (epoch, images);
        }
        let len = self.job.batch_len();
        let indices = &self.order.1[at as usize * len..][..len];
        let label = |&i: &u32| train.labels[i as usize];
        let images = c.augment.batch(train, indices, (c.seed, self.step));
        self.step += 1;
        Some(images.map(|images| Batch {
            images,
            labels: indices.iter().map(label).collect(),
        }))
    }
}

impl Job<'_> {
    pub(super) fn batch_len(&self) -> usize {
        self.config.batch.min(self.train.len())
    }

    pub(super) fn steps_per_epoch(&self) -> u64 {
        (self.train.len() / self.batch_len()) as u64
    }
}
