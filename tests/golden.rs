//! The golden set in the blob: written and read back, every rule broken, the kept blob
//! `blobs/v1-golden.blob` (format version 1, runtime interface 3).

use crate::blob::{run, seal, tiny};
use crate::float_network::{CLASSES, Case, INPUT};
use aplysia_deploy::golden::{GoldenSet, GoldenSpec, attach};
use aplysia_deploy::{Content, DeployError};
use aplysia_live::evaluate;
use aplysia_live::evaluate::input_of_pixels;
use aplysia_shared::blob::{
    GoldenKind, HEADER_BYTES, MAX_GOLDEN, encode_with_golden, encoded_len, field,
};
use aplysia_shared::{BlobError, Hooks, Model, include_blob, infer_with};

const KEPT: &[u8] = include_blob!("blobs/v1-golden.blob");

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

/// Keeps the input of the last layer.
struct Features(Vec<u8>);

impl Hooks for Features {
    fn features(&mut self, features: &[i8]) {
        self.0 = features.iter().map(|q| q.cast_unsigned()).collect();
    }
}

/// Images of which class 0 has five, class 1 one, class 2 two.
const LABELS: [u16; 8] = [0, 0, 2, 0, 1, 0, 2, 0];
/// The first of each class, then the second, and so on.
const IN_TURN: [usize; 8] = [0, 4, 2, 1, 6, 3, 5, 7];

#[test]
fn the_chosen_set_is_balanced_and_of_the_kind_asked_for() {
    let mut case = Case::random(3, INPUT, LABELS.len());
    case.labels = LABELS.to_vec();
    let base = case.export(&Content::new(&CLASSES));
    let model = Model::parse(&base.blob).unwrap();
    for (kind, n) in [
        (GoldenKind::Inputs, 1),
        (GoldenKind::Inputs, 5),
        (GoldenKind::Features, 8),
    ] {
        let spec = GoldenSpec { kind, n };
        let set = GoldenSet::choose(&model, case.images(), spec).unwrap();
        let blob = attach(&model, &set).unwrap();
        let guarded = Model::parse(&blob).unwrap();
        let golden = guarded.golden().unwrap();
        assert_eq!((golden.kind(), usize::from(golden.n_samples())), (kind, n));
        let found = evaluate(&model, case.images()).unwrap().predictions;
        let wrong = |&index: &usize| found[index] != LABELS[index];
        let mut order = IN_TURN;
        order.sort_by_key(wrong);
        for ((label, sample), &index) in golden.samples().zip(&order) {
            assert_eq!(label, usize::from(LABELS[index]));
            let input = input_of_pixels(&case.pixels[index * INPUT.len()..][..INPUT.len()]);
            let (mut arena, mut scores) = (vec![0; model.arena_bytes()], [0; CLASSES.len()]);
            let mut features = Features(Vec::new());
            infer_with(&model, &mut arena, &input, &mut scores, &mut features).unwrap();
            let want: Vec<u8> = match kind {
                GoldenKind::Inputs => input.iter().map(|q| q.cast_unsigned()).collect(),
                GoldenKind::Features => features.0,
            };
            assert_eq!(sample, want);
        }
        let section = 4 + n.next_multiple_of(4) + n * golden.samples().next().unwrap().1.len();
        assert_eq!(golden.bytes(), section);
        assert_eq!(
            blob.len(),
            base.blob.len() + section.next_multiple_of(16),
            "the golden set is all there is more"
        );
        assert_ne!(guarded.id(), model.id());
        assert_eq!(
            evaluate(&guarded, case.images()).unwrap(),
            evaluate(&model, case.images()).unwrap(),
            "it computes the same"
        );
        assert!(matches!(
            attach(&guarded, &set),
            Err(DeployError::GoldenTwice)
        ));
    }
    for n in [0, 9] {
        let kind = GoldenKind::Inputs;
        let refused = GoldenSet::choose(&model, case.images(), GoldenSpec { kind, n });
        assert!(
            matches!(refused, Err(DeployError::Golden { got, limit: 8 }) if got == n),
            "{refused:?}"
        );
    }
}
