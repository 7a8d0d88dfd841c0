//! `aplysia adapt-bench`: learning on the device against its baselines, resumable cell by cell.
//!
//! Every part of the protocol keeps a file of finished results ([`Lines`]); the same command goes on where
//! it was stopped, and measures only the rows that are new.

mod float;
mod parts;
mod report;
mod sealed;
mod slots;

use crate::args::adapt_bench::{AdaptBenchArgs, Part};
use crate::images::{self, TrainingImages};
use crate::lines::Lines;
use crate::pools::{Place, Pools};
use crate::{Outcome, blob, progress, run_folder};
use anyhow::Result;
use aplysia_data::Corruption;
use aplysia_deploy::hex;
use aplysia_live::adapt_bench::summary::{Entry, Group};
use aplysia_live::adapt_bench::{Cell, METHODS, Method, NOISE_PCT, measure};
use aplysia_shared::Model;
use float::FloatRun;
use rayon::prelude::*;
use report::Results;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// Cells of this severity try every share of wrong labels.
const NOISE_SEVERITY: u8 = 3;

/// What every line of a file has in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    model_id: String,
    float_baselines: bool,
    dataset: String,
    validation: bool,
    test_images: usize,
    samples: u32,
}

/// What every cell is measured with.
struct Bench<'a> {
    args: &'a AdaptBenchArgs,
    model: &'a Model<'a>,
    pools: &'a Pools,
    float: Option<&'a FloatRun>,
    entries: &'a [Entry],
    stop: &'a AtomicBool,
}

/// Measures what is missing, then writes the summary.
///
/// # Errors
/// Missing data, a blob that cannot learn, a folder of other settings, a full disk.
pub(crate) fn run(args: &AdaptBenchArgs) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    let stop = progress::stop_flag()?;
    let settings = Settings {
        model_id: hex(&model.id()),
        float_baselines: args.run.is_some(),
        dataset: args.data.dataset.to_string(),
        validation: args.validation,
        test_images: args.test_images,
        samples: args.samples,
    };
    let pools = load_pools(args)?;
    let load = |dir| FloatRun::load(dir, pools.normalization.clone(), &model, &pools.test);
    let float = args.run.as_deref().map(load).transpose()?;
    run_folder::make(&args.out)?;
    let own = METHODS.iter().map(|method| method.entry(&model));
    let mut entries: Vec<Entry> = own.collect::<Result<_, _>>()?;
    entries.extend(float.iter().flat_map(|_| FloatRun::entries()));
    let bench = Bench {
        args,
        model: &model,
        pools: &pools,
        float: float.as_ref(),
        entries: &entries,
        stop: &stop,
    };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(args.threads);
    let results = threads.build()?.install(|| bench.measure(&settings))?;
    if stop.load(Ordering::SeqCst) {
        return Ok(Outcome::Interrupted);
    }
    bench.report(&settings, results)
}

/// Every corruption under every severity and seed asked for.
fn places(args: &AdaptBenchArgs) -> impl Iterator<Item = Place> + '_ {
    let pairs = (1..=args.seeds).flat_map(|seed| args.severities.iter().map(move |s| (seed, *s)));
    pairs.flat_map(|(seed, severity)| {
        Corruption::ALL.into_iter().map(move |corruption| Place {
            corruption,
            severity,
            seed,
        })
    })
}

/// Test images, or with `--validation` a part of the validation images, and streams from the rest.
///
/// # Errors
/// Missing data.
fn load_pools(args: &AdaptBenchArgs) -> Result<Pools> {
    let data = TrainingImages::load(&args.data)?;
    if args.validation {
        return Ok(Pools::of_validation(&data, args.test_images));
    }
    Ok(Pools {
        stream: data.splits.validation,
        test: images::load_test(&args.data)?.subset(args.test_images, 1),
        normalization: data.normalization,
    })
}

/// What `measure` gives, if it is asked for.
fn asked<T>(is: bool, measure: impl FnOnce() -> Result<Vec<T>>) -> Result<Vec<T>> {
    if is { measure() } else { Ok(vec![]) }
}

impl Bench<'_> {
    /// Every part asked for, as far as it is missing.
    fn measure(&self, settings: &Settings) -> Result<Results> {
        let args = self.args;
        let (later, parts) = (args.later_classes.as_deref(), &args.parts);
        let sessions = later.map(|path| self.classes(path, settings)).transpose()?;
        let shifts = parts.contains(&Part::Shifts);
        let recurring = parts.contains(&Part::Recurring);
        let guard = parts.contains(&Part::Guard);
        let slots = parts.contains(&Part::Slots);
        let sealed = parts.contains(&Part::Sealed);
        Ok(Results {
            sessions: sessions.unwrap_or_default(),
            replayed: asked(args.replay > 0, || self.replayed(settings))?,
            groups: asked(shifts, || self.shifts(settings))?,
            returns: asked(recurring, || self.recurring(settings))?,
            watched: asked(guard, || self.watched(settings))?,
            travelled: asked(slots, || self.travelled(settings))?,
            sealed: asked(sealed, || self.sealed(settings))?,
        })
    }

    /// Every cell of every shift.
    fn shifts(&self, settings: &Settings) -> Result<Vec<Group>> {
        let lines = Lines::open(self.args.out.join("groups.jsonl"), settings)?;
        let missing: Vec<(Place, Vec<Entry>)> = lines.with(|done| {
            let places = places(self.args).map(|place| (place, self.missing(done, &place)));
            places.filter(|(_, entries)| !entries.is_empty()).collect()
        });
        let bar = progress::bar(missing.len() as u64, "shifts");
        missing.par_iter().try_for_each(|(place, entries)| {
            if self.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            lines.push(self.group(*place, entries)?)?;
            bar.inc(1);
            anyhow::Ok(())
        })?;
        bar.finish_and_clear();
        Ok(lines.into_done())
    }

    /// Rows that `done` lacks at `place`.
    fn missing(&self, done: &[Group], place: &Place) -> Vec<Entry> {
        let there = done.iter().filter(|group| group.cell() == place.cell());
        let outcomes: Vec<_> = there.flat_map(|group| &group.outcomes).collect();
        let lacking = |entry: &&Entry| !outcomes.iter().any(|o| o.method == entry.name);
        self.entries.iter().filter(lacking).cloned().collect()
    }

    fn group(&self, place: Place, entries: &[Entry]) -> Result<Group> {
        let (stream, shifted) = self.pools.shifted(place, self.args.samples as usize)?;
        let n_noise = if place.severity == NOISE_SEVERITY {
            NOISE_PCT.len()
        } else {
            1
        };
        let cell = Cell {
            stream: images::images(&stream)?,
            shifted: images::images(&shifted)?,
            clean: images::images(&self.pools.test)?,
            seed: place.seed,
            noise_pct: &NOISE_PCT[..n_noise],
        };
        let wanted = |method: &&Method| entries.iter().any(|entry| entry.name == method.name);
        let methods: Vec<&Method> = METHODS.iter().filter(wanted).collect();
        let mut outcomes = measure(self.model, &cell, &methods)?;
        if let Some(float) = self.float {
            outcomes.extend(float.measure(&cell, entries)?);
        }
        let (corruption, severity, seed) = place.cell();
        Ok(Group {
            corruption: corruption.into(),
            severity,
            seed,
            outcomes,
        })
    }
}
