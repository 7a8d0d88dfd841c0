//! `aplysia evaluate`: accuracy on the test images, float (a run) or int8 (a blob); under attack.

use crate::args::EvaluateArgs;
use crate::run_folder::RunFolder;
use crate::{Outcome, blob, images, robust, train};
use anyhow::{Context, Result};
use aplysia_data::Dataset;

/// Prints the accuracy.
///
/// # Errors
/// Neither a run folder nor a blob; missing data; as [`robust::run`].
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    if args.robust.robust {
        return robust::run(args);
    }
    let mut test = images::load_test(&args.data)?;
    if let Some(corruption) = args.corruption {
        test = test.shifted(&images::shift(corruption, args.severity)?)?;
    }
    // The folder that `export` wrote stands for its blob, unless it is that of the run, too.
    let exported = args.what.join("model.blob");
    let path = match exported.is_file() && !args.what.join("run.json").is_file() {
        true => &exported,
        false if args.what.is_dir() => return float(args, &test),
        false => &args.what,
    };
    let bytes = blob::read_file(path).context(
        "give the folder of a run (`aplysia train --out`), or a blob that `aplysia export` or \
         `aplysia import` wrote",
    )?;
    let model = blob::parse(&bytes, path)?;
    let result = aplysia_live::evaluate(&model, images::images(&test)?)?;
    say!(
        "int8 accuracy {:.2} % of {} test images",
        result.accuracy_pct(),
        test.len()
    );
    Ok(Outcome::Done)
}

fn float(args: &EvaluateArgs, test: &Dataset) -> Result<Outcome> {
    let device = train::device(&args.device)?;
    let run = RunFolder::load_for(&args.what, &args.data)?;
    let normalization = train::normalization(&args.data)?;
    let network = run.design.lower(images::shape(test), test.n_classes())?;
    let test_images = train::learn_images(test, &normalization);
    let result = aplysia_learn::evaluate(&network, &run.params, test_images, device)?;
    say!(
        "float accuracy {:.2} % of {} test images\nweights {}",
        result.accuracy_pct(),
        test.len(),
        network.trained_by()
    );
    Ok(Outcome::Done)
}
