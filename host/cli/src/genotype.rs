//! Genotypes as commands name them: published ones, files, run folders.

use anyhow::{Context, Result};
use aplysia_space::{Design, darts};
use std::path::Path;

/// What [`read`] takes, in words.
pub(crate) fn choices() -> String {
    format!(
        "a TOML file, the folder of a run or a model, a published name ({}), or a cell of NAS-Bench-201 \
         (`|nor_conv_3x3~0|+|...`)",
        darts::published::NAMES.join(", ")
    )
}

/// The genotype that `what` names, with its skeleton.
///
/// # Errors
/// No such file or name, a file that holds no genotype, a cell that is not in the space.
pub(crate) fn read(what: &Path) -> Result<Design> {
    if let Some(design) = Design::named(&what.to_string_lossy())? {
        return Ok(design);
    }
    let path = match what.is_dir() {
        true => what.join("genotype.toml"),
        false => what.into(),
    };
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read the genotype {}; give {}",
            what.display(),
            choices()
        )
    })?;
    Design::from_toml(&text).with_context(|| format!("{} is not a genotype", path.display()))
}

/// Whether `what`, a genotype or a blob, is for [`read`].
pub(crate) fn is_meant(what: &Path) -> bool {
    what.is_dir()
        || what.extension().is_some_and(|e| e == "toml")
        || !matches!(Design::named(&what.to_string_lossy()), Ok(None))
}
