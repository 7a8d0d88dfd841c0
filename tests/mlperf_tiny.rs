//! MLPerf Tiny's models, imported, give the bits of TensorFlow Lite Micro.
//!
//! It owns the stored digests: SHA-256 over the outputs of 200 inputs, whose bytes are SHA-256 of 0, 1, 2
//! and so on as u32 LE, computed by the Python package `tflite-micro` 0.dev20261023182759 from the same
//! files. That the emulated devices give the host's bits is `tests/bench.rs`.

use aplysia_deploy::import;
use aplysia_shared::{Model, infer};
use sha2::{Digest, Sha256};

const DIGESTS: [(&str, &[u8], &str); 3] = [
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
    let blob = import(file, &[]).unwrap().blob;
    let model = Model::parse(&blob).unwrap();
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
    let mut stream = (0u32..).flat_map(|i| <[u8; 32]>::from(Sha256::digest(i.to_le_bytes())));
    let mut all = Sha256::new();
    for _ in 0..200 {
        let bytes = stream.by_ref().take(model.input().len());
        let input: Vec<i8> = bytes.map(u8::cast_signed).collect();
        infer(&model, &mut arena, &input, &mut scores).unwrap();
        let scores: Vec<u8> = scores.iter().map(|s| s.cast_unsigned()).collect();
        all.update(scores);
    }
    all.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn mlperf_tiny_gives_the_bits_of_tflite_micro() {
    for (name, file, want) in DIGESTS {
        assert_eq!(digest(file), want, "{name}");
    }
}
