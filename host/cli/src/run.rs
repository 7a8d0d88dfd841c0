//! `aplysia run`: a blob on test images, by the device's own kernels.

use crate::args::RunArgs;
use crate::{Outcome, blob, images};
use anyhow::Result;
use aplysia_deploy::evaluate::evaluate;

/// Prints one line per image, prediction and truth, then how many were right.
///
/// # Errors
/// The blob is not valid, or the images are missing or do not fit it.
pub(crate) fn run(args: &RunArgs) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    let test = images::load_test(&args.data)?;
    let n = args.images.min(test.len());
    let first = test.select(&(0..n).collect::<Vec<_>>());
    let result = evaluate(&model, images::images(&first))?;
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
    Ok(Outcome::Done)
}
