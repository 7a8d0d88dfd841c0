//! `aplysia import`: a TensorFlow Lite model becomes a blob.

use crate::args::ImportArgs;
use crate::{Outcome, blob, inspect, run_folder};
use anyhow::{Context, Result, ensure};

/// Writes the blob and prints its costs.
///
/// # Errors
/// The model cannot be read or converted, or the blob cannot be written.
pub(crate) fn run(args: &ImportArgs) -> Result<Outcome> {
    ensure!(
        args.processor.dsp || args.memory.flash_bytes.is_none(),
        "--flash-bytes is for processors with the DSP extension: take m4, m7 or m33, or leave it out"
    );
    let file = blob::read_file(&args.model)?;
    let imported = aplysia_deploy::import(&file, &args.classes)
        .with_context(|| format!("cannot import {}", args.model.display()))?;
    let imported = match args.processor.dsp {
        true => imported,
        false => imported.paired()?,
    };
    let imported = args.memory.apply(imported, None)?;
    run_folder::write(&args.out, &imported.blob)?;
    say!("model {}", imported.model_id_hex());
    let out = &mut std::io::stdout().lock();
    match args.processor.dsp {
        true => inspect::costs(out, imported.costs)?,
        false => inspect::sizes(out, imported.costs)?,
    }
    Ok(Outcome::Done)
}
