//! MLPerf Tiny's models, imported, give the bits of TensorFlow Lite Micro.
//!
//! It owns the stored digests: SHA-256 over the outputs of 200 inputs, whose bytes are SHA-256 of 0, 1, 2
//! and so on as u32 LE, computed by the Python package `tflite-micro` 0.dev20261023182759 from the same
//! files. That the emulated devices give the host's bits is `tests/bench.rs`.

use aplysia_deploy::import;
use aplysia_shared::{Layer, Model, Op, infer};
use sha2::{Digest, Sha256};

/// Name, file and digest of each.
pub(crate) const DIGESTS: [(&str, &[u8], &str); 3] = [
    (
        "image classification",
        include_bytes!("../models/mlperf-tiny/ic-resnet8.tflite"),
        "313863b0068a4b48d01a51d9e1f67f960c45e3d259f3e81d1868d629197bd136",
    ),
    (
        "keyword spotting",
        include_bytes!("../models/mlperf-tiny/kws-dscnn.tflite"),
        "0b8554ff671b8c45a304b9838e5ea356632051c01eb124686dbd0fd0f9ad8417",
    ),
    (
        "anomaly detection",
        include_bytes!("../models/mlperf-tiny/ad-autoencoder.tflite"),
        "71cf8c2bd2aa4c84cdf3c66f0691acb543b2bdce3cb6cb14ca4a103621f845ce",
    ),
];

/// The digest of the outputs of `file`, imported.
pub(crate) fn digest(file: &[u8]) -> String {
    digest_of_blob(&import(file, &[]).unwrap().blob)
}

/// The digest of the outputs of `blob`.
pub(crate) fn digest_of_blob(blob: &[u8]) -> String {
    let model = Model::parse(blob).unwrap();
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
    let mut all = vec![];
    for input in inputs(model.input().len()).chunks(model.input().len()) {
        infer(&model, &mut arena, input, &mut scores).unwrap();
        all.extend_from_slice(&scores);
    }
    digest_of(&all)
}

/// 200 inputs of `input_bytes`.
pub(crate) fn inputs(input_bytes: usize) -> Vec<i8> {
    let stream = (0u32..).flat_map(|i| <[u8; 32]>::from(Sha256::digest(i.to_le_bytes())));
    stream
        .take(200 * input_bytes)
        .map(u8::cast_signed)
        .collect()
}

/// SHA-256 of scores.
pub(crate) fn digest_of(scores: &[i8]) -> String {
    let bytes: Vec<u8> = scores.iter().map(|s| s.cast_unsigned()).collect();
    let digest = Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn mlperf_tiny_gives_the_bits_of_tflite_micro() {
    for (name, file, want) in DIGESTS {
        assert_eq!(digest(file), want, "{name}");
    }
}

/// In the form for processors without the DSP extension, too, and no byte longer.
#[test]
fn mlperf_tiny_with_paired_weights_gives_the_same_bits() {
    for ((name, file, want), n_layers) in DIGESTS.into_iter().zip([1, 1, 10]) {
        let plain = import(file, &[]).unwrap();
        let paired = plain.clone().paired().unwrap();
        assert_eq!(digest_of_blob(&paired.blob), want, "{name}");
        assert_eq!(paired.blob.len(), plain.blob.len());
        assert_eq!(paired.costs.ram_bytes, plain.costs.ram_bytes);
        let model = Model::parse(&paired.blob).unwrap();
        let is_paired = |l: &Layer| matches!(l.op, Op::PairedConv2d(_));
        assert_eq!(model.layers().filter(is_paired).count(), n_layers, "{name}");
        assert_ne!(model.id(), plain.model_id);
    }
}
