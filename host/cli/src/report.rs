//! `aplysia report`: a study, training runs and models as a page, figures and an Optuna journal; the evidence of a
//! `study paper` as a page and figures.
//!
//! The study is read, never opened: a search may be running in it.

use crate::args::ReportArgs;
use crate::images::{self, TrainingImages};
use crate::robust;
use crate::run_folder::{self, RunFolder};
use crate::{Outcome, blob};
use anyhow::{Context, Result, ensure};
use aplysia_attack::{Attack, Headline, Summary};
use aplysia_deploy::Card;
use aplysia_learn::{TrainConfig, supernet};
use aplysia_report::evidence::Evidence;
use aplysia_report::figure::{arms, main_rule, rules_in_words};
use aplysia_report::{
    Attacked, Epoch, Figure, Findings, Release, Run, Search, Strength, Supernet, SupernetEpoch,
    optuna, page,
};
use aplysia_search::{Costs, Record, learned_dir};
use aplysia_space::darts::Skeleton;
use aplysia_space::{DartsSpace, Design, McuSpace, NasBench201Space, Network, Shape};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Writes what was asked for.
///
/// # Errors
/// No study, no finished run, no card there; other data; a folder that cannot be written.
pub(crate) fn run(args: &ReportArgs) -> Result<Outcome> {
    if let Some(results) = results(&args.study) {
        return evidence(args, &results);
    }
    let data = TrainingImages::load(&args.data)?.splits.train;
    let (input, n_classes) = (images::shape(&data), data.n_classes());
    let findings = Findings {
        search: search(&args.study, &data.digest, n_classes)?,
        runs: args
            .runs
            .iter()
            .map(|dir| training(dir, input, n_classes))
            .collect::<Result<_>>()?,
        releases: args
            .models
            .iter()
            .map(|dir| release(dir))
            .collect::<Result<_>>()?,
        attacked: args
            .robust
            .iter()
            .map(|dir| attacked(dir, input, n_classes))
            .collect::<Result<_>>()?,
    };
    write(args, &page::html(&findings), &page::figures(&findings))?;
    if let Some(path) = &args.optuna {
        run_folder::write(path, optuna::journal(&findings.search).as_bytes())?;
        say!("wrote {}", path.display());
    }
    Ok(Outcome::Done)
}

/// Writes the page, and the figures if they are wanted.
fn write(args: &ReportArgs, html: &str, figures: &[Figure]) -> Result<()> {
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| args.study.join("report.html"));
    run_folder::write(&out, html.as_bytes())?;
    say!("wrote {}", out.display());
    if let Some(dir) = &args.svg {
        run_folder::make(dir)?;
        for figure in figures {
            let path = dir.join(format!("{}.svg", figure.name));
            run_folder::write(&path, figure.file().as_bytes())?;
        }
        say!("wrote {} figures to {}", figures.len(), dir.display());
    }
    Ok(())
}

/// Where the results of a `study paper` are, if `dir` is its folder or that of its results.
fn results(dir: &Path) -> Option<PathBuf> {
    let is_search = dir.join("study.toml").exists();
    let places = [dir.join("results"), dir.into()];
    let mut places = places.into_iter().filter(|_| !is_search);
    places.find(|place| place.join("summary.json").exists())
}

/// What `summary.json` holds of them; the rest follows from it.
#[derive(Deserialize)]
struct Results {
    evidence: Evidence,
}

/// The page of the evidence in `results`.
fn evidence(args: &ReportArgs, results: &Path) -> Result<Outcome> {
    let others = [&args.runs, &args.models, &args.robust];
    ensure!(
        others.iter().all(|dirs| dirs.is_empty()) && args.optuna.is_none(),
        "--run, --model, --robust and --optuna belong to the report of a search; {} is a `study paper`",
        args.study.display()
    );
    let path = results.join("summary.json");
    let found: Results = serde_json::from_slice(&blob::read_file(&path)?)
        .with_context(|| format!("{} is not the evidence of a `study paper`", path.display()))?;
    // Beside the results of earlier versions, too, but not needed.
    let settings = std::fs::read_to_string(results.join("settings.toml")).unwrap_or_default();
    let html = page::evidence(&name(&args.study), &found.evidence, &settings);
    write(args, &html, &arms::all(&found.evidence))?;
    Ok(Outcome::Done)
}

/// The last part of a path, the name that its owner gave it.
pub(crate) fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.into());
    let last = whole.file_name().map(|n| n.to_string_lossy().into());
    last.unwrap_or_else(|| path.display().to_string())
}

/// The study in `dir`, of whichever space.
fn search(dir: &Path, digest: &str, n_classes: usize) -> Result<Search> {
    let study = dir.join("study.toml");
    let bytes = blob::read_file(&study).with_context(|| {
        format!(
            "{} is not the folder of a study; give one that `aplysia search` wrote or `aplysia study paper` finished, \
             and runs by --run",
            dir.display()
        )
    })?;
    let text = String::from_utf8(bytes)?;
    let table: toml::Table = text.parse().context("study.toml is damaged")?;
    let got = table.get("dataset_digest").and_then(|d| d.as_str());
    ensure!(
        got.is_none_or(|got| got == digest),
        "the study was made with other images than --dataset gives: it says {}, these are {digest}",
        got.unwrap_or_default()
    );
    let space = table.get("space");
    let has = |key: &str| space.and_then(|s| s.get(key)).is_some();
    if !has("skeleton") {
        let record: Record<McuSpace> = Record::read(dir)?;
        let input = record.config.space.input;
        return Search::new::<_, anyhow::Error>(name(dir), &record, |g| {
            Ok(Network::lower(g, input, n_classes)?)
        });
    }
    // Of the two cell spaces only `darts` has a choice of stems.
    let stem = space.and_then(|s| s.get("skeleton")?.get("stem"));
    if stem.is_some() {
        let record: Record<DartsSpace> = Record::read(dir)?;
        let skeleton = record.config.space.skeleton;
        let mut search =
            Search::new::<_, anyhow::Error>(name(dir), &record, |g| Ok(skeleton.lower(g)?))?;
        for (trial, t) in record.trials.iter().enumerate() {
            let history = learned_dir(dir, trial, t.n_rejected).join("history.json");
            if history.exists() {
                let epochs = supernet(&history, &skeleton)?;
                search.supernets.push(Supernet { trial, epochs });
            }
        }
        return Ok(search);
    }
    let record: Record<NasBench201Space> = Record::read(dir)?;
    let skeleton = record.config.space.skeleton;
    Search::new::<_, anyhow::Error>(name(dir), &record, |g| Ok(skeleton.lower(g)?))
}

/// What a supernet's `history.json` tells.
fn supernet(path: &Path, skeleton: &Skeleton) -> Result<Vec<SupernetEpoch>> {
    let bytes = blob::read_file(path)?;
    let history: Vec<supernet::SupernetEpoch> = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no history of a supernet", path.display()))?;
    let epoch = |e: &supernet::SupernetEpoch| {
        Ok(SupernetEpoch {
            weights_accuracy: e.accuracy.into(),
            architecture_accuracy: e.alpha_accuracy.map(f64::from),
            eigenvalue: e.eigenvalue,
            favoured: skeleton.lower(&e.genotype)?,
        })
    };
    history.iter().map(epoch).collect()
}

/// The finished training run in `dir`.
fn training(dir: &Path, input: Shape, n_classes: usize) -> Result<Run> {
    let run = RunFolder::load(dir)?;
    let seedless = TrainConfig {
        seed: 0,
        ..run.record.config.clone()
    };
    let settings = (run.design.to_toml(), seedless, run.record.n_train);
    let epochs = run.record.history.iter().map(|e| Epoch {
        train_accuracy: f64::from(e.train_accuracy),
        valid_accuracy: e.valid_accuracy.map(f64::from),
        angles_deg: e
            .alignment
            .iter()
            .map(|a| a.map(|a| f64::from(a.angle_deg)))
            .collect(),
    });
    Ok(Run {
        name: name(dir),
        settings: serde_json::to_string(&settings)?,
        seed: run.record.config.seed,
        n_train: run.record.n_train,
        network: run
            .design
            .lower(input, n_classes)
            .with_context(|| format!("{} was not trained on these images", dir.display()))?,
        epochs: epochs.collect(),
    })
}

/// The network under attack whose evaluation is in `dir`.
fn attacked(dir: &Path, input: Shape, n_classes: usize) -> Result<Attacked> {
    let record = robust::Record::read(dir)?;
    let network = Design::from_toml(&record.genotype)?
        .lower(input, n_classes)
        .with_context(|| format!("{} is of other images", dir.display()))?;
    let summary = &record.summary;
    let pixel = summary
        .rows
        .iter()
        .find(|r| r.cell.attack == Attack::OnePixel);
    Ok(Attacked {
        name: record.run,
        rules: rules_in_words(&network),
        main_rule: main_rule(&network),
        n_images: summary.n_images,
        clean_pct: summary.clean_pct,
        strengths: strengths(summary),
        one_pixel_pct: pixel.map(|r| r.accuracy_pct),
    })
}

/// What is left at every strength.
pub(crate) fn strengths(summary: &Summary) -> Vec<Strength> {
    let strength = |h: &Headline| Strength {
        epsilon_255: h.epsilon_255.into(),
        own_pct: h.own_pct,
        exact_pct: h.exact_pct,
        transfer_pct: h.transfer_pct,
        square_pct: h.square_pct,
        worst_pct: h.worst_pct,
        masked_pct: h.masked_pct,
    };
    summary.headlines.iter().map(strength).collect()
}

/// The exported model in `dir`.
fn release(dir: &Path) -> Result<Release> {
    let path = dir.join("card.toml");
    let text = String::from_utf8(blob::read_file(&path)?)?;
    let card: Card =
        toml::from_str(&text).with_context(|| format!("{} is no card", path.display()))?;
    let bytes = blob::read(&dir.join("model.blob"))?;
    let n_classes = blob::parse(&bytes, &dir.join("model.blob"))?.n_classes();
    let [h, w, c] = card.input.shape_hwc;
    Ok(Release {
        name: card.name,
        network: card.genotype.lower(Shape { h, w, c }, n_classes)?,
        seeds: card.accuracy.seeds,
        float_pct: card.accuracy.float_per_seed_pct,
        int8_pct: card.accuracy.int8_per_seed_pct,
        n_test: card.data.n_test,
        costs: Costs {
            flash_bytes: card.costs.flash_bytes,
            ram_bytes: card.costs.ram_bytes,
            macs: card.costs.macs,
            instructions: card.costs.instructions,
            ..Costs::default()
        },
    })
}
