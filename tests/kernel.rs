//! Every generic kernel against its reference, bit for bit, over random shapes, strides, paddings,
//! dilations, activations and constants; requantization at every border of its arguments.
//!
//! It owns the generators of kernel cases and must not know models. Seeds are fixed.

use aplysia_shared::kernel::dsp::packing::{Channel, Epilogue, Reach};
use aplysia_shared::kernel::{Dst, Src, Weighted, generic};
use aplysia_shared::quant::{self, requantize};
use aplysia_shared::{AddScales, Clamp, Requant, Scaling, Window};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

use crate::oracle::{self, Geometry, Image, Output};

/// A fixed seed and no files.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Image size, kernel, stride, dilation, padding and output size along one axis, as parsing allows.
pub(crate) fn axis(max_dilation: usize) -> impl Strategy<Value = [usize; 6]> {
    let numbers = (1..=9usize, 1..=5usize, 1..=3usize, 1..=max_dilation);
    (numbers, any::<[u16; 2]>()).prop_map(|((size, kernel, stride, dilation), [p, o])| {
        let pad = usize::from(p) % ((kernel - 1) * dilation + 1);
        let out = 1 + usize::from(o) % ((size + pad - 1) / stride + 1);
        [size, kernel, stride, dilation, pad, out]
    })
}

/// A window over an image, output constants and the generator of what else is needed.
pub(crate) struct Case {
    pub(crate) src: Image,
    pub(crate) geometry: Geometry,
    pub(crate) window: Window,
    pub(crate) to: Output,
    pub(crate) rng: ChaCha8Rng,
}

pub(crate) fn case([rows, columns]: [[usize; 6]; 2], [c, out_c]: [usize; 2], seed: u64) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pair = |i: usize| [rows[i], columns[i]];
    let geometry = Geometry {
        kernel: pair(1),
        stride: pair(2),
        dilation: pair(3),
        pad: pair(4),
        out: pair(5),
    };
    let byte = |i: usize| pair(i).map(|x| x as u8);
    let ([kernel_h, kernel_w], [stride_h, stride_w]) = (byte(1), byte(2));
    let ([dilation_h, dilation_w], [pad_top, pad_left]) = (byte(3), byte(4));
    let window = Window {
        kernel_h,
        kernel_w,
        stride_h,
        stride_w,
        dilation_h,
        dilation_w,
        pad_top,
        pad_left,
    };
    let src = image([rows[0], columns[0], c], &mut rng);
    let to = output(out_c, &mut rng);
    Case {
        src,
        geometry,
        window,
        to,
        rng,
    }
}

pub(crate) fn image([h, w, c]: [usize; 3], rng: &mut ChaCha8Rng) -> Image {
    let extreme = rng.random_bool(0.2);
    let value = |rng: &mut ChaCha8Rng| match extreme {
        true => *[i8::MIN, i8::MAX].get(rng.random_range(0..2)).unwrap(),
        false => rng.random(),
    };
    Image {
        h,
        w,
        c,
        zero_point: rng.random::<i8>().into(),
        data: (0..h * w * c).map(|_| value(rng)).collect(),
    }
}

/// Factors from far too small to saturating, every third layer with a narrow clamp.
pub(crate) fn output(n: usize, rng: &mut ChaCha8Rng) -> Output {
    let [a, b]: [i8; 2] = rng.random();
    let (min, max) = match rng.random_range(0..3) {
        0 => (a.min(b), a.max(b)),
        _ => (i8::MIN, i8::MAX),
    };
    let multiplier = |rng: &mut ChaCha8Rng| match rng.random_range(0..8) {
        0 => 0,
        1 => 1 << 30,
        2 => i32::MAX,
        _ => rng.random_range(1 << 30..=i32::MAX),
    };
    Output {
        bias: (0..n)
            .map(|_| rng.random_range(-500_000..=500_000))
            .collect(),
        multiplier: (0..n).map(|_| multiplier(rng)).collect(),
        shift: (0..n).map(|_| rng.random_range(-16..=2)).collect(),
        zero_point: rng.random::<i8>().into(),
        min,
        max,
    }
}

pub(crate) fn weights(n: usize, rng: &mut ChaCha8Rng) -> Vec<i8> {
    (0..n).map(|_| rng.random_range(-127..=127)).collect()
}

pub(crate) fn bytes(weights: &[i8]) -> Vec<u8> {
    weights.iter().map(|w| w.cast_unsigned()).collect()
}

pub(crate) fn view(image: &Image) -> Src<'_> {
    Src {
        data: &image.data,
        h: image.h,
        w: image.w,
        c: image.c,
        zero_point: image.zero_point as i32,
    }
}

/// Runs `kernel` into an output of shape `[h, w, c]`.
pub(crate) fn run(
    [h, w]: [usize; 2],
    c: usize,
    to: &Output,
    kernel: impl FnOnce(&mut Dst<'_>),
) -> Vec<i8> {
    let mut data = vec![77; h * w * c];
    let clamp = Clamp {
        min: to.min,
        max: to.max,
    };
    kernel(&mut Dst {
        data: &mut data,
        h,
        w,
        c,
        zero_point: to.zero_point as i32,
        clamp,
    });
    data
}

/// Lends the constants of `to` with `weights` to `kernel`.
pub(crate) fn with_constants(to: &Output, weights: &[i8], kernel: impl FnOnce(&Weighted<'_>)) {
    let words = |x: &[i32]| x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (bias, multiplier) = (words(&to.bias), words(&to.multiplier));
    kernel(&Weighted {
        weights: &bytes(weights),
        requant: Requant {
            bias: &bias,
            multiplier: &multiplier,
            shift: &bytes(&to.shift),
        },
    });
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn conv2d_is_its_reference(
        axes in [axis(3), axis(3)], c in [1..=19usize, 1..=9usize], seed: u64,
    ) {
        let mut k = case(axes, c, seed);
        let [kernel_h, kernel_w] = k.geometry.kernel;
        let w = weights(c[1] * kernel_h * kernel_w * c[0], &mut k.rng);
        let got = run(k.geometry.out, c[1], &k.to, |dst| {
            with_constants(&k.to, &w, |constants| {
                generic::conv2d_s8(&view(&k.src), dst, &k.window, constants);
            });
        });
        prop_assert_eq!(got, oracle::conv2d(&k.src, &k.geometry, &w, &k.to));
    }

    #[test]
    fn depthwise_is_its_reference(
        axes in [axis(3), axis(3)], c in 1..=37usize, seed: u64,
    ) {
        let mut k = case(axes, [c, c], seed);
        let [kernel_h, kernel_w] = k.geometry.kernel;
        let w = weights(kernel_h * kernel_w * c, &mut k.rng);
        let got = run(k.geometry.out, c, &k.to, |dst| {
            with_constants(&k.to, &w, |constants| {
                generic::depthwise_conv2d_s8(&view(&k.src), dst, &k.window, constants);
            });
        });
        prop_assert_eq!(got, oracle::depthwise(&k.src, &k.geometry, &w, &k.to));
    }

    #[test]
    fn pointwise_is_the_1x1_convolution(
        h in 1..=7usize, w in 1..=7usize, c in [1..=33usize, 1..=13usize], seed: u64,
    ) {
        let unit = |size: usize| [size, 1, 1, 1, 0, size];
        let mut k = case([unit(h), unit(w)], c, seed);
        let weights = weights(c[1] * c[0], &mut k.rng);
        let got = run([h, w], c[1], &k.to, |dst| {
            with_constants(&k.to, &weights, |constants| {
                generic::pointwise_conv2d_s8(&view(&k.src), dst, constants);
            });
        });
        prop_assert_eq!(got, oracle::conv2d(&k.src, &k.geometry, &weights, &k.to));
    }

    #[test]
    fn fully_connected_is_its_reference(
        shape in [1..=3usize, 1..=3usize, 1..=33usize], out in 1..=13usize, seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (src, to) = (image(shape, &mut rng), output(out, &mut rng));
        let w = weights(src.data.len() * out, &mut rng);
        let got = run([1, 1], out, &to, |dst| {
            with_constants(&to, &w, |constants| {
                generic::fully_connected_s8(&view(&src), dst, constants);
            });
        });
        prop_assert_eq!(got, oracle::fully_connected(&src, &w, &to));
    }

    #[test]
    fn add_is_its_reference(
        shape in [1..=4usize, 1..=4usize, 1..=9usize], shifts in [-12i8..=0, -12i8..=0, -24i8..=0],
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (lhs, rhs) = (image(shape, &mut rng), image(shape, &mut rng));
        let to = output(1, &mut rng);
        let scales = shifts.map(|s| (rng.random_range(1 << 30..=i32::MAX), s));
        let [l, r, o] = scales.map(|(m, s)| Scaling::new(m, s));
        let got = run([shape[0], shape[1]], shape[2], &to, |dst| {
            let scales = AddScales { lhs: l, rhs: r, output: o };
            generic::add_s8(&view(&lhs), &view(&rhs), dst, &scales);
        });
        prop_assert_eq!(got, oracle::add(&lhs, &rhs, scales, &to));
    }

    #[test]
    fn pools_are_their_references(
        axes in [axis(1), axis(1)], c in 1..=21usize, seed: u64,
    ) {
        let k = case(axes, [c, 1], seed);
        let got = run(k.geometry.out, c, &k.to, |dst| {
            generic::max_pool_s8(&view(&k.src), dst, &k.window);
        });
        prop_assert_eq!(got, oracle::max_pool(&k.src, &k.geometry, &k.to));
        let got = run(k.geometry.out, c, &k.to, |dst| {
            generic::avg_pool_s8(&view(&k.src), dst, &k.window);
        });
        prop_assert_eq!(got, oracle::avg_pool(&k.src, &k.geometry, &k.to));
    }

    #[test]
    fn global_avg_pool_is_its_reference(
        shape in [1..=9usize, 1..=9usize, 1..=37usize], seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (src, to) = (image(shape, &mut rng), output(1, &mut rng));
        let factor = (to.multiplier[0], to.shift[0]);
        let got = run([1, 1], shape[2], &to, |dst| {
            let scaling = Scaling::new(factor.0, factor.1);
            generic::global_avg_pool_s8(&view(&src), dst, scaling);
        });
        prop_assert_eq!(got, oracle::global_avg_pool(&src, factor, &to));
    }

    #[test]
    fn requantize_is_its_reference(acc: i32, multiplier in 0..=i32::MAX, shift in -31i8..=0) {
        check_requantize(acc, multiplier, shift);
    }
}

fn check_requantize(acc: i32, multiplier: i32, shift: i8) {
    let want = oracle::scale(acc.into(), multiplier.into(), shift.into());
    let got = quant::multiply_by_quantized_multiplier(acc, multiplier, shift);
    assert_eq!(i64::from(got), want, "{acc} · {multiplier} · 2^{shift}");
    let want = (want + 3).clamp(-100, 90) as i8;
    let clamp = Clamp { min: -100, max: 90 };
    assert_eq!(requantize(acc, (multiplier, shift), 3, clamp), want);
}

/// Products that end on a half of either sign, powers of two, others, and large powers of two, at the
/// borders of i32, of the multiplier and of the shift.
#[test]
fn requantize_at_the_borders() {
    let half_pos = [1, 3, 5, 127, 255, (1 << 24) + 1];
    let half_neg = half_pos.map(|x| -x);
    let pot = [2, 4, 64, 128, 1024];
    let nonpot = [7, 11, 100, 12_345, -7, -12_345];
    let bigpot = [1 << 29, 1 << 30, -(1 << 29), -(1 << 30)];
    let border = [0, i32::MIN, i32::MIN + 1, i32::MAX - 1, i32::MAX];
    let accs = [&half_pos[..], &half_neg, &pot, &nonpot, &bigpot, &border].concat();
    let multipliers = [
        0,
        1,
        1 << 29,
        1 << 30,
        (1 << 30) + 1,
        3 << 29,
        i32::MAX - 1,
        i32::MAX,
    ];
    for &acc in &accs {
        for multiplier in multipliers {
            for shift in -31..=0 {
                check_requantize(acc, multiplier, shift);
            }
            for shift in 1..=30 {
                let shifted = i64::from(acc) << shift;
                if i32::try_from(shifted).is_ok() {
                    check_requantize(acc, multiplier, shift);
                }
            }
        }
    }
}

/// Ties of the second rounding go away from zero, ties of the first upwards.
#[test]
fn ties_go_where_tensorflow_lite_sends_them() {
    for (x, exponent, want) in [(5, 1, 3), (-5, 1, -3), (6, 2, 2), (-6, 2, -2), (-7, 31, 0)] {
        assert_eq!(quant::rounding_divide_by_pot(x, exponent), want);
    }
    for (x, want) in [(1, 1), (-1, 0), (3, 2), (-3, -1)] {
        assert_eq!(
            quant::saturating_rounding_doubling_high_mul(x, 1 << 30),
            want
        );
    }
    let min = i32::MIN;
    assert_eq!(
        quant::saturating_rounding_doubling_high_mul(min, min),
        i32::MAX
    );
}

/// High words that are ties and their neighbours, where sums reach less far than a divisor and where farther.
#[test]
fn ties_of_a_requantization_go_away_from_zero() {
    let (zero_point, multiplier) = (3, 1 << 30);
    for shift in 2..=22 {
        let (divisor, half) = (1u32 << (32 - shift), 1i32 << (shift - 1));
        let mut paths = BTreeMap::new();
        for reach in [divisor - 1, divisor, (1 << 23) - 1].map(|r| r.min((1 << 23) - 1)) {
            let channel = Channel {
                bias: 0,
                multiplier,
                shift: -(shift as i8),
            };
            assert!(channel.is_exact(Reach(reach)));
            let epilogue = Epilogue::of(&[channel; 4], zero_point, Reach(reach));
            let ties = (-140..140).map(|k| (2 * k + 1) * i64::from(half));
            // With this multiplier the high word is half of the sum.
            let sums = ties.flat_map(|high| (-2..=2).map(move |e| 2 * high + e));
            for acc in sums.filter(|acc| acc.unsigned_abs() <= reach.into()) {
                let acc = acc as i32;
                let want = requantize(acc, (multiplier, -(shift as i8)), zero_point, Clamp::FULL);
                assert_eq!(epilogue.requantize(1, acc), want, "{acc} by 2^{shift}");
                *paths.entry(epilogue.rounding.skip).or_insert(0) += 1;
            }
        }
        // From a shift by 10 on sums may reach a divisor; from 17 on what does not is less than a half.
        let both = (10..=16).contains(&shift);
        assert_eq!(paths.len(), 1 + usize::from(both), "{shift}: {paths:?}");
    }
}
