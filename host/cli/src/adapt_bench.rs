//! `aplysia adapt-bench`: learning on the device against its baselines, resumable cell by cell.
//!
//! `groups.jsonl` begins with the settings; each further line is one finished cell. The same command goes on
//! where it was stopped; a line cut off by a kill is measured again.

use crate::args::adapt_bench::AdaptBenchArgs;
use crate::images::{self, TrainingImages};
use crate::{Outcome, blob, progress, run_folder};
use anyhow::{Context, Result, ensure};
use aplysia_data::{Corruption, Dataset, Shift};
use aplysia_deploy::adapt_bench::summary::{Group, markdown, rows};
use aplysia_deploy::adapt_bench::{Cell, METHODS, NOISE_PCT, measure};
use aplysia_deploy::hex;
use aplysia_shared::Model;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// Cells of this severity try every share of wrong labels.
const NOISE_SEVERITY: u8 = 3;

/// What every line of a file has in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    model_id: String,
    methods: Vec<String>,
    dataset: String,
    validation: bool,
    test_images: usize,
    samples: u32,
}

/// The images that cells are cut from.
struct Pools {
    /// Streams are drawn from these.
    stream: Dataset,
    /// Measured on, clean.
    test: Dataset,
}

impl Pools {
    fn load(args: &AdaptBenchArgs) -> Result<Self> {
        let validation = TrainingImages::load(&args.data)?.splits.validation;
        if !args.validation {
            let test = images::load_test(&args.data)?.subset(args.test_images, 1);
            return Ok(Self {
                stream: validation,
                test,
            });
        }
        let order = validation.subset(validation.len(), 1);
        let n = args.test_images.min(order.len() / 2);
        let indices: Vec<usize> = (0..order.len()).collect();
        Ok(Self {
            stream: order.select(&indices[n..]),
            test: order.select(&indices[..n]),
        })
    }
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
        methods: METHODS.iter().map(|m| m.name.into()).collect(),
        dataset: args.data.dataset.to_string(),
        validation: args.validation,
        test_images: args.test_images,
        samples: args.samples,
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    let path = args.out.join("groups.jsonl");
    let done = read_groups(&path, &settings)?;
    write_groups(&path, &settings, &done)?;
    let missing = missing(args, &done);
    let pools = Pools::load(args)?;
    let file = File::options().append(true).open(&path)?;
    let sink = Mutex::new((file, done));
    let bar = progress::bar(missing.len() as u64, "adapt-bench");
    let threads = rayon::ThreadPoolBuilder::new().num_threads(args.threads);
    threads.build()?.install(|| {
        missing
            .par_iter()
            .try_for_each(|&(corruption, severity, seed)| {
                if stop.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let group = group(&model, &pools, args, (corruption, severity, seed))?;
                let mut sink = sink.lock().unwrap_or_else(|e| e.into_inner());
                writeln!(sink.0, "{}", serde_json::to_string(&group)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                sink.1.push(group);
                bar.inc(1);
                anyhow::Ok(())
            })
    })?;
    bar.finish_and_clear();
    if stop.load(Ordering::SeqCst) {
        return Ok(Outcome::Interrupted);
    }
    let (_, groups) = sink.into_inner().unwrap_or_else(|e| e.into_inner());
    summarize(args, &settings, &model, groups)
}

/// Every cell asked for that is not in `done`.
fn missing(args: &AdaptBenchArgs, done: &[Group]) -> Vec<(Corruption, u8, u32)> {
    let mut missing = Vec::new();
    for seed in 1..=args.seeds {
        for &severity in &args.severities {
            for corruption in Corruption::ALL {
                let known = |g: &Group| {
                    (g.corruption.as_str(), g.severity, g.seed)
                        == (corruption.name(), severity, seed)
                };
                if !done.iter().any(known) {
                    missing.push((corruption, severity, seed));
                }
            }
        }
    }
    missing
}

fn group(
    model: &Model<'_>,
    pools: &Pools,
    args: &AdaptBenchArgs,
    (corruption, severity, seed): (Corruption, u8, u32),
) -> Result<Group> {
    let shift = Shift::new(corruption, severity, u64::from(seed))?;
    let stream = pools.stream.subset(args.samples as usize, u64::from(seed));
    let (stream, shifted) = (stream.shifted(&shift), pools.test.shifted(&shift));
    let n_noise = if severity == NOISE_SEVERITY {
        NOISE_PCT.len()
    } else {
        1
    };
    let cell = Cell {
        stream: images::images(&stream),
        shifted: images::images(&shifted),
        clean: images::images(&pools.test),
        seed,
        noise_pct: &NOISE_PCT[..n_noise],
    };
    Ok(Group {
        corruption: corruption.name().into(),
        severity,
        seed,
        outcomes: measure(model, &cell)?,
    })
}

/// The whole lines of `path`, if its settings are `settings`; none without a file.
fn read_groups(path: &Path, settings: &Settings) -> Result<Vec<Group>> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(vec![]);
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut lines = whole.lines();
    let Some(first) = lines.next() else {
        return Ok(vec![]);
    };
    let place = || format!("{} is damaged", path.display());
    let kept: Settings = serde_json::from_str(first).with_context(place)?;
    ensure!(
        kept == *settings,
        "{} was measured with {kept:?}, not {settings:?}: choose another --out",
        path.display()
    );
    lines
        .map(|line| serde_json::from_str(line).with_context(place))
        .collect()
}

fn write_groups(path: &Path, settings: &Settings, groups: &[Group]) -> Result<()> {
    let mut text = serde_json::to_string(settings)? + "\n";
    for group in groups {
        text += &(serde_json::to_string(group)? + "\n");
    }
    run_folder::write(path, text.as_bytes())
}

fn summarize(
    args: &AdaptBenchArgs,
    settings: &Settings,
    model: &Model<'_>,
    mut groups: Vec<Group>,
) -> Result<Outcome> {
    let asked = |g: &Group| g.seed <= args.seeds && args.severities.contains(&g.severity);
    groups.retain(asked);
    groups.sort_by(|a, b| {
        let key = |g: &Group| (g.corruption.clone(), g.severity, g.seed);
        key(a).cmp(&key(b))
    });
    let ram: Vec<_> = METHODS
        .iter()
        .map(|m| m.ram_bytes(model))
        .collect::<Result<_, _>>()?;
    let rows = rows(&groups, &ram);
    let table = markdown(&rows);
    let summary = serde_json::json!({
        "settings": settings,
        "seeds": args.seeds,
        "severities": args.severities,
        "n_cells": groups.len(),
        "rows": rows,
    });
    run_folder::write(
        &args.out.join("summary.json"),
        &serde_json::to_vec_pretty(&summary)?,
    )?;
    let part = if args.validation {
        "validation"
    } else {
        "test"
    };
    let text = format!(
        "# Learning on the device against its baselines\n\n`aplysia adapt-bench` on model `{}`: accuracy in \
         % of {} {part} images, the mean of {} cells (10 corruptions, severities {:?}, {} seeds), streams \
         of {} labelled validation images shown once. Wrong labels: severity {NOISE_SEVERITY}, at the end \
         of the stream; with 100 % every label is wrong.\n\n{table}",
        settings.model_id,
        args.test_images,
        groups.len(),
        args.severities,
        args.seeds,
        args.samples,
    );
    run_folder::write(&args.out.join("README.md"), text.as_bytes())?;
    say!("{}", table.trim_end());
    Ok(Outcome::Done)
}
