//! The fast kernels against the generic ones, bit for bit, with every instruction set the host has.
//!
//! It owns constants that the fast paths accept and constants that they must refuse, and must not know
//! the arithmetic. Seeds are fixed.

use aplysia_deploy::pack::{PackedWeights, pack};
use aplysia_shared::kernel::dsp::packing::{self, Depth, Reach};
use aplysia_shared::kernel::dsp::{self, Native, Packed, Portable, Simd};
use aplysia_shared::kernel::{Dst, Src, Weighted, generic};
use aplysia_shared::quant::high_product_by_parts;
use aplysia_shared::{AddScales, ChannelStat, Scaling, Window};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::kernel::{Case, axis, case, config, image, output, run, view, weights, with_constants};
use crate::oracle::Output;

/// What a trained layer has: factors of 2^-22 to 2^-1, small biases, every third layer with a clamp;
/// some layers with one channel beyond that.
fn tame(to: &mut Output, rng: &mut ChaCha8Rng) {
    let n = to.bias.len();
    let wild = rng.random_bool(0.2).then(|| rng.random_range(0..n));
    for i in (0..n).filter(|&i| Some(i) != wild) {
        to.bias[i] = rng.random_range(-20_000..=20_000);
        to.multiplier[i] = rng.random_range(1 << 30..=i32::MAX);
        to.shift[i] = rng.random_range(-14..=-1);
    }
    if rng.random_bool(0.1)
        && let Some(i) = wild
    {
        to.shift[i] = -22;
        to.bias[i] = 8_388_607;
    }
}

fn with_packed<S: Simd>(k: &Case, w: &[i8], stats: Option<&mut [ChannelStat]>) -> Vec<i8> {
    let PackedWeights { sums, reach, bytes } = pack(w, Depth::new(&k.window, k.src.c));
    let sums: Vec<u8> = sums.into_iter().flat_map(i32::to_le_bytes).collect();
    let packed = Packed {
        sums: &sums,
        reach: Reach(reach),
    };
    run(k.geometry.out, k.to.bias.len(), &k.to, |dst| {
        with_constants(&k.to, w, |constants| {
            let constants = &mut Weighted {
                weights: &bytes,
                requant: constants.requant,
                stats,
            };
            dsp::packed_conv2d_s8::<S>(&view(&k.src), dst, &k.window, constants, packed);
        });
    })
}

fn with_plain(k: &Case, w: &[i8], stats: Option<&mut [ChannelStat]>) -> Vec<i8> {
    run(k.geometry.out, k.to.bias.len(), &k.to, |dst| {
        with_constants(&k.to, w, |constants| {
            let constants = &mut Weighted {
                weights: constants.weights,
                requant: constants.requant,
                stats,
            };
            generic::conv2d_s8(&view(&k.src), dst, &k.window, constants);
        });
    })
}

fn check_conv(mut k: Case) -> Result<(), TestCaseError> {
    tame(&mut k.to, &mut k.rng);
    let (depth, out_ch) = (k.window.taps() * k.src.c, k.to.bias.len());
    let w = weights(depth * out_ch, &mut k.rng);
    let w: Vec<i8> = match k.rng.random_range(0..4) {
        0 => w.iter().map(|w| if *w < 0 { -127 } else { 127 }).collect(),
        _ => w,
    };
    let want = with_plain(&k, &w, None);
    prop_assert_eq!(&with_packed::<Native>(&k, &w, None), &want);
    prop_assert_eq!(&with_packed::<Portable>(&k, &w, None), &want);
    let mut stats = vec![
        ChannelStat {
            center: 40,
            ..ChannelStat::default()
        };
        out_ch
    ];
    let mut seen = stats.clone();
    prop_assert_eq!(with_plain(&k, &w, Some(&mut seen)), want.clone());
    prop_assert_eq!(with_packed::<Native>(&k, &w, Some(&mut stats)), want);
    prop_assert_eq!(stats, seen);
    Ok(())
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn packed_convolution_is_the_generic_one(
        axes in [axis(3), axis(3)], c in [1..=20usize, 4..=21usize], seed: u64,
    ) {
        let k = case(axes, c, seed);
        prop_assume!(packing::packable(&k.window, c[0], c[1]));
        check_conv(k)?;
    }

    #[test]
    fn packed_pointwise_is_the_generic_one(
        h in 1..=7usize, w in 1..=7usize, c in [1..=64usize, 4..=140usize], seed: u64,
    ) {
        let unit = |size: usize| [size, 1, 1, 1, 0, size];
        check_conv(case([unit(h), unit(w)], c, seed))?;
    }

    #[test]
    fn depthwise_is_the_generic_one(
        size in [1..=40usize, 1..=40usize], wide: bool, step in 1..=2usize, pad in [0..=2usize, 0..=2usize],
        cut in [0..=2usize, 0..=2usize], c in 1..=21usize, seed: u64,
    ) {
        let kernel = if wide { 5 } else { 3 };
        let axis = |i: usize| {
            let pad = pad[i].min(kernel - 1);
            let most = (size[i] + pad - 1) / step + 1;
            [size[i], kernel, step, 1, pad, (most - cut[i].min(most - 1)).max(1)]
        };
        let mut k = case([axis(0), axis(1)], [c, c], seed);
        tame(&mut k.to, &mut k.rng);
        let w = weights(kernel * kernel * c, &mut k.rng);
        let with = |f: fn(&Case, &mut Dst<'_>, &mut Weighted<'_>)| {
            run(k.geometry.out, c, &k.to, |dst| with_constants(&k.to, &w, |constants| f(&k, dst, constants)))
        };
        let want = with(|k, dst, constants| {
            generic::depthwise_conv2d_s8(&view(&k.src), dst, &k.window, constants);
        });
        prop_assert_eq!(&with(|k, dst, constants| {
            dsp::depthwise_conv2d_s8::<Native>(&view(&k.src), dst, &k.window, constants);
        }), &want);
        prop_assert_eq!(&with(|k, dst, constants| {
            dsp::depthwise_conv2d_s8::<Portable>(&view(&k.src), dst, &k.window, constants);
        }), &want);
    }

    #[test]
    fn fully_connected_is_the_generic_one(
        shape in [1..=3usize, 1..=3usize, 1..=70usize], out in 1..=13usize, seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (src, to) = (image(shape, &mut rng), output(out, &mut rng));
        let w = weights(src.data.len() * out, &mut rng);
        let want = run([1, 1], out, &to, |dst| with_constants(&to, &w, |constants| {
            generic::fully_connected_s8(&view(&src), dst, constants);
        }));
        let got = run([1, 1], out, &to, |dst| with_constants(&to, &w, |constants| {
            dsp::fully_connected_s8::<Native>(&view(&src), dst, constants);
        }));
        prop_assert_eq!(got, want);
    }

    #[test]
    fn add_is_the_generic_one(
        shape in [1..=9usize, 1..=9usize, 10..=40usize], shifts in [-12i8..=0, -12i8..=0, -24i8..=0],
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (lhs, rhs) = (image(shape, &mut rng), image(shape, &mut rng));
        let to = output(1, &mut rng);
        let [lhs_scale, rhs_scale, sum] =
            shifts.map(|s| Scaling::new(rng.random_range(1 << 30..=i32::MAX), s));
        let scales = AddScales { lhs: lhs_scale, rhs: rhs_scale, output: sum };
        let with = |add: fn(&Src<'_>, &Src<'_>, &mut Dst<'_>, &AddScales)| {
            run([shape[0], shape[1]], shape[2], &to, |dst| add(&view(&lhs), &view(&rhs), dst, &scales))
        };
        prop_assert_eq!(with(dsp::add_s8), with(generic::add_s8));
    }

    #[test]
    fn high_products_by_parts_are_exact(a in -(1 << 23) + 1..1 << 23, b in 0..=i32::MAX) {
        let want = (i64::from(a) * i64::from(b) + (1 << 30)) >> 31;
        prop_assert_eq!(i64::from(high_product_by_parts(a, b)), want);
    }

    #[test]
    fn instructions_are_their_twins(x: u32, y: u32, acc: i32) {
        let bytes = |x: u32| x.to_le_bytes().map(|b| i32::from(b.cast_signed()));
        let halves = |x: u32| [i32::from(x as u16 as i16), i32::from((x >> 16) as u16 as i16)];
        let [a, b, c, d] = bytes(x);
        prop_assert_eq!(halves(Native::sxtb16(x)), [a, c]);
        prop_assert_eq!(halves(Native::sxtb16_ror8(x)), [b, d]);
        let ([x0, x1], [y0, y1]) = (halves(x), halves(y));
        let want = i64::from(acc) + i64::from(x0) * i64::from(y0) + i64::from(x1) * i64::from(y1);
        prop_assert_eq!(Native::smlad(x, y, acc), want as i32);
        prop_assert_eq!(halves(Native::ssub16(x, y)), [x0 - y0, x1 - y1].map(|h| i32::from(h as i16)));
    }
}

/// The deepest layers that are packed, all weights at their limit, where pairs of channels would
/// overflow and the exact path takes over.
#[test]
fn the_deepest_layers_are_exact() {
    let three = Window::square(3, 1, 1);
    // A fully connected layer is a window over all of its input.
    for (n, seed) in [(640, 4), (1024, 5), (4, 6)] {
        let side = [1, 1, 1, 1, 0, 1];
        check_conv(case([side, side], [n, 9], seed)).unwrap();
    }
    for (c, seed) in [(64, 1), (112, 2), (21, 3)] {
        let side = |size| [size, 3, 1, 1, 1, size];
        assert!(packing::packable(&three, c, 9), "{c}");
        check_conv(case([side(3), side(2)], [c, 9], seed)).unwrap();
    }
    for (c, out_ch) in [(22, 9), (116, 9), (1, 3)] {
        assert!(!packing::packable(&three, c, out_ch), "{c} {out_ch}");
    }
}

/// Weights read back from their packed form.
#[test]
fn packing_keeps_every_weight() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    for (rows, run, n) in [(1, 1, 4), (3, 3, 5), (3, 6, 6), (3, 9, 7), (1, 64, 8)] {
        let depth = Depth { rows, run };
        let w = weights(rows * run * n, rng);
        let packed = pack(&w, depth).bytes;
        for (o, row) in w.chunks_exact(rows * run).enumerate() {
            let block = (o / 4).min(n.div_ceil(4) - 1);
            let bytes = &packed[block * depth.block_bytes()..];
            let lane = o - packing::first_channel(block, n);
            for (i, &w) in row.iter().enumerate() {
                let got = packing::weight(bytes, depth.of(i), lane);
                assert_eq!(got, i32::from(w), "{depth:?} {n} {o} {i}");
            }
        }
    }
}
