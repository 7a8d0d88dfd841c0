//! Weights of -128: the kernels at the ends of their range, against references and each other, what parsing takes and
//! refuses, which interface a blob asks for, and files that hold such weights.
//!
//! The processors are compared in `bench.rs`. The stored digests are TensorFlow Lite Micro's, as in `import.rs`.

use aplysia_deploy::import;
use aplysia_deploy::pack::{fits, pack};
use aplysia_deploy::pair::pair;
use aplysia_shared::blob::field;
use aplysia_shared::kernel::dsp::packing::{BLOCK, Depth, MAX_WHOLE, PART, packable};
use aplysia_shared::kernel::dsp::paired::swap;
use aplysia_shared::kernel::dsp::{self, Native, Portable, paired};
use aplysia_shared::kernel::{Dst, Src, Weighted, generic};
use aplysia_shared::{BlobError, Model, Op, Window};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::blob::{encoded, tiny};
use crate::dsp::{by, tame, with_plain};
use crate::import::outputs_digest;
use crate::kernel::{Case, case, run, view, with_constants};
use crate::oracle;
use crate::tflite::File;

/// Outputs of TensorFlow Lite Micro for [`File::least`], plain and packed.
const TFLITE_MICRO: [&str; 2] = [
    "185796aff98923fb77ac379122713a0e9d3daefb276c6d747d140d94a922b85e",
    "7c3ca6a51907ea30bb68923e3ce7610ce3f71fa52164c9e867ec7160be6787e4",
];

/// Filters of `run` weights: all -128, every second filter, every second place, or anything.
fn least(n: usize, run: usize, rng: &mut ChaCha8Rng) -> Vec<i8> {
    let pattern = rng.random_range(0..5);
    let weight = |i: usize| match (pattern, i / run % 2) {
        (0, _) | (1, 0) => i8::MIN,
        (1, _) => i8::MAX,
        (2, odd) if (i % run + odd).is_multiple_of(2) => i8::MIN,
        (2, _) => i8::MAX,
        (3, 0) => rng.random(),
        (3, _) => rng.random_range(-127..=127),
        _ => rng.random(),
    };
    (0..n * run).map(weight).collect()
}

/// A layer whose inputs, of every second seed, are all at one end of their range; its sums are not all cut off.
fn extreme(axes: [[usize; 6]; 2], c: [usize; 2], seed: u64) -> Case {
    let mut k = case(axes, c, seed);
    tame(&mut k.to, &mut k.rng);
    let (q, zero_point) = match seed % 4 {
        0 => (i8::MIN, 127),
        1 => (i8::MAX, -128),
        _ => return k,
    };
    k.src.data.fill(q);
    k.src.zero_point = zero_point;
    let depth = k.window.taps() * c[0];
    k.to.shift.fill(-8 - depth.ilog2() as i8);
    k
}

/// A square window over an image, with its padding.
fn same(size: usize, kernel: usize) -> [usize; 6] {
    [size, kernel, 1, 1, kernel / 2, size]
}

/// All of an image.
fn all(size: usize) -> [usize; 6] {
    [size, size, 1, 1, 0, 1]
}

/// How many of `cases` have a packed form, and how many of these a paired one; all are the reference.
fn check(cases: impl Iterator<Item = Case>) -> [usize; 2] {
    let mut forms = [0; 2];
    for mut k in cases {
        let (n, c) = (k.to.bias.len(), k.src.c);
        let w = least(n, k.window.taps() * c, &mut k.rng);
        let want = oracle::conv2d(&k.src, &k.geometry, &w, &k.to);
        assert_eq!(with_plain(&k, &w), want);
        let depth = Depth::new(&k.window, c);
        if !(packable(&k.window, c, n) && fits(&w, depth)) {
            continue;
        }
        forms[0] += 1;
        assert_eq!(by(&k, &w, |_| {}, dsp::packed_conv2d_s8::<Native>), want);
        assert_eq!(by(&k, &w, |_| {}, dsp::packed_conv2d_s8::<Portable>), want);
        let whole = k.window.is_whole([k.src.h, k.src.w], k.geometry.out);
        if !(whole && depth.len() <= MAX_WHOLE && splits(&w, depth)) {
            continue;
        }
        forms[1] += 1;
        let swap = paired::swap;
        assert_eq!(
            by(&k, &w, |b| swap(b), dsp::paired_conv2d_s8::<Native>),
            want
        );
        assert_eq!(
            by(&k, &w, |b| swap(b), dsp::paired_conv2d_s8::<Portable>),
            want
        );
    }
    forms
}

/// Whether the paired form holds `w`.
fn splits(w: &[i8], depth: Depth) -> bool {
    let mut bytes = pack(w, depth).bytes;
    paired::swap(&mut bytes);
    let mut blocks = bytes.chunks(BLOCK * depth.len());
    blocks.all(|block| (0..BLOCK).all(|lane| paired::is_split(block, depth.len(), lane)))
}

#[test]
fn convolutions_are_their_reference() {
    let cases = (0..300).map(|seed: u64| {
        let [h, w, c] = [1 + seed % 5, 1 + seed % 7, 1 + seed % 19].map(|n| n as usize);
        extreme([same(h, 3), same(w, 3)], [c, 4 + seed as usize % 9], seed)
    });
    let [packed, _] = check(cases);
    assert!((150..250).contains(&packed), "{packed}");
}

#[test]
fn pointwise_convolutions_are_their_reference() {
    let cases = (0..200).map(|seed: u64| {
        let [h, c] = [1 + seed % 4, 1 + seed % 90].map(|n| n as usize);
        let axes = [same(h, 1), same(3, 1)];
        extreme(axes, [c, 4 + seed as usize % 9], seed)
    });
    let [packed, _] = check(cases);
    assert!((100..170).contains(&packed), "{packed}");
}

#[test]
fn vectors_are_their_reference() {
    let cases = (0..200).map(|seed: u64| {
        let c = [1 + seed as usize % 90, 4 + seed as usize % 9];
        extreme([all(1 + seed as usize % 3), all(1)], c, seed)
    });
    let [packed, paired] = check(cases);
    assert!((100..170).contains(&packed), "{packed}");
    assert!((20..packed).contains(&paired), "{paired} of {packed}");
    // More than one part.
    let deep = [1028, 1536, 2048, 4096]
        .into_iter()
        .flat_map(|c| (0..12).map(move |seed| extreme([all(1); 2], [c, 8], seed)));
    let [packed, _] = check(deep);
    assert!((12..48).contains(&packed), "{packed}");
}

type Kernel = fn(&Src<'_>, &mut Dst<'_>, &Window, &Weighted<'_>);

#[test]
fn depthwise_convolutions_are_their_reference() {
    for seed in 0..200u64 {
        let kernel = [1, 3, 5, 16][seed as usize % 4];
        let c = 4 + seed as usize % 9;
        let mut k = extreme(
            [same(1 + seed as usize % 17, kernel), same(9, kernel)],
            [c, c],
            seed,
        );
        k.to.shift.iter_mut().for_each(|s| *s = (*s).max(-18));
        let w = least(c, k.window.taps(), &mut k.rng);
        let want = oracle::depthwise(&k.src, &k.geometry, &w, &k.to);
        let kernels: [Kernel; 3] = [
            generic::depthwise_conv2d_s8,
            dsp::depthwise_conv2d_s8::<Native>,
            dsp::depthwise_conv2d_s8::<Portable>,
        ];
        for kernel in kernels {
            let got = run(k.geometry.out, c, &k.to, |dst| {
                with_constants(&k.to, &w, |constants| {
                    kernel(&view(&k.src), dst, &k.window, constants);
                });
            });
            assert_eq!(got, want, "{seed}");
        }
    }
}

/// Unpacked, as they stay where the packed form has no place for them.
#[test]
fn plain_layers_are_their_reference() {
    type Plain = fn(&Src<'_>, &mut Dst<'_>, &Weighted<'_>);
    for seed in 0..100u64 {
        let [h, c, n] = [1 + seed % 3, 1 + seed % 90, 1 + seed % 11].map(|n| n as usize);
        let mut k = extreme([same(h, 1), same(2, 1)], [c, n], seed);
        let w = least(n, c, &mut k.rng);
        let want = oracle::conv2d(&k.src, &k.geometry, &w, &k.to);
        let pointwise: [Plain; 3] = [
            generic::pointwise_conv2d_s8,
            dsp::pointwise_conv2d_s8::<Native>,
            dsp::pointwise_conv2d_s8::<Portable>,
        ];
        for kernel in pointwise {
            let got = run(k.geometry.out, n, &k.to, |dst| {
                with_constants(&k.to, &w, |constants| kernel(&view(&k.src), dst, constants));
            });
            assert_eq!(got, want, "{seed}");
        }
        let w = least(n, k.src.data.len(), &mut k.rng);
        let want = oracle::fully_connected(&k.src, &w, &k.to);
        let vector: [Plain; 3] = [
            generic::fully_connected_s8,
            dsp::fully_connected_s8::<Native>,
            dsp::fully_connected_s8::<Portable>,
        ];
        for kernel in vector {
            let got = run([1, 1], n, &k.to, |dst| {
                with_constants(&k.to, &w, |constants| kernel(&view(&k.src), dst, constants));
            });
            assert_eq!(got, want, "{seed}");
        }
    }
}

/// The largest sum that a part of a second channel of two may have, and the one above it.
#[test]
fn a_part_of_minus_128_alone_is_not_packed() {
    let depth = |k| Depth { rows: 1, run: k };
    let mut k = extreme([all(1); 2], [2048, 4], 0);
    let mut w = vec![0; 4 * 2048];
    let odd = 2048 + 512..2048 + 512 + PART;
    w[odd.clone()].fill(i8::MIN);
    assert!(!fits(&w, depth(2048)));
    w[odd.start + 300] = -127;
    assert!(fits(&w, depth(2048)));
    k.to.shift.fill(-17);
    let want = with_plain(&k, &w);
    assert_eq!(by(&k, &w, |_| {}, dsp::packed_conv2d_s8::<Native>), want);
    assert_eq!(by(&k, &w, |_| {}, dsp::packed_conv2d_s8::<Portable>), want);
}

/// The first layer that `is` says yes to, and where in the data its weights are.
fn weights_of(blob: &[u8], is: fn(&Op) -> bool) -> (usize, std::ops::Range<usize>) {
    let model = Model::parse(blob).unwrap();
    let at = model.layers().position(|l| is(&l.op)).unwrap();
    let weights = model.constants(at).unwrap().weights;
    let start = weights.as_ptr().addr() - model.data().as_ptr().addr();
    (at, start..start + weights.len())
}

#[test]
fn blobs_with_such_weights_ask_for_interface_7() {
    let (graph, mut data) = tiny();
    let abi = |blob: &[u8]| blob[field::MIN_ABI];
    assert_eq!(abi(&encoded(&graph, &data).unwrap()), 1);
    // The first weight of the head.
    data[graph.layers[7].params as usize + 28] = 0x80;
    assert_eq!(abi(&encoded(&graph, &data).unwrap()), 7);
    for packed in [false, true] {
        let blob = import(&File::least(packed).bytes(), &[]).unwrap().blob;
        assert_eq!(abi(&blob), 7);
        assert_eq!(abi(&pair(&blob).unwrap()), 7);
    }
    assert_eq!(
        abi(&import(&File::every_operator().bytes(), &[]).unwrap().blob),
        4
    );
}

/// A halfword of two weights of -128 is that of 128 and -128.
#[test]
fn weights_that_cannot_be_told_apart_are_refused() {
    let file = File::least(true).bytes();
    let blob = import(&file, &[]).unwrap().blob;
    let is_packed = |op: &Op| matches!(op, Op::PackedConv2d(w) if w.taps() == 9);
    let (at, weights) = weights_of(&blob, is_packed);
    let model = Model::parse(&blob).unwrap();
    let mut data = model.data().to_vec();
    data[weights.start..][..2].copy_from_slice(&0x7F80u16.to_le_bytes());
    let want = Err(BlobError::Packing { layer: at as u8 });
    assert_eq!(encoded(&model.graph(), &data), want);
}

#[test]
fn files_with_such_weights_give_the_bits_of_tflite_micro() {
    for packed in [false, true] {
        let file = File::least(packed).bytes();
        let blob = import(&file, &[]).unwrap().blob;
        let want = TFLITE_MICRO[usize::from(packed)];
        assert_eq!(outputs_digest(&blob), want, "packed: {packed}");
        assert_eq!(
            outputs_digest(&pair(&blob).unwrap()),
            want,
            "packed: {packed}"
        );
        let model = Model::parse(&blob).unwrap();
        let n_packed = model
            .layers()
            .filter(|l| matches!(l.op, Op::PackedConv2d(_)));
        assert_eq!(n_packed.count(), if packed { 4 } else { 0 });
    }
}

/// `weights` of all channels in place of those of layer `at`, sums and reach with them; taken or refused by `encode`.
fn with_weights(
    blob: &[u8],
    at: usize,
    weights: &[i8],
    swap: fn(&mut [u8]),
) -> Result<Vec<u8>, BlobError> {
    let model = Model::parse(blob).unwrap();
    let found = model.constants(at).unwrap();
    let depth = Depth {
        rows: 1,
        run: found.fan_in,
    };
    let place = |bytes: &[u8]| bytes.as_ptr().addr() - model.data().as_ptr().addr();
    let (sums, start) = (place(found.packed.unwrap().sums), place(found.weights));
    let mut new = pack(weights, depth);
    swap(&mut new.bytes);
    let mut data = model.data().to_vec();
    let ends = new.sums.iter().copied().chain([new.reach.cast_signed()]);
    for (i, value) in ends.enumerate() {
        data[sums + 4 * i..][..4].copy_from_slice(&value.to_le_bytes());
    }
    data[start..][..new.bytes.len()].copy_from_slice(&new.bytes);
    encoded(&model.graph(), &data)
}

/// What the kernels' proofs exclude, and the weights beside it, which they do not.
#[test]
fn weights_that_have_no_proof_are_refused() {
    let file = std::fs::read("../models/mlperf-tiny/ad-autoencoder.tflite").unwrap();
    let packed = import(&file, &[]).unwrap().blob;
    let model = Model::parse(&packed).unwrap();
    let first = model.constants(0).unwrap();
    let (n, depth) = (first.n_channels(), first.fan_in);
    assert!(depth >= PART && n > 4);
    let want = Err(BlobError::Packing { layer: 0 });

    // A part of an odd channel reaches 2^23.
    let mut weights = vec![0; n * depth];
    weights[depth..][..PART].fill(-128);
    assert_eq!(with_weights(&packed, 0, &weights, |_| {}), want);
    weights[depth + 7] = -127;
    assert!(with_weights(&packed, 0, &weights, |_| {}).is_ok());

    // Two of -128 make a pair: depths 0 and 2.
    let paired = pair(&packed).unwrap();
    let mut weights = vec![0; n * depth];
    weights[0] = -128;
    weights[2] = -128;
    assert_eq!(with_weights(&paired, 0, &weights, swap), want);
    weights[2] = -127;
    assert!(with_weights(&paired, 0, &weights, swap).is_ok());
}
