//! The guard and the store behind the protocol: what was committed is taken up again at the start, with its terms,
//! what is learned is scored, and what passes may be committed.
//!
//! Owns when the guard is made anew (whenever what learns is configured) and what the device reports of
//! all this; the decisions are `adapt::guard`'s, the slots `store`'s. It must not know frames.

use super::{Boot, GuardStats, Refusal};
use crate::adapt::guard::{Commit, CommitError, Guard, Learner, Limits, Verdict};
use crate::adapt::{AdaptError, Plastic};
use crate::blob::Model;
use crate::store::{Record, Store, StoreError};
use embedded_storage::nor_flash::NorFlash;

/// What the guard needs besides the state it watches.
#[derive(Debug)]
pub(super) struct Watched<'a, F> {
    store: Store<F>,
    scratch: &'a mut [u8],
    guard: Option<Guard>,
    boot: Boot,
    check_instructions: u32,
}

/// The state that is watched, and where it runs.
pub(super) struct Subject<'l, 'b> {
    pub(super) model: &'l Model<'l>,
    pub(super) plastic: &'l mut Plastic<'b>,
    pub(super) arena: &'l mut [i8],
}

impl<'a, F: NorFlash> Watched<'a, F> {
    /// Nothing yet.
    pub(super) fn new(store: Store<F>, scratch: &'a mut [u8]) -> Self {
        Self {
            store,
            scratch,
            guard: None,
            boot: Boot::Empty,
            check_instructions: 0,
        }
    }

    /// Takes up what was committed last, if it is of this model and whole.
    pub(super) fn boot(&mut self, subject: Subject<'_, '_>) {
        let Some(Record { sequence, .. }) = self.store.newest() else {
            return;
        };
        self.boot = match self.with(subject, Guard::resume) {
            Ok(guard) => {
                self.guard = guard;
                Boot::Restored { sequence }
            }
            Err(CommitError::Store(StoreError::Foreign { sequence })) => {
                Boot::OtherModel { sequence }
            }
            Err(CommitError::Adapt(_) | CommitError::Store(StoreError::Buffer { .. })) => {
                Boot::Unfit { sequence }
            }
            Err(CommitError::Store(_)) => Boot::Unreadable,
        };
    }

    /// Leaves what was committed last, if it is of `model`, where it is.
    pub(super) fn leave(&mut self, model: &Model<'_>) {
        if let Some(record) = self.store.newest() {
            let sequence = record.sequence;
            self.boot = match record.model == model.id() {
                true => Boot::SetAside { sequence },
                false => Boot::OtherModel { sequence },
            };
        }
    }

    /// Watches from now on by `limits`, counters at zero; no longer without.
    pub(super) fn set(
        &mut self,
        limits: Option<Limits>,
        subject: Subject<'_, '_>,
    ) -> Result<(), Refusal> {
        let made = limits.map(|limits| self.with(subject, |l| Guard::new(limits, l)));
        self.guard = made.transpose().map_err(refused)?;
        Ok(())
    }

    /// The limits in force.
    pub(super) fn limits(&self) -> Option<Limits> {
        self.guard.map(|guard| guard.limits())
    }

    /// Before an image: an observed one without a label counts now.
    pub(super) fn before_image(&mut self, subject: Subject<'_, '_>) -> Result<Verdict, Refusal> {
        self.decide(subject, Guard::before_image)
    }

    /// An image was observed.
    pub(super) fn observed(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.observed();
        }
    }

    /// A label was learned.
    pub(super) fn learned(&mut self, subject: Subject<'_, '_>) -> Result<Verdict, Refusal> {
        self.decide(subject, Guard::learned)
    }

    /// Scores now.
    pub(super) fn check(&mut self, subject: Subject<'_, '_>) -> Result<Verdict, Refusal> {
        match self.guard {
            None => Err(Refusal::NoGuard),
            Some(_) => self.decide(subject, Guard::check),
        }
    }

    /// Scores, then commits.
    pub(super) fn commit(&mut self, subject: Subject<'_, '_>) -> Result<Commit, Refusal> {
        let mut guard = self.guard.ok_or(Refusal::NoGuard)?;
        let outcome = self.with(subject, |l| guard.commit(l));
        self.guard = Some(guard);
        outcome.map_err(|error| match error {
            CommitError::Adapt(error) => refused(error),
            CommitError::Store(StoreError::Length {
                got_bytes,
                max_bytes,
            }) => Refusal::StoreTooSmall {
                need_bytes: got_bytes as u32,
                have_bytes: max_bytes as u32,
            },
            CommitError::Store(_) => Refusal::Flash,
        })
    }

    /// Of the last check.
    pub(super) fn count(&mut self, instructions: u32) {
        self.check_instructions = instructions;
    }

    /// All that is observable.
    pub(super) fn stats(&mut self) -> GuardStats {
        GuardStats {
            limits: self.limits(),
            report: self.guard.map_or_else(Default::default, |g| g.report()),
            last_rollback: self.guard.and_then(|g| g.last_rollback()),
            boot: self.boot,
            newest: self.store.newest(),
            check_instructions: self.check_instructions,
        }
    }

    /// `NotDue` where nobody watches.
    fn decide(
        &mut self,
        subject: Subject<'_, '_>,
        ask: impl FnOnce(&mut Guard, &mut Learner<'_, '_, F>) -> Result<Verdict, AdaptError>,
    ) -> Result<Verdict, Refusal> {
        let Some(mut guard) = self.guard else {
            return Ok(Verdict::NotDue);
        };
        let verdict = self.with(subject, |l| ask(&mut guard, l));
        self.guard = Some(guard);
        verdict.map_err(refused)
    }

    fn with<R>(
        &mut self,
        subject: Subject<'_, '_>,
        f: impl FnOnce(&mut Learner<'_, '_, F>) -> R,
    ) -> R {
        let Subject {
            model,
            plastic,
            arena,
        } = subject;
        f(&mut Learner {
            model,
            plastic,
            arena,
            store: &mut self.store,
            scratch: self.scratch,
        })
    }
}

/// Why the guard cannot watch.
fn refused(error: AdaptError) -> Refusal {
    match error {
        AdaptError::NoGolden => Refusal::NoGolden,
        AdaptError::GoldenFeatures => Refusal::GoldenFeatures,
        _ => Refusal::Internal,
    }
}
