//! The one training loop.

use crate::ahead::ahead;
use crate::checkpoint::{self, Checkpoint, Identity};
use crate::evaluate::{Images, argmax, evaluate_model};
use crate::network::{Model, Moment, Norms, Taped, check_operations, numbers_of};
use crate::ops::{LearnOps, unwrap, wrap};
use crate::optimizer::{Sgd, cosine, exponential};
use crate::{Alignment, Device, LearnError, TrainConfig};
use aplysia_space::{Network, NetworkParams};
use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;

mod batches;
mod noise;

use batches::{Batch, Batches};
pub use noise::{GradientNoise, gradient_noise};

/// What to train on what.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The graph, with a rule on every weighted layer.
    pub network: &'a Network,
    /// Training images.
    pub train: Images<'a>,
    /// Evaluated after every epoch.
    pub valid: Option<Images<'a>>,
    /// Settings.
    pub config: &'a TrainConfig,
    /// Where to compute.
    pub device: Device,
    /// Written after every epoch and when the observer stops the run; if it exists, the run goes on
    /// from it.
    pub checkpoint: Option<&'a Path>,
}

/// What is known after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss (with label smoothing, augmentation and auxiliary head).
    pub loss: f32,
    /// Share of augmented training images answered right during the epoch.
    pub train_accuracy: f32,
    /// Share of validation images answered right after the epoch.
    pub valid_accuracy: Option<f32>,
    /// Feedback against weights, per weighted layer; none for `dfa`.
    pub alignment: Vec<Option<Alignment>>,
}

/// What the observer is told.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step is done.
    Step {
        /// Steps done, of the whole run.
        step: u64,
        /// Steps of the whole run.
        n_steps: u64,
        /// Loss of its batch.
        loss: f32,
    },
    /// An epoch is done (and its checkpoint written).
    Epoch(&'a EpochRecord),
}

/// Result of [`train`].
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The parameters.
    pub params: NetworkParams,
    /// Feedback against weights before the first step.
    pub initial_alignment: Vec<Option<Alignment>>,
    /// One entry per finished epoch.
    pub history: Vec<EpochRecord>,
    /// False when the observer stopped the run.
    pub finished: bool,
}

/// Trains. The same job gives the same bits on one device; on `cpu` whatever the number of threads.
///
/// `observer` is called after every step and every epoch; `Break` stops the run after writing the
/// checkpoint.
///
/// # Errors
/// The device is missing, data or settings do not fit, the loss diverged, or the checkpoint is unusable.
pub fn train(
    job: &Job,
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Trained, LearnError> {
    job.config.check()?;
    check_operations(job.network)?;
    job.train.check(job.network)?;
    if let Some(valid) = job.valid {
        valid.check(job.network)?;
    }
    on_device!(job.device, |B, place| Run::<B>::new(job, &place)?
        .run(observer))
}

/// What a batch gave, still on the device, and its labels.
struct Pass<B: LearnOps> {
    loss: Tensor<B, 1>,
    grads: Vec<Option<Tensor<B, 1>>>,
    taped: Taped<B>,
    labels: Vec<u16>,
}

/// A run under way.
struct Run<'a, B: LearnOps> {
    job: &'a Job<'a>,
    /// Known if there is a checkpoint to compare it with or to write it to.
    identity: Option<Identity>,
    model: Model<B>,
    initial_alignment: Vec<Option<Alignment>>,
    step: u64,
    history: Vec<EpochRecord>,
    loss_sum: f64,
    n_right: u64,
}

impl<'a, B: LearnOps> Run<'a, B> {
    fn new(job: &'a Job<'a>, place: &B::Device) -> Result<Self, LearnError> {
        let c = job.config;
        let model = Model::<B>::new(job.network, c, place);
        let initial_alignment = model.alignment(0);
        let mut run = Self {
            job,
            identity: job.checkpoint.map(|_| Identity::of(job)),
            model,
            initial_alignment,
            step: 0,
            history: vec![],
            loss_sum: 0.0,
            n_right: 0,
        };
        let identity = run.identity.as_ref();
        if let Some((path, identity)) = job.checkpoint.filter(|p| p.exists()).zip(identity) {
            let saved: Checkpoint = checkpoint::read(path)?;
            saved.identity.check(identity, path)?;
            run.model.set_params(&saved.params)?;
            run.model.set_memory(&saved.memory)?;
            run.step = saved.step;
            run.history = saved.history;
            run.loss_sum = saved.loss_sum;
            run.n_right = saved.n_right;
        }
        Ok(run)
    }

    fn run(
        self,
        observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Trained, LearnError> {
        let n_steps = self.job.config.epochs as u64 * self.job.steps_per_epoch();
        let n_left = n_steps.saturating_sub(self.step) as usize;
        let batches = Batches::new(self.job, self.step).take(n_left);
        ahead(batches, |batches| self.steps(batches, n_steps, observer))
    }

    /// Trains on `batches` up to step `n_steps`.
    fn steps(
        mut self,
        batches: &mut dyn Iterator<Item = Result<Batch, LearnError>>,
        n_steps: u64,
        observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Trained, LearnError> {
        let mut finished = true;
        for batch in batches {
            let loss = self.train_batch(batch?)?;
            let mut flow = observer(Progress::Step {
                step: self.step,
                n_steps,
                loss,
            });
            if self.step.is_multiple_of(self.job.steps_per_epoch()) {
                self.close_epoch()?;
                if let (true, Some(record)) = (flow.is_continue(), self.history.last()) {
                    flow = observer(Progress::Epoch(record));
                }
            } else if flow.is_break() {
                self.save()?;
            }
            if flow.is_break() {
                finished = self.step == n_steps;
                break;
            }
        }
        Ok(Trained {
            params: self.model.to_params(),
            initial_alignment: self.initial_alignment,
            history: self.history,
            finished,
        })
    }

    /// Forward and backward pass of a batch.
    fn pass(&self, Batch { images, labels }: Batch) -> Pass<B> {
        let taped = self.model.forward(self.model.images(images), self.moment());
        let loss = loss::<B>(&taped, &labels, self.job.config);
        let mut grads = loss.backward();
        Pass {
            loss: loss.inner(),
            grads: self.model.gradients(&taped, &mut grads),
            taped,
            labels,
        }
    }

    /// [`answers`] to a batch.
    fn answers(&self, pass: &Pass<B>) -> Result<(f32, u64), LearnError> {
        answers(
            pass.loss.clone(),
            &pass.taped.logits,
            &pass.labels,
            self.step,
        )
    }

    /// One optimizer step; returns the loss.
    fn train_batch(&mut self, batch: Batch) -> Result<f32, LearnError> {
        let c = self.job.config;
        let mut pass = self.pass(batch);
        let now = (self.step, self.n_steps(), self.factor());
        let grads = std::mem::take(&mut pass.grads);
        self.optimizer().step(self.model.params_mut(), grads);
        self.model.learn_locally(&pass.taped, &c.local, now);
        self.model.constrain();
        // Few steps: a plain mean over them; later the usual exponential one.
        self.model
            .track(&pass.taped, (1.0 / (self.step + 1) as f32).max(0.1));
        // Last, so that a GPU is waited for only when it has all of the step's work; a limit of the gradient's norm
        // waits for that as well.
        let (loss, n_right) = self.answers(&pass)?;
        self.step += 1;
        self.loss_sum += f64::from(loss);
        self.n_right += n_right;
        Ok(loss)
    }

    fn moment(&self) -> Moment {
        let epoch = self.step / self.job.steps_per_epoch();
        let progress = epoch as f32 / self.job.config.n_schedule() as f32;
        Moment {
            seed: self.job.config.seed,
            step: self.step,
            drop_path: self.job.config.drop_path * progress,
            norms: Norms::Batch,
            exact: false,
        }
    }

    /// Length of the schedule.
    fn n_steps(&self) -> u64 {
        self.job.config.n_schedule() as u64 * self.job.steps_per_epoch()
    }

    /// The schedule's factor of the learning rates.
    fn factor(&self) -> f32 {
        let config = self.job.config;
        let warmup = (f64::from(config.warmup) * self.n_steps() as f64) as u64;
        match config.lr_decay {
            0.0 => cosine(self.step, warmup, self.n_steps()),
            decay => exponential(self.step, warmup, (decay, self.job.steps_per_epoch())),
        }
    }

    fn optimizer(&self) -> Sgd {
        let c = self.job.config;
        Sgd {
            lr: c.lr * self.factor(),
            momentum: c.momentum,
            nesterov: c.nesterov,
            weight_decay: c.weight_decay,
            clip_norm: c.clip_norm,
        }
    }

    fn close_epoch(&mut self) -> Result<(), LearnError> {
        let n = self.job.steps_per_epoch();
        let n_classes = self.job.network.n_classes;
        let valid = self
            .job
            .valid
            .map(|v| {
                let found = evaluate_model(&self.model, v, n_classes)?;
                Ok::<_, LearnError>(found.n_correct as f32 / v.len() as f32)
            })
            .transpose()?;
        self.history.push(EpochRecord {
            epoch: (self.step / n) as usize,
            loss: (self.loss_sum / n as f64) as f32,
            train_accuracy: self.n_right as f32 / (n * self.job.batch_len() as u64) as f32,
            valid_accuracy: valid,
            alignment: self.model.alignment(self.step),
        });
        self.loss_sum = 0.0;
        self.n_right = 0;
        self.save()
    }

    fn save(&mut self) -> Result<(), LearnError> {
        let (Some(path), Some(identity)) = (self.job.checkpoint, &self.identity) else {
            return Ok(());
        };
        let saved = Checkpoint {
            identity: identity.clone(),
            step: self.step,
            params: self.model.to_params(),
            memory: self.model.memory(),
            history: self.history.clone(),
            loss_sum: self.loss_sum,
            n_right: self.n_right,
        };
        checkpoint::write(&saved, path)
    }
}

/// Cross-entropy of the classifier, and of the auxiliary head by its weight.
pub(crate) fn loss<B: LearnOps>(
    taped: &Taped<B>,
    labels: &[u16],
    config: &TrainConfig,
) -> Tensor<Autodiff<B>, 1> {
    let of = |logits| cross_entropy::<B>(logits, labels, config.label_smoothing);
    let main = of(taped.logits.clone());
    match taped.auxiliary.clone() {
        Some(logits) => main + of(logits) * config.auxiliary_weight,
        None => main,
    }
}

/// The loss of a batch at `step`, and how many of its images were answered right.
///
/// # Errors
/// [`LearnError::Diverged`].
pub(crate) fn answers<B: LearnOps>(
    loss: Tensor<B, 1>,
    logits: &Tensor<Autodiff<B>, 2>,
    labels: &[u16],
    step: u64,
) -> Result<(f32, u64), LearnError> {
    let n_classes = logits.dims()[1];
    let read = numbers_of(vec![loss, logits.clone().inner().flatten(0, 1)]);
    let loss = read[0][0];
    if !loss.is_finite() {
        return Err(LearnError::Diverged { step });
    }
    let answers = argmax(&read[1], n_classes);
    let right = answers.iter().zip(labels).filter(|(a, l)| a == l);
    Ok((loss, right.count() as u64))
}

/// `−(1/n) Σ t·log softmax(logits)`, `t = (1 − smoothing)·onehot + smoothing/classes`.
pub(crate) fn cross_entropy<B: LearnOps>(
    logits: Tensor<Autodiff<B>, 2>,
    labels: &[u16],
    smoothing: f32,
) -> Tensor<Autodiff<B>, 1> {
    let [n, classes] = logits.dims();
    let mut targets = vec![smoothing / classes as f32; n * classes];
    for (row, &label) in targets.chunks_mut(classes).zip(labels) {
        row[usize::from(label)] += 1.0 - smoothing;
    }
    let targets =
        Tensor::<B, 2>::from_data(TensorData::new(targets, [n, classes]), &logits.device());
    let targets = Tensor::<Autodiff<B>, 2>::from_inner(targets);
    wrap(Autodiff::<B>::cross_entropy(
        unwrap(logits),
        unwrap(targets),
    ))
}
