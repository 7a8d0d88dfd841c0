//! The loop of a search by supernet.

mod epoch;
mod evolve;
mod feed;

use super::SupernetJob;
use super::adam::Adam;
use super::architecture::{Draw, Tables};
use super::checkpoint::{Saved, identity};
use super::evolution::Cma;
use super::gradient::{Engine, LOGITS, Place, WEIGHTS};
use super::memory::peak_bytes;
use crate::LearnError;
use crate::ahead::ahead;
use crate::checkpoint::{self, Identity};
use crate::ops::LearnOps;
use crate::optimizer::{Sgd, cosine};
use crate::random::{Purpose, stream};
use aplysia_space::darts::Genotype;
use aplysia_space::{Rule, darts};
use feed::{Feed, Step};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// What is known after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SupernetEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss on the weights' images.
    pub loss: f32,
    /// Share of them answered right during the epoch.
    pub accuracy: f32,
    /// Mean loss on the architecture's images, before each of its steps; none while only weights learn.
    pub alpha_loss: Option<f32>,
    /// Share of them answered right.
    pub alpha_accuracy: Option<f32>,
    /// Dominant eigenvalue of the loss's Hessian in the logits, where it was evaluated.
    pub eigenvalue: Option<f64>,
    /// What the architecture favours.
    pub genotype: Genotype,
}

/// What the observer is told.
#[derive(Debug)]
pub enum SupernetProgress<'a> {
    /// A step of architecture and weights is done.
    Step {
        /// Steps done, of the whole search.
        step: u64,
        /// Steps of the whole search.
        n_steps: u64,
        /// Loss of its batch.
        loss: f32,
        /// Largest resident set of the process so far, in bytes, where known.
        peak_bytes: Option<u64>,
    },
    /// A candidate of a generation was judged. After a break the generation begins anew.
    Candidate,
    /// A generation of candidates was judged.
    Generation {
        /// Counted from 1, over the whole search.
        generation: usize,
        /// Loss of the architecture before it.
        loss: f32,
    },
    /// An epoch is done (and its checkpoint written).
    Epoch(&'a SupernetEpoch),
}

/// Result of [`search`].
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What the architecture favours at the end, or where an early stop returned to.
    pub genotype: Genotype,
    /// The logits it was read off.
    pub logits: Tables,
    /// One entry per finished epoch.
    pub history: Vec<SupernetEpoch>,
    /// False when the observer stopped the search.
    pub finished: bool,
}

/// An evaluation of the curvature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Check {
    eigenvalue: f64,
    logits: Tables,
}

/// Everything that changes, but the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    step: u64,
    logits: Tables,
    adam: Adam,
    history: Vec<SupernetEpoch>,
    checks: Vec<Check>,
    /// Logits at the end of the epoch before.
    before: Tables,
    /// Sums over the epoch under way, of the weights' and the architecture's images.
    sums: [Sum; 2],
    /// What the candidates of every generation were worth, in order: the evolution is replayed from it.
    generations: Vec<Vec<f64>>,
    /// Whether an early stop has ended the search.
    stopped: bool,
}

/// What looks have found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum {
    loss: f64,
    n_right: u64,
    n_images: u64,
    n_looks: u64,
}

impl Sum {
    fn add(&mut self, loss: f32, n_right: u64, n_images: usize) {
        self.loss += f64::from(loss);
        self.n_right += n_right;
        self.n_images += n_images as u64;
        self.n_looks += 1;
    }

    /// Mean loss and share of right answers; none without a look.
    fn mean(&self) -> Option<(f32, f32)> {
        let loss = self.loss / self.n_looks as f64;
        let share = self.n_right as f32 / self.n_images as f32;
        (self.n_looks > 0).then_some((loss as f32, share))
    }
}

/// Searches. The same job gives the same bits on one device; on `cpu` whatever the number of threads.
///
/// `observer` is called after every step and every epoch; `Break` stops the search after writing the
/// checkpoint.
///
/// # Errors
/// The device is missing, data or settings do not fit, the loss diverged, or the checkpoint is unusable.
pub fn search(
    job: &SupernetJob,
    observer: &mut dyn FnMut(SupernetProgress) -> ControlFlow<()>,
) -> Result<Found, LearnError> {
    job.training.check()?;
    job.config.check()?;
    job.images.check(&job.supernet.network)?;
    let in_turns = |c: &darts::Candidate| c.rule == Some(Rule::SoftHebb);
    if job.supernet.candidates.iter().any(in_turns) {
        return Err(LearnError::InTurns);
    }
    if job.images.len() < 2 * MIN_BATCH {
        return Err(LearnError::Data {
            what: "images",
            got: job.images.len(),
            want: 2 * MIN_BATCH,
        });
    }
    on_device!(job.device, |B, place| Run::<B>::new(job, &place)?
        .run(observer))
}

/// Images of a batch at least: one alone has no batch statistics after the last pooling.
const MIN_BATCH: usize = 2;

struct Run<'a, B: LearnOps> {
    job: &'a SupernetJob<'a>,
    engine: Engine<'a, B>,
    identity: Option<Identity>,
    feed: Feed<'a>,
    /// None before the first generation.
    cma: Option<Cma>,
    state: State,
}

impl<'a, B: LearnOps> Run<'a, B> {
    fn new(job: &'a SupernetJob<'a>, device: &B::Device) -> Result<Self, LearnError> {
        let seed = job.training.seed;
        let engine = Engine::new(job, device);
        let logits = engine.layout.first(seed);
        let mut run = Self {
            job,
            engine,
            identity: job.checkpoint.map(|_| identity(job)),
            feed: Feed::new(job),
            cma: None,
            state: State {
                step: 0,
                adam: Adam::default(),
                history: vec![],
                checks: vec![],
                before: logits.clone(),
                logits,
                sums: Default::default(),
                generations: vec![],
                stopped: false,
            },
        };
        let identity = run.identity.as_ref();
        if let Some((path, identity)) = job.checkpoint.filter(|p| p.exists()).zip(identity) {
            let saved: Saved = checkpoint::read(path)?;
            saved.identity.check(identity, path)?;
            run.engine.model.set_params(&saved.params)?;
            run.engine.model.set_memory(&saved.memory)?;
            run.state = saved.state;
        }
        Ok(run)
    }

    fn n_steps(&self) -> u64 {
        self.job.config.epochs as u64 * self.feed.steps_per_epoch()
    }

    /// Finished epochs.
    fn epoch(&self) -> usize {
        (self.state.step / self.feed.steps_per_epoch()) as usize
    }

    fn run(
        self,
        observer: &mut dyn FnMut(SupernetProgress) -> ControlFlow<()>,
    ) -> Result<Found, LearnError> {
        let batches = self.feed.clone().steps(self.state.step, self.n_steps());
        ahead(batches, |batches| self.steps(batches, observer))
    }

    /// Searches on `batches` to its end.
    fn steps(
        mut self,
        batches: &mut dyn Iterator<Item = Result<Step, LearnError>>,
        observer: &mut dyn FnMut(SupernetProgress) -> ControlFlow<()>,
    ) -> Result<Found, LearnError> {
        let n_steps = self.n_steps();
        let mut finished = true;
        while self.state.step < n_steps && !self.state.stopped {
            if let Some(flow) = self.evolve(observer)? {
                if flow.is_break() {
                    self.save()?;
                    finished = false;
                    break;
                }
                continue;
            }
            let Some(step) = batches.next() else {
                break;
            };
            let loss = self.step(&step?)?;
            let mut flow = observer(SupernetProgress::Step {
                step: self.state.step,
                n_steps,
                loss,
                peak_bytes: peak_bytes(),
            });
            if self.state.step.is_multiple_of(self.feed.steps_per_epoch()) {
                self.close_epoch()?;
                self.save()?;
                if let (true, Some(record)) = (flow.is_continue(), self.state.history.last()) {
                    flow = observer(SupernetProgress::Epoch(record));
                }
            } else if flow.is_break() {
                self.save()?;
            }
            if flow.is_break() {
                finished = self.state.stopped || self.state.step == n_steps;
                break;
            }
        }
        Ok(Found {
            genotype: self.genotype(&self.state.logits, self.job.config.max_skips)?,
            logits: self.state.logits,
            history: self.state.history,
            finished,
        })
    }

    /// One step of the architecture, once it learns, then one of the weights, whose loss it gives.
    fn step(&mut self, step: &Step) -> Result<f32, LearnError> {
        let c = self.job.config;
        let draw = self.draw();
        let at = Place {
            step: self.state.step,
            draw: &draw,
            bonus: self.bonus(),
        };
        let train = &step.weights;
        if let Some(valid) = &step.architecture {
            let logits = &self.state.logits;
            let (look, grad) = if c.second_order {
                let lr = self.lr();
                self.engine.look_ahead((train, valid), logits, lr, at)?
            } else {
                self.engine.look(valid, logits, LOGITS, at)?.split(logits)
            };
            let mut numbers = logits.numbers();
            let (lr, decay) = (c.alpha_lr, c.alpha_weight_decay);
            self.state
                .adam
                .step(&mut numbers, &grad.numbers(), lr, decay);
            self.state.logits = self.state.logits.with(&numbers);
            self.state.sums[1].add(look.loss, look.n_right, valid.labels.len());
        }
        let look = self.engine.look(train, &self.state.logits, WEIGHTS, at)?;
        let now = (self.state.step, self.n_steps(), self.factor());
        let optimizer = Sgd {
            lr: self.lr(),
            momentum: self.job.training.momentum,
            nesterov: self.job.training.nesterov,
            weight_decay: self.job.training.weight_decay,
            clip_norm: self.job.training.clip_norm,
        };
        let model = &mut self.engine.model;
        optimizer.step(model.params_mut(), look.by_weights);
        model.learn_locally(&look.taped, &self.job.training.local, now);
        model.constrain();
        self.state.sums[0].add(look.loss, look.n_right, train.labels.len());
        self.state.step += 1;
        Ok(look.loss)
    }

    fn draw(&self) -> Draw {
        self.draw_at(self.state.step)
    }

    /// [`Run::draw`] with the random numbers of `step`.
    fn draw_at(&self, step: u64) -> Draw {
        let layout = &self.engine.layout;
        if !self.job.config.sample_rules {
            return Draw::all(layout);
        }
        let seed = self.job.training.seed;
        let rng = &mut stream(seed, Purpose::Candidates, 0, step);
        Draw::sample(layout, &layout.coefficients(&self.state.logits), rng)
    }

    /// What helps the identities now.
    fn bonus(&self) -> f64 {
        let left = 1.0 - self.state.step as f64 / self.n_steps() as f64;
        if self.job.config.auxiliary_skip {
            left
        } else {
            0.0
        }
    }

    /// The schedule's factor of the learning rates.
    fn factor(&self) -> f32 {
        cosine(self.state.step, 0, self.n_steps())
    }

    fn lr(&self) -> f32 {
        let (high, low) = (self.job.training.lr, self.job.config.min_lr);
        low + (high - low) * self.factor()
    }

    fn save(&mut self) -> Result<(), LearnError> {
        let (Some(path), Some(identity)) = (self.job.checkpoint, &self.identity) else {
            return Ok(());
        };
        let saved = Saved {
            identity: identity.clone(),
            params: self.engine.model.to_params(),
            memory: self.engine.model.memory(),
            state: self.state.clone(),
        };
        checkpoint::write(&saved, path)
    }
}
