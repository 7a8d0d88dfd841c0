//! Inputs that a file holds, and what a model makes of them: printed or written.

use crate::args::samples::SampleArgs;
use crate::{blob, run_folder};
use anyhow::{Context, Result};
use aplysia_live::Evaluation;
use aplysia_live::npy;
use aplysia_live::samples::{Samples, real};
use aplysia_shared::Model;
use std::fmt::Write;
use std::path::Path;

/// The inputs for `model` in the file `path`.
///
/// # Errors
/// The file cannot be read, or does not hold inputs of this model.
pub(crate) fn read(path: &Path, model: &Model<'_>) -> Result<Samples> {
    let bytes = blob::read_file(path)?;
    let samples = match is_npy(path) {
        true => Samples::from_npy(&bytes, &model.input()),
        false => Samples::from_raw(&bytes, &model.input()),
    };
    samples.with_context(|| format!("cannot take inputs from {}", path.display()))
}

/// Writes the scores of `result` where `args` say, or prints them: per sample the best class, if classes have
/// names, and every score with the real number it stands for.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn show(args: &SampleArgs, model: &Model<'_>, result: &Evaluation) -> Result<()> {
    let (scores, n_outputs) = (&result.scores, model.n_classes());
    let output = model.output();
    let Some(path) = &args.output else {
        for (i, (scores, &class)) in scores
            .chunks_exact(n_outputs)
            .zip(&result.predictions)
            .enumerate()
        {
            let mut line = format!("{i:>5} ");
            let label = model.label(class.into());
            if !label.is_empty() {
                write!(line, "{label:<12} ")?;
            }
            for &q in scores {
                write!(line, " {q} ({:.4})", real(&output, q))?;
            }
            say!("{line}");
        }
        return Ok(());
    };
    let n = result.predictions.len();
    let bytes = match is_npy(path) {
        true => npy::write_i8(&[n, n_outputs], scores),
        false => scores.iter().map(|q| q.cast_unsigned()).collect(),
    };
    run_folder::write(path, &bytes)?;
    say!(
        "wrote {}: int8 [{n}, {n_outputs}], each q stands for {} (q - {})",
        path.display(),
        output.scale,
        output.zero_point
    );
    Ok(())
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npy")
}
