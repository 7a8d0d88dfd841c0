//! `aplysia train`: one genotype, checkpointed every epoch; the same command goes on after a stop.

use crate::args::{DataArgs, TrainArgs};
use crate::images::{self, TrainingImages};
use crate::progress::{self, Live};
use crate::run_folder::{self, RunFolder, RunRecord};
use crate::{Outcome, genotype};
use anyhow::{Context, Result, bail, ensure};
use aplysia_data::{Dataset, Normalization};
use aplysia_learn::{Device, GradientNoise, Images, Job, Progress, TrainConfig, train};
use aplysia_space::{Design, Network, Rule};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Trains, and writes the run folder.
///
/// # Errors
/// Bad genotype, missing data, a device that is not there, a full disk.
pub(crate) fn run(args: &TrainArgs) -> Result<Outcome> {
    let data = TrainingImages::load(&args.data)?;
    let stop = progress::stop_flag()?;
    let training = Training::new(args, &data)?;
    if !training.fit(&stop)? {
        return Ok(Outcome::Interrupted);
    }
    let (out, trained_by) = (args.out.display(), training.network.trained_by());
    match args.auxiliary > 0.0 {
        true => say!("wrote {out}, weights, the auxiliary head's included, {trained_by}"),
        false => say!("wrote {out}, weights {trained_by}"),
    }
    Ok(Outcome::Done)
}

/// Trains on the training part of `data`, or on all of it, and writes the run folder; false if `stop` was raised
/// before the end. A finished run of the same settings is left as it is.
///
/// # Errors
/// As [`run`], without the data.
pub(crate) fn fit(args: &TrainArgs, data: &TrainingImages, stop: &AtomicBool) -> Result<bool> {
    Training::new(args, data)?.fit(stop)
}

/// A training that is set up.
pub(crate) struct Training<'a> {
    args: &'a TrainArgs,
    data: &'a TrainingImages,
    part: Dataset,
    network: Network,
    config: TrainConfig,
    device: Device,
    checkpoint: PathBuf,
    /// Keeps other processes out of the folder.
    _locked: File,
}

impl<'a> Training<'a> {
    /// Makes the run folder, or opens the one of the same genotype.
    ///
    /// # Errors
    /// As [`run`], without the data.
    pub(crate) fn new(args: &'a TrainArgs, data: &'a TrainingImages) -> Result<Self> {
        let device = device(&args.device)?;
        let mut part = match args.with_validation {
            true => data.splits.whole()?,
            false => data.splits.train.clone(),
        };
        if let Some(n) = args.images {
            ensure!(
                n <= part.len(),
                "--images {n}: there are {} training images; give at most as many",
                part.len()
            );
            part = part.subset(n, args.seed);
        }
        let design = design(args, &part)?;
        let network = design.lower(images::shape(&part), part.n_classes())?;
        let locked = prepare(args, &design)?;
        Ok(Self {
            args,
            data,
            part,
            network,
            config: config(args)?,
            device,
            checkpoint: args.out.join("checkpoint.bin"),
            _locked: locked,
        })
    }

    /// The same, stopping after `epochs` of its schedule, from where it can go on.
    pub(crate) fn until(mut self, epochs: usize) -> Self {
        self.config.schedule_epochs = self.args.epochs;
        self.config.epochs = epochs;
        self
    }

    fn job(&self) -> Job<'_> {
        let images = |part| learn_images(part, &self.data.normalization);
        let unseen = (!self.args.with_validation).then_some(&self.data.splits.validation);
        Job {
            network: &self.network,
            train: images(&self.part),
            valid: unseen.map(images),
            config: &self.config,
            device: self.device,
            checkpoint: Some(&self.checkpoint),
        }
    }

    /// Trains and writes the run folder, as [`fit`] does.
    ///
    /// # Errors
    /// A checkpoint of other settings, a loss that is no number, a full disk.
    pub(crate) fn fit(&self, stop: &AtomicBool) -> Result<bool> {
        if is_finished(&self.args.out, &self.config, &self.part) {
            self.check_checkpoint()?;
            return Ok(true);
        }
        self.introduce();
        let curves = [("loss", ""), ("train", " %"), ("validation", " %")];
        let mut live = Live::new(0, "training", &curves);
        let start = Instant::now();
        let trained = train(&self.job(), &mut |p| {
            report(&mut live, p);
            progress::flow(stop)
        })?;
        live.finish();
        if !trained.finished {
            return Ok(false);
        }
        let record = RunRecord {
            config: self.config.clone(),
            rule_options: self.args.recipe.rule_options.clone(),
            dataset: Some(self.args.data.dataset.to_string()),
            first_classes: self.args.data.first_classes,
            data_sha256: self.part.digest.clone(),
            with_validation: self.args.with_validation,
            n_train: self.part.len(),
            rule_share: self.network.rule_share(),
            history: trained.history,
            train_s: start.elapsed().as_secs_f64(),
        };
        RunFolder::save(&self.args.out, &record, &trained.params)?;
        Ok(true)
    }

    /// Prints what is trained by which rules, and what will not work.
    fn introduce(&self) {
        let network = &self.network;
        say!(
            "{} weights, {}",
            network.total_weights(),
            network.trained_by()
        );
        if self.config.weight_decay == 0.0 && network.rule_share().get(Rule::Kp) > 0.0 {
            eprintln!(
                "warning: without weight decay the feedback of kp never aligns with the weights: give \
                 --weight-decay more than 0"
            );
        }
    }

    /// Checks that the checkpoint of a finished run is whole, if it was kept: it holds what `kp` has learned.
    fn check_checkpoint(&self) -> Result<()> {
        if !self.checkpoint.exists() {
            return Ok(());
        }
        aplysia_learn::check_checkpoint(&self.checkpoint).with_context(|| {
            format!(
                "{} holds a finished run with a damaged checkpoint; remove its run.json as well to train again",
                self.args.out.display()
            )
        })
    }

    /// How much the gradients of `n` batches differ, where the run stands.
    ///
    /// # Errors
    /// A checkpoint of other settings, fewer than 2 batches.
    pub(crate) fn gradient_noise(&self, n: usize) -> Result<Vec<Option<GradientNoise>>> {
        Ok(aplysia_learn::gradient_noise(&self.job(), n)?)
    }
}

fn report(live: &mut Live, p: Progress<'_>) {
    match p {
        Progress::Step {
            step,
            n_steps,
            loss,
        } => {
            live.push("loss", loss.into());
            live.at(step, n_steps, String::new());
        }
        Progress::Epoch(e) => {
            let mut line = format!(
                "epoch {:>3}  loss {:.4}  train {:.2} %",
                e.epoch,
                e.loss,
                100.0 * e.train_accuracy
            );
            live.push("train", f64::from(100.0 * e.train_accuracy));
            if let Some(accuracy) = e.valid_accuracy {
                line += &format!("  validation {:.2} %", 100.0 * accuracy);
                live.push("validation", f64::from(100.0 * accuracy));
            }
            live.say(&line);
        }
    }
}

/// The device of this name, which is there.
///
/// # Errors
/// A device that does not exist, or that this machine or build lacks.
pub(crate) fn device(name: &str) -> Result<Device> {
    let device: Device = name.parse()?;
    device.check()?;
    Ok(device)
}

/// Whether `dir` holds the finished run of these settings on these images.
fn is_finished(dir: &Path, config: &TrainConfig, train: &Dataset) -> bool {
    RunFolder::load(dir)
        .is_ok_and(|run| run.record.config == *config && run.record.data_sha256 == train.digest)
}

/// The images as `learn` takes them.
pub(crate) fn learn_images<'a>(data: &'a Dataset, n: &'a Normalization) -> Images<'a> {
    Images {
        pixels: data.pixels(),
        labels: &data.labels,
        shape: images::shape(data),
        mean_pixel: &n.mean_pixel,
        std: n.std[0],
    }
}

/// The test images, normalized as the training part was.
pub(crate) fn normalization(args: &DataArgs) -> Result<Normalization> {
    Ok(TrainingImages::load(args)?.normalization)
}

/// What to train on images like those of `part`.
fn design(args: &TrainArgs, part: &Dataset) -> Result<Design> {
    let design = genotype::read(Path::new(&args.genotype))?;
    let images = (images::shape(part), part.n_classes());
    let extra = (args.auxiliary > 0.0, args.drop_path > 0.0);
    // A preset is for more than one space.
    if args.preset.is_none() {
        args.skeleton.check(design.space(), extra)?;
    }
    let design = args.skeleton.apply(design, images, extra);
    Ok(match args.rule {
        Some(rule) => design.with_rule(rule),
        None => design,
    })
}

/// Makes the run folder, or checks that the one there belongs to the same genotype, and locks it.
fn prepare(args: &TrainArgs, design: &Design) -> Result<File> {
    run_folder::make(&args.out)?;
    let locked = File::open(&args.out)?;
    locked.try_lock().with_context(|| {
        format!(
            "cannot lock {}: wait until no other process trains there, or choose another --out",
            args.out.display()
        )
    })?;
    let path = args.out.join("genotype.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) if Design::from_toml(&text)? != *design => bail!(
            "{} holds a run of another genotype; choose another --out",
            args.out.display()
        ),
        Ok(_) => {}
        Err(_) => run_folder::write(&path, design.to_toml().as_bytes())?,
    }
    Ok(locked)
}

fn config(args: &TrainArgs) -> Result<TrainConfig> {
    let mut settings = args.recipe.settings()?;
    if args.auxiliary > 0.0 {
        settings.auxiliary_weight = args.auxiliary;
    }
    Ok(TrainConfig {
        epochs: args.epochs,
        drop_path: args.drop_path,
        feedback_scale: args.feedback_scale,
        seed: args.seed,
        ..settings
    })
}
