//! Models as stock Keras converts them, imported, give the bits of TensorFlow Lite Micro; what is not exact is
//! refused.
//!
//! It owns the stored digests of `keras/make.py`, which made the files (random weights): an open batch, PAD, RELU,
//! MEAN and REDUCE_MAX, and input and output of int8, uint8 and floating point.

use crate::mlperf_tiny::digest;
use crate::tflite::{File, INT32};
use aplysia_deploy::import;
use aplysia_shared::Model;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INT8: &[u8] = include_bytes!("keras/int8.tflite");
const UINT8: &[u8] = include_bytes!("keras/uint8.tflite");
const FLOAT: &[u8] = include_bytes!("keras/float.tflite");

const DIGESTS: [(&str, &[u8], &str); 3] = [
    (
        "int8",
        INT8,
        "76931d606a1b56711de10800eab6a3b23c65f994d7430f0eba53e85a2d385dba",
    ),
    (
        "uint8",
        UINT8,
        "b150607be74bd9f4306ee5fb5e5434986fc92e0e8d2aa1f3ad37c82eb8149b1a",
    ),
    (
        "float",
        FLOAT,
        "7cf414b611746c9b0d43d984fd72e35a185b2e09474685c3b1b05f66f426df59",
    ),
];

#[test]
fn keras_models_give_the_bits_of_tflite_micro() {
    for (name, file, want) in DIGESTS {
        assert_eq!(digest(file), want, "{name}");
    }
}

#[test]
fn the_blob_says_how_to_quantize_the_float_models_numbers() {
    let blob = import(FLOAT, &[]).unwrap().blob;
    let model = Model::parse(&blob).unwrap();
    let ends = [model.input(), model.output()].map(|t| (t.scale, t.zero_point));
    assert_eq!(ends, [(0.007_830_851, 0), (0.016_644_185, -17)]);
}

#[test]
fn a_head_before_a_dequantize_has_its_names_and_stays_plain() {
    let names = ["a", "b", "c"].map(String::from);
    let blob = import(FLOAT, &names).unwrap().blob;
    let model = Model::parse(&blob).unwrap();
    assert_eq!((model.n_classes(), model.label(2)), (3, "c"));
    let last = model.layers().last().unwrap();
    assert_eq!(last.op, aplysia_shared::Op::FullyConnected);
}

/// The message for every operator's file, changed by `change`.
fn refusal(change: impl Fn(&mut File)) -> String {
    let mut file = File::every_operator();
    change(&mut file);
    import(&file.bytes(), &[]).unwrap_err().to_string()
}

#[test]
fn what_is_not_exact_is_refused_with_a_remedy() {
    let starts = |text: String, want: &str| assert!(text.starts_with(want), "{text}");
    // Tensor 15 is the mean of tensor 14.
    let no_axis = refusal(|f| f.operators[6].code = 40);
    starts(
        no_axis,
        "operator 6 (MEAN), tensor `tensor15`: the operator names a tensor that does not exist",
    );
    let channels = refusal(|f| {
        f.operators[6].code = 40;
        f.operators[6].inputs.push(8);
        f.tensors[8].kind = INT32;
        f.tensors[8].shape = vec![1];
        f.tensors[8].data = vec![3, 0, 0, 0];
        // The depthwise layer, which had those biases, goes.
        f.operators[2].inputs.truncate(2);
    });
    starts(
        channels,
        "operator 6 (MEAN), tensor `tensor14`: option axis is 3; only all rows and columns",
    );
    let relu6 = refusal(|f| f.operators[4].code = 21);
    starts(
        relu6,
        "operator 4 (RELU6), tensor `tensor13`: has another scale than its input",
    );
    let sigmoid = refusal(|f| f.operators[9].code = 14);
    assert!(sigmoid.contains("(LOGISTIC)") && sigmoid.contains("without activation"));
    let unknown = refusal(|f| f.operators[9].code = 209);
    starts(
        unknown,
        "operator 9 (STABLEHLO_CASE), tensor `tensor20`: the operator is not",
    );
}

#[test]
fn what_the_runtime_refuses_is_named_by_its_operator() {
    // A bias that the accumulator cannot hold.
    let bias = refusal(|f| f.tensors[5].data[..4].copy_from_slice(&i32::MAX.to_le_bytes()));
    let want = "operator 1 (CONV_2D), tensor `tensor6`: the runtime refuses its layer: layer 1";
    assert!(bias.starts_with(want), "{bias}");
}

#[test]
fn a_damaged_keras_model_never_panics() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (_, bytes, _) in DIGESTS {
        for _ in 0..1000 {
            let mut damaged = bytes.to_vec();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..damaged.len());
                damaged[at] ^= 1 << rng.random_range(0..8);
            }
            // Some changes are harmless, and the runtime's parser has the last word on every blob.
            let _ = import(&damaged, &[]);
        }
    }
}
