//! The guard: what was learned must not cost more than a limit on the golden set.
//!
//! It owns when the golden set is scored, what a drop leads to, and how often may be committed; it must
//! not know the rules that learn nor where labels come from. Flow: `Plastic::learn` →
//! [`Guard::learned`] → (now and then) [`Guard::commit`] → `store`.
//!
//! With `start` the number of golden samples that the base model's own state classifies rightly, the
//! floor is `start − drop`, fixed for the guard's life, so that many small drops do not add up. After
//! every `every` updates, and before every commit, the state is scored; below the floor it is replaced
//! by the one committed last, or by the base if that is missing, of another model or configuration, or below
//! the floor as well. Hence, whatever was taught: after every check the score of the state in use is at least
//! the floor, and so it is at every commit. Between two checks it may be lower, for fewer than `every` updates.
//!
//! With [`domains`](super::domains) a refused state becomes what was committed of its own domain, or the base
//! if that was begun since, or slots asked for. Where another state is put in place, a check is due at the
//! label of that image, or before the next: slots that are not in use go to flash unscored, and are scored when
//! they come back. So with a guard an unscored state gives the class of one image at most; to score every slot at a
//! commit would cost the golden set once for each (32 images and three slots: 96 inferences more) and save that image.
//!
//! With a sealed base what is scored is what labels taught, over the statistics of training: a state that fits a
//! changed camera does not fit golden images, which are none of its domain, and need not; images cannot lie, labels
//! can. That the base itself stays is then no matter of a score.
//!
//! Integers only: host and device decide alike. A check costs one inference per golden sample, or one
//! head if the samples are features; a rollback costs up to one check more. Both are on the account of the
//! [`schedule`](super::schedule), the score of the base is not. What a restart goes on by: [`terms`](super::terms).

use super::snapshot::Header;
use super::{AdaptError, Config, Plastic};
use crate::blob::{GoldenKind, Model};
use crate::network::infer_sample;
use crate::store::{Record, Store, StoreError};
use embedded_storage::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

/// How careful the guard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Updates between two checks; 0 counts as 1.
    pub every: u16,
    /// Golden samples that may be lost.
    pub drop: u16,
    /// Fewest updates between two commits, for the sake of the flash; after a restart, to the first.
    pub commit_every: u32,
}

/// What a guard has seen since it was made; counters stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Report {
    /// Golden samples.
    pub n_samples: u16,
    /// Of these, right with the base model's own state.
    pub start: u16,
    /// Right at the last check, before what it led to.
    pub last: u16,
    /// Times the state was scored for a decision.
    pub checks: u32,
    /// Times it was taken back.
    pub rollbacks: u32,
    /// Times it was committed.
    pub commits: u32,
}

/// What was put in place of a refused state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Restored {
    /// What was committed last.
    Committed {
        /// Number of that commit.
        sequence: u32,
    },
    /// The base model's own state.
    Base,
}

/// Why and to what the state was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rollback {
    /// Golden samples that the refused state had right, fewer than `floor`.
    pub score: u16,
    /// Fewest that are allowed.
    pub floor: u16,
    /// What is in place now.
    pub to: Restored,
}

/// The outcome of [`Guard::learned`] and [`Guard::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// No check was due.
    NotDue,
    /// The state stays.
    Kept {
        /// Golden samples it has right.
        score: u16,
    },
    /// The state was replaced.
    RolledBack(Rollback),
}

/// The outcome of [`Guard::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Commit {
    /// The state is in flash.
    Done(Record),
    /// Nothing was done: too few updates since the last commit.
    TooSoon {
        /// Updates still to come.
        missing: u32,
    },
    /// The state was replaced instead.
    RolledBack(Rollback),
    /// Nothing was done: the schedule's budget of commits is spent.
    OverBudget {
        /// Images until the next window.
        images: u32,
    },
}

/// Why a state could not be committed, or what was committed not be taken up again. `E` is the flash driver's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CommitError<E> {
    /// The check failed.
    #[error(transparent)]
    Adapt(#[from] AdaptError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError<E>),
}

/// What a guard works on.
#[derive(Debug)]
pub struct Learner<'l, 'b, F> {
    /// The base model.
    pub model: &'l Model<'l>,
    /// What learns.
    pub plastic: &'l mut Plastic<'b>,
    /// For inference, at least [`Model::arena_bytes`].
    pub arena: &'l mut [i8],
    /// Where commits go.
    pub store: &'l mut Store<F>,
    /// For a snapshot on its way: as long as the state's buffer and [`TERMS_BYTES`](super::terms::TERMS_BYTES) is long
    /// enough.
    pub scratch: &'l mut [u8],
}

/// Watches over one [`Plastic`] under one configuration: after `Plastic::configure` make a new one.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    limits: Limits,
    unchecked: u16,
    /// An image was observed, and neither its label nor another image came yet.
    unlabelled: bool,
    uncommitted: u32,
    /// Of domains, at the last check.
    changes: u32,
    report: Report,
    pub(super) last_rollback: Option<Rollback>,
}

impl Guard {
    /// Scores the base model's own state, which is the start; what is learned already stays.
    ///
    /// # Errors
    /// The model has no golden set, or one of features while layers below the head learn;
    /// another model, or too short an arena or scratch. The state has not changed then.
    pub fn new<F>(limits: Limits, learner: &mut Learner<'_, '_, F>) -> Result<Self, AdaptError> {
        let model = learner.model;
        let plastic = &mut *learner.plastic;
        plastic.check(model)?;
        let got_bytes = learner.scratch.len();
        let snapshot = plastic.snapshot();
        let want_bytes = snapshot.len();
        let kept = learner
            .scratch
            .get_mut(..want_bytes)
            .ok_or(AdaptError::Buffer {
                got_bytes,
                want_bytes,
            })?;
        kept.copy_from_slice(snapshot);
        plastic.base(model, plastic.header.config, plastic.header.seed)?;
        let start = plastic.score_golden(model, learner.arena);
        plastic.put_back(model, kept)?;
        let start = start?;
        Ok(Self {
            limits,
            unchecked: 0,
            unlabelled: false,
            uncommitted: 0,
            changes: plastic.changes(),
            report: Report {
                n_samples: model.golden().map_or(0, |golden| golden.n_samples()),
                start,
                last: start,
                ..Report::default()
            },
            last_rollback: None,
        })
    }

    /// To be called before every image: one that was observed before and got no label counts as an update
    /// now, as a check would have taken its label's place away.
    ///
    /// # Errors
    /// As [`Guard::check`].
    pub fn before_image<F: NorFlash>(
        &mut self,
        learner: &mut Learner<'_, '_, F>,
    ) -> Result<Verdict, AdaptError> {
        match self.unlabelled {
            true => self.learned(learner),
            false if self.changes != learner.plastic.changes() => self.check(learner),
            false => Ok(Verdict::NotDue),
        }
    }

    /// To be called after an image from which homeostasis learned.
    pub fn observed(&mut self) {
        self.unlabelled = true;
    }

    /// To be called after every label; checks when it is time.
    ///
    /// # Errors
    /// As [`Guard::check`].
    pub fn learned<F: NorFlash>(
        &mut self,
        learner: &mut Learner<'_, '_, F>,
    ) -> Result<Verdict, AdaptError> {
        self.unlabelled = false;
        self.unchecked = self.unchecked.saturating_add(1);
        self.uncommitted = self.uncommitted.saturating_add(1);
        let changed = self.changes != learner.plastic.changes();
        if self.unchecked < self.limits.every && !changed {
            return Ok(Verdict::NotDue);
        }
        self.check(learner)
    }

    /// Scores the state now and replaces it if it is below the floor. An image that waits for its label
    /// waits no more.
    ///
    /// # Errors
    /// The state is of another model, or the arena too short.
    pub fn check<F: NorFlash>(
        &mut self,
        learner: &mut Learner<'_, '_, F>,
    ) -> Result<Verdict, AdaptError> {
        let score = score(learner)?;
        let floor = self.floor();
        (self.unchecked, self.unlabelled) = (0, false);
        self.changes = learner.plastic.changes();
        self.report.last = score;
        self.report.checks = self.report.checks.saturating_add(1);
        if score >= floor {
            return Ok(Verdict::Kept { score });
        }
        let to = roll_back(floor, learner)?;
        let to_base = matches!(to, Restored::Base);
        learner.plastic.refused(learner.model, to_base);
        self.report.rollbacks = self.report.rollbacks.saturating_add(1);
        let rollback = Rollback { score, floor, to };
        self.last_rollback = Some(rollback);
        Ok(Verdict::RolledBack(rollback))
    }

    /// Checks the state and, if it stays, commits it with the [`terms`](super::terms). As long as the newest record
    /// has other limits or another schedule, it is neither too soon for that nor over the budget.
    ///
    /// # Errors
    /// As [`Guard::check`], as [`Store::commit`], and too short a scratch: the state stays then, not committed.
    pub fn commit<F: NorFlash>(
        &mut self,
        learner: &mut Learner<'_, '_, F>,
    ) -> Result<Commit, CommitError<F::Error>> {
        if !self.is_news(learner) {
            let missing = self.limits.commit_every.saturating_sub(self.uncommitted);
            if missing > 0 {
                return Ok(Commit::TooSoon { missing });
            }
            if let Some(images) = learner.plastic.scheduler.commit_in() {
                return Ok(Commit::OverBudget { images });
            }
        }
        if let Verdict::RolledBack(rollback) = self.check(learner)? {
            return Ok(Commit::RolledBack(rollback));
        }
        let terms = self.terms(learner);
        let (model, plastic) = (learner.model, &mut *learner.plastic);
        let snapshot = plastic.snapshot_all(model, Some(&terms), learner.scratch)?;
        let record = learner.store.commit(model.id(), snapshot)?;
        plastic.slots_committed(model);
        self.uncommitted = 0;
        learner.plastic.scheduler.committed();
        self.report.commits = self.report.commits.saturating_add(1);
        Ok(Commit::Done(record))
    }

    /// How careful it is.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Fewest golden samples that a state may have right.
    pub fn floor(&self) -> u16 {
        self.report.start.saturating_sub(self.limits.drop)
    }

    /// Why and to what the state was taken back last, also before a restart if it was committed behind it.
    pub fn last_rollback(&self) -> Option<Rollback> {
        self.last_rollback
    }

    /// What has happened.
    pub fn report(&self) -> Report {
        self.report
    }
}

/// Golden samples that the state in use has right, on the schedule's account.
fn score<F>(learner: &mut Learner<'_, '_, F>) -> Result<u16, AdaptError> {
    let (model, plastic) = (learner.model, &mut *learner.plastic);
    let right = plastic.score_golden(model, learner.arena)?;
    let instructions = model.check_instructions(&plastic.config());
    plastic.scheduler.watched(instructions);
    Ok(right)
}

/// Puts the best there is in place: what was committed last of this domain, if it reaches `floor`, or the base.
fn roll_back<F: NorFlash>(
    floor: u16,
    learner: &mut Learner<'_, '_, F>,
) -> Result<Restored, AdaptError> {
    let model = learner.model;
    let Header { config, seed, .. } = learner.plastic.header;
    let sequence = learner.store.newest().map(|record| record.sequence);
    if let Ok(Some(snapshot)) = learner.store.load(model.id(), learner.scratch)
        && (learner.plastic)
            .take_back(model, snapshot)
            .is_ok_and(|done| done)
        && score(learner)? >= floor
        && let Some(sequence) = sequence
    {
        return Ok(Restored::Committed { sequence });
    }
    learner.plastic.base(model, config, seed)?;
    Ok(Restored::Base)
}

impl Plastic<'_> {
    /// What of the state in use is scored: all of it, with a sealed base what labels taught.
    fn scored(&self) -> Config {
        let config = self.config();
        let is_sealed = self.domains().is_some_and(|(settings, _)| settings.sealed);
        Config {
            homeostasis: config.homeostasis.filter(|_| !is_sealed),
            ..config
        }
    }

    /// How many samples of the golden set are classified rightly. Counters and scores stay; an image
    /// that waits for its label waits no more, as its features are overwritten.
    ///
    /// # Errors
    /// The model has no golden set, or one of features while layers below the head learn, homeostasis with a
    /// sealed base excepted; the state is of another model, or `arena` is too short.
    pub fn score_golden(&mut self, model: &Model<'_>, arena: &mut [i8]) -> Result<u16, AdaptError> {
        let golden = model.golden().ok_or(AdaptError::NoGolden)?;
        let config = self.scored();
        let first = match golden.kind() {
            GoldenKind::Inputs => 0,
            GoldenKind::Features if config.learns_below_head() => {
                return Err(AdaptError::GoldenFeatures);
            }
            GoldenKind::Features => super::overlay::head_layer(model),
        };
        let scores = self.scores;
        let mut right = 0;
        for (label, sample) in golden.samples() {
            let class = self.classify_by(model, config, false, |scores, overlay| {
                infer_sample(model, arena, (first, sample), scores, overlay)
            })?;
            right += u16::from(class == label);
        }
        self.scores = scores;
        self.pending = None;
        Ok(right)
    }
}
