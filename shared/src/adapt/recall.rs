//! The slots of a [`Plastic`]: kept, judged, put in place.
//!
//! It owns where slots lie in the buffer, behind what a state needs (what is seen, then every slot: a header and
//! the persistent state), and when they are copied; what a distance is and what follows from it stands in
//! [`domains`](super::domains). It must not know what is learned.

use super::domains::{
    Domains, NEW, Recall, Report, SETTLED, SLOT_HEADER_BYTES, Target, WARM, YOUNG, distance,
    n_seen, state_bytes,
};
use super::homeostasis::Activity;
use super::overlay::{activity, first_followed, n_homeostatic};
use super::{AdaptError, Counters, Plastic};
use crate::blob::Model;
use crate::bytes;
use crate::header::HEADER_BYTES;
use crate::quant::i32_at;

/// Instructions of a channel that is seen, on the emulated M4 (`tests/estimates.rs` holds the error).
const LOOKED: u64 = 170;
/// Of a channel in a distance.
const JUDGED: u64 = 86;

impl Plastic<'_> {
    /// Keeps a state per domain from now on, or no longer. What is learned already is the state of slot 1, which a
    /// sealed base takes the place of at the next image observed, the others are empty; what was committed before is
    /// of none of them. So it is again after [`Plastic::configure`], [`Plastic::reset`], and [`Plastic::restore`] of
    /// a snapshot without slots, which end it where the slots do not suit the new configuration.
    ///
    /// # Errors
    /// Homeostasis is not configured, `slots` is out of its range, or the buffer is shorter than
    /// [`domains::state_bytes`](super::domains::state_bytes); of another model.
    pub fn set_domains(
        &mut self,
        model: &Model<'_>,
        domains: Option<Domains>,
    ) -> Result<(), AdaptError> {
        self.check(model)?;
        let Some(settings) = domains else {
            self.recall = None;
            return Ok(());
        };
        let want_bytes = state_bytes(model, &self.header.config, &settings)?;
        let got_bytes = self.buffer.len();
        if got_bytes < want_bytes {
            return Err(AdaptError::Buffer {
                got_bytes,
                want_bytes,
            });
        }
        let end = HEADER_BYTES + self.layout.total();
        self.buffer.get_mut(end..).unwrap_or_default().fill(0);
        // Before anything is seen, the state in use is that of a sealed base.
        let begins = !settings.sealed || self.header.counters != Counters::default();
        self.recall = Some(Recall {
            settings,
            report: Report {
                used: begins.into(),
                opened: begins.into(),
                ..Report::default()
            },
            looks: 0,
            nearest: None,
            looks_nearest: 0,
            due: (settings.sealed && begins).then_some(Target::Slot(0)),
            settled: bit(u8::from(self.header.followed >= YOUNG)),
            committed: 0,
            clock: 0,
        });
        self.keep(model);
        Ok(())
    }

    /// Empties the slots, or ends them if they do not suit what is configured now.
    pub(super) fn forget_domains(&mut self, model: &Model<'_>) {
        let settings = self.recall.map(|recall| recall.settings);
        if self.set_domains(model, settings).is_err() {
            self.recall = None;
        }
    }

    /// How domains are told apart, and what has happened; none without slots.
    pub fn domains(&self) -> Option<(Domains, Report)> {
        self.recall.map(|recall| (recall.settings, recall.report))
    }

    /// Times that another state was put in place.
    pub(super) fn changes(&self) -> u32 {
        self.recall.map_or(0, |recall| {
            (recall.report.recalled).wrapping_add(recall.report.opened)
        })
    }

    /// Whether the base is in use and sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.recall
            .is_some_and(|recall| recall.settings.sealed && recall.report.used == 0)
    }

    /// Looks taken, if slots are in use.
    pub(super) fn looks(&self) -> Option<u16> {
        self.recall.map(|recall| recall.looks)
    }

    /// The working copy, what is seen, and slot `slot`, counted from 1, with its header.
    pub(super) fn slot(
        &mut self,
        model: &Model<'_>,
        slot: u8,
    ) -> Option<(&mut [u8], &mut [u8], &mut [u8])> {
        let persistent = self.layout.persistent();
        let (state, rest) =
            (self.buffer.get_mut(HEADER_BYTES..)?).split_at_mut_checked(self.layout.total())?;
        let (seen, slots) = rest.split_at_mut_checked(8 * n_seen(model))?;
        let index = usize::from(slot.checked_sub(1)?);
        let slot = bytes::rows_mut(slots, SLOT_HEADER_BYTES + persistent).nth(index)?;
        Some((state.get_mut(..persistent)?, seen, slot))
    }

    /// All slots with their headers.
    pub(super) fn all_slots(&self, model: &Model<'_>) -> &[u8] {
        let n = self.recall.map_or(0, |recall| recall.settings.slots.into());
        let from = HEADER_BYTES + self.layout.total() + 8 * n_seen(model);
        let len = n * (SLOT_HEADER_BYTES + self.layout.persistent());
        self.buffer.get(from..from + len).unwrap_or_default()
    }

    /// The slots that hold a state, a bit each.
    pub(super) fn held(&self, model: &Model<'_>) -> u16 {
        let slot_bytes = SLOT_HEADER_BYTES + self.layout.persistent();
        let slots = (1..).zip(bytes::rows(self.all_slots(model), slot_bytes));
        let held = slots.filter(|(_, slot)| i32_at(slot, 0) != 0);
        held.fold(0, |bits, (i, _)| bits | bit(i))
    }

    /// Copies the state in use into its slot; the base has none.
    fn keep(&mut self, model: &Model<'_>) {
        let Some(mut recall) = self.recall else {
            return;
        };
        recall.clock = recall.clock.saturating_add(1);
        let followed = i32::from(self.header.followed);
        if let Some((state, _, slot)) = self.slot(model, recall.report.used)
            && let Some((header, kept)) = slot.split_first_chunk_mut::<SLOT_HEADER_BYTES>()
            && kept.len() == state.len()
        {
            let fresh = i32_at(header, 0) == 0;
            let words = [recall.clock, followed].map(i32::to_le_bytes);
            header.copy_from_slice(words.as_flattened());
            kept.copy_from_slice(state);
            recall.report.held = recall.report.held.saturating_add(u8::from(fresh));
        }
        self.recall = Some(recall);
    }

    /// When `slot` was left last, 0 = empty.
    fn left(&mut self, model: &Model<'_>, slot: u8) -> i32 {
        self.slot(model, slot)
            .map_or(0, |(_, _, slot)| i32_at(slot, 0))
    }

    /// `D` of `slot`; of the base where it is 0.
    fn distance(&mut self, model: &Model<'_>, slot: u8) -> Option<u16> {
        let layer = first_followed(model)?;
        let (source, all) = (model.homeostasis(layer)?, n_homeostatic(model, layer));
        let channels = n_seen(model);
        let training = |channel| Activity {
            mean: i32_at(source.mean, channel),
            deviation: i32_at(source.deviation, channel),
        };
        let (_, seen, kept) = self.slot(model, slot.max(1))?;
        let kept = kept.get(SLOT_HEADER_BYTES..SLOT_HEADER_BYTES + 8 * all)?;
        Some(match slot {
            0 => distance(seen, training, source.deviation, channels),
            _ => distance(seen, |c| activity(kept, c), source.deviation, channels),
        })
    }

    /// The least `D` of other slots than the one in use, a new domain among them, and whose it is.
    fn nearest(&mut self, model: &Model<'_>, recall: &Recall) -> (u16, Target) {
        let (mut least, mut nearest) = (recall.settings.open, Target::New);
        for slot in (0..=recall.settings.slots).filter(|&slot| slot != recall.report.used) {
            if (slot == 0 || self.left(model, slot) != 0)
                && let Some(distance) = self.distance(model, slot)
                && distance <= least
            {
                (least, nearest) = (distance, Target::Slot(slot));
            }
        }
        (least, nearest)
    }

    /// After a look: what is seen against every slot.
    pub(super) fn judge(&mut self, model: &Model<'_>) {
        let Some(mut recall) = self.recall else {
            return;
        };
        recall.looks = recall.looks.saturating_add(1);
        self.recall = Some(recall);
        let used = recall.report.used;
        let is_young = used != 0 && recall.settled & bit(used) == 0;
        if recall.looks < WARM {
            if is_young {
                self.keep(model);
            }
            return;
        }
        let distance = self.distance(model, used).unwrap_or(0);
        let is_home = recall.settings.sealed
            && (self.distance(model, 0)).is_some_and(|base| base < recall.settings.open);
        if is_young && !is_home {
            if self.header.followed < YOUNG || distance > recall.settings.open {
                return self.keep(model);
            }
            recall.settled |= bit(used);
        }
        let (own, (least, nearest)) = match (is_home, used) {
            (true, 0) => (0, self.nearest(model, &recall)),
            (true, _) => (distance, (0, Target::Slot(0))),
            (false, _) => (distance, self.nearest(model, &recall)),
        };
        if recall.nearest != Some(nearest) {
            (recall.report.evidence, recall.looks_nearest) = (0, 0);
        }
        recall.looks_nearest = recall.looks_nearest.saturating_add(1);
        recall.nearest = Some(nearest);
        recall.report.distance = distance;
        recall.report.other = least;
        let evidence = recall.report.evidence;
        recall.report.evidence = evidence.saturating_add(own).saturating_sub(least);
        let lasts = nearest != Target::New || recall.looks_nearest >= NEW;
        if recall.report.evidence >= recall.settings.evidence.max(1) && lasts {
            recall.due = Some(nearest);
        }
        self.recall = Some(recall);
        if recall.report.evidence == 0 {
            self.keep(model);
        }
    }

    /// Estimated instructions of a look: what is seen moves, its distance from the base and every slot that holds a
    /// state, and the state in use copied into its own slot.
    pub(super) fn upkeep(&self, model: &Model<'_>) -> u64 {
        self.recall.map_or(0, |recall| {
            let distances = u64::from(recall.report.held) + 1;
            let channels = n_seen(model) as u64;
            channels * (LOOKED + JUDGED * distances) + self.layout.persistent() as u64
        })
    }

    /// Before an image: puts in place what is due.
    ///
    /// # Errors
    /// As [`Plastic::configure`], which no call can cause.
    pub(super) fn change(&mut self, model: &Model<'_>) -> Result<(), AdaptError> {
        let Some(mut recall) = self.recall else {
            return Ok(());
        };
        let Some(target) = recall.due.take() else {
            return Ok(());
        };
        recall.nearest = None;
        recall.report.evidence = 0;
        let report = &mut recall.report;
        match target {
            Target::Slot(slot) => {
                report.used = slot;
                report.recalled = report.recalled.saturating_add(1);
            }
            Target::New => {
                let oldest = (1..=recall.settings.slots).min_by_key(|&s| self.left(model, s));
                report.used = oldest.unwrap_or(1);
                report.opened = report.opened.saturating_add(1);
                if self.left(model, report.used) != 0 {
                    report.replaced = report.replaced.saturating_add(1);
                }
            }
        }
        let used = report.used;
        if target == Target::New {
            recall.settled &= !bit(used);
            recall.committed &= !bit(used);
        }
        self.recall = Some(recall);
        let header = self.header;
        match target {
            Target::Slot(slot) if slot != 0 => {
                if let Some((state, _, slot)) = self.slot(model, slot)
                    && let Some((header, kept)) = slot.split_first_chunk::<SLOT_HEADER_BYTES>()
                    && kept.len() == state.len()
                {
                    let followed = u16::try_from(i32_at(header, 1)).unwrap_or(SETTLED);
                    state.copy_from_slice(kept);
                    self.header.followed = followed;
                }
                self.pending = None;
                self.derive(model)
            }
            _ => {
                self.base(model, header.config, header.seed)?;
                self.header = header;
                self.header.followed = if used == 0 { SETTLED } else { 0 };
                self.keep(model);
                Ok(())
            }
        }
    }

    /// The state in use was refused: its slot is empty again. What is put in place is the base's, or what was
    /// committed of its domain, which is the slot's from now on.
    pub(super) fn refused(&mut self, model: &Model<'_>, to_base: bool) {
        let Some(mut recall) = self.recall else {
            return;
        };
        let used = recall.report.used;
        if self.left(model, used) != 0
            && let Some((_, _, slot)) = self.slot(model, used)
        {
            slot.fill(0);
            recall.report.held = recall.report.held.saturating_sub(1);
        }
        (recall.nearest, recall.due, recall.report.evidence) = (None, None, 0);
        recall.settled &= !bit(used);
        if to_base {
            recall.report.used = 0;
        } else if self.header.followed >= YOUNG {
            recall.settled |= bit(used);
        }
        self.recall = Some(recall);
        self.keep(model);
    }
}

/// Of `slot`, 0 of the base.
pub(super) fn bit(slot: u8) -> u16 {
    match slot {
        0 => 0,
        _ => 1_u16.wrapping_shl(u32::from(slot)),
    }
}
