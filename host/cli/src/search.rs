//! `aplysia search`: a study of mixed-rule networks; killed at any moment, `--resume` goes on.

mod adapted;
mod learned;
mod spaces;
mod trainer;

use crate::args::SearchArgs;
use crate::images::{self, TrainingImages};
use crate::progress::{self, Live};
use crate::{Outcome, run_folder, train};
use adapted::{Adapted, Shifted};
use anyhow::{Context, Result, ensure};
use aplysia_data::Dataset;
use aplysia_deploy::plasticity;
use aplysia_learn::supernet::SupernetConfig;
use aplysia_learn::{FeedbackScale, TrainConfig};
use aplysia_search::{Halving, Limits, Study, StudyConfig, Trial};
use aplysia_space::{DartsSpace, Design, McuSpace, NasBench201Space, Rule};
use serde::{Deserialize, Serialize};
use spaces::DeviceLimits;
pub(crate) use spaces::Searched;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use trainer::Trainer;

/// The evaluator's settings, kept in the study's config.
#[derive(Serialize, Deserialize)]
struct Settings {
    /// Training images per epoch.
    images: usize,
    /// Length of the feedback.
    feedback_scale: FeedbackScale,
    /// `cpu`, `ndarray`, `cuda` or `wgpu`: results are the same bits on one device only.
    device: String,
    /// All other settings of the training, where they are not the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<TrainConfig>,
    /// Where candidates are learned: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    supernet: Option<SupernetConfig>,
    /// How candidates are tried on shifted images, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adapted: Option<Adapted>,
    /// Whether layers run together where a candidate needs more RAM than it may have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cascades: bool,
}

/// Runs or resumes the study, then prints the front.
///
/// # Errors
/// Missing data, a folder that holds another study, a full disk.
pub(crate) fn run(args: &SearchArgs) -> Result<Outcome> {
    match spaces::name(args)?.as_str() {
        "darts" => search::<DartsSpace>(args),
        "nasbench201" => search::<NasBench201Space>(args),
        _ => search::<McuSpace>(args),
    }
}

fn search<S: Searched>(args: &SearchArgs) -> Result<Outcome> {
    let data = TrainingImages::load(&args.data)?;
    let mut study = open::<S>(args, &data)?;
    let stop = progress::stop_flag()?;
    if !advance(&mut study, &data, &stop)? {
        eprintln!(
            "go on with: aplysia search {} --resume",
            args.study.display()
        );
        return Ok(Outcome::Interrupted);
    }
    print_front(&study, &data.splits.train)?;
    Ok(Outcome::Done)
}

/// Makes the study that `args` describes, or opens the one in its folder if it is to be resumed.
///
/// # Errors
/// A device that is not there; a folder that holds another study, or none to resume; other data; a full
/// disk.
pub(crate) fn open<S: Searched>(args: &SearchArgs, data: &TrainingImages) -> Result<Study<S>> {
    let study = if args.resume {
        Study::open(&args.study)?
    } else {
        // Before the folder is made.
        train::device(&args.device)?;
        Study::create(&args.study, config(args, data)?)?
    };
    study.check_dataset(&data.splits.train.digest)?;
    Ok(study)
}

/// [`open`], and makes sure that the study in the folder has the settings of `args`.
///
/// # Errors
/// As [`open`]; a study of other settings.
pub(crate) fn open_same<S: Searched>(args: &SearchArgs, data: &TrainingImages) -> Result<Study<S>> {
    let study = open(args, data)?;
    ensure!(
        *study.config() == config(args, data)?,
        "{} holds a study of other settings; choose another --out",
        args.study.display()
    );
    Ok(study)
}

/// What a finished study chose.
pub(crate) struct Winner {
    /// The best of its networks by [`aplysia_search::Score::lead`].
    pub(crate) design: Design,
    /// Its validation accuracy there.
    pub(crate) valid_pct: f64,
    /// Candidates of the study.
    pub(crate) n_trials: usize,
    /// Rules that they were made of.
    pub(crate) rules: Vec<Rule>,
}

/// Runs the study that `args` describe to its end, begun or continued; none if `stop` was raised before.
///
/// # Errors
/// As [`open_same`] and [`advance`].
pub(crate) fn winner(
    args: &SearchArgs,
    data: &TrainingImages,
    stop: &AtomicBool,
) -> Result<Option<Winner>> {
    fn of<S: Searched>(
        args: &SearchArgs,
        data: &TrainingImages,
        stop: &AtomicBool,
    ) -> Result<Option<Winner>> {
        let mut study = open_same::<S>(args, data)?;
        if !advance(&mut study, data, stop)? {
            return Ok(None);
        }
        let (_, best) = write_winner(&study)?;
        Ok(Some(Winner {
            design: study.config().space.design(&best.genotype),
            valid_pct: 100.0 * best.accuracy().unwrap_or(0.0),
            n_trials: study.trials().len(),
            rules: study.config().space.rules().to_vec(),
        }))
    }
    match spaces::name(args)?.as_str() {
        "darts" => of::<DartsSpace>(args, data, stop),
        "nasbench201" => of::<NasBench201Space>(args, data, stop),
        _ => of::<McuSpace>(args, data, stop),
    }
}

/// Runs the study to its end; false if `stop` was raised before.
///
/// # Errors
/// A device that is not there, a full disk.
pub(crate) fn advance<S: Searched>(
    study: &mut Study<S>,
    data: &TrainingImages,
    stop: &AtomicBool,
) -> Result<bool> {
    let settings: Settings = study.config().evaluator.clone().try_into()?;
    let device = train::device(&settings.device)?;
    let seed = study.config().seed;
    let part = data.splits.train.subset(settings.images, seed);
    let budgets = &study.config().halving.budgets;
    let mut trainer = Trainer {
        space: study.config().space.clone(),
        train: &part,
        valid: &data.splits.validation,
        normalization: &data.normalization,
        shifted: settings
            .adapted
            .map(|objective| Shifted::new(&objective, data))
            .transpose()?,
        within: settings.cascades.then_some(study.config().limits.ram_bytes),
        schedule_epochs: budgets.last().copied().unwrap_or(1) as usize,
        settings: TrainConfig {
            feedback_scale: settings.feedback_scale,
            ..settings.training.unwrap_or_default()
        },
        supernet: settings.supernet.unwrap_or_default(),
        device,
    };
    let curves = [("validation", " %"), ("best so far", " %")];
    let mut live = Live::new(study.config().n_jobs() as u64, "search", &curves);
    let mut best = 0.0;
    let outcome = study.run(&mut trainer, stop, &mut |p| report(&mut live, &mut best, p))?;
    live.finish();
    Ok(!matches!(outcome, aplysia_search::Outcome::Interrupted))
}

/// The study that `args` describes.
///
/// # Errors
/// Bounds or rule options that cannot be read, or a strategy that learns in a space without a supernet.
pub(crate) fn config<S: Searched>(
    args: &SearchArgs,
    data: &TrainingImages,
) -> Result<StudyConfig<S>> {
    let strategy = args.strategy;
    let is_learned = strategy.is_learned();
    let training = args.recipe.settings()?;
    // Before there is a folder.
    training.check()?;
    let settings = Settings {
        images: args.images.min(data.splits.train.len()),
        feedback_scale: args.feedback_scale,
        device: args.device.clone(),
        training: Some(training).filter(|c| *c != TrainConfig::default()),
        supernet: is_learned.then(|| args.supernet.settings(strategy)),
        adapted: Adapted::new(&args.adapted),
        cascades: args.cascades,
    };
    let part = &data.splits.train;
    let mut space = S::new(args, images::shape(part), part.n_classes())?;
    if let Some(objective) = &settings.adapted {
        space = space.plastic(objective.bounds())?;
    }
    if let Some(settings) = &settings.supernet {
        space.check_learned(settings)?;
    }
    let energy = args.chip.zip(args.energy_uj);
    let usual = S::LIMITS;
    let ram_bytes = args.ram_bytes.unwrap_or(usual.ram_bytes);
    ensure!(
        !args.cascades || ram_bytes < DeviceLimits::NONE.ram_bytes,
        "--cascades lets layers run together to keep a limit of RAM, and there is none: give --ram-bytes"
    );
    let within = energy.map_or(u64::MAX, |(chip, uj)| chip.instructions_within(uj));
    Ok(StudyConfig {
        seed: args.seed,
        strategy,
        n_trials: args.trials.unwrap_or(if is_learned { 1 } else { 24 }),
        population: args.population,
        dataset_digest: data.splits.train.digest.clone(),
        halving: Halving {
            budgets: args.rungs.iter().map(|&r| r as u64).collect(),
            eta: 2,
        },
        limits: Limits {
            flash_bytes: args.flash_bytes.unwrap_or(usual.flash_bytes),
            ram_bytes,
            instructions: args.instructions.unwrap_or(usual.instructions).min(within),
            params: args.params,
            macs: args.macs,
            min_accuracy: args.min_accuracy / 100.0,
        },
        evaluator: toml::Table::try_from(settings)?,
        space,
    })
}

fn report<G>(live: &mut Live, best: &mut f64, p: aplysia_search::Progress<'_, G>) {
    match p {
        aplysia_search::Progress::Rejected(n) => {
            let about = format!("{n} candidates for the next trial known or beyond the limits");
            if n.is_multiple_of(1000) {
                live.say(&about);
            }
            if n.is_multiple_of(100) {
                live.about(about);
            }
        }
        aplysia_search::Progress::Proposed(_) => {}
        aplysia_search::Progress::Started {
            trial,
            budget,
            job,
            n_jobs,
            ..
        } => {
            let about = format!("trial {} to {budget} epochs", trial.index);
            live.at(job as u64 - 1, n_jobs as u64, about);
        }
        aplysia_search::Progress::Finished {
            trial,
            rung,
            job,
            n_jobs,
            replayed,
        } => {
            if let Some(accuracy) = trial.accuracy() {
                *best = best.max(100.0 * accuracy);
                live.push("validation", 100.0 * accuracy);
                live.push("best so far", *best);
            }
            live.at(job as u64, n_jobs as u64, String::new());
            if replayed {
                return;
            }
            let result = match (&trial.failure, trial.accuracy()) {
                (Some(why), _) => format!("failed: {why}"),
                (None, a) => format!("validation {:.2} %", 100.0 * a.unwrap_or(0.0)),
            };
            let adapted = trial.adapted.last();
            let adapted = adapted.map(|a| format!(", shifted and learned {:.2} %", 100.0 * a));
            let result = result + &adapted.unwrap_or_default();
            let line = format!("trial {:>3} rung {rung}  {result}", trial.index);
            live.say(&line);
        }
    }
}

fn print_front<S: Searched>(study: &Study<S>, train: &Dataset) -> Result<()> {
    let settings: Settings = study.config().evaluator.clone().try_into()?;
    let front = study.front();
    let on_device = front.first().is_some_and(|t| t.costs.flash_bytes > 0);
    let columns = match on_device {
        true => "flash, RAM, MACs, estimated instructions",
        false => "parameters, MACs",
    };
    let adapted = settings.adapted.as_ref().map(Adapted::describe);
    let learned = adapted.as_ref().map_or(String::new(), |how| {
        format!(", accuracy on shifted images {how}, RAM and instructions of that")
    });
    say!("\nPareto front (validation accuracy, {columns}{learned}):");
    for t in front {
        let c = t.costs;
        let costs = match on_device {
            true => format!(
                "{} B  {} B  {}  {}",
                c.flash_bytes, c.ram_bytes, c.macs, c.instructions
            ),
            false => format!("{}  {}", c.params, c.macs),
        };
        let accuracy = 100.0 * t.accuracy().unwrap_or(0.0);
        let learned = t.adapted.last().map_or(String::new(), |adapted| {
            let (bytes, instructions) = (c.learned_bytes, c.update_instructions);
            format!("  {:.2} %  {bytes} B  {instructions}", 100.0 * adapted)
        });
        say!("  trial {:>3}  {accuracy:.2} %  {costs}{learned}", t.index);
    }
    let (path, best) = write_winner(study)?;
    let design = study.config().space.design(&best.genotype);
    let trained = design.lower(images::shape(train), train.n_classes())?;
    // Without what only training needs: the front has the costs of this one.
    let network = trained.inference().0;
    let by = adapted.map_or(String::new(), |_| " after learning on the device".into());
    say!("\nthe most accurate{by}:\n{}", network.draw());
    if let Some(plan) = plasticity::describe(&design, &network) {
        say!("{plan}");
    }
    say!("wrote {}", path.display());
    if settings.cascades {
        let ram_bytes = study.config().limits.ram_bytes - best.costs.learned_bytes;
        say!(
            "once it is trained, `aplysia export RUN --golden 0 --ram-bytes {ram_bytes}` makes a blob of these costs"
        );
    }
    Ok(())
}

/// The best trial of a finished study by [`aplysia_search::Score::lead`]; its genotype is written to
/// `best.toml` in the folder.
///
/// # Errors
/// No trial was trained to the end, or the disk is full.
pub(crate) fn write_winner<S: Searched>(study: &Study<S>) -> Result<(PathBuf, Trial<S::Genotype>)> {
    let best = study.front().first().copied().cloned();
    let best = best.context("no trial trained on every rung")?;
    let path = study.dir().join("best.toml");
    let design = study.config().space.design(&best.genotype);
    run_folder::write(&path, design.to_toml().as_bytes())?;
    Ok((path, best))
}
