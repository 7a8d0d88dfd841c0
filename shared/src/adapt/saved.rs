//! Domain slots in a snapshot: a commit takes them along, so that a restart loses no domain.
//!
//! It owns what stands behind the state in use there (the table of [`snapshot`](super::snapshot)), its checks, and
//! what a rollback takes from it; it must not know when slots change ([`recall`](super::recall)) nor what the
//! [`terms`](super::terms) behind them say. What is seen is no
//! part of it: after a restart the first looks say anew where the device is.

use super::domains::{self, Domains, MAX_SLOTS, Recall, Report, SETTLED, SLOT_HEADER_BYTES};
use super::overlay::Layout;
use super::recall::bit;
use super::snapshot::{ALONE, Found, Header, SLOTS, TERMS};
use super::state::is_possible;
use super::terms::Terms;
use super::{AdaptError, Plastic};
use crate::blob::Model;
use crate::bytes;
use crate::header::HEADER_BYTES;
use crate::quant::i32_at;

/// In front of the slots.
const SETTINGS_BYTES: usize = 8;
/// Bit of the number of slots that says that the base is sealed.
const SEALED: u8 = 0x80;

/// The slots of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved<'s> {
    settings: Domains,
    used: u8,
    settled: u16,
    /// Each with its header.
    slots: &'s [u8],
}

impl<'s> Saved<'s> {
    /// Of the bytes behind a state of which `persistent` bytes are kept; none where they cannot be slots.
    fn parse(bytes: &'s [u8], persistent: usize) -> Option<Self> {
        let (&[n, used, o0, o1, e0, e1, s0, s1], slots) =
            bytes.split_first_chunk::<SETTINGS_BYTES>()?;
        let (n, sealed) = (n & !SEALED, n & SEALED != 0);
        let is_sound = (1..=MAX_SLOTS).contains(&n)
            && used <= n
            && slots.len() == usize::from(n) * (SLOT_HEADER_BYTES + persistent);
        is_sound.then_some(Self {
            settings: Domains {
                slots: n,
                open: u16::from_le_bytes([o0, o1]),
                evidence: u16::from_le_bytes([e0, e1]),
                sealed,
            },
            used,
            settled: u16::from_le_bytes([s0, s1]),
            slots,
        })
    }

    fn encode(recall: &Recall) -> [u8; SETTINGS_BYTES] {
        let Domains {
            slots,
            open,
            evidence,
            sealed,
        } = recall.settings;
        let slots = slots | if sealed { SEALED } else { 0 };
        let [o0, o1] = open.to_le_bytes();
        let [e0, e1] = evidence.to_le_bytes();
        let [s0, s1] = recall.settled.to_le_bytes();
        [slots, recall.report.used, o0, o1, e0, e1, s0, s1]
    }

    /// Header and state of every slot, empty ones as well.
    fn iter(&self, persistent: usize) -> impl Iterator<Item = (&'s [u8], &'s [u8])> {
        let slots = bytes::rows(self.slots, SLOT_HEADER_BYTES + persistent);
        slots.filter_map(|slot| slot.split_at_checked(SLOT_HEADER_BYTES))
    }
}

impl Plastic<'_> {
    /// [`Plastic::snapshot`] with the slots, if there are any, and the `terms`, if given, in `to`.
    ///
    /// # Errors
    /// `to` is too short (as long as the state's buffer, with [`TERMS_BYTES`](super::terms::TERMS_BYTES) more for
    /// terms, is long enough); of another model.
    pub fn snapshot_all<'s>(
        &self,
        model: &Model<'_>,
        terms: Option<&Terms>,
        to: &'s mut [u8],
    ) -> Result<&'s [u8], AdaptError> {
        self.check(model)?;
        let settings = self.recall.as_ref().map(Saved::encode);
        let settings = settings.as_ref().map_or(&[][..], |s| &s[..]);
        let kept = terms.map(Terms::encode);
        let kept = kept.as_ref().map_or(&[][..], |k| &k[..]);
        let parts = [self.persistent(), settings, self.all_slots(model), kept];
        let want_bytes = HEADER_BYTES + parts.map(<[u8]>::len).iter().sum::<usize>();
        let got_bytes = to.len();
        let whole = to.get_mut(..want_bytes);
        let (header, body) = whole
            .and_then(<[u8]>::split_first_chunk_mut::<HEADER_BYTES>)
            .ok_or(AdaptError::Buffer {
                got_bytes,
                want_bytes,
            })?;
        for (to, &from) in body.iter_mut().zip(parts.into_iter().flatten()) {
            *to = from;
        }
        let slots = self.recall.map_or(0, |_| SLOTS);
        let version = ALONE + slots + terms.map_or(0, |_| TERMS);
        *header = self.header.encode(body, version);
        Ok(to.get(..want_bytes).unwrap_or_default())
    }

    /// What was taken by [`Plastic::snapshot_all`] is in flash now.
    pub(super) fn slots_committed(&mut self, model: &Model<'_>) {
        let held = self.held(model);
        if let Some(recall) = &mut self.recall {
            recall.committed = held | bit(recall.report.used);
        }
    }

    /// The slots of `snapshot`, for which there is room; none without.
    ///
    /// # Errors
    /// As [`Plastic::restore`].
    pub(super) fn slots_in<'s>(
        &self,
        model: &Model<'_>,
        snapshot: &'s [u8],
    ) -> Result<Option<Saved<'s>>, AdaptError> {
        let Found {
            header,
            body,
            with_slots: true,
            ..
        } = Header::decode(snapshot)?
        else {
            return Ok(None);
        };
        if header.model != model.id() {
            return Err(AdaptError::WrongModel);
        }
        let layout = Layout::new(model, &header.config)?;
        let persistent = layout.persistent();
        let behind = body.get(persistent..).unwrap_or_default();
        let saved = Saved::parse(behind, persistent).ok_or(AdaptError::SnapshotContent)?;
        let want_bytes = domains::state_bytes(model, &header.config, &saved.settings)?;
        let got_bytes = self.buffer.len();
        if got_bytes < want_bytes {
            return Err(AdaptError::Buffer {
                got_bytes,
                want_bytes,
            });
        }
        let mut states = saved.iter(persistent).map(|(_, state)| state);
        match states.all(|state| is_possible(model, header.config, &layout, state)) {
            true => Ok(Some(saved)),
            false => Err(AdaptError::SnapshotContent),
        }
    }

    /// Puts `saved` behind the state in use, which came with it.
    ///
    /// # Errors
    /// As [`Plastic::set_domains`], which no call can cause.
    pub(super) fn set_slots(
        &mut self,
        model: &Model<'_>,
        saved: Saved<'_>,
    ) -> Result<(), AdaptError> {
        self.set_domains(model, Some(saved.settings))?;
        let persistent = self.layout.persistent();
        let mut clock = 0;
        for (slot, (header, state)) in (1..).zip(saved.iter(persistent)) {
            clock = i32_at(header, 0).max(clock);
            if let Some((_, _, place)) = self.slot(model, slot) {
                let bytes = header.iter().chain(state);
                place
                    .iter_mut()
                    .zip(bytes)
                    .for_each(|(to, &from)| *to = from);
            }
        }
        let held = self.held(model);
        if let Some(recall) = &mut self.recall {
            recall.settled = saved.settled;
            recall.committed = held | bit(saved.used);
            recall.clock = clock;
            recall.report = Report {
                used: saved.used,
                held: u8::try_from(held.count_ones()).unwrap_or(MAX_SLOTS),
                ..Report::default()
            };
        }
        Ok(())
    }

    /// Puts `kept`, of a slot with this `header`, in place of the state in use.
    fn put_slot(
        &mut self,
        model: &Model<'_>,
        header: &[u8],
        kept: &[u8],
    ) -> Result<(), AdaptError> {
        let place = self.buffer.get_mut(HEADER_BYTES..);
        for (to, &from) in place.unwrap_or_default().iter_mut().zip(kept) {
            *to = from;
        }
        self.header.followed = u16::try_from(i32_at(header, 1)).unwrap_or(SETTLED);
        self.derive(model)
    }

    /// Puts in place of the state in use what the commit `snapshot` holds of its slot; false if that is of another
    /// configuration, or the slot was begun anew since. Other slots stay as they are. What is in place is undefined
    /// after false: the caller puts the base there.
    ///
    /// # Errors
    /// As [`Plastic::restore`].
    pub(super) fn take_back(
        &mut self,
        model: &Model<'_>,
        snapshot: &[u8],
    ) -> Result<bool, AdaptError> {
        if Header::decode(snapshot)?.header.config != self.header.config {
            return Ok(false);
        }
        let Some(Recall {
            settings,
            report: Report { used, .. },
            committed,
            ..
        }) = self.recall
        else {
            self.put_back(model, snapshot)?;
            return Ok(true);
        };
        let saved = self.slots_in(model, snapshot)?;
        let Some(saved) = saved.filter(|s| s.settings == settings && committed & bit(used) != 0)
        else {
            return Ok(false);
        };
        self.put_back(model, snapshot)?;
        if saved.used != used {
            let persistent = self.layout.persistent();
            let slot = saved.iter(persistent).nth(usize::from(used - 1));
            let Some((header, kept)) = slot.filter(|(header, _)| i32_at(header, 0) != 0) else {
                return Ok(false);
            };
            self.put_slot(model, header, kept)?;
        }
        Ok(true)
    }
}
