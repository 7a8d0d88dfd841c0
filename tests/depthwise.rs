//! The fast depthwise convolutions against the generic one, bit for bit, with every instruction set the host
//! has.
//!
//! It owns the shapes: windows, strides, dilations and paddings of every kind. Seeds are fixed.

use aplysia_shared::kernel::dsp::{self, Native, Portable};
use aplysia_shared::kernel::{Dst, Weighted, generic};
use proptest::prelude::*;
use rand::Rng;

use crate::dsp::tame;
use crate::kernel::{Case, case, config, run, view, weights, with_constants};

fn check_depthwise(mut k: Case) -> Result<(), TestCaseError> {
    tame(&mut k.to, &mut k.rng);
    let c = k.src.c;
    let w = weights(k.window.taps() * c, &mut k.rng);
    let w: Vec<i8> = match k.rng.random_range(0..8) {
        0 => w.iter().map(|w| if *w < 0 { -127 } else { 127 }).collect(),
        1 => vec![127; w.len()],
        _ => w,
    };
    let with = |f: fn(&Case, &mut Dst<'_>, &Weighted<'_>)| {
        run(k.geometry.out, c, &k.to, |dst| {
            with_constants(&k.to, &w, |constants| f(&k, dst, constants))
        })
    };
    let want = with(|k, dst, constants| {
        generic::depthwise_conv2d_s8(&view(&k.src), dst, &k.window, constants);
    });
    let native = with(|k, dst, constants| {
        dsp::depthwise_conv2d_s8::<Native>(&view(&k.src), dst, &k.window, constants);
    });
    let portable = with(|k, dst, constants| {
        dsp::depthwise_conv2d_s8::<Portable>(&view(&k.src), dst, &k.window, constants);
    });
    prop_assert_eq!(&native, &want);
    prop_assert_eq!(&portable, &want);
    Ok(())
}

/// An axis with padding up to `pad`, and up to `cut` outputs left out.
fn any_axis([size, kernel, stride, far]: [usize; 4], pad: usize, cut: usize) -> [usize; 6] {
    let pad = pad.min((kernel - 1) * far);
    let most = (size + pad - 1) / stride + 1;
    [
        size,
        kernel,
        stride,
        far,
        pad,
        (most - cut.min(most - 1)).max(1),
    ]
}

/// Every image of up to 5×5 pixels with every window of up to 4×4 and every stride of up to 3, the largest
/// padding that there can be, or none.
#[test]
fn every_small_window_is_the_generic_one() {
    let upto = |n: usize, m: usize| (1..=n).flat_map(move |a| (1..=m).map(move |b| [a, b]));
    let mut seed = 0;
    for ((size, kernel), stride) in upto(5, 5)
        .flat_map(|size| upto(4, 4).map(move |kernel| (size, kernel)))
        .flat_map(|of| upto(3, 3).map(move |stride| (of, stride)))
    {
        let padded = seed % 2;
        let axis = |i: usize| {
            let pad = padded * (kernel[i] - 1);
            let out = (size[i] + pad - 1) / stride[i] + 1;
            [size[i], kernel[i], stride[i], 1, pad, out]
        };
        seed += 1;
        let c = 4 + seed % 6;
        check_depthwise(case([axis(0), axis(1)], [c, c], seed as u64)).unwrap();
    }
}

/// Every image of up to 8×8 pixels with either square window, step and padding.
#[test]
fn every_small_shape_is_the_generic_one() {
    let mut seed = 0;
    for (h, w) in (1..=8usize).flat_map(|h| (1..=8).map(move |w| (h, w))) {
        for (kernel, (step, pad)) in [
            (3, (1, 0)),
            (3, (1, 1)),
            (3, (2, 0)),
            (3, (2, 1)),
            (3, (1, 2)),
        ]
        .into_iter()
        .chain((0..5).flat_map(|pad| [(5, (1, pad)), (5, (2, pad))]))
        {
            let axis = |size: usize| [size, kernel, step, 1, pad, (size + pad - 1) / step + 1];
            seed += 1;
            let c = 4 + seed as usize % 3;
            check_depthwise(case([axis(h), axis(w)], [c, c], seed)).unwrap();
        }
    }
}

/// Fewer than four channels, with images as wide as there is room for and wider.
#[test]
fn few_channels_are_the_generic_ones() {
    for seed in 0..600usize {
        let kernel = [1, 2, 3, 3, 5, 7][seed % 6];
        let (step, far) = [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1)][seed / 6 % 5];
        let size = match seed % 50 {
            0 => [3, 700],
            1 => [4, 230],
            _ => [1 + seed % 23, 1 + seed / 7 % 31],
        };
        let axis = |i: usize| any_axis([size[i], kernel, step, far], [0, kernel / 2 * far][i], 0);
        let c = 1 + seed % 3;
        check_depthwise(case([axis(seed % 2), axis(1)], [c, c], seed as u64)).unwrap();
    }
}

/// Rows that the scratch takes in pieces only.
#[test]
fn wide_images_are_the_generic_ones() {
    for seed in 0..60usize {
        let [kernel, step, far] = [[3, 1, 1], [5, 1, 1], [3, 2, 1], [3, 1, 2], [4, 3, 1]][seed % 5];
        // Turned where the image is high: the window is higher than wide then.
        let turned = seed % 7 == 0;
        let long = if turned { kernel + 2 } else { kernel };
        let wide = any_axis(
            [165 + 23 * seed % 400, long, step, far],
            kernel / 2 * far,
            seed % 2,
        );
        let high = any_axis([1 + seed % 9, kernel, step, far], kernel / 2 * far, 0);
        let axes = if turned { [wide, high] } else { [high, wide] };
        let c = 4 + seed % 5;
        check_depthwise(case(axes, [c, c], seed as u64)).unwrap();
    }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn square_windows_are_the_generic_ones(
        size in [1..=40usize, 1..=40usize], wide: bool, step in 1..=2usize, far in 1..=3usize,
        pad in [0..=6usize, 0..=6usize],
        cut in [0..=2usize, 0..=2usize], c in 1..=21usize, seed: u64,
    ) {
        let kernel = if wide { 5 } else { 3 };
        let far = if step == 1 { far } else { 1 };
        let axis = |i: usize| any_axis([size[i], kernel, step, far], pad[i], cut[i]);
        check_depthwise(case([axis(0), axis(1)], [c, c], seed))?;
    }

    #[test]
    fn any_window_is_the_generic_one(
        size in [1..=40usize, 1..=40usize], kernel in [1..=11usize, 1..=11usize],
        stride in [1..=4usize, 1..=4usize], far in [1..=3usize, 1..=3usize],
        pad in [0..=30usize, 0..=30usize], cut in [0..=2usize, 0..=2usize], c in 1..=13usize, seed: u64,
    ) {
        let axis = |i: usize| {
            // Mostly a stride or a dilation, not both.
            let far = if stride[i] > 1 && seed % 8 > 0 { 1 } else { far[i] };
            any_axis([size[i], kernel[i], stride[i], far], pad[i], cut[i])
        };
        check_depthwise(case([axis(0), axis(1)], [c, c], seed))?;
    }

    /// As in networks over time: one row or one column, long windows, large dilations.
    #[test]
    fn windows_over_time_are_the_generic_one(
        size in 1..=120usize, beside in 1..=3usize, kernel in 1..=90usize, stride in 1..=3usize,
        far in prop::sample::select(vec![1usize, 2, 3, 4, 8, 16]), pad in 0..=200usize,
        turned: bool, c in 1..=13usize, seed: u64,
    ) {
        let far = if stride == 1 && kernel * far <= 255 { far } else { 1 };
        let time = any_axis([size, kernel, stride, far], pad, 0);
        let beside = [beside, 1, 1, 1, 0, beside];
        let axes = if turned { [time, beside] } else { [beside, time] };
        check_depthwise(case(axes, [c, c], seed))?;
    }
}
