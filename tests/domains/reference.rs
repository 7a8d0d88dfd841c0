//! Slots against a slow reference that keeps whole snapshots beside a learner without slots.

use super::{BOTH, C, SEED, stream};
use crate::toy::{self, CHANNELS, N_CLASSES, measured, probe_at};
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{Domains, MOMENTUM, NEW, Report, YOUNG, state_bytes};
use aplysia_shared::adapt::{self, Plastic};
use aplysia_shared::kernel::sums::Lattice;
use aplysia_shared::quant::i32_at;
use proptest::prelude::*;

/// Slots as whole snapshots beside a learner without slots, distances in wide numbers.
struct Reference<'m> {
    model: &'m Model<'m>,
    settings: Domains,
    /// Of each learned slot: when it was left, and what.
    slots: Vec<Option<(i32, Vec<u8>)>>,
    clock: i32,
    seen: [Vec<i64>; 2],
    looks: u32,
    nearest: Option<Option<usize>>,
    due: Option<Option<usize>>,
    settled: Vec<bool>,
    in_a_row: u32,
    report: Report,
    arena: Vec<i8>,
}

fn nearest_of(sum: i64, n: i64) -> i64 {
    let magnitude = (2 * sum.abs() + n) / (2 * n);
    magnitude * sum.signum()
}

fn shifted(x: i64, shift: u8) -> i64 {
    (x as f64 / f64::from(1 << shift) + 0.5).floor() as i64
}

impl Reference<'_> {
    fn followed(plastic: &mut Plastic<'_>) -> u16 {
        let snapshot = plastic.snapshot();
        u16::from_le_bytes([snapshot[58], snapshot[59]])
    }

    /// With the counters and the generator of now.
    fn put(&mut self, plastic: &mut Plastic<'_>, snapshot: &[u8], followed: u16) {
        let mut header = plastic.snapshot()[..64].to_vec();
        header[58..60].copy_from_slice(&followed.to_le_bytes());
        let mut bytes = [&header, &snapshot[64..]].concat();
        toy::seal(&mut bytes);
        plastic.restore(self.model, &bytes).unwrap();
    }

    fn keep(&mut self, plastic: &mut Plastic<'_>) {
        self.clock += 1;
        if let Some(slot) = usize::from(self.report.used).checked_sub(1) {
            self.slots[slot] = Some((self.clock, plastic.snapshot().to_vec()));
        }
        self.report.held = self.slots.iter().flatten().count() as u8;
    }

    fn distance(&self, slot: usize) -> u16 {
        let source = self.model.homeostasis(0).unwrap();
        let mut sum = 0_i128;
        for c in 0..C {
            let of = |part: usize| {
                let sections = [source.mean, source.deviation];
                match slot {
                    0 => i32_at(sections[part], c),
                    _ => i32_at(
                        &self.slots[slot - 1].as_ref().unwrap().1[64..],
                        part * C + c,
                    ),
                }
            };
            let unit = i128::from(i32_at(source.deviation, c).max(1));
            let mut drop = 0;
            while unit >> drop >= 2048 {
                drop += 1;
            }
            for part in 0..2 {
                let difference = i128::from(self.seen[part][c] - i64::from(of(part))).abs();
                let difference = (difference >> drop).min(16 * (unit >> drop));
                sum += difference * 256 / (unit >> drop);
            }
        }
        (sum / (2 * C as i128)).min(65_535) as u16
    }

    fn change(&mut self, plastic: &mut Plastic<'_>) {
        let Some(target) = self.due.take() else {
            return;
        };
        self.nearest = None;
        self.report.evidence = 0;
        let mut buffer = vec![0; adapt::state_bytes(self.model, &BOTH).unwrap()];
        let mut fresh = Plastic::new(self.model, BOTH, SEED, &mut buffer).unwrap();
        let fresh = fresh.snapshot().to_vec();
        match target {
            Some(0) => {
                self.report.recalled += 1;
                self.report.used = 0;
                self.put(plastic, &fresh, 1 << 15);
                self.keep(plastic);
            }
            Some(slot) => {
                self.report.recalled += 1;
                self.report.used = slot as u8;
                let kept = self.slots[slot - 1].clone().unwrap().1;
                let followed = u16::from_le_bytes([kept[58], kept[59]]);
                self.put(plastic, &kept, followed);
            }
            None => {
                let left = |slot: &usize| self.slots[*slot].as_ref().map_or(0, |s| s.0);
                let oldest = (0..self.slots.len()).min_by_key(left).unwrap();
                self.report.opened += 1;
                self.report.replaced += u32::from(self.slots[oldest].is_some());
                self.report.used = oldest as u8 + 1;
                self.settled[oldest] = false;
                self.put(plastic, &fresh, 0);
                self.keep(plastic);
            }
        }
    }

    fn observe(&mut self, plastic: &mut Plastic<'_>, image: &[i8]) {
        self.change(plastic);
        let is_sealed = self.settings.sealed && self.report.used == 0;
        let followed = Self::followed(plastic);
        let looks = followed % 2 == 0;
        if looks {
            let snapshot = plastic.snapshot()[64..].to_vec();
            let centres = [
                match is_sealed && self.looks > 0 {
                    true => self.seen[0].iter().map(|&mean| mean as i32).collect(),
                    false => (0..C).map(|c| i32_at(&snapshot, c)).collect(),
                },
                vec![0; CHANNELS[1]],
            ];
            let lattice = Lattice {
                first: usize::from(followed / 2) % 6,
                step: 6,
            };
            let one = std::slice::from_ref(&image.to_vec()).to_vec();
            let stats = &probe_at(self.model, &one, &centres, lattice, None).stats[0];
            for (c, stat) in stats.iter().enumerate() {
                for (seen, sum) in self.seen.iter_mut().zip([stat.sum, stat.deviation]) {
                    let now = nearest_of(sum, 6);
                    let shift = if self.looks == 0 { 0 } else { MOMENTUM };
                    seen[c] += shifted(now - seen[c], shift);
                }
                self.seen[1][c] = self.seen[1][c].max(1);
            }
        }
        if is_sealed {
            plastic.infer(self.model, &mut self.arena, image).unwrap();
            let snapshot = plastic.snapshot().to_vec();
            self.put(
                plastic,
                &snapshot,
                followed.checked_add(1).unwrap_or(1 << 15),
            );
        } else {
            plastic.observe(self.model, &mut self.arena, image).unwrap();
        }
        if looks {
            self.judge(plastic);
        }
    }

    fn judge(&mut self, plastic: &mut Plastic<'_>) {
        self.looks += 1;
        let used = usize::from(self.report.used);
        let is_young = used != 0 && !self.settled[used - 1];
        if self.looks < 1 << MOMENTUM {
            if is_young {
                self.keep(plastic);
            }
            return;
        }
        let is_home = self.settings.sealed && self.distance(0) < self.settings.open;
        if is_young && !is_home {
            if Self::followed(plastic) < YOUNG || self.distance(used) > self.settings.open {
                return self.keep(plastic);
            }
            self.settled[used - 1] = true;
        }
        let (mut least, mut nearest) = (self.settings.open, None);
        for slot in (0..=self.slots.len()).filter(|&slot| slot != used) {
            if (slot == 0 || self.slots[slot - 1].is_some()) && self.distance(slot) <= least {
                (least, nearest) = (self.distance(slot), Some(slot));
            }
        }
        if is_home && used != 0 {
            (least, nearest) = (0, Some(0));
        }
        let distance = if used == 0 || self.slots[used - 1].is_some() {
            self.distance(used)
        } else {
            0
        };
        let own = if is_home && used == 0 { 0 } else { distance };
        let again = self.nearest == Some(nearest);
        let before = if again {
            i32::from(self.report.evidence)
        } else {
            0
        };
        self.in_a_row = if again { self.in_a_row + 1 } else { 1 };
        self.nearest = Some(nearest);
        let evidence = (before + i32::from(own) - i32::from(least)).max(0);
        (self.report.distance, self.report.other) = (distance, least);
        self.report.evidence = evidence as u16;
        let lasts = nearest.is_some() || self.in_a_row >= u32::from(NEW);
        if self.report.evidence >= self.settings.evidence.max(1) && lasts {
            self.due = Some(nearest);
        }
        if evidence == 0 {
            self.keep(plastic);
        }
    }
}

/// Bytes that a state holds besides its header and what it was told of slots.
fn learned(plastic: &mut Plastic<'_>) -> (Vec<u8>, u16) {
    let followed = Reference::followed(plastic);
    (plastic.snapshot()[64..].to_vec(), followed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// After every image the same slot, the same numbers, the same learned bytes.
    #[test]
    fn slots_are_what_whole_snapshots_say(
        turns in prop::collection::vec((0..4_usize, 10..70_usize), 3..8),
        slots in 1..4_u8,
        open in 10..150_u16,
        evidence in 0..150_u16,
        sealed: bool,
        seed: u64,
    ) {
        let settings = Domains { slots, open, evidence, sealed };
        let blob = measured(3);
        let model = Model::parse(&blob).unwrap();
        let mut buffer = vec![0xA5; state_bytes(&model, &BOTH, &settings).unwrap()];
        let mut plastic = Plastic::new(&model, BOTH, SEED, &mut buffer).unwrap();
        plastic.set_domains(&model, Some(settings)).unwrap();
        let mut plain = vec![0; adapt::state_bytes(&model, &BOTH).unwrap()];
        let mut plain = Plastic::new(&model, BOTH, SEED, &mut plain).unwrap();
        let mut reference = Reference {
            model: &model,
            settings,
            slots: vec![None; slots.into()],
            clock: 0,
            seen: [vec![0; C], vec![0; C]],
            looks: 0,
            nearest: None,
            due: None,
            in_a_row: 0,
            settled: vec![false; slots.into()],
            report: Report {
                used: (!sealed).into(),
                opened: (!sealed).into(),
                ..Report::default()
            },
            arena: vec![0; model.arena_bytes()],
        };
        reference.keep(&mut plain);
        let mut arena = vec![0; model.arena_bytes()];
        for (i, image) in stream(&turns, seed).iter().enumerate() {
            reference.observe(&mut plain, image);
            plastic.observe(&model, &mut arena, image).unwrap();
            prop_assert_eq!(plastic.domains(), Some((settings, reference.report)), "image {}", i);
            if !sealed || reference.report.used != 0 {
                plain.learn(&model, i % N_CLASSES).unwrap();
            }
            plastic.learn(&model, i % N_CLASSES).unwrap();
            prop_assert_eq!(learned(&mut plastic), learned(&mut plain), "image {}", i);
        }
        prop_assert_eq!(plastic.counters(), plain.counters());
    }
}
