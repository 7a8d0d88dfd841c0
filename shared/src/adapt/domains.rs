//! Domain slots: a domain that comes back is recalled instead of learned again.
//!
//! It owns which of several learned states is in use: what is seen now is compared with what each of them was
//! learned from. It must not know rules nor layers above the first followed one. Flow: the sums that
//! homeostasis takes of the first followed layer, whose input no learned state changes → distance of every
//! slot → before an image another state is put in place, or a new one begun. Slots live in RAM, empty when
//! they are asked for; a commit takes them all along with the state in use, the one that was scored, and a start puts
//! them in place again.
//!
//! Slot 0 is the base model's own state and is never written: what is learned on top of it is not kept when
//! another slot is recalled. Slots `1 ..= n` hold learned states. A state's signature are its own running
//! statistics `(mu, dev)` of the first [`CHANNELS`] channels of the first followed layer, of slot 0 those of
//! training, `(mu_s, dev_s)`; nothing is stored for it. What is seen are the same statistics with a momentum
//! of [`MOMENTUM`], deviations measured from the running means of the state in use, or from those of what is seen
//! where that is a sealed base. With C channels the
//! distance, in 1/256 of the deviation in training, is
//! `D = Σ (|mu_now − mu| + |dev_now − dev|)·256/dev_s / 2C`, each term at most 4096.
//!
//! After every image of which that layer's first channels were followed (every other one), `D` of the slot in
//! use is set against the least `D` of the other slots, a new domain counting as one at the distance `open`.
//! The evidence `e = max(0, e + D_used − D_least)` begins anew when another slot comes to be the nearest (one-
//! sided CUSUM: E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954); at `e ≥ evidence` it is
//! changed, to a new domain after [`NEW`] looks in a row at the earliest, as what is seen lies between two
//! domains for a while when one follows the other. While `e = 0` the state in use is copied into its slot, so
//! that images of a domain that has just begun leave few traces in it. A state that has just begun is copied
//! and not judged, until it has followed [`YOUNG`] images and come nearer than `open` to what is seen. A new
//! domain begins from the base in a free slot, else in the learned one that was left longest ago: memory is for
//! the domains of late, and slot 0 is there whatever comes.
//!
//! With a sealed base, what is nearer to it than `open` is its domain: its distance counts as 0 then, and a state
//! that has just begun is judged against it at once. While it is in use only looks are taken: neither images nor
//! labels change what is in place. So whatever was shown and taught, a device that sees again what it was trained on
//! has the base model's own bits, `evidence` after that; what it learns lies at `open` or beyond.
//!
//! Integers only. State: 8 bytes per channel of what is seen, 8 and the persistent state per slot. Information:
//! activity, no labels. What a judgement costs is on the account of the [`schedule`](super::schedule).

use super::homeostasis::{self, Activity};
use super::overlay::{Layout, activity, first_followed, n_homeostatic, put_activity};
use super::{AdaptError, Config};
use crate::blob::Model;
use crate::header::HEADER_BYTES;
use crate::kernel::sums::{CHANNELS, ChannelStat};
use crate::quant::i32_at;
use serde::{Deserialize, Serialize};

/// Momentum shift of what is seen.
pub const MOMENTUM: u8 = 2;
/// Looks before the first judgement.
pub(super) const WARM: u16 = 1 << MOMENTUM;
/// Images followed up to which a state is only copied.
pub const YOUNG: u16 = 32;
/// Looks in a row at which a new domain must be the nearest.
pub const NEW: u16 = 8;
/// Most slots besides the base.
pub const MAX_SLOTS: u8 = 15;
/// Unit of a distance: one deviation in training.
pub const UNIT: u32 = 256;
/// In front of a slot's state: when it was left last i32 LE, images followed i32 LE; the former 0 = empty.
pub(super) const SLOT_HEADER_BYTES: usize = 8;
/// How a base that was recalled goes on: slowly, as one that has followed many images.
pub(super) const SETTLED: u16 = 1 << 15;

/// How many states are kept, and how readily another is put in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Domains {
    /// Slots besides the base, `1 ..= 15`.
    pub slots: u8,
    /// Distance, in 1/256 of the deviation in training, from which on a domain is a new one.
    pub open: u16,
    /// Sum of differences of distance at which it is changed.
    pub evidence: u16,
    /// Whether all that is nearer than `open` to training is the base's, which learns nothing while it is in use.
    pub sealed: bool,
}

/// What has happened since slots were asked for or the start; counters stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Report {
    /// Slot in use, 0 = base.
    pub used: u8,
    /// Slots that hold a learned state.
    pub held: u8,
    /// Domains begun, the first included; those that a start found are not.
    pub opened: u32,
    /// Slots put in place again.
    pub recalled: u32,
    /// Learned states given up for a new domain.
    pub replaced: u32,
    /// Of what is seen from the slot in use, at the last judgement.
    pub distance: u16,
    /// Of what is seen from the nearest other slot, or `open`.
    pub other: u16,
    /// For that other one.
    pub evidence: u16,
}

/// What is to be put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Slot(u8),
    New,
}

/// Slots at work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recall {
    pub(super) settings: Domains,
    pub(super) report: Report,
    /// Looks taken; stops where it no longer matters.
    pub(super) looks: u16,
    pub(super) nearest: Option<Target>,
    /// Looks in a row at which it was the nearest.
    pub(super) looks_nearest: u16,
    pub(super) due: Option<Target>,
    /// The slots that are judged, a bit each.
    pub(super) settled: u16,
    /// The slots that the last commit holds, and that were not begun anew since, a bit each.
    pub(super) committed: u16,
    /// Times a slot was left or begun.
    pub(super) clock: i32,
}

/// Takes `stats` of the first channels over `pixels` into what is `seen`.
pub(super) fn look(seen: &mut [u8], stats: &[ChannelStat], pixels: usize, looks: u16) {
    let n = stats.len();
    let Some(seen) = seen.get_mut(..8 * n) else {
        return;
    };
    let momentum = if looks == 0 { 0 } else { MOMENTUM };
    for (channel, stat) in stats.iter().enumerate() {
        let now = homeostasis::observe(activity(seen, channel), stat, pixels, momentum);
        put_activity(seen, channel, now);
    }
}

/// What was seen of `n` channels, if anything was.
pub(super) fn seen(behind: &[u8], n: usize, looks: u16) -> Option<&[u8]> {
    behind.get(..8 * n).filter(|_| looks > 0)
}

/// `D` of statistics `seen` from `other`, both `[mean; n][deviation; n]` of `channels`, the second longer.
pub(super) fn distance(
    seen: &[u8],
    other: impl Fn(usize) -> Activity,
    source: &[u8],
    channels: usize,
) -> u16 {
    let mut sum = 0u32;
    for channel in 0..channels {
        let (now, then) = (activity(seen, channel), other(channel));
        let unit = i32_at(source, channel).max(1).unsigned_abs();
        // 11 bits of the unit are left.
        let drop = (u32::BITS - unit.leading_zeros()).saturating_sub(11);
        let scaled = |difference: u32| {
            let difference = (difference >> drop).min((unit >> drop) << 4);
            difference * UNIT / (unit >> drop).max(1)
        };
        let term =
            scaled(now.mean.abs_diff(then.mean)) + scaled(now.deviation.abs_diff(then.deviation));
        sum = sum.saturating_add(term);
    }
    let channels = u32::try_from(2 * channels.max(1)).unwrap_or(u32::MAX);
    u16::try_from(sum / channels).unwrap_or(u16::MAX)
}

/// Channels of the first followed layer that are looked at.
pub(super) fn n_seen(model: &Model<'_>) -> usize {
    first_followed(model).map_or(0, |layer| n_homeostatic(model, layer).min(CHANNELS))
}

impl Domains {
    /// Bytes that the slots take behind a state of which `persistent` bytes are kept.
    fn bytes(&self, model: &Model<'_>, persistent: usize) -> usize {
        8 * n_seen(model) + usize::from(self.slots) * (SLOT_HEADER_BYTES + persistent)
    }
}

/// Length of the buffer that `model` needs under `config` with `domains`: [`super::state_bytes`], 8 per channel
/// looked at, and per slot 8 and the length of a snapshot without its header.
///
/// # Errors
/// Homeostasis is not configured, the number of slots is out of its range, or as [`super::state_bytes`].
pub fn state_bytes(
    model: &Model<'_>,
    config: &Config,
    domains: &Domains,
) -> Result<usize, AdaptError> {
    if config.homeostasis.is_none() {
        return Err(AdaptError::NoDomains);
    }
    if !(1..=MAX_SLOTS).contains(&domains.slots) {
        return Err(AdaptError::Slots { got: domains.slots });
    }
    let layout = Layout::new(model, config)?;
    Ok(HEADER_BYTES + layout.total() + domains.bytes(model, layout.persistent()))
}
