//! The checks of what belongs to classes: prototypes and names. It owns these rules only.

use crate::blob::graph::Graph;
use crate::blob::{BlobError, section};
use crate::quant::i16_at;

/// Largest prototype entry: 255 times 128.
const MAX_PROTOTYPE: u16 = 32_640;

pub(super) fn prototypes(
    graph: &Graph<'_>,
    data: &[u8],
    n_classes: usize,
    features: usize,
) -> Result<(), BlobError> {
    let Some(offset) = graph.prototypes else {
        return Ok(());
    };
    let n = n_classes.saturating_mul(features);
    let values = section(data, offset, n.saturating_mul(2));
    match values {
        Some(v) if (0..n).all(|i| i16_at(v, i).unsigned_abs() <= MAX_PROTOTYPE) => Ok(()),
        _ => Err(BlobError::Prototypes { offset }),
    }
}

pub(super) fn labels<'a>(
    graph: &Graph<'_>,
    data: &'a [u8],
    want: usize,
) -> Result<&'a str, BlobError> {
    let start = graph.labels.offset as usize;
    let end = start.saturating_add(graph.labels.len.into());
    let text = data.get(start..end);
    let text = text.and_then(|t| core::str::from_utf8(t).ok());
    let text = text.ok_or(BlobError::Labels { got: 0, want })?;
    if text.is_empty() {
        return Ok(text);
    }
    let names = || text.as_bytes().split(|&byte| byte == b'\n');
    let got = names().filter(|name| !name.is_empty()).count();
    if got != want || names().count() != want {
        return Err(BlobError::Labels { got, want });
    }
    Ok(text)
}
