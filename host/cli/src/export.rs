//! `aplysia export`: a finished run becomes an int8 blob and a model card.

use crate::args::ExportArgs;
use crate::images::{self, TrainingImages};
use crate::inspect;
use crate::int8::{self, Sources};
use crate::run_folder::{self, RunFolder};
use crate::{Outcome, train};
use anyhow::{Context, Result, ensure};
use aplysia_data::Dataset;
use aplysia_deploy::card::{
    AccuracyCard, AdaptationCard, DataCard, InputCard, MemoryCard, RulesCard,
};
use aplysia_deploy::{Card, Content, Export, plasticity};
use aplysia_learn::{Augment, Device, TrainConfig};
use aplysia_live::adaptation::{DEFAULT, DEFAULT_SEED};
use aplysia_shared::Model;
use aplysia_space::{Design, Network};
use std::path::Path;
use std::process::Command;

/// What an export made and measured.
pub(crate) struct Exported {
    pub(crate) network: Network,
    pub(crate) blob: Vec<u8>,
    pub(crate) card: Card,
    /// Whether the network has learned the validation images, which golden sets are taken from.
    with_validation: bool,
}

/// Quantizes, checks the costs against the prediction, measures both accuracies, writes the folder.
///
/// # Errors
/// The run is not finished, data are missing, the network exceeds the format, or the disk is full.
pub(crate) fn run(args: &ExportArgs) -> Result<Outcome> {
    let data = TrainingImages::load(&args.data)?;
    let test = images::load_test(&args.data)?;
    let Exported {
        network,
        card,
        with_validation,
        ..
    } = write(args, &data, &test)?;
    say!("{}", network.draw().trim_end());
    inspect::costs(&mut std::io::stdout(), card.costs)?;
    say!(
        "accuracy      float {:.2} %, int8 {:.2} % of {} test images",
        card.accuracy.float_pct,
        card.accuracy.int8_pct,
        card.data.n_test
    );
    if args.golden > 0 && with_validation {
        say!("golden set    of images that the network has learned: `--golden 0` leaves it out");
    }
    say!("wrote {}", args.out.display());
    Ok(Outcome::Done)
}

/// [`run`] on images that are loaded already, printing nothing.
///
/// # Errors
/// As [`run`], without the data.
pub(crate) fn write(args: &ExportArgs, data: &TrainingImages, test: &Dataset) -> Result<Exported> {
    let dirs = [&args.run].into_iter().chain(&args.repeats);
    let mut runs: Vec<RunFolder> = dirs
        .map(|dir| RunFolder::load_for(dir, &args.data))
        .collect::<Result<_>>()?;
    let network = runs[0]
        .design
        .lower(images::shape(test), test.n_classes())?;
    // What exists in training only stays here.
    let (network, kept) = network.inference();
    for (run, dir) in runs
        .iter_mut()
        .zip([&args.run].into_iter().chain(&args.repeats))
    {
        int8::keep(&mut run.params, &kept)
            .with_context(|| format!("{} is damaged", dir.display()))?;
    }
    let run = &runs[0];
    let mut content = plasticity::content(&run.design, &test.class_names);
    content.golden = args.kind.spec(args.golden);
    if let Some(layers) = args.homeostasis {
        content.homeostasis = layers.into();
    }
    let made = quantize(args, run, data, &network, &content)?;
    let mut measured = vec![measure(run, data, test, &network, &made)?];
    for (i, (repeat, dir)) in runs[1..].iter().zip(&args.repeats).enumerate() {
        check_repeat(&runs[..=i], repeat, dir)?;
        let made = quantize(args, repeat, data, &network, &content)?;
        measured.push(measure(repeat, data, test, &network, &made)?);
    }
    let accuracy = AccuracyCard::new(&measured);
    let card = card(args, &runs, data, test, &network, &content, &made, accuracy);
    run_folder::make(&args.out)?;
    run_folder::write(
        &args.out.join("genotype.toml"),
        run.design.to_toml().as_bytes(),
    )?;
    run_folder::write(&args.out.join("model.blob"), &made.blob)?;
    run_folder::write(&args.out.join("card.toml"), card.to_toml()?.as_bytes())?;
    Ok(Exported {
        network,
        with_validation: run.record.with_validation,
        blob: made.blob,
        card,
    })
}

/// The run in int8.
fn quantize(
    args: &ExportArgs,
    run: &RunFolder,
    data: &TrainingImages,
    network: &Network,
    content: &Content,
) -> Result<Export> {
    let seed = run.record.config.seed;
    let golden = images::golden(data, seed);
    let from = Sources {
        calibration: &data.splits.train.subset(args.calibration, seed),
        golden: images::images(&golden)?,
        normalization: &data.normalization,
    };
    let made = int8::quantize(network, &run.params, from, content)?;
    let planned = plasticity::config(&run.design);
    args.memory.apply(made, planned.as_ref())
}

/// Seed, float and int8 accuracy in percent on the test images.
fn measure(
    run: &RunFolder,
    data: &TrainingImages,
    test: &Dataset,
    network: &Network,
    made: &Export,
) -> Result<(u64, f64, f64)> {
    let normalized = train::learn_images(test, &data.normalization);
    let float = aplysia_learn::evaluate(network, &run.params, normalized, Device::Cpu)?;
    let int8 = aplysia_live::evaluate(&Model::parse(&made.blob)?, images::images(test)?)?;
    let seed = run.record.config.seed;
    Ok((seed, float.accuracy_pct(), int8.accuracy_pct()))
}

/// A repeat differs from the exported run, which is the first of `runs`, in its seed only, and from all
/// others in that too.
fn check_repeat(runs: &[RunFolder], repeat: &RunFolder, dir: &Path) -> Result<()> {
    let seed = repeat.record.config.seed;
    ensure!(
        runs.iter().all(|r| r.record.config.seed != seed),
        "{} is no repeat: another run has its seed {seed}; train it with a seed of its own",
        dir.display()
    );
    let run = &runs[0];
    let reseeded = TrainConfig {
        seed: run.record.config.seed,
        ..repeat.record.config.clone()
    };
    ensure!(
        repeat.design == run.design
            && reseeded == run.record.config
            && repeat.record.n_train == run.record.n_train
            && repeat.record.with_validation == run.record.with_validation,
        "{} is no repeat: its genotype, settings or data differ by more than the seed",
        dir.display()
    );
    Ok(())
}

/// The command that trains `run` again, from the exported genotype.
fn train_command(args: &ExportArgs, run: &RunFolder, data: &TrainingImages) -> String {
    let record = &run.record;
    // A new setting must not be forgotten here: the compiler asks for it.
    let TrainConfig {
        epochs,
        schedule_epochs: _,
        batch,
        lr,
        warmup,
        lr_decay,
        momentum,
        nesterov,
        weight_decay,
        clip_norm,
        label_smoothing,
        auxiliary_weight,
        drop_path,
        augment:
            Augment {
                shift,
                flip,
                cutout,
                resized_crop,
                jitter,
            },
        feedback_scale,
        rules: _,
        local: _,
        seed,
    } = &record.config;
    let mut command = format!(
        "aplysia train {} --dataset {} --out run-{seed} --epochs {epochs} \
         --batch {batch} --lr {lr} --weight-decay {weight_decay} --shift {shift} \
         --feedback-scale {feedback_scale} --seed {seed}",
        args.out.join("genotype.toml").display(),
        args.data.dataset,
    );
    let usual = TrainConfig::default();
    for (flag, value, usual) in [
        ("--warmup", warmup, usual.warmup),
        ("--lr-decay", lr_decay, usual.lr_decay),
        ("--momentum", momentum, usual.momentum),
        ("--clip-norm", clip_norm, usual.clip_norm),
        ("--label-smoothing", label_smoothing, usual.label_smoothing),
        ("--drop-path", drop_path, usual.drop_path),
        ("--resized-crop", resized_crop, usual.augment.resized_crop),
    ] {
        if *value != usual {
            command += &format!(" {flag} {value}");
        }
    }
    if matches!(&run.design, Design::Darts(_, skeleton) if skeleton.auxiliary) {
        command += &format!(" --auxiliary {auxiliary_weight}");
    }
    if !nesterov {
        command += " --nesterov false";
    }
    if !flip {
        command += " --flip false";
    }
    if *cutout > 0 {
        command += &format!(" --cutout {cutout}");
    }
    if *jitter != usual.augment.jitter {
        command += &format!(
            " --jitter {}",
            jitter.map(|range| range.to_string()).join(",")
        );
    }
    if !record.with_validation && record.n_train < data.splits.train.len() {
        command += &format!(" --images {}", record.n_train);
    }
    if record.with_validation {
        command += " --with-validation";
    }
    if let Some(n) = args.data.first_classes {
        command += &format!(" --first-classes {n}");
    }
    if let Some(file) = &record.rule_options {
        command += &format!(" --rule-options {}", file.display());
    }
    command
}

/// The commands that make the model and its card again, in order.
fn commands(args: &ExportArgs, runs: &[RunFolder], data: &TrainingImages) -> Vec<String> {
    let folders: Vec<String> = runs
        .iter()
        .map(|run| format!("run-{}", run.record.config.seed))
        .collect();
    let mut export = format!(
        "aplysia export {} --dataset {} --out {} --calibration {}",
        folders[0],
        args.data.dataset,
        args.out.display(),
        args.calibration
    );
    export += &format!(" --golden {}", args.golden);
    if args.kind.golden_features {
        export += " --golden-features";
    }
    if let Some(layers) = args.homeostasis {
        export += &format!(" --homeostasis {}", layers.name());
    }
    for flag in args.memory.flags() {
        export += &format!(" {flag}");
    }
    if let Some(n) = args.data.first_classes {
        export += &format!(" --first-classes {n}");
    }
    if folders.len() > 1 {
        export += &format!(" --repeats {}", folders[1..].join(","));
    }
    let train = runs.iter().map(|run| train_command(args, run, data));
    train.chain([export]).collect()
}

#[expect(
    clippy::too_many_arguments,
    reason = "every section of a card has another source"
)]
fn card(
    args: &ExportArgs,
    runs: &[RunFolder],
    data: &TrainingImages,
    test: &Dataset,
    network: &Network,
    content: &Content,
    made: &Export,
    accuracy: AccuracyCard,
) -> Card {
    let run = &runs[0];
    let config = &run.record.config;
    let source = args.data.dataset;
    let name = args
        .out
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into());
    Card {
        description: format!(
            "Classifies {source} images into {} classes.",
            test.n_classes()
        ),
        licence: "MIT OR Apache-2.0".into(),
        model_id: made.model_id_hex(),
        seed: config.seed,
        toolchain: toolchain(),
        commands: commands(args, runs, data),
        name,
        data: DataCard {
            name: source.to_string(),
            sha256: run.record.data_sha256.clone(),
            n_train: run.record.n_train,
            n_test: test.len(),
        },
        input: InputCard {
            shape_hwc: [test.shape.h, test.shape.w, test.shape.c],
            mean_pixel: data.normalization.mean_pixel[0],
            std: data.normalization.std[0],
            n_calibration: args.calibration.min(data.splits.train.len()),
        },
        accuracy,
        costs: made.costs,
        memory: MemoryCard {
            arena_bytes: made.plan.arena_bytes,
            lower_bound_bytes: made.plan.lower_bound_bytes,
            map: made.map.clone(),
        },
        rules: RulesCard::new(network),
        adaptation: AdaptationCard::new(
            network,
            content,
            plasticity::config(&run.design).unwrap_or(DEFAULT),
            DEFAULT_SEED,
        ),
        genotype: run.design.clone(),
    }
}

fn toolchain() -> String {
    let out = Command::new("rustc").arg("--version").output();
    out.map_or_else(
        |_| "unknown".into(),
        |o| String::from_utf8_lossy(&o.stdout).trim().to_string(),
    )
}
