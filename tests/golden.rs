//! The golden set in the blob: written and read back, every rule broken, the kept blob
//! `blobs/v1-golden.blob` (format version 1, runtime interface 3).

use crate::blob::{run, seal, tiny};
use aplysia_shared::blob::{
    GoldenKind, HEADER_BYTES, MAX_GOLDEN, encode_with_golden, encoded_len, field,
};
use aplysia_shared::{BlobError, Model};

const KEPT: &[u8] = include_bytes!("blobs/v1-golden.blob");

/// Kind, number of samples, labels, padding, samples.
pub(crate) fn section(kind: u16, labels: &[u8], samples: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((labels.len() as u16).to_le_bytes());
    bytes.extend(labels);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(samples);
    bytes
}

/// The tiny model with `golden` behind its data.
fn with_golden(golden: &[u8]) -> Result<Vec<u8>, BlobError> {
    let (graph, mut data) = tiny();
    data.resize(data.len().next_multiple_of(4), 0);
    let offset = data.len() as u32;
    data.extend(golden);
    let mut out = vec![0; encoded_len(&graph, data.len())?];
    encode_with_golden(
        &graph,
        &data,
        Some(offset),
        *b"tiny golden, v1.",
        7,
        &mut out,
    )?;
    Ok(out)
}

/// Samples of `len` bytes each that differ.
fn samples(n: usize, len: usize) -> Vec<u8> {
    (0..n * len).map(|i| (i * 37 % 251) as u8).collect()
}

#[test]
fn a_golden_set_is_parsed_as_it_was_written() {
    for (kind, want, len) in [(0, GoldenKind::Inputs, 72), (1, GoldenKind::Features, 4)] {
        let (labels, samples) = ([2, 0, 1, 1, 2], samples(5, len));
        let blob = with_golden(&section(kind, &labels, &samples)).unwrap();
        let model = Model::parse(&blob).unwrap();
        let golden = model.golden().unwrap();
        assert_eq!((golden.kind(), golden.n_samples()), (want, 5));
        let want = labels.map(usize::from).into_iter().zip(samples.chunks(len));
        assert!(golden.samples().eq(want));
        assert_eq!(run(&model, &mut ()), [-3, 2, 0], "the model is the same");
    }
}

#[test]
fn the_kept_blob_still_reads() {
    let golden = section(1, &[0, 1, 2], &samples(3, 4));
    assert_eq!(with_golden(&golden).unwrap(), KEPT);
    assert_eq!(KEPT[field::MIN_ABI], 3);
    assert_eq!(Model::parse(KEPT).unwrap().golden().unwrap().n_samples(), 3);
}

#[test]
fn every_broken_rule_is_refused() {
    let good = |n: usize| section(1, &vec![1; n], &samples(n, 4));
    assert!(with_golden(&good(MAX_GOLDEN)).is_ok());
    let mut padded = good(3);
    padded[7] = 1;
    let broken = [
        section(2, &[0], &samples(1, 72)),
        section(1, &[], &[]),
        good(MAX_GOLDEN + 1),
        section(1, &[0, 3], &samples(2, 4)),
        section(0, &[0; 9], &samples(1, 72)),
        padded,
        vec![1],
    ];
    for golden in broken {
        let refused = with_golden(&golden);
        assert!(
            matches!(refused, Err(BlobError::Golden { .. })),
            "{refused:?}"
        );
    }
    for at in [1, 2, 64, HEADER_BYTES as u32, KEPT.len() as u32, u32::MAX] {
        let mut blob = KEPT.to_vec();
        blob[field::GOLDEN..][..4].copy_from_slice(&at.to_le_bytes());
        seal(&mut blob);
        let parsed = Model::parse(&blob);
        assert!(
            matches!(parsed, Err(BlobError::Golden { .. })),
            "{at}: {parsed:?}"
        );
    }
    let mut older = KEPT.to_vec();
    older[field::MIN_ABI] = 2;
    seal(&mut older);
    assert_eq!(Model::parse(&older), Err(BlobError::Reserved));
}
