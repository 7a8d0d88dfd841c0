//! The terms under which a device learns, in its commits: a restart does not lift them.
//!
//! It owns what of guard and schedule stands in a snapshot (postcard, zeros behind), and how a start goes on by it; it
//! must not know what either decides. Flow: [`Guard::commit`] → snapshot with terms → restart → [`Guard::resume`].
//!
//! A start is the last commit: what learns, what was learned, the guard's limits, the schedule. Without a commit
//! nothing learns at all. Limits and a schedule that are set are in force at once and outlast a restart from the next
//! commit on, which neither `commit_every` nor the budget holds up as long as what is in flash has other ones.

use super::guard::{CommitError, Guard, Learner, Limits, Rollback};
use super::schedule::{Schedule, Scheduler};
use super::snapshot::Header;
use super::{AdaptError, Config};
use embedded_storage::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

/// What they add to a snapshot.
pub const TERMS_BYTES: usize = 64;

/// How careful, when and how much. The order of the fields is their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Of the guard.
    pub limits: Limits,
    /// When and how much.
    pub schedule: Schedule,
    /// Estimated instructions that the present window took beyond its limit; 0 without a budget.
    pub owed: u64,
    /// Why and to what the state was taken back last.
    pub last_rollback: Option<Rollback>,
}

impl Terms {
    /// Those of a whole snapshot; none where it has none, as those of versions 1 and 2.
    ///
    /// # Errors
    /// The snapshot is damaged, of another version, or holds impossible values.
    pub fn of(snapshot: &[u8]) -> Result<Option<Self>, AdaptError> {
        Ok(Header::decode(snapshot)?.terms)
    }

    pub(super) fn encode(&self) -> [u8; TERMS_BYTES] {
        let mut bytes = [0; TERMS_BYTES];
        // The largest numbers take all 64.
        let _fits = postcard::to_slice(self, &mut bytes);
        bytes
    }

    /// None for bytes that [`Terms::encode`] does not write.
    pub(super) fn decode(bytes: &[u8; TERMS_BYTES]) -> Option<Self> {
        let (terms, _): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        (terms.encode() == *bytes).then_some(terms)
    }
}

impl Guard {
    /// What a start does: puts what was committed last in place, goes on by its terms, and scores it against the base
    /// model's own score before it is used. Below the floor the base takes its place, which [`Guard::report`] and
    /// [`Guard::last_rollback`] say. A budget's present window counts as spent. None if nothing was committed, or by a
    /// version without terms: nobody watches then, and the schedule stays.
    ///
    /// Costs two scores, three with a rollback.
    ///
    /// # Errors
    /// What was committed is of another model, does not fit here, or the flash failed: nothing has changed. Or it
    /// cannot be scored, as [`Guard::new`] says: nothing learns then.
    pub fn resume<F: NorFlash>(
        learner: &mut Learner<'_, '_, F>,
    ) -> Result<Option<Self>, CommitError<F::Error>> {
        let model = learner.model;
        let Some(snapshot) = learner.store.load(model.id(), learner.scratch)? else {
            return Ok(None);
        };
        let terms = Terms::of(snapshot)?;
        learner.plastic.restore(model, snapshot)?;
        let Some(terms) = terms else {
            return Ok(None);
        };
        learner.plastic.scheduler = Scheduler::resumed(terms.schedule, terms.owed);
        let watched = Self::new(terms.limits, learner).and_then(|mut guard| {
            guard.last_rollback = terms.last_rollback;
            guard.check(learner).map(|_| guard)
        });
        if watched.is_err() {
            learner.plastic.configure(model, Config::NOTHING, 0)?;
        }
        Ok(Some(watched?))
    }

    /// What a commit now keeps besides the state.
    pub(super) fn terms<F>(&self, learner: &Learner<'_, '_, F>) -> Terms {
        let scheduler = &learner.plastic.scheduler;
        Terms {
            limits: self.limits(),
            schedule: scheduler.schedule(),
            owed: scheduler.owed(),
            last_rollback: self.last_rollback,
        }
    }

    /// Whether a start would go on by limits or a schedule other than those in force.
    pub(super) fn is_news<F: NorFlash>(&self, learner: &mut Learner<'_, '_, F>) -> bool {
        let now = self.terms(learner);
        let newest = learner.store.load(learner.model.id(), learner.scratch);
        let kept = newest.ok().flatten().map(Terms::of);
        !matches!(kept, Some(Ok(Some(kept))) if (kept.limits, kept.schedule) == (now.limits, now.schedule))
    }
}
