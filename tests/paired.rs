//! Paired weights: the kernel against the generic one bit for bit, the borders of its proof, a blob kept for
//! ever, and what parsing refuses.
//!
//! The loops of Armv7-M and Armv6-M are compared on the emulated processors: `tests/bench.rs`.

use aplysia_deploy::pack::pack;
use aplysia_deploy::pair::pair;
use aplysia_deploy::{DeployError, import};
use aplysia_shared::blob::field;
use aplysia_shared::kernel::Src;
use aplysia_shared::kernel::dsp::packing::{self, Depth, Reach};
use aplysia_shared::kernel::dsp::{self, Native, Packed, Portable, Simd, paired};
use aplysia_shared::kernel::sums::{ChannelStat, Lattice, Sums};
use aplysia_shared::{BlobError, Constants, Model, Op, Requant, Tensor, Window, include_blob};
use proptest::prelude::*;
use rand::Rng;

use crate::blob::encoded;
use crate::dsp::{by, tame, with_plain};
use crate::import::outputs_digest;
use crate::kernel::{Case, case, config, weights};
use crate::tflite::File;

/// The file of every operator, imported with paired weights, as it was first written.
const KEPT: &[u8] = include_blob!("blobs/v1-paired.blob");

fn with_paired<S: Simd>(k: &Case, w: &[i8]) -> Vec<i8> {
    by(
        k,
        w,
        |bytes| paired::swap(bytes),
        dsp::paired_conv2d_s8::<S>,
    )
}

/// A layer over all of an image of `size`, with weights of the whole range or all at their limits.
fn check([h, w]: [usize; 2], c: [usize; 2], seed: u64) -> Result<(), TestCaseError> {
    let all = |size: usize| [size, size, 1, 1, 0, 1];
    let mut k = case([all(h), all(w)], c, seed);
    let depth = Depth::new(&k.window, c[0]);
    if !packing::packable(&k.window, c[0], c[1]) || depth.len() > packing::MAX_WHOLE {
        return Ok(());
    }
    tame(&mut k.to, &mut k.rng);
    let w = weights(k.window.taps() * c[0] * c[1], &mut k.rng);
    let w: Vec<i8> = match k.rng.random_range(0..4) {
        0 => w.iter().map(|w| if *w < 0 { -127 } else { 127 }).collect(),
        _ => w,
    };
    let want = with_plain(&k, &w);
    prop_assert_eq!(&with_paired::<Native>(&k, &w), &want);
    prop_assert_eq!(&with_paired::<Portable>(&k, &w), &want);
    Ok(())
}

#[test]
fn every_small_shape_is_the_generic_one() {
    let mut seed = 0;
    for size in (1..=3).flat_map(|h| (1..=3).map(move |w| [h, w])) {
        for c in (1..=9).flat_map(|c| (4..=9).map(move |n| [c, n])) {
            seed += 1;
            check(size, c, seed).unwrap();
        }
    }
}

#[test]
fn the_deepest_layers_are_the_generic_ones() {
    for (seed, c) in [[640, 9], [1024, 5], [1020, 4], [1, 300], [4, 4]]
        .into_iter()
        .enumerate()
    {
        check([1, 1], c, seed as u64).unwrap();
    }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn vectors_are_the_generic_ones(
        h in 1..=4usize, w in 1..=6usize, c in [1..=40usize, 4..=70usize], seed: u64,
    ) {
        check([h, w], c, seed)?;
    }
}

/// All values of one pair at once: 255² weights, and inputs at either end and around 0.
#[test]
fn every_pair_of_weights_makes_two_exact_products() {
    let window = Window::square(1, 1, 0);
    let dst = Tensor {
        h: 1,
        w: 1,
        c: 4,
        scale: 1.0,
        zero_point: 0,
        offset: 0,
    };
    let requant = Requant {
        bias: &[],
        multiplier: &[],
        shift: &[],
    };
    let inputs = [-128i8, -127, -1, 0, 1, 127];
    let all = (-128..=127i8).flat_map(|u| (-128..=127i8).map(move |v| [u, v]));
    for [u, v] in all {
        // Two of -128 are refused.
        if [u, v] != [-128, -128] {
            // Depths 0 and 2 make a pair.
            let rows = [
                [u, 0, v, 0],
                [0, u, 0, v],
                [v, 127, u, -127],
                [-127, v, 127, u],
            ];
            let weights = pack(rows.as_flattened(), Depth { rows: 1, run: 4 });
            let mut bytes = weights.bytes;
            paired::swap(&mut bytes);
            let sums: Vec<u8> = weights
                .sums
                .into_iter()
                .flat_map(i32::to_le_bytes)
                .collect();
            let packed = Some(Packed {
                sums: &sums,
                reach: Reach(0),
                exact: false,
            });
            let constants = Constants {
                weights: &bytes,
                requant,
                fan_in: 4,
                packed,
            };
            for x in inputs {
                for y in inputs {
                    let data = [x, y, y, x];
                    let src = Src {
                        data: &data,
                        h: 1,
                        w: 1,
                        c: 4,
                        zero_point: 0,
                    };
                    let op = Op::PairedConv2d(window);
                    let mut got = [ChannelStat::default(); 4];
                    let layer = Sums::new(&op, src, &dst, &constants).unwrap();
                    layer.add::<Portable>(0, Lattice::ALL, &mut got);
                    let dot = |row: [i8; 4]| -> i64 {
                        row.iter()
                            .zip(data)
                            .map(|(&w, x)| i64::from(w) * i64::from(x))
                            .sum()
                    };
                    assert_eq!(got.map(|stat| stat.sum), rows.map(dot), "{u} {v} {x} {y}");
                }
            }
        }
    }
}

fn every_operator() -> Vec<u8> {
    import(&File::every_operator().bytes(), &[])
        .unwrap()
        .paired()
        .unwrap()
        .blob
}

/// Format and bits of the form as it was first released, and what is written today.
#[test]
fn the_kept_blob_gives_the_bits_of_tflite_micro() {
    let plain = import(&File::every_operator().bytes(), &[]).unwrap().blob;
    assert_eq!((plain[field::MIN_ABI], KEPT[field::MIN_ABI]), (4, 5));
    assert_eq!(outputs_digest(KEPT), outputs_digest(&plain));
    assert_eq!(every_operator(), KEPT);
    // Once more changes nothing.
    assert_eq!(pair(KEPT).unwrap(), KEPT);
}

/// Any change of paired weights, sums or reach contradicts the rest.
#[test]
fn inconsistent_pairs_are_refused() {
    let model = Model::parse(KEPT).unwrap();
    let (graph, data) = (model.graph(), model.data());
    let is_paired = |op: Op| matches!(op, Op::PairedConv2d(_));
    let at = graph.layers.iter().position(|l| is_paired(l.op)).unwrap();
    let found = model.constants(at).unwrap();
    let start = found.packed.unwrap().sums.as_ptr().addr() - data.as_ptr().addr();
    let weights = found.weights.as_ptr().addr() - data.as_ptr().addr();
    let end = weights + found.weights.len();
    let layer = at as u8;
    let want = Err(BlobError::Packing { layer });
    let with = |at: usize, byte: u8| {
        let mut data = data.to_vec();
        data[at] = byte;
        encoded(&graph, &data)
    };
    for (i, &byte) in data.iter().enumerate().take(end).skip(start) {
        assert_eq!(with(i, byte ^ 0x10), want, "{i}");
    }
    for i in weights..end {
        assert_eq!(with(i, 0), want, "{i}");
    }
    // Packed weights are no paired ones.
    let mut swapped = data.to_vec();
    paired::swap(&mut swapped[weights..end]);
    assert_eq!(encoded(&graph, &swapped), want);
}

/// The one column is all of the input.
#[test]
fn a_paired_window_that_moves_is_refused() {
    let model = Model::parse(KEPT).unwrap();
    let mut graph = model.graph();
    let (at, window) = graph
        .layers
        .iter()
        .enumerate()
        .find_map(|(i, l)| match l.op {
            Op::PackedConv2d(window) => Some((i, window)),
            _ => None,
        })
        .unwrap();
    graph.layers[at].op = Op::PairedConv2d(window);
    let want = Err(BlobError::LayerShape { layer: at as u8 });
    assert_eq!(encoded(&graph, model.data()), want);
    assert!(matches!(pair(&KEPT[..64]), Err(DeployError::Blob(_))));
}
