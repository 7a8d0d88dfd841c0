//! `aplysia golden`: a blob that exists gets a golden set.

use crate::args::GoldenArgs;
use crate::images::{self, TrainingImages};
use crate::{Outcome, blob, inspect, run_folder};
use anyhow::{Context, Result};
use aplysia_deploy::golden::{GoldenSet, attach};
use aplysia_deploy::{Costs, hex};

/// Writes the blob with the golden set and prints its costs.
///
/// # Errors
/// The blob is not valid or has a golden set already, the data are missing or too few, or the disk is
/// full.
pub(crate) fn run(args: &GoldenArgs) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    let images = images::golden(&TrainingImages::load(&args.data)?, args.seed);
    let spec = args.kind.spec(args.golden);
    let spec = spec.context("a golden set has at least one sample")?;
    let set = GoldenSet::choose(&model, images::images(&images)?, spec)?;
    let guarded = attach(&model, &set)?;
    let guarded_model = blob::parse(&guarded, &args.out)?;
    run_folder::write(&args.out, &guarded)?;
    say!("model         {}", hex(&guarded_model.id()));
    inspect::costs(&mut std::io::stdout(), Costs::of(&guarded_model))?;
    say!("wrote {}", args.out.display());
    Ok(Outcome::Done)
}
