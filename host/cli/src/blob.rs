//! Reading files, blobs above all, with errors that name them.

use anyhow::{Context, Result};
use aplysia_shared::Model;
use std::path::Path;

/// The bytes of a blob.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!(
            "cannot read {}; give a blob that `aplysia export` or `aplysia import` wrote",
            path.display()
        )
    })
}

/// The bytes of a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The model in `bytes`, which came from `path`.
pub(crate) fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<Model<'a>> {
    Model::parse(bytes)
        .with_context(|| format!("{} is not a blob this runtime accepts", path.display()))
}
