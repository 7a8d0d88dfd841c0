//! `aplysia export`: a finished run becomes an int8 blob and a model card.

use crate::args::ExportArgs;
use crate::images::{self, TrainingImages};
use crate::inspect;
use crate::run_folder::{self, RunFolder};
use crate::{Outcome, train};
use anyhow::{Context, Result, ensure};
use aplysia_data::Dataset;
use aplysia_data::fashion_mnist::CLASS_NAMES;
use aplysia_deploy::adaptation::{DEFAULT, DEFAULT_SEED};
use aplysia_deploy::assemble::network_memory_map;
use aplysia_deploy::card::{
    AccuracyCard, AdaptationCard, DataCard, InputCard, MemoryCard, RulesCard,
};
use aplysia_deploy::{Calibration, Card, Content, Export, cost_of_network, export};
use aplysia_learn::{Device, activation_ranges};
use aplysia_shared::Model;
use aplysia_space::Network;
use std::process::Command;

/// What an export made and measured.
pub(crate) struct Exported {
    pub(crate) network: Network,
    pub(crate) blob: Vec<u8>,
    pub(crate) card: Card,
}

/// Quantizes, checks the costs against the prediction, measures both accuracies, writes the folder.
///
/// # Errors
/// The run is not finished, data are missing, the network exceeds the format, or the disk is full.
pub(crate) fn run(args: &ExportArgs) -> Result<Outcome> {
    let data = TrainingImages::load(&args.data)?;
    let test = images::load_test(&args.data)?;
    let Exported { network, card, .. } = write(args, &data, &test)?;
    print!("{}", network.draw());
    inspect::costs(card.costs);
    println!(
        "accuracy      float {:.2} %, int8 {:.2} % of {} test images",
        card.accuracy.float_pct, card.accuracy.int8_pct, card.data.n_test
    );
    println!("wrote {}", args.out.display());
    Ok(Outcome::Done)
}

/// [`run`] on images that are loaded already, printing nothing.
///
/// # Errors
/// As [`run`], without the data.
pub(crate) fn write(args: &ExportArgs, data: &TrainingImages, test: &Dataset) -> Result<Exported> {
    let run = RunFolder::load(&args.run)?;
    let network = Network::lower(&run.genotype, images::shape(test), test.n_classes())?;
    let calibration = data
        .splits
        .train
        .subset(args.calibration, run.record.config.seed);
    let ranges = activation_ranges(
        &network,
        &run.params,
        train::learn_images(&calibration, &data.normalization),
        Device::Cpu,
    )?;
    let content = Content::new(&CLASS_NAMES);
    let calibrated = Calibration {
        input: images::input(&data.normalization),
        ranges: &ranges,
        images: images::images(&calibration),
    };
    let made = export(&network, &run.params, calibrated, &content)?;
    let predicted = cost_of_network(&network, &content)?;
    ensure!(
        predicted == made.costs,
        "the predicted costs {predicted:?} differ from the exported {:?}: please report this",
        made.costs
    );
    let card = card(args, &run, data, test, &network, &content, &made)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    run_folder::write(
        &args.out.join("genotype.toml"),
        run.genotype.to_toml().as_bytes(),
    )?;
    run_folder::write(&args.out.join("model.blob"), &made.blob)?;
    run_folder::write(&args.out.join("card.toml"), card.to_toml()?.as_bytes())?;
    Ok(Exported {
        network,
        blob: made.blob,
        card,
    })
}

fn card(
    args: &ExportArgs,
    run: &RunFolder,
    data: &TrainingImages,
    test: &Dataset,
    network: &Network,
    content: &Content,
    made: &Export,
) -> Result<Card> {
    let normalized = train::learn_images(test, &data.normalization);
    let float = aplysia_learn::evaluate(network, &run.params, normalized, Device::Cpu)?;
    let int8 = aplysia_deploy::evaluate(&Model::parse(&made.blob)?, images::images(test))?;
    let config = &run.record.config;
    let name = args
        .out
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into());
    Ok(Card {
        description: format!(
            "Classifies Fashion-MNIST images into {} classes.",
            CLASS_NAMES.len()
        ),
        licence: "MIT OR Apache-2.0".into(),
        model_id: made.model_id_hex(),
        seed: config.seed,
        toolchain: toolchain(),
        commands: vec![
            format!(
                "aplysia train models/{name}/genotype.toml --out run --epochs {} --batch {} \
                 --lr {} --weight-decay {} --seed {}",
                config.epochs, config.batch, config.lr, config.weight_decay, config.seed
            ),
            format!(
                "aplysia export run --out models/{name} --calibration {}",
                args.calibration
            ),
        ],
        name,
        data: DataCard {
            name: "fashion-mnist".into(),
            sha256: run.record.data_sha256.clone(),
            n_train: run.record.n_train,
            n_test: test.len(),
        },
        input: InputCard {
            shape_hwc: [test.shape.h, test.shape.w, test.shape.c],
            mean_pixel: data.normalization.mean_pixel[0],
            std: data.normalization.std[0],
            n_calibration: args.calibration,
        },
        accuracy: AccuracyCard::new(&[(
            config.seed,
            100.0 * f64::from(float.accuracy),
            int8.accuracy_pct(),
        )]),
        costs: made.costs,
        memory: MemoryCard {
            arena_bytes: made.plan.arena_bytes,
            lower_bound_bytes: made.plan.lower_bound_bytes,
            map: network_memory_map(network),
        },
        rules: RulesCard::new(network),
        adaptation: AdaptationCard::new(network, content, DEFAULT, DEFAULT_SEED),
        genotype: run.genotype.clone(),
    })
}

fn toolchain() -> String {
    let out = Command::new("rustc").arg("--version").output();
    out.map_or_else(
        |_| "unknown".into(),
        |o| String::from_utf8_lossy(&o.stdout).trim().to_string(),
    )
}
