//! A generation of candidates between two epochs of the weights.

use super::{Run, SupernetProgress};
use crate::LearnError;
use crate::ops::LearnOps;
use crate::random::{Purpose, stream};
use crate::supernet::architecture::{Draw, Tables};
use crate::supernet::evolution::{Cma, fitness, likeness, towards};
use crate::supernet::gradient::{Batch, NOTHING, Place};
use rand::RngCore;
use std::ops::ControlFlow;

impl<B: LearnOps> Run<'_, B> {
    /// Judges a generation and moves the logits, if one is due before the next step of the weights; gives what
    /// `observer` said, after a break between two candidates nothing has changed.
    ///
    /// # Errors
    /// [`LearnError::Diverged`], [`LearnError::Evolution`].
    pub(super) fn evolve(
        &mut self,
        observer: &mut dyn FnMut(SupernetProgress) -> ControlFlow<()>,
    ) -> Result<Option<ControlFlow<()>>, LearnError> {
        let Some(c) = self.job.config.evolution else {
            return Ok(None);
        };
        let generations = self.state.generations.len();
        let epochs = (self.epoch() + 1).saturating_sub(self.job.config.warm_epochs);
        if generations >= epochs * c.generations {
            return Ok(None);
        }
        let batches = self.batches(generations * c.batches, c.batches)?;
        let now = self.state.logits.clone();
        let (loss, right) = self.judge(&batches, &now)?;
        let q = self.engine.layout.coefficients(&now);
        let mut worth = vec![];
        let mut best = (f64::INFINITY, now.numbers());
        for _ in 0..c.population {
            let point = self
                .cma()
                .point()
                .ok_or(LearnError::Evolution { generations })?;
            let within: Vec<f64> = point.iter().map(|a| a.clamp(-c.bound, c.bound)).collect();
            let candidate = now.with(&within);
            let (loss, n_right) = self.judge(&batches, &candidate)?;
            let like = likeness(&q, &self.engine.layout.coefficients(&candidate));
            let outside = point.iter().zip(&within).map(|(a, b)| (a - b).powi(2));
            let fitness = fitness(loss.into(), (n_right, right), like, c.likeness);
            let fitness = fitness + outside.sum::<f64>();
            self.cma().tell(fitness);
            worth.push(fitness);
            if fitness < best.0 {
                best = (fitness, within);
            }
            if observer(SupernetProgress::Candidate).is_break() {
                // What it was told of this generation is not kept.
                self.cma = None;
                return Ok(Some(ControlFlow::Break(())));
            }
        }
        let n_images = batches.iter().map(|b| b.labels.len()).sum();
        self.state.sums[1].add(loss, right, n_images);
        self.state.logits = now.with(&towards(&now.numbers(), &best.1, &c));
        self.state.generations.push(worth);
        let generation = generations + 1;
        Ok(Some(observer(SupernetProgress::Generation {
            generation,
            loss,
        })))
    }

    /// The one evolution of the search; after a checkpoint it hears again what it was told.
    fn cma(&mut self) -> &Cma {
        let (job, state, layout) = (self.job, &self.state, &self.engine.layout);
        self.cma.get_or_insert_with(|| {
            let c = job.config.evolution.unwrap_or_default();
            let seed = job.training.seed;
            let mean = layout.first(seed).numbers();
            let seed = stream(seed, Purpose::Evolution, 0, 0).next_u64();
            let cma = Cma::new(mean, c.sigma, c.population, seed);
            for fitness in state.generations.iter().flatten() {
                cma.point();
                cma.tell(*fitness);
            }
            cma
        })
    }

    /// `n` batches of the architecture's images, from number `first` on, each with the random numbers of its
    /// draws.
    fn batches(&self, first: usize, n: usize) -> Result<Vec<Batch>, LearnError> {
        let [_, order] = self.feed.orders(self.epoch() as u64);
        let len = self.feed.batch_len();
        let n_whole = order.len() / len;
        let batch = |i: usize| {
            let some = &order[i % n_whole * len..][..len];
            let at = (self.state.step, 1);
            self.feed.batch(&self.job.training.augment, some, at)
        };
        (first..first + n).map(batch).collect()
    }

    /// Mean loss of `logits` over the batches, and right answers in all. Draws take the same random numbers
    /// for all candidates of a generation.
    fn judge(&self, batches: &[Batch], logits: &Tables) -> Result<(f32, u64), LearnError> {
        let layout = &self.engine.layout;
        let q = layout.coefficients(logits);
        let (mut loss, mut n_right) = (0.0, 0);
        for (i, batch) in batches.iter().enumerate() {
            let time = (self.state.generations.len() * batches.len() + i) as u64;
            let rng = &mut stream(self.job.training.seed, Purpose::Candidates, 1, time);
            let draw = match self.job.config.sample_rules {
                true => Draw::sample(layout, &q, rng),
                false => Draw::all(layout),
            };
            let at = Place {
                step: self.state.step,
                draw: &draw,
                bonus: self.bonus(),
            };
            let look = self.engine.look(batch, logits, NOTHING, at)?;
            loss += look.loss / batches.len() as f32;
            n_right += look.n_right;
        }
        Ok((loss, n_right))
    }
}
