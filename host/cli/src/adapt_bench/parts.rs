//! The parts of the protocol beside the shifts: classes that come later, domains that come back, learning
//! under the guard, and a device that replays a stream.
//!
//! Owns the cells of each; what is measured in a cell is `deploy`'s.

use super::{Bench, NOISE_SEVERITY, Settings, places};
use crate::device::firmware;
use crate::images::{self, TrainingImages};
use crate::lines::Lines;
use crate::pools::Place;
use crate::{blob, progress};
use anyhow::{Context, Result, ensure};
use aplysia_data::{Corruption, Dataset};
use aplysia_deploy::golden::{GoldenSet, GoldenSpec, attach};
use aplysia_live::adapt_bench::classes::{Lessons, Session, sessions};
use aplysia_live::adapt_bench::recurring::{Domain, Return, returns};
use aplysia_live::adapt_bench::replay::{Replayed, replay};
use aplysia_live::adapt_bench::watched::{Watched, watched};
use aplysia_live::adapt_bench::{Cell, METHODS, Method, Teacher, fitting};
use aplysia_live::device::{Device, Emulator};
use aplysia_shared::Model;
use aplysia_shared::blob::GoldenKind;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Images of each of the three streams of a domain that comes back.
pub(super) const RETURN_IMAGES: usize = 100;

/// Methods under the guard: name of the line, row of the table, what the golden set holds.
const WATCHES: &[(&str, &str, GoldenSpec)] = &[
    ("instar 4, 256 features", "instar 4", features(256)),
    ("delta 1311, 256 features", "delta 1311", features(256)),
    (
        "homeostasis 5 + instar 4, 32 images",
        "homeostasis 5 + instar 4",
        inputs(32),
    ),
    (
        "homeostasis 5 + delta 328, 32 images",
        "homeostasis 5 + delta 328",
        inputs(32),
    ),
];

pub(super) const fn features(n: usize) -> GoldenSpec {
    let kind = GoldenKind::Features;
    GoldenSpec { kind, n }
}

pub(super) const fn inputs(n: usize) -> GoldenSpec {
    let kind = GoldenKind::Inputs;
    GoldenSpec { kind, n }
}

/// Who teaches under the guard: one who is honest, and two who always lie.
pub(super) const TEACHERS: [Teacher; 3] = [Teacher::Wrong(0), Teacher::Wrong(100), Teacher::Swaps];

/// The row of that name.
pub(super) fn row(name: &str) -> Result<&'static Method> {
    let method = METHODS.iter().find(|method| method.name == name);
    method.with_context(|| format!("no row `{name}`"))
}

/// One finished line of a part, with what tells it from the others.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Line<T> {
    pub(super) key: String,
    pub(super) found: Vec<T>,
}

impl Bench<'_> {
    /// Measures `key` for every one that is missing, in parallel, and gives all that are there.
    pub(super) fn part<T, K>(
        &self,
        name: &str,
        settings: &Settings,
        keys: Vec<(String, K)>,
        measure: impl Fn(&K) -> Result<Vec<T>> + Sync,
    ) -> Result<Vec<T>>
    where
        T: Serialize + DeserializeOwned + Clone + Send,
        K: Sync + Send,
    {
        let path = self.args.out.join(name).with_extension("jsonl");
        let lines: Lines<Line<T>> = Lines::open(path, settings)?;
        let known = |key: &str| lines.with(|done| done.iter().any(|line| line.key == key));
        let missing: Vec<&(String, K)> = keys.iter().filter(|(key, _)| !known(key)).collect();
        let bar = progress::bar(missing.len() as u64, name);
        missing.par_iter().try_for_each(|(key, place)| {
            if self.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let (key, found) = (key.clone(), measure(place)?);
            lines.push(Line { key, found })?;
            bar.inc(1);
            anyhow::Ok(())
        })?;
        bar.finish_and_clear();
        let mut done = lines.into_done();
        done.retain(|line| keys.iter().any(|(key, _)| *key == line.key));
        done.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(done.into_iter().flat_map(|line| line.found).collect())
    }

    /// A, B, A of every corruption with the next, at the severity of wrong labels.
    pub(super) fn recurring(&self, settings: &Settings) -> Result<Vec<Return>> {
        let all = Corruption::ALL;
        let place = |corruption, seed| Place {
            corruption,
            severity: NOISE_SEVERITY,
            seed,
        };
        let mut keys = vec![];
        for seed in 1..=self.args.seeds {
            for (i, &a) in all.iter().enumerate() {
                let b = all[(i + 1) % all.len()];
                keys.push((format!("{a} {b} {seed}"), (place(a, seed), place(b, seed))));
            }
        }
        let methods: Vec<&Method> = fitting(self.model).collect();
        self.part("recurring", settings, keys, |&(a, b)| {
            let (stream, test) = self.pools.shifted(a, 2 * RETURN_IMAGES)?;
            let (other, other_test) = self.pools.shifted(b, RETURN_IMAGES)?;
            let half = |range: std::ops::Range<usize>| -> Dataset {
                stream.select(&range.collect::<Vec<_>>())
            };
            let (first, again) = (
                half(0..stream.len() / 2),
                half(stream.len() / 2..stream.len()),
            );
            let domains = (
                Domain {
                    stream: images::images(&first)?,
                    test: images::images(&test)?,
                },
                Domain {
                    stream: images::images(&other)?,
                    test: images::images(&other_test)?,
                },
                images::images(&again)?,
            );
            let mut found = returns(self.model, domains, a.seed, &methods)?;
            if let Some(float) = self.float {
                found.extend(float.returns(domains)?);
            }
            Ok(found)
        })
    }

    /// The model with the golden set of each of `watches`.
    pub(super) fn guarded(&self, watches: &[(&str, &str, GoldenSpec)]) -> Result<Vec<Vec<u8>>> {
        let candidates = images::golden(&TrainingImages::load(&self.args.data)?, 1);
        let with = |&(.., spec): &(&str, &str, GoldenSpec)| {
            let set = GoldenSet::choose(self.model, images::images(&candidates)?, spec)?;
            Ok(attach(self.model, &set)?)
        };
        watches.iter().map(with).collect()
    }

    /// A cell at `place` whose runs make their wrong labels themselves.
    ///
    /// # Errors
    /// A picture cannot be decoded.
    pub(super) fn cell<'a>(
        &'a self,
        place: Place,
        [stream, shifted]: [&'a Dataset; 2],
    ) -> Result<Cell<'a>> {
        Ok(Cell {
            stream: images::images(stream)?,
            shifted: images::images(shifted)?,
            clean: images::images(&self.pools.test)?,
            seed: place.seed,
            noise_pct: &[0],
        })
    }

    /// Every corruption at the severity of wrong labels, under every teacher.
    pub(super) fn watched(&self, settings: &Settings) -> Result<Vec<Watched>> {
        let blobs = self.guarded(WATCHES)?;
        let models: Vec<Model<'_>> = blobs
            .iter()
            .map(|blob| blob::parse(blob, &self.args.blob))
            .collect::<Result<_>>()?;
        let places = places(self.args).filter(|place| place.severity == NOISE_SEVERITY);
        let key = |place: Place| (format!("{:?}", place.cell()), place);
        self.part("guard", settings, places.map(key).collect(), |&place| {
            let (stream, shifted) = self.pools.shifted(place, self.args.samples as usize)?;
            let cell = self.cell(place, [&stream, &shifted])?;
            let mut runs = vec![];
            for (&(name, method, _), model) in WATCHES.iter().zip(&models) {
                let method = row(method)?;
                for teacher in TEACHERS {
                    runs.extend(watched(model, (name, method), &cell, teacher)?);
                }
            }
            Ok(runs)
        })
    }

    /// Classes that the model in `path` was not trained on.
    pub(super) fn classes(&self, path: &Path, settings: &Settings) -> Result<Vec<Session>> {
        let bytes = blob::read(path)?;
        let model = blob::parse(&bytes, path)?;
        let keys = (1..=self.args.seeds).map(|seed| (format!("{seed:03}"), seed));
        let methods = fitting(&model).filter(|method| method.momentum.is_none());
        let methods: Vec<&Method> = methods.collect();
        let settings = Settings {
            model_id: aplysia_deploy::hex(&model.id()),
            ..settings.clone()
        };
        self.part("classes", &settings, keys.collect(), |&seed| {
            let support = self
                .pools
                .stream
                .subset(self.pools.stream.len(), u64::from(seed));
            let lessons = Lessons {
                n_old: self.args.old_classes,
                support: images::images(&support)?,
                test: images::images(&self.pools.test)?,
                seed,
            };
            Ok(sessions(&model, &lessons, &methods)?)
        })
    }

    /// The first images of one stream on the emulated board, method by method; equal to the host's.
    pub(super) fn replayed(&self, settings: &Settings) -> Result<Vec<Replayed>> {
        let place = Place {
            corruption: Corruption::Rotation,
            severity: NOISE_SEVERITY,
            seed: 1,
        };
        let (stream, _) = self.pools.shifted(place, self.args.replay)?;
        let elf = firmware(self.args.firmware.as_deref());
        let keys = fitting(self.model).enumerate();
        let keys = keys.map(|(i, m)| (format!("{i:03} {} {}", m.name, stream.len()), m));
        self.part("device", settings, keys.collect(), |method| {
            if method.config().is_none() {
                return Ok(vec![]);
            }
            let board = Emulator::start(&elf, Some(&self.args.blob))
                .context("cannot start an emulated board; --replay 0 goes without")?;
            let (mut device, _) = Device::connect(board)?;
            let replayed = replay(&mut device, self.model, method, 1, images::images(&stream)?)?;
            if let Some(run) = &replayed {
                ensure!(
                    run.device_digest == run.host_digest,
                    "{}: the device learned {:#010x}, the host {:#010x}: please report this",
                    run.method,
                    run.device_digest,
                    run.host_digest
                );
            }
            Ok(replayed.into_iter().collect())
        })
    }
}
