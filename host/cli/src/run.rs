//! `aplysia run`: a blob on test images or on a file's inputs, by the device's own kernels.

use crate::args::RunArgs;
use crate::{Outcome, blob, images, samples};
use anyhow::Result;
use aplysia_live::evaluate::evaluate;
use aplysia_shared::Model;

/// Prints one line per image, prediction and truth, then how many were right; of a file's inputs the scores.
///
/// # Errors
/// The blob is not valid, or the images or inputs are missing or do not fit it.
pub(crate) fn run(args: &RunArgs) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    match &args.samples.input {
        Some(path) => {
            let inputs = samples::read(path, &model)?;
            let result = evaluate(&model, inputs.images())?;
            samples::show(&args.samples, &model, &result)?;
        }
        None => test_images(args, &model)?,
    }
    Ok(Outcome::Done)
}

fn test_images(args: &RunArgs, model: &Model<'_>) -> Result<()> {
    let test = images::load_test(&args.data)?;
    let n = args.images.min(test.len());
    let first = test.select(&(0..n).collect::<Vec<_>>());
    let result = evaluate(model, images::images(&first)?)?;
    for (i, (&label, &class)) in first.labels.iter().zip(&result.predictions).enumerate() {
        let (label, class) = (usize::from(label), usize::from(class));
        let mark = if label == class { "right" } else { "WRONG" };
        say!(
            "{i:>5} {mark} {:<12} (is {})",
            model.label(class),
            model.label(label)
        );
    }
    say!("{} of {n} right", result.n_correct);
    Ok(())
}
