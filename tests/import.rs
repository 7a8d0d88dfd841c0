//! A TensorFlow Lite file of every operator gives the bits of TensorFlow Lite Micro; what cannot be
//! imported is named; softmax against its formula in f64.
//!
//! It owns the stored digest: SHA-256 over the outputs of 200 images from a ChaCha8 generator, computed by
//! the Python package `tflite-micro` 0.dev20261023182759 from the same file.

use aplysia_deploy::import;
use aplysia_shared::kernel::{Dst, Src, generic};
use aplysia_shared::{Clamp, Model, Op, Scaling, infer};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::network::tensors;
use crate::tflite::{FLOAT32, File, INT32};

const TFLITE_MICRO: &str = "924667d1a575c29247ee4ba0b1fb65a2abb48a5e403070f37afa9234e5f7d1ff";

/// Of [`File::dead_channels`], with the inputs of MLPerf Tiny's models.
const TFLITE_MICRO_DEAD: &str = "f55b8a065783fcedae00f7f4173b13fa20ccc92f8e1651866a88022ba7a5aa76";

#[test]
fn outputs_are_those_of_tflite_micro() {
    let blob = import(&File::every_operator().bytes(), &[]).unwrap().blob;
    assert_eq!(outputs_digest(&blob), TFLITE_MICRO);
}

/// Filters of zeros with biases of ±2^30: most of their channels go, and what is left of them is no trouble to the fast
/// kernels.
#[test]
fn dead_channels_with_biases_out_of_reach_take_the_fast_path() {
    let blob = import(&File::dead_channels().bytes(), &[]).unwrap().blob;
    assert_eq!(crate::mlperf_tiny::digest_of_blob(&blob), TFLITE_MICRO_DEAD);
    let model = Model::parse(&blob).unwrap();
    let channels = model.layers().map(|l| model.tensor(l.output).unwrap().c);
    assert_eq!(channels.collect::<Vec<_>>(), [8, 8, 12, 12, 8, 8, 5]);
    let packed = (0..model.n_layers()).filter_map(|i| model.constants(i)?.packed);
    let exact: Vec<bool> = packed.map(|packed| packed.exact).collect();
    assert_eq!(exact, [true; 4]);
}

/// The digest of the outputs of `blob`, which came of the file of every operator.
pub(crate) fn outputs_digest(blob: &[u8]) -> String {
    let model = Model::parse(blob).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut all = Sha256::new();
    let mut arena = vec![0; model.arena_bytes()];
    let mut scores = [0; 5];
    for _ in 0..200 {
        let mut bytes = [0; 63];
        rng.fill_bytes(&mut bytes);
        infer(&model, &mut arena, &bytes.map(u8::cast_signed), &mut scores).unwrap();
        all.update(scores.map(i8::cast_unsigned));
    }
    all.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_blob_has_the_files_layers_and_names() {
    let names = ["a", "b", "c", "d", "e"].map(String::from);
    let export = import(&File::every_operator().bytes(), &names).unwrap();
    let model = Model::parse(&export.blob).unwrap();
    // Reshape moves nothing; the depthwise stem over one channel is a dense convolution, and so is a
    // fully connected layer that is no head.
    let ops: Vec<Op> = model.layers().map(|l| l.op).collect();
    assert!(matches!(
        ops[..],
        [
            Op::PackedConv2d(_),
            Op::PackedConv2d(_),
            Op::DepthwiseConv2d(_),
            Op::PackedConv2d(_),
            Op::Add(_),
            Op::MaxPool(_),
            Op::AvgPool(_),
            Op::PackedConv2d(_),
            Op::Softmax(_)
        ]
    ));
    assert_eq!((model.n_classes(), model.label(4)), (5, "e"));
    assert!(import(&File::every_operator().bytes(), &names[..4]).is_err());
}

#[test]
fn concatenations_are_the_channels_of_their_inputs() {
    let blob = import(&File::concatenation().bytes(), &[]).unwrap().blob;
    let model = Model::parse(&blob).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut arena = vec![0; model.arena_bytes()];
    for _ in 0..50 {
        let input: Vec<i8> = (0..90).map(|_| rng.random()).collect();
        let mut scores = [0; 5];
        infer(&model, &mut arena, &input, &mut scores).unwrap();
        // Tensors of the blob: image, both parts, the whole, rescaled, mean, logits.
        let all = tensors(&model, input);
        assert_eq!(
            all.iter().map(|t| t.c).collect::<Vec<_>>(),
            [3, 4, 8, 12, 12, 12, 5]
        );
        assert_eq!(scores[..], all[6].data[..]);
        let parts = all[1].data.chunks(4).zip(all[2].data.chunks(8));
        let whole: Vec<i8> = parts.flat_map(|(a, b)| [a, b].concat()).collect();
        assert_eq!(all[3].data, whole);
        for (&from, &to) in whole.iter().zip(&all[4].data) {
            let real = 0.04 * (f64::from(from) + 20.0);
            assert!((real / 0.07 + 11.0 - f64::from(to)).abs() <= 0.5 || to == i8::MAX);
        }
    }
    let refusal = |change: fn(&mut File)| {
        let mut file = File::concatenation();
        change(&mut file);
        import(&file.bytes(), &[]).unwrap_err().to_string()
    };
    let starts = |text: String, want: &str| assert!(text.starts_with(want), "{text}");
    starts(
        refusal(|f| f.tensors[3].scales = vec![0.05]),
        "operator 2 (CONCATENATION), tensor `tensor3`: has 1 scales",
    );
    starts(
        refusal(|f| f.operators[2].inputs.truncate(1)),
        "operator 2 (CONCATENATION), tensor `tensor7`: has shape [1, 6, 5, 12]",
    );
    starts(
        refusal(|f| f.operators[2].inputs = vec![3, 6, 3]),
        "operator 2 (CONCATENATION), tensor `tensor3`: has shape [1, 6, 5, 4]",
    );
}

/// The message for a file changed by `change`.
fn refusal(change: impl Fn(&mut File)) -> String {
    let mut file = File::every_operator();
    change(&mut file);
    import(&file.bytes(), &[]).unwrap_err().to_string()
}

#[test]
fn refusals_name_operator_index_and_tensor() {
    let starts = |text: String, want: &str| assert!(text.starts_with(want), "{text}");
    let unsupported = refusal(|f| f.operators[4].code = 18);
    starts(
        unsupported,
        "operator 4 (MUL), tensor `tensor13`: the operator is not supported",
    );
    let float = refusal(|f| f.tensors[6].kind = FLOAT32);
    starts(
        float,
        "operator 1 (CONV_2D), tensor `tensor6`: has type FLOAT32, INT8 is needed",
    );
    let weights = refusal(|f| f.tensors[1].kind = INT32);
    starts(
        weights,
        "operator 0 (DEPTHWISE_CONV_2D), tensor `tensor1`: has type INT32",
    );
    let dynamic = refusal(|f| f.tensors[0].signature = vec![-1, -1, 7, 1]);
    starts(
        dynamic,
        "operator 0 (DEPTHWISE_CONV_2D), tensor `tensor0`: has the dynamic shape [-1, -1, 7, 1]",
    );
    let shape = refusal(|f| f.tensors[6].shape[1] = 6);
    starts(
        shape,
        "operator 1 (CONV_2D), tensor `tensor6`: has shape [6, 4, 8]",
    );
    let short = refusal(|f| f.tensors[5].data.truncate(8));
    starts(
        short,
        "operator 1 (CONV_2D), tensor `tensor5`: has 8 bytes of data, 32 are needed",
    );
    let centred = refusal(|f| f.tensors[4].zero_point = 1);
    starts(
        centred,
        "operator 1 (CONV_2D), tensor `tensor4`: has 8 scales",
    );
    let constant = refusal(|f| f.operators[4].inputs[1] = 4);
    starts(
        constant,
        "operator 4 (ADD), tensor `tensor4`: is read but nothing has computed it",
    );
    let pool = refusal(|f| f.tensors[14].scales = vec![0.06]);
    starts(
        pool,
        "operator 5 (MAX_POOL_2D), tensor `tensor14`: has 1 scales",
    );
    let missing = refusal(|f| f.operators[4].inputs[1] = 400);
    starts(
        missing,
        "operator 4 (ADD), tensor ``: the operator names a tensor",
    );
    assert!(import(b"not a model", &[]).is_err());
}

#[test]
fn a_file_of_too_much_is_refused_before_it_is_worked_on() {
    let starts = |text: String, want: &str| assert!(text.starts_with(want), "{text}");
    let tensors = refusal(|f| f.n_last = 100_000);
    starts(tensors, "the model has 100020 tensors, 1024 are the most");
    let operators = refusal(|f| f.operators = vec![f.operators[0].clone(); 1025]);
    starts(operators, "the model has 1025 operators, 1024 are the most");
    // 500 tensors share a list that is longer than the rest of the file.
    let shared = refusal(|f| {
        f.tensors.last_mut().unwrap().shape = vec![1; 10_000];
        f.n_last = 500;
    });
    assert!(shared.contains(" numbers in lists, "), "{shared}");
    // The same pool again and again: every one a layer.
    let pool = refusal(|f| {
        let pool = f.operators[5].clone();
        f.operators.splice(5..5, vec![pool; 300]);
    });
    starts(pool, "tensors: 255, but the blob format holds at most 254");
}

#[test]
fn a_damaged_file_never_panics() {
    let bytes = File::every_operator().bytes();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..500 {
        let mut damaged = bytes.clone();
        let at = rng.random_range(0..damaged.len());
        damaged[at] ^= 1 << rng.random_range(0..8);
        damaged.truncate(rng.random_range(at..=bytes.len()));
        // Some changes are harmless, and the runtime's parser has the last word on every blob.
        let _ = import(&damaged, &[]);
    }
}

#[test]
fn softmax_is_its_formula_to_one_step() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..300 {
        let c = rng.random_range(1..=511usize);
        let scale = 2f64.powf(rng.random_range(-8.0..3.0));
        let (multiplier, shift) =
            aplysia_deploy::quantize::quantize_multiplier(scale * f64::from(1 << 26));
        let q: Vec<i8> = (0..c).map(|_| rng.random()).collect();
        let mut out = vec![0; c];
        let src = Src {
            data: &q,
            h: 1,
            w: 1,
            c,
            zero_point: 0,
        };
        let clamp = Clamp::FULL;
        let mut dst = Dst {
            data: &mut out,
            h: 1,
            w: 1,
            c,
            zero_point: -128,
            clamp,
        };
        generic::softmax_s8(&src, &mut dst, Scaling::new(multiplier, shift));
        let max = f64::from(*q.iter().max().unwrap());
        let e: Vec<f64> = (q.iter())
            .map(|&q| (scale * (f64::from(q) - max)).exp())
            .collect();
        let sum: f64 = e.iter().sum();
        for (out, e) in out.iter().zip(e) {
            let want = (256.0 * e / sum - 128.0).min(127.0);
            assert!((f64::from(*out) - want).abs() <= 1.0, "{out} for {want}");
        }
    }
}
