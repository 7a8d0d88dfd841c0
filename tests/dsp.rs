//! The fast kernels against the generic ones, bit for bit, with every instruction set the host has.
//!
//! It owns constants that the fast paths accept and constants that they must refuse, and must not know
//! the arithmetic. Seeds are fixed.

use aplysia_deploy::pack::{PackedWeights, pack};
use aplysia_shared::kernel::dsp::packing::{self, Depth, Reach};
use aplysia_shared::kernel::dsp::{self, Native, Packed, Portable, Simd};
use aplysia_shared::kernel::{Dst, Src, Weighted, generic};
use aplysia_shared::quant::high_product_by_parts;
use aplysia_shared::{AddScales, Clamp, Scaling, Window};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::kernel::{Case, axis, case, config, image, output, run, view, weights, with_constants};
use crate::oracle::Output;

/// What a trained layer has: factors of 2^-15 to 2^-2, small biases, every third layer with a clamp; some layers
/// with one channel beyond that, some with factors of which many sums are ties.
pub(crate) fn tame(to: &mut Output, rng: &mut ChaCha8Rng) {
    let n = to.bias.len();
    let wild = rng.random_bool(0.2).then(|| rng.random_range(0..n));
    let ties = rng.random_bool(0.3);
    for i in (0..n).filter(|&i| Some(i) != wild) {
        to.bias[i] = rng.random_range(-20_000..=20_000);
        to.multiplier[i] = rng.random_range(1 << 30..=i32::MAX);
        to.shift[i] = rng.random_range(-14..=-2);
        if ties {
            (to.multiplier[i], to.shift[i]) = (1 << 30, to.shift[i].max(-7));
        }
    }
    if rng.random_bool(0.1)
        && let Some(i) = wild
    {
        to.shift[i] = -22;
        to.bias[i] = 8_388_607;
    }
}

fn with_packed<S: Simd>(k: &Case, w: &[i8]) -> Vec<i8> {
    by(k, w, |_| {}, dsp::packed_conv2d_s8::<S>)
}

/// Output of `kernel` with the weights `w` packed, then changed.
pub(crate) fn by(
    k: &Case,
    w: &[i8],
    change: impl FnOnce(&mut Vec<u8>),
    kernel: impl Fn(&Src<'_>, &mut Dst<'_>, &Window, &Weighted<'_>, Packed<'_>),
) -> Vec<i8> {
    let packed = pack(w, Depth::new(&k.window, k.src.c));
    let PackedWeights {
        sums,
        reach,
        mut bytes,
    } = packed;
    change(&mut bytes);
    let sums: Vec<u8> = sums.into_iter().flat_map(i32::to_le_bytes).collect();
    let packed = Packed {
        sums: &sums,
        reach: Reach(reach),
        exact: false,
    };
    run(k.geometry.out, k.to.bias.len(), &k.to, |dst| {
        with_constants(&k.to, w, |constants| {
            let constants = &Weighted {
                weights: &bytes,
                requant: constants.requant,
            };
            let packed = packed.proved(&constants.requant, k.src.zero_point as i32);
            kernel(&view(&k.src), dst, &k.window, constants, packed);
        });
    })
}

pub(crate) fn with_plain(k: &Case, w: &[i8]) -> Vec<i8> {
    run(k.geometry.out, k.to.bias.len(), &k.to, |dst| {
        with_constants(&k.to, w, |constants| {
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
    let want = with_plain(&k, &w);
    prop_assert_eq!(&with_packed::<Native>(&k, &w), &want);
    prop_assert_eq!(&with_packed::<Portable>(&k, &w), &want);
    Ok(())
}

fn check_linear(shape: [usize; 3], out: usize, seed: u64) -> Result<(), TestCaseError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (src, to) = (image(shape, &mut rng), output(out, &mut rng));
    let w = weights(src.data.len() * out, &mut rng);
    type Linear = fn(&Src<'_>, &mut Dst<'_>, &Weighted<'_>);
    let with = |linear: Linear| {
        run([1, 1], out, &to, |dst| {
            with_constants(&to, &w, |constants| linear(&view(&src), dst, constants));
        })
    };
    let want = with(generic::fully_connected_s8);
    prop_assert_eq!(&with(dsp::fully_connected_s8::<Native>), &want);
    prop_assert_eq!(&with(dsp::fully_connected_s8::<Portable>), &want);
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
        h in 1..=7usize, w in 1..=7usize, c in [1..=140usize, 4..=140usize], seed: u64,
    ) {
        let unit = |size: usize| [size, 1, 1, 1, 0, size];
        check_conv(case([unit(h), unit(w)], c, seed))?;
    }

    #[test]
    fn packed_vectors_are_the_generic_ones(
        h in 1..=4usize, w in 1..=6usize, c in [1..=16usize, 4..=70usize], seed: u64,
    ) {
        let all = |size: usize| [size, size, 1, 1, 0, 1];
        let k = case([all(h), all(w)], c, seed);
        prop_assume!(packing::packable(&k.window, c[0], c[1]));
        check_conv(k)?;
    }

    #[test]
    fn fully_connected_is_the_generic_one(
        shape in [1..=3usize, 1..=3usize, 1..=70usize], out in 1..=13usize, seed: u64,
    ) {
        check_linear(shape, out, seed)?;
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
        let want = with(generic::add_s8);
        prop_assert_eq!(&with(dsp::add_s8::<Native>), &want);
        prop_assert_eq!(&with(dsp::add_s8::<Portable>), &want);
    }

    #[test]
    fn pools_are_the_generic_ones(axes in [axis(1), axis(1)], c in 1..=37usize, seed: u64) {
        check_pools(&case(axes, [c, 1], seed))?;
    }

    #[test]
    fn large_pools_are_the_generic_ones(
        [h, w] in [[1..=40usize, 1..=17usize, 1..=9usize], [1..=40usize, 1..=17usize, 1..=9usize]],
        c in 1..=9usize, seed: u64,
    ) {
        let side = |[size, kernel, pad]: [usize; 3]| {
            let pad = pad.min(kernel - 1);
            [size, kernel, 1, 1, pad, size]
        };
        check_pools(&case([side(h), side(w)], [c, 1], seed))?;
    }

    #[test]
    fn global_avg_pool_is_the_generic_one(
        shape in [1..=17usize, 1..=17usize, 1..=37usize], seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (src, to) = (image(shape, &mut rng), output(1, &mut rng));
        let scaling = Scaling::new(to.multiplier[0], to.shift[0]);
        let with = |pool: fn(&Src<'_>, &mut Dst<'_>, Scaling)| {
            run([1, 1], shape[2], &to, |dst| pool(&view(&src), dst, scaling))
        };
        let want = with(generic::global_avg_pool_s8);
        prop_assert_eq!(&with(dsp::global_avg_pool_s8::<Native>), &want);
        prop_assert_eq!(&with(dsp::global_avg_pool_s8::<Portable>), &want);
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
        prop_assert_eq!(halves(Native::sxtab16(y, x)), [y0 + a, y1 + c].map(|h| i32::from(h as i16)));
        prop_assert_eq!(halves(Native::sxtab16_ror8(y, x)), [y0 + b, y1 + d].map(|h| i32::from(h as i16)));
        let pairs = || bytes(x).into_iter().zip(bytes(y));
        prop_assert_eq!(bytes(Native::max4(x, y)).to_vec(), pairs().map(|(x, y)| x.max(y)).collect::<Vec<_>>());
        prop_assert_eq!(bytes(Native::min4(x, y)).to_vec(), pairs().map(|(x, y)| x.min(y)).collect::<Vec<_>>());
        let wide = |h: i32| (i64::from(acc) + (i64::from(x as i32) * i64::from(h)).div_euclid(1 << 16)) as i32;
        prop_assert_eq!([Native::smlawb(x as i32, y, acc), Native::smlawt(x as i32, y, acc)], [y0, y1].map(wide));
        let product = i128::from(x as i32) * i128::from(y as i32) + (1 << 31);
        prop_assert_eq!(Native::smmlar(x as i32, y as i32, acc), (i128::from(acc) + product.div_euclid(1 << 32)) as i32);
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn wide_convolution_is_the_generic_one(
        axes in [axis(2), axis(2)], c in [60..=150usize, 4..=71usize], seed: u64,
    ) {
        prop_assume!(axes[0][1] * axes[1][1] * c[0] <= 2600);
        check_conv(case(axes, c, seed))?;
    }

    #[test]
    fn long_vectors_are_the_generic_ones(
        h in 1..=4usize, w in 1..=6usize, c in [90..=260usize, 4..=270usize], seed: u64,
    ) {
        let all = |size: usize| [size, size, 1, 1, 0, 1];
        check_conv(case([all(h), all(w)], c, seed))?;
    }

    #[test]
    fn long_fully_connected_is_the_generic_one(n in 2000..=6500usize, out in 1..=70usize, seed: u64) {
        check_linear([1, 1, n], out, seed)?;
    }
}

fn check_pools(k: &Case) -> Result<(), TestCaseError> {
    type Pool = fn(&Src<'_>, &mut Dst<'_>, &Window);
    let with = |pool: Pool| {
        run(k.geometry.out, k.src.c, &k.to, |dst| {
            pool(&view(&k.src), dst, &k.window);
        })
    };
    let fast: [[Pool; 3]; 2] = [
        [
            generic::max_pool_s8,
            dsp::max_pool_s8::<Native>,
            dsp::max_pool_s8::<Portable>,
        ],
        [
            generic::avg_pool_s8,
            dsp::avg_pool_s8::<Native>,
            dsp::avg_pool_s8::<Portable>,
        ],
    ];
    for [want, native, portable] in fast {
        let want = with(want);
        prop_assert_eq!(&with(native), &want);
        prop_assert_eq!(&with(portable), &want);
    }
    Ok(())
}

/// Sums over up to 255 values in a row of pixels: every one up to 40 values, then those next to a tie
/// and to an integer.
#[test]
fn means_round_as_the_generic_ones() {
    for n in 1..=255u8 {
        let window = Window {
            kernel_w: n,
            ..Window::square(1, 1, 0)
        };
        let n = usize::from(n);
        let near = |i: usize| n <= 40 || (n / 2).abs_diff(i) <= 1 || i <= 1 || i + 1 == n;
        for (low, more) in (-128..=127i8).flat_map(|low| (0..n).map(move |more| (low, more))) {
            if !near(more) {
                continue;
            }
            let value = |i: usize| low.saturating_add(i8::from(i / 4 < more));
            let data: Vec<_> = (0..4 * n).map(value).collect();
            let src = Src {
                data: &data,
                h: 1,
                w: n,
                c: 4,
                zero_point: 0,
            };
            let mut out = [0; 4];
            let mut dst = Dst {
                data: &mut out,
                h: 1,
                w: 1,
                c: 4,
                zero_point: 0,
                clamp: Clamp::FULL,
            };
            dsp::avg_pool_s8::<Portable>(&src, &mut dst, &window);
            let sum: i32 = data.iter().step_by(4).map(|&q| i32::from(q)).sum();
            let n = n as i32;
            let half = if sum > 0 { n / 2 } else { -(n / 2) };
            assert_eq!(out, [((sum + half) / n) as i8; 4], "{sum} / {n}");
        }
    }
}

/// The deepest layers that are packed, all weights at their limit, where pairs of channels would
/// overflow and the exact path takes over.
#[test]
fn the_deepest_layers_are_exact() {
    let three = Window::square(3, 1, 1);
    // A fully connected layer is a window over all of its input.
    for (n, seed) in [
        (640, 4),
        (1024, 5),
        (4, 6),
        (1028, 7),
        (2048, 8),
        (65_536, 9),
    ] {
        let side = [1, 1, 1, 1, 0, 1];
        check_conv(case([side, side], [n, 9], seed)).unwrap();
    }
    for (c, seed) in [
        (64, 1),
        (112, 2),
        (21, 3),
        (22, 4),
        (116, 5),
        (513, 6),
        (1024, 7),
    ] {
        let side = |size| [size, 3, 1, 1, 1, size];
        assert!(packing::packable(&three, c, 9), "{c}");
        check_conv(case([side(3), side(2)], [c, 9], seed)).unwrap();
    }
    for (c, out_ch) in [(7282, 9), (1, 3)] {
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
