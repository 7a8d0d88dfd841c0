//! What layers sum up at some of their pixels, against the slow reference: every layout of weights, odd
//! channels, borders.

use aplysia_deploy::bench::CASES;
use aplysia_deploy::pack::{PackedWeights, pack};
use aplysia_deploy::processor::M4;
use aplysia_live::evaluate::input_of_pixels;
use aplysia_shared::adapt::{Config, Plastic, state_bytes};
use aplysia_shared::kernel::dsp::packing::{Depth, MAX_WHOLE, Reach, packable};
use aplysia_shared::kernel::dsp::{Native, Packed, Portable, paired};
use aplysia_shared::kernel::sums::{CHANNELS, ChannelStat, Lattice, Sums};
use aplysia_shared::{Constants, Model, Op, Requant, Tensor};
use aplysia_space::Shape;
use proptest::prelude::*;
use rand::Rng;

use crate::blob::encoded;
use crate::device::{boot, images_of};
use crate::kernel::{Case, axis, bytes, case, config, view, weights};
use crate::oracle;

/// The statistics of all channels by `sums`, and the pixels that it says it saw.
fn seen(sums: &Sums<'_>, start: &[ChannelStat], lattice: Lattice) -> (Vec<ChannelStat>, usize) {
    let mut native = start.to_vec();
    let mut portable = start.to_vec();
    let mut n = 0;
    for (i, (native, portable)) in (native
        .chunks_mut(CHANNELS)
        .zip(portable.chunks_mut(CHANNELS)))
    .enumerate()
    {
        n = sums.add::<Native>(i * CHANNELS, lattice, native);
        assert_eq!(sums.add::<Portable>(i * CHANNELS, lattice, portable), n);
    }
    assert_eq!(native, portable);
    (native, n)
}

/// Compares `op` with sums by `raw`.
fn check(
    k: &mut Case,
    (op, weights, packed): (Op, &[u8], Option<Packed<'_>>),
    out_ch: usize,
    raw: impl Fn(&Case, [usize; 3]) -> i64,
) -> Result<(), TestCaseError> {
    let [h, w] = k.geometry.out;
    let dst = Tensor {
        h: h as u16,
        w: w as u16,
        c: out_ch as u16,
        offset: 0,
        zero_point: 0,
        scale: 1.0,
    };
    let constants = Constants {
        weights,
        requant: Requant {
            bias: &[],
            multiplier: &[],
            shift: &[],
        },
        fan_in: 0,
        packed,
    };
    let first = k.rng.random_range(0..5);
    let step = k.rng.random_range(1..6);
    let lattice = Lattice { first, step };
    let start: Vec<_> = (0..out_ch as i32)
        .map(|o| ChannelStat {
            center: 1000 * o - 1500,
            sum: 7,
            deviation: 9,
        })
        .collect();
    let src = view(&k.src);
    let sums = Sums::new(&op, src, &dst, &constants).unwrap();
    prop_assert_eq!(sums.n_pixels(), h * w);
    let (stats, n) = seen(&sums, &start, lattice);
    let pixels: Vec<usize> = (first..h * w).step_by(step).collect();
    prop_assert_eq!(n, pixels.len());
    for (o, (stat, mut want)) in stats.into_iter().zip(start).enumerate() {
        for &i in &pixels {
            let raw = raw(k, [i / w, i % w, o]);
            want.sum += raw;
            want.deviation += (raw - i64::from(want.center)).abs();
        }
        prop_assert_eq!(stat, want, "channel {}", o);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn of_wide_convolutions(
        axes in [axis(2), axis(2)], c in [150..=230usize, 4..=37usize], seed: u64,
    ) {
        let mut k = case(axes, c, seed);
        let w = weights(c[1] * k.window.taps() * c[0], &mut k.rng);
        let raw = |k: &Case, at| oracle::conv2d_raw(&k.src, &k.geometry, &w, at);
        let window = k.window;
        let PackedWeights { sums, reach, bytes } = pack(&w, Depth::new(&window, c[0]));
        let sums: Vec<u8> = sums.into_iter().flat_map(i32::to_le_bytes).collect();
        let packed = Packed { sums: &sums, reach: Reach(reach), exact: false };
        check(&mut k, (Op::PackedConv2d(window), &bytes, Some(packed)), c[1], raw)?;
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn of_convolutions(
        axes in [axis(2), axis(2)], c in [1..=9usize, 1..=11usize], seed: u64,
    ) {
        let mut k = case(axes, c, seed);
        let w = weights(c[1] * k.window.taps() * c[0], &mut k.rng);
        let raw = |k: &Case, at| oracle::conv2d_raw(&k.src, &k.geometry, &w, at);
        let window = k.window;
        check(&mut k, (Op::Conv2d(window), &bytes(&w), None), c[1], raw)?;
        if packable(&window, c[0], c[1]) {
            let PackedWeights { sums, reach, bytes } = pack(&w, Depth::new(&window, c[0]));
            let sums: Vec<u8> = sums.into_iter().flat_map(i32::to_le_bytes).collect();
            let packed = Packed { sums: &sums, reach: Reach(reach), exact: false };
            check(&mut k, (Op::PackedConv2d(window), &bytes, Some(packed)), c[1], raw)?;
        }
    }

    #[test]
    fn of_paired_layers(
        h in 1..=3usize, w in 1..=4usize, c in [1..=9usize, 4..=40usize], extreme: bool, seed: u64,
    ) {
        let all = |size: usize| [size, size, 1, 1, 0, 1];
        let mut k = case([all(h), all(w)], c, seed);
        let mut w = weights(c[1] * k.window.taps() * c[0], &mut k.rng);
        if extreme {
            w = w.iter().map(|w| 127 * if *w < 0 { -1 } else { 1 }).collect();
        }
        let raw = |k: &Case, at| oracle::conv2d_raw(&k.src, &k.geometry, &w, at);
        let window = k.window;
        let PackedWeights { sums, reach, mut bytes } = pack(&w, Depth::new(&window, c[0]));
        paired::swap(&mut bytes);
        let sums: Vec<u8> = sums.into_iter().flat_map(i32::to_le_bytes).collect();
        let packed = Packed { sums: &sums, reach: Reach(reach), exact: false };
        check(&mut k, (Op::PairedConv2d(window), &bytes, Some(packed)), c[1], raw)?;
    }

    #[test]
    fn of_depthwise_convolutions(axes in [axis(2), axis(2)], c in 1..=11usize, seed: u64) {
        let mut k = case(axes, [c, c], seed);
        let w = weights(k.window.taps() * c, &mut k.rng);
        let raw = |k: &Case, at| oracle::depthwise_raw(&k.src, &k.geometry, &w, at);
        let op = Op::DepthwiseConv2d(k.window);
        check(&mut k, (op, &bytes(&w), None), c, raw)?;
    }

    #[test]
    fn of_fully_connected_layers(n in 1..=9usize, seed: u64) {
        let mut k = case([[3, 1, 1, 1, 0, 1], [2, 1, 1, 1, 0, 1]], [5, n], seed);
        let w = weights(n * 30, &mut k.rng);
        let raw = |k: &Case, [_, _, o]: [usize; 3]| -> i64 {
            let row = &w[30 * o..][..30];
            let at = |i: usize| k.src.at(i as i64 / 10, i as i64 / 5 % 2, i % 5).unwrap();
            (0..30).map(|i| (at(i) - k.src.zero_point) * i64::from(row[i])).sum()
        };
        check(&mut k, (Op::FullyConnected, &bytes(&w), None), n, raw)?;
    }
}

/// `blob` with statistics of training for the channels of its first layer.
fn with_statistics(blob: &[u8]) -> Vec<u8> {
    let model = Model::parse(blob).unwrap();
    let (mut graph, mut data) = (model.graph(), model.data().to_vec());
    let n = model.constants(0).unwrap().n_channels() as i32;
    data.resize(data.len().next_multiple_of(4), 0);
    graph.layers[0].homeostasis = Some(data.len() as u32);
    let words = (0..n)
        .map(|o| 9 * o - 500)
        .chain((0..n).map(|o| 20_000 + o));
    data.extend(words.flat_map(i32::to_le_bytes));
    encoded(&graph, &data).unwrap()
}

/// The emulated device follows the channels of a layer in parts, as it has more weights than the scratch takes, and
/// learns what the host learns.
#[test]
fn of_a_deep_layer_on_the_device() {
    let case = CASES.iter().find(|c| c.name == "conv3x3_8x8x128_128");
    let blob = with_statistics(&case.unwrap().blob(&M4).unwrap());
    let model = Model::parse(&blob).unwrap();
    let Some(Op::PackedConv2d(window)) = model.layer(0).map(|l| l.op) else {
        panic!("not packed");
    };
    assert!(Depth::new(&window, 128).len() > MAX_WHOLE);
    let config = Config {
        homeostasis: Some(3),
        ..Config::NOTHING
    };
    let mut buffer = vec![0; state_bytes(&model, &config).unwrap()];
    let mut arena = vec![0; model.arena_bytes()];
    let mut host = Plastic::new(&model, config, 5, &mut buffer).unwrap();
    let fresh = host.digest();
    let (mut device, _) = boot(Some(&blob));
    device.configure(config, 5).unwrap();
    let shape = Shape { h: 8, w: 8, c: 128 };
    for pixels in images_of(shape, 4, 9) {
        host.observe(&model, &mut arena, &input_of_pixels(&pixels))
            .unwrap();
        let (parts, last) = pixels.as_chunks::<2048>();
        for (i, part) in parts.iter().enumerate() {
            device.input(2048 * i as u32, part).unwrap();
        }
        assert_eq!(device.infer(last, true).unwrap().scores, host.scores());
        assert_eq!(device.stats().unwrap().state_digest, host.digest());
    }
    assert_ne!(host.digest(), fresh, "nothing was followed");
}
