//! Plasticity on the device: what a deployed model learns from the images it sees.
//!
//! It owns the learned state, an overlay in a caller-given buffer, and the rules that change it
//! ([`instar`], [`delta`], [`perceptron`], [`reward`], [`deep`], [`homeostasis`]), the [`schedule`] of when they do,
//! the [`guard`] over them, the [`terms`] of a restart, and a state for each of several [`domains`]. It must not know
//! where images and labels come from, and it never changes the base model: [`Plastic::reset`] restores it exactly.
//! Everything is computed in integers, so that the same model, configuration, seed and calls give the same bytes on
//! every machine. Data flow: `Model::parse` → [`Plastic`] → classes; its state leaves as a snapshot.

pub mod deep;
pub mod delta;
pub mod domains;
mod error;
pub mod guard;
pub mod homeostasis;
pub mod instar;
mod kept;
pub(crate) mod overlay;
pub mod perceptron;
mod plan;
mod recall;
pub mod reward;
mod saved;
mod scaled;
pub mod schedule;
mod snapshot;
mod state;
mod teach;
pub mod terms;

use crate::blob::Model;
use crate::header::HEADER_BYTES;
use crate::network::{ArenaError, infer_placed, input_place};
use deep::Deep;
pub use error::AdaptError;
use overlay::{Layout, Overlay, Parts};
use schedule::Scheduler;
use serde::{Deserialize, Serialize};
use snapshot::Header;

/// Most classes of a model that learns from labels.
pub const MAX_CLASSES: usize = 256;
/// Most outputs of any model: MLPerf Tiny's anomaly detection has as many.
pub const MAX_OUTPUTS: usize = 640;
/// Most inputs of the head of a model that learns.
pub const MAX_FEATURES: usize = 16_384;

/// What learns, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// Momentum shift `s` in `1 ..= 10`, if channels keep their statistics: see [`homeostasis`].
    pub homeostasis: Option<u8>,
    /// What the labels teach.
    pub head: Head,
}

/// The part that learns from labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Head {
    /// The base model's head; labels are counted only.
    Base,
    /// Prototypes: see [`instar`].
    Instar {
        /// Rate `2^-shift`, shift in `2 ..= 6`.
        shift: u8,
    },
    /// Gradient steps on the last layer: see [`delta`].
    Delta {
        /// Learning rate in 1/65536, in real (dequantized) units.
        rate: u16,
    },
    /// Steps on two classes, after mistakes only: see [`perceptron`].
    Perceptron {
        /// As of `Delta`.
        rate: u16,
        /// Lead in steps of the scores below which a right class is learned from as well; 0 = never.
        margin: u8,
    },
    /// Right or wrong is all it is told: see [`reward`].
    Reward {
        /// As of `Delta`.
        rate: u16,
    },
    /// As `Delta`, and layers below the head learn as well: see [`deep`].
    Deep {
        /// As of `Delta`; 0 = the head itself stays.
        rate: u16,
        /// The layers below.
        deep: Deep,
    },
}

impl Head {
    /// Whether it learns weights and biases of the model's own head.
    pub(crate) fn owns_weights(self) -> bool {
        matches!(
            self,
            Self::Delta { .. } | Self::Perceptron { .. } | Self::Reward { .. } | Self::Deep { .. }
        )
    }

    /// Whether labels, or rewards, change more than counters.
    pub fn learns(self) -> bool {
        !matches!(self, Self::Base)
    }
}

impl Config {
    /// Nothing learns: what holds from the start until something else is configured.
    pub const NOTHING: Self = Self {
        homeostasis: None,
        head: Head::Base,
    };

    /// Whether layers below the head change. A golden set of features cannot detect that.
    pub fn learns_below_head(&self) -> bool {
        self.homeostasis.is_some() || matches!(self.head, Head::Deep { .. })
    }

    /// # Errors
    /// A number is out of its range.
    fn check(&self) -> Result<(), AdaptError> {
        if let Some(got) = self.homeostasis
            && !(1..=10).contains(&got)
        {
            return Err(AdaptError::Momentum { got });
        }
        match self.head {
            Head::Instar { shift } if !(2..=6).contains(&shift) => {
                Err(AdaptError::Shift { got: shift })
            }
            _ => Ok(()),
        }
    }
}

/// What has happened since the last reset; each stops at its maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Images inferred.
    pub seen: u32,
    /// Labels learned.
    pub labels: u32,
    /// Labels that differed from the class predicted before them.
    pub mistakes: u32,
}

/// The outcome of one inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The best class, the lowest among equals.
    pub class: usize,
    /// Whether homeostasis follows the image; it does not while a sealed base is in use.
    pub observed: bool,
    /// Whether its label, or a reward, would be learned: the schedule says so, the head learns, and no sealed base
    /// is in use.
    pub wanted: bool,
}

/// Length of the buffer that [`Plastic::new`] needs for `model` and `config`.
///
/// With `C` channels in homeostatic layers, `K` classes and `d` features: `64 + 17·C + d`, plus `2·K·d + 4·K`
/// (instar) or `K·d + 4·K` (all other heads that learn), plus, for each chosen layer of I inputs and O outputs,
/// `I·O` rounded up to 4, `4·O` and `2·(I + O)`.
///
/// # Errors
/// `model` cannot learn under `config`.
pub fn state_bytes(model: &Model<'_>, config: &Config) -> Result<usize, AdaptError> {
    Ok(HEADER_BYTES + Layout::new(model, config)?.total())
}

/// Largest magnitude of a bias for which no accumulator of `fan_in` products can overflow, nor its
/// shift to the left by `shift` bits.
fn bias_limit(fan_in: usize, shift: i8) -> i64 {
    let reach = i64::try_from(fan_in)
        .unwrap_or(i64::MAX)
        .saturating_mul(128 * 255);
    (i64::from(i32::MAX) >> shift.clamp(0, 31))
        .saturating_sub(reach)
        .max(0)
}

/// A model that learns: the base model's overlay in a caller-given buffer.
///
/// The model itself is given to every call and compared by its id. Below 1 kB besides the buffer.
#[derive(Debug)]
pub struct Plastic<'b> {
    buffer: &'b mut [u8],
    header: Header,
    layout: Layout,
    scores: [i8; MAX_OUTPUTS],
    n_classes: usize,
    /// The class predicted for the kept features, until its label is learned.
    pending: Option<Prediction>,
    scheduler: Scheduler,
    costs: Costs,
    /// States of other domains, if they are kept.
    recall: Option<domains::Recall>,
}

/// Estimated instructions of the configured rules: of homeostasis following an image, and at most of a label.
#[derive(Clone, Copy, Debug)]
struct Costs {
    observe: u64,
    label: u64,
}

const _: () = assert!(size_of::<Plastic<'_>>() < 1000);

impl<'b> Plastic<'b> {
    /// Classifies `input` with what is learned, and keeps its features for [`Plastic::learn`].
    ///
    /// # Errors
    /// The state belongs to another model, or `arena` or `input` has the wrong size.
    pub fn infer(
        &mut self,
        model: &Model<'_>,
        arena: &mut [i8],
        input: &[i8],
    ) -> Result<Prediction, AdaptError> {
        self.place(model, arena, input)?;
        self.infer_placed(model, arena, false)
    }

    /// [`Plastic::infer`], and homeostasis, if configured, learns from the image, layer by layer: the class is
    /// that of the statistics behind it.
    ///
    /// # Errors
    /// As [`Plastic::infer`].
    pub fn observe(
        &mut self,
        model: &Model<'_>,
        arena: &mut [i8],
        input: &[i8],
    ) -> Result<Prediction, AdaptError> {
        self.place(model, arena, input)?;
        self.infer_placed(model, arena, true)
    }

    fn place(&self, model: &Model<'_>, arena: &mut [i8], input: &[i8]) -> Result<(), AdaptError> {
        self.check(model)?;
        let (got_bytes, want_bytes) = (arena.len(), model.arena_bytes());
        let place = input_place(model, arena).ok_or(ArenaError::Arena {
            got_bytes,
            want_bytes,
        })?;
        if place.len() != input.len() {
            let (got_bytes, want_bytes) = (input.len(), place.len());
            return Err(AdaptError::Arena(ArenaError::Input {
                got_bytes,
                want_bytes,
            }));
        }
        place.copy_from_slice(input);
        Ok(())
    }

    /// [`Plastic::infer`], or [`Plastic::observe`], of the input that lies in `arena` already, where
    /// [`input_place`] says; it is overwritten.
    ///
    /// # Errors
    /// The state belongs to another model, or `arena` has the wrong size.
    pub fn infer_placed(
        &mut self,
        model: &Model<'_>,
        arena: &mut [i8],
        observe: bool,
    ) -> Result<Prediction, AdaptError> {
        let follows = observe && self.header.config.homeostasis.is_some();
        if follows {
            self.check(model)?;
            self.change(model)?;
        }
        let looks = homeostasis::is_turn(0, self.header.followed);
        let mut scheduler = self.scheduler;
        let observed = scheduler.before_image(follows, self.costs.observe);
        let class = self.classify(model, observed, |scores, overlay| {
            infer_placed(model, arena, scores, overlay)
        })?;
        self.scheduler = scheduler;
        if observed && looks {
            self.judge(model);
            self.scheduler.watched(self.upkeep(model));
        }
        Ok(self.seen(class, observed && !self.is_sealed()))
    }

    /// An image was seen, its scores stand.
    fn seen(&mut self, class: usize, observed: bool) -> Prediction {
        let counters = &mut self.header.counters;
        counters.seen = counters.seen.saturating_add(1);
        let learns = self.header.config.head.learns() && !self.is_sealed();
        let scores = self.scores.get(..self.n_classes).unwrap_or_default();
        let wanted = self.scheduler.after_image(scores, learns, self.costs.label);
        let prediction = Prediction {
            class,
            observed,
            wanted,
        };
        self.pending = Some(prediction);
        prediction
    }

    /// The class after `infer` with the overlay over `model`; it leaves scores and features behind.
    fn classify(
        &mut self,
        model: &Model<'_>,
        observe: bool,
        infer: impl FnOnce(&mut [i8], &mut Overlay<'_, '_, '_>) -> Result<(), ArenaError>,
    ) -> Result<usize, AdaptError> {
        self.classify_by(model, self.header.config, observe, infer)
    }

    /// [`Plastic::classify`] as if `config` were in force, which differs in homeostasis at most.
    fn classify_by(
        &mut self,
        model: &Model<'_>,
        config: Config,
        observe: bool,
        infer: impl FnOnce(&mut [i8], &mut Overlay<'_, '_, '_>) -> Result<(), ArenaError>,
    ) -> Result<usize, AdaptError> {
        self.check(model)?;
        let (looks, sealed) = (self.looks(), self.is_sealed());
        let body = self.buffer.get_mut(HEADER_BYTES..).unwrap_or_default();
        let parts = self.layout.split(body).ok_or(AdaptError::SnapshotContent)?;
        let scores = self.scores.get_mut(..self.n_classes).unwrap_or_default();
        let mut overlay = Overlay {
            model,
            config,
            layers: self.layout.layers,
            follows: observe.then_some(self.header.followed),
            sealed,
            looks,
            parts,
        };
        infer(scores, &mut overlay)?;
        if observe {
            self.header.followed = homeostasis::count(self.header.followed);
        }
        let Parts {
            head,
            norms,
            features,
            ..
        } = overlay.parts;
        Ok(match config.head {
            Head::Instar { .. } => {
                instar::predict(head, norms, features, model.features().zero_point, scores)
            }
            _ => first_largest(scores),
        })
    }

    /// One i8 per class for the last image: the head's output, with an instar head the cosine times
    /// 127, rounded down (-128 for an empty prototype). Zeros before the first image.
    pub fn scores(&self) -> &[i8] {
        self.scores.get(..self.n_classes).unwrap_or_default()
    }

    /// What has happened since the last reset.
    pub fn counters(&self) -> Counters {
        self.header.counters
    }

    /// What learns.
    pub fn config(&self) -> Config {
        self.header.config
    }

    fn check(&self, model: &Model<'_>) -> Result<(), AdaptError> {
        if self.header.model == model.id() {
            Ok(())
        } else {
            Err(AdaptError::WrongModel)
        }
    }

    fn parts(&mut self) -> Result<Parts<'_>, AdaptError> {
        let (got_bytes, want_bytes) = (self.buffer.len(), HEADER_BYTES + self.layout.total());
        let body = self.buffer.get_mut(HEADER_BYTES..).unwrap_or_default();
        self.layout.split(body).ok_or(AdaptError::Buffer {
            got_bytes,
            want_bytes,
        })
    }
}

/// Index of the largest score, the first among equals.
fn first_largest(scores: &[i8]) -> usize {
    let (mut best, mut class) = (i8::MIN, 0);
    for (c, &score) in scores.iter().enumerate() {
        if score > best {
            (best, class) = (score, c);
        }
    }
    class
}
