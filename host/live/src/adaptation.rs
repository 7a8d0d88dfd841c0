//! On-device learning over a stream of labelled images, on the host and on a device, bit for bit alike.
//!
//! Owns the order of the steps (see an image, then learn its label), what is kept of the learned state,
//! and the default configuration. It must not know any arithmetic (all of it is
//! `aplysia_shared::adapt`'s) nor where images come from. Flow: blob, stream → **`adaptation`** →
//! [`Adapted`] → accuracy of the learned state, model card, reports.

use crate::LiveError;
use crate::device::{Device, Line};
use crate::evaluate::{Evaluation, Images, input_of_pixels};
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{self, Domains};
use aplysia_shared::adapt::schedule::{Schedule, Spent};
use aplysia_shared::adapt::{AdaptError, Config, Counters, Head, Plastic, Prediction, state_bytes};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Momentum shift of homeostasis unless told otherwise; 4 to 6 are within 3 points.
pub const MOMENTUM_SHIFT: u8 = 5;

/// Shift of the instar head unless told otherwise.
pub const INSTAR_SHIFT: u8 = 4;

/// Learning rate of the delta head unless told otherwise, in 1/65536.
pub const DELTA_RATE: u16 = 328;

/// Learning rate of the perceptron head unless told otherwise, in 1/65536.
pub const PERCEPTRON_RATE: u16 = 1311;

/// Lead below which the perceptron head learns from a right class unless told otherwise.
pub const PERCEPTRON_MARGIN: u8 = 16;

/// Learning rate of the reward head unless told otherwise, in 1/65536.
pub const REWARD_RATE: u16 = 1311;

/// RAM of the layers below the deep head unless told otherwise: what an 18 KiB state leaves beside head and
/// homeostasis of the released model.
pub const DEEP_RAM_BYTES: u32 = 12_500;

/// Learning rate of the layers below the deep head unless told otherwise, in 1/65536.
pub const DEEP_RATE: u16 = 328;

/// The same with random feedback.
pub const DEEP_RANDOM_RATE: u16 = 82;

/// Slots of domains unless told otherwise.
///
/// Mean accuracy in % on 200 validation images, the released architecture trained by seed 1, homeostasis and
/// instar as below: 100 images of a shift, 100 of the next, 100 of the first again, 100 clean ones; ten shifts of
/// severity 3, two streams each.
///
/// | slots, `open`, `evidence` | first | next | first again, after 0 | 10 | 25 | 50 | 100 | clean, after 0 | 10 | 25 | 50 | 100 |
/// |---|---|---|---|---|---|---|---|---|---|---|---|---|
/// | none | 77.7 | 72.2 | 39.7 | 52.2 | 63.9 | 68.8 | 74.5 | 67.2 | 81.3 | 86.5 | 87.8 | 90.3 |
/// | 3, 25, 60 | 76.8 | 76.2 | 37.4 | 59.7 | 73.9 | 76.0 | 76.2 | 65.5 | 83.0 | 89.1 | 90.2 | 91.0 |
/// | 3, 40, 30 | 77.5 | 76.6 | 36.9 | 60.9 | 73.9 | 77.0 | 76.5 | 65.9 | 85.3 | 89.2 | 90.2 | 91.2 |
/// | 3, 40, 60 | 77.4 | 76.9 | 37.4 | 59.2 | 72.4 | 76.6 | 77.8 | 66.7 | 86.4 | 90.5 | 90.9 | 91.6 |
/// | 3, 40, 120 | 77.7 | 76.7 | 37.2 | 58.6 | 71.6 | 76.0 | 77.7 | 66.7 | 83.7 | 90.3 | 91.2 | 91.9 |
/// | 3, 50, 60 | 77.4 | 76.7 | 36.5 | 59.8 | 72.4 | 75.6 | 77.7 | 64.6 | 84.8 | 90.8 | 91.0 | 91.6 |
///
/// Measured before a new domain had to be the nearest at several looks in a row. With that, and new domains that begin
/// from the state in use, 3, 40, 60 has 76.7, then 56.6, 72.9, 76.9, 78.0: no better, and lies go along. With a
/// momentum of 2^-3 of what is seen a change is noticed later: 3, 25, 60: 55.0, 70.7 after 10, 25 of the first again.
pub const DOMAINS: Domains = Domains {
    slots: 3,
    open: 40,
    evidence: 60,
    sealed: false,
};

/// What learns on the device unless told otherwise: of the settings tried, the one that holds where the
/// shift is strong.
///
/// Mean accuracy in % on shifted validation images after 300 others of the same shift, by the int8
/// kernels. A: 877 k multiply-accumulates, severity 3, 10 shifts, 2 streams, 600 images each. A5: the
/// same at severity 5, 4 shifts (rotation, contrast, Gaussian noise, translation), 1 stream, 300 images.
/// B: 2.08 M multiply-accumulates, severity 3, 6 shifts, 1 stream, 600 images.
///
/// | learns | A | A, rotation | A, contrast | A, clean | A5 | B |
/// |---|---|---|---|---|---|---|
/// | nothing | 50.7 | 33.0 | 15.4 | 86.4 | 19.8 | 42.1 |
/// | homeostasis, shift 5 | 76.5 | 44.1 | 83.4 | 63.1 | 43.3 | 70.4 |
/// | instar, shift 4 | 67.6 | 58.4 | 39.8 | 72.9 | 44.6 | 63.6 |
/// | delta, rate 328 | 63.8 | 48.2 | 25.6 | 82.5 | 32.4 | 60.1 |
/// | homeostasis and instar | 77.8 | 60.2 | 82.8 | 60.7 | 59.4 | 72.7 |
/// | homeostasis and delta | 78.8 | 51.1 | 84.8 | 61.6 | 47.9 | 76.3 |
///
/// The delta head is the better one for mild shifts. Clean images suffer: what is learned belongs to
/// one domain.
pub const DEFAULT: Config = Config {
    homeostasis: Some(MOMENTUM_SHIFT),
    head: Head::Instar {
        shift: INSTAR_SHIFT,
    },
};

/// Nothing learns: the least state a model can have.
const BASE: Config = Config {
    homeostasis: None,
    head: Head::Base,
};

/// Seed of the stochastic rounding unless told otherwise.
pub const DEFAULT_SEED: u32 = 1;

/// Images that share one copy of the learned state while it is evaluated.
const CHUNK: usize = 64;

/// What a model has learned from a stream. Equal on host and device for the same model, configuration,
/// seed and stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapted {
    /// What learned.
    pub config: Config,
    /// The learned state as `Plastic::snapshot` gives it.
    pub snapshot: Vec<u8>,
    /// CRC-32 of the snapshot.
    pub digest: u32,
    /// Images seen, labels learned, mistakes before each label.
    pub counters: Counters,
    /// Images classified right when they were seen, before their label was learned.
    pub online_correct: usize,
    /// RAM of the learned state while it learns, larger than the snapshot by its work space and by slots.
    pub state_bytes: usize,
    /// What came of domain slots; none without them.
    pub domains: Option<domains::Report>,
}

impl Adapted {
    /// What `plastic` holds now.
    pub(crate) fn of(plastic: &mut Plastic<'_>, online_correct: usize, state_bytes: usize) -> Self {
        Self {
            config: plastic.config(),
            digest: plastic.digest(),
            counters: plastic.counters(),
            snapshot: plastic.snapshot().to_vec(),
            online_correct,
            state_bytes,
            domains: plastic.domains().map(|(_, report)| report),
        }
    }

    /// Labels learned: 0 where no label teaches anything.
    pub fn n_labels(&self) -> usize {
        self.counters.labels as usize
    }

    /// Classifies `images` with the learned state: see [`evaluate_snapshot`].
    ///
    /// # Errors
    /// As [`evaluate_snapshot`].
    pub fn evaluate(&self, model: &Model<'_>, images: Images<'_>) -> Result<Evaluation, LiveError> {
        evaluate_snapshot(model, &self.snapshot, self.state_bytes, images)
    }
}

/// Classifies `images` with a learned state of `state_bytes` in RAM, nothing learning; in parallel.
///
/// # Errors
/// The images do not fit `model`, or the snapshot is damaged, larger, or of another model.
pub fn evaluate_snapshot(
    model: &Model<'_>,
    snapshot: &[u8],
    state_bytes: usize,
    images: Images<'_>,
) -> Result<Evaluation, LiveError> {
    images.check(model)?;
    let (n_classes, image_bytes) = (model.n_classes(), model.input().len());
    let mut scores = vec![0; images.labels.len() * n_classes];
    let mut predictions = vec![0; images.labels.len()];
    scores
        .par_chunks_mut(CHUNK * n_classes)
        .zip(predictions.par_chunks_mut(CHUNK))
        .zip(images.pixels.par_chunks(CHUNK * image_bytes))
        .try_for_each(|((scores, predictions), pixels)| {
            let (mut buffer, mut arena) = (vec![0; state_bytes], vec![0; model.arena_bytes()]);
            let mut plastic = Plastic::new(model, BASE, 0, &mut buffer)?;
            plastic.restore(model, snapshot)?;
            let outputs = scores.chunks_exact_mut(n_classes).zip(predictions);
            for ((scores, class), pixels) in outputs.zip(pixels.chunks_exact(image_bytes)) {
                let prediction = plastic.infer(model, &mut arena, &input_of_pixels(pixels))?;
                scores.copy_from_slice(plastic.scores());
                *class = prediction.class as u16;
            }
            Ok::<(), LiveError>(())
        })?;
    Ok(Evaluation::new(predictions, scores, images.labels))
}

/// Classifies one image of a stream, homeostasis following it if told so.
pub(crate) fn see(
    plastic: &mut Plastic<'_>,
    model: &Model<'_>,
    arena: &mut [i8],
    (pixels, observe): (&[u8], bool),
) -> Result<Prediction, AdaptError> {
    let input = input_of_pixels(pixels);
    match observe {
        true => plastic.observe(model, arena, &input),
        false => plastic.infer(model, arena, &input),
    }
}

/// Goes once through `stream`, in order: classifies each image, homeostasis following it if configured,
/// then learns its label if the head learns. `seed` is that of the stochastic rounding.
///
/// # Errors
/// The stream does not fit `model`, or `model` cannot learn under `config`.
pub fn adapt(
    model: &Model<'_>,
    config: Config,
    seed: u32,
    stream: Images<'_>,
) -> Result<Adapted, LiveError> {
    let (adapted, _) = adapt_by(model, config, Plan::ALWAYS, seed, stream)?;
    Ok(adapted)
}

/// When to learn from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The device's.
    pub schedule: Schedule,
    /// Images to be asked for before the first.
    pub attend: u32,
    /// States of other domains, if they are kept.
    pub domains: Option<Domains>,
}

impl Plan {
    /// From every image.
    pub const ALWAYS: Self = Self {
        schedule: Schedule::ALWAYS,
        attend: 0,
        domains: None,
    };

    /// RAM of the learned state of `model` under `config`.
    ///
    /// # Errors
    /// `model` cannot learn so.
    pub fn state_bytes(&self, model: &Model<'_>, config: &Config) -> Result<usize, AdaptError> {
        match self.domains {
            Some(domains) => domains::state_bytes(model, config, &domains),
            None => state_bytes(model, config),
        }
    }

    /// Tells `plastic`.
    ///
    /// # Errors
    /// As [`Plan::state_bytes`].
    pub(crate) fn set(
        &self,
        plastic: &mut Plastic<'_>,
        model: &Model<'_>,
    ) -> Result<(), AdaptError> {
        plastic.set_schedule(self.schedule);
        plastic.attend(self.attend);
        plastic.set_domains(model, self.domains)
    }
}

/// [`adapt`] by `plan`, with what it came to. Labels that are not wanted are not given.
///
/// # Errors
/// As [`adapt`].
pub fn adapt_by(
    model: &Model<'_>,
    config: Config,
    plan: Plan,
    seed: u32,
    stream: Images<'_>,
) -> Result<(Adapted, Spent), LiveError> {
    stream.check(model)?;
    let mut buffer = vec![0; plan.state_bytes(model, &config)?];
    let state_bytes = buffer.len();
    let mut arena = vec![0; model.arena_bytes()];
    let mut plastic = Plastic::new(model, config, seed, &mut buffer)?;
    plan.set(&mut plastic, model)?;
    let mut online_correct = 0;
    for (pixels, &label) in stream.iter(model.input().len()) {
        let image = (pixels, config.homeostasis.is_some());
        let prediction = see(&mut plastic, model, &mut arena, image)?;
        online_correct += usize::from(prediction.class == usize::from(label));
        if prediction.wanted {
            plastic.learn(model, usize::from(label))?;
        }
    }
    let spent = plastic.spent();
    Ok((
        Adapted::of(&mut plastic, online_correct, state_bytes),
        spent,
    ))
}

/// Instructions of a repeated step, counted by the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    /// Steps counted.
    pub n: u64,
    /// Sum over all steps.
    pub total: u64,
    /// Largest of one step.
    pub max: u32,
}

impl Instructions {
    /// Adds one step.
    pub fn add(&mut self, instructions: u32) {
        self.n += 1;
        self.total += u64::from(instructions);
        self.max = self.max.max(instructions);
    }

    /// These steps and those of `other`.
    pub fn and(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            total: self.total + other.total,
            max: self.max.max(other.max),
        }
    }

    /// Mean of one step; 0 without steps.
    pub fn mean(&self) -> f64 {
        self.total as f64 / self.n.max(1) as f64
    }
}

/// What a device has learned, and what it cost there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAdapted {
    /// What was learned; everything in it comes from the device.
    pub adapted: Adapted,
    /// Of classifying one image, with homeostasis following it if configured.
    pub inference: Instructions,
    /// Of learning one label.
    pub update: Instructions,
    /// Most stack in use since the device started.
    pub stack_bytes: u32,
    /// Arena in use by the model.
    pub arena_bytes: u32,
}

/// [`adapt`] on a device, whose earlier learning is forgotten; a guard, a schedule ([`Device::plan`]) and slots
/// ([`Device::domains`]) stay. `on_step` gets the number of images done after each; a break ends the stream.
///
/// # Errors
/// The stream does not fit the device's model, the model cannot learn under `config`, or the line fails.
pub fn adapt_device<T: Line>(
    device: &mut Device<T>,
    config: Config,
    seed: u32,
    stream: Images<'_>,
    on_step: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<DeviceAdapted, LiveError> {
    let info = device.info()?;
    let image_bytes = info.input.iter().map(|&n| usize::from(n)).product();
    stream.check_sizes(image_bytes, usize::from(info.n_classes))?;
    device.configure(config, seed)?;
    let (mut inference, mut update) = (Instructions::default(), Instructions::default());
    let mut online_correct = 0;
    for (i, (pixels, &label)) in stream.iter(image_bytes).enumerate() {
        let answer = device.infer(pixels, config.homeostasis.is_some())?;
        inference.add(answer.instructions);
        online_correct += usize::from(answer.class == label);
        if answer.wanted {
            let label = u8::try_from(label).map_err(|_| LiveError::WideLabel { label })?;
            update.add(device.learn(label)?.instructions);
        }
        if on_step(i + 1).is_break() {
            break;
        }
    }
    let stats = device.stats()?;
    Ok(DeviceAdapted {
        adapted: Adapted {
            config,
            snapshot: device.snapshot()?,
            digest: stats.state_digest,
            counters: stats.counters,
            online_correct,
            state_bytes: stats.state_bytes as usize,
            domains: stats.domains.map(|domains| domains.report),
        },
        inference,
        update,
        stack_bytes: stats.stack_bytes,
        arena_bytes: stats.arena_bytes,
    })
}
