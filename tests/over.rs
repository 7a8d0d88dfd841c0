//! Kernels whose output lies over an input: against the kernels whose does not, and what parsing says of
//! tensors that share bytes.

use crate::blob::{encoded, tiny};
use crate::kernel::{axis, case, config, image, output, weights, with_constants};
use crate::oracle::{Image, Output};
use aplysia_shared::kernel::dsp::{self, Native, Portable, Slices};
use aplysia_shared::kernel::over::may_lie_over;
use aplysia_shared::kernel::{Dst, Over, Src, generic};
use aplysia_shared::layer::AddScales;
use aplysia_shared::{BlobError, Clamp, Op, Placing, Scaling, Tensor};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn view(image: &Image) -> Src<'_> {
    crate::kernel::view(image)
}

fn clamp(to: &Output) -> Clamp {
    Clamp {
        min: to.min,
        max: to.max,
    }
}

/// What `kernel` makes of `src` in its place: the first `h·w·c` values.
fn over(
    src: &Image,
    [h, w]: [usize; 2],
    to: &Output,
    kernel: impl FnOnce(&mut Over<'_>),
) -> Vec<i8> {
    let mut data = src.data.clone();
    kernel(&mut Over {
        data: &mut data,
        from: [src.h, src.w],
        to: [h, w],
        c: src.c,
        zero_points: [src.zero_point as i32, to.zero_point as i32],
        clamp: clamp(to),
    });
    data.truncate(h * w * src.c);
    data
}

fn apart([h, w]: [usize; 2], c: usize, to: &Output, kernel: impl FnOnce(&mut Dst<'_>)) -> Vec<i8> {
    crate::kernel::run([h, w], c, to, kernel)
}

fn tensor([h, w, c]: [usize; 3]) -> Tensor {
    let [h, w, c] = [h, w, c].map(|n| n as u16);
    Tensor {
        h,
        w,
        c,
        scale: 1.0,
        zero_point: 0,
        offset: 0,
    }
}

fn depthwise_over<S: Slices>(case: &crate::kernel::Case, w: &[i8]) -> Vec<i8> {
    over(&case.src, case.geometry.out, &case.to, |image| {
        with_constants(&case.to, w, |constants| {
            dsp::depthwise_conv2d_over_s8::<S>(image, &case.window, constants);
        });
    })
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn depthwise_over_its_input(
        rows in axis(3), columns in axis(3), c in 1..13usize, seed in any::<u64>()
    ) {
        let mut case = case([rows, columns], [c, c], seed);
        let [h, w] = case.geometry.out;
        let [dst, src] = [[h, w, c], [case.src.h, case.src.w, c]].map(tensor);
        let can = may_lie_over(&Op::DepthwiseConv2d(case.window), [&src, &src], &dst);
        prop_assert_eq!(can, [h <= case.src.h && w <= case.src.w; 2]);
        if can[0] {
            let weights = weights(case.window.taps() * c, &mut case.rng);
            let want = apart(case.geometry.out, c, &case.to, |dst| {
                with_constants(&case.to, &weights, |constants| {
                    generic::depthwise_conv2d_s8(&view(&case.src), dst, &case.window, constants);
                });
            });
            prop_assert_eq!(&depthwise_over::<Native>(&case, &weights), &want);
            prop_assert_eq!(&depthwise_over::<Portable>(&case, &weights), &want);
        }
    }

    /// Images of several strips, constants that the fast kernel takes.
    #[test]
    fn large_depthwise_over_its_input(
        size in 12..40usize, kernel in prop::sample::select(vec![[3u8, 3], [5, 5], [7, 1], [1, 7], [4, 3], [3, 4]]),
        stride in [1..3u8, 1..3u8], far in [1..3u8, 1..3u8], thin: bool,
        c in prop::sample::select(vec![1usize, 2, 3, 4, 6, 8, 16]), seed in any::<u64>()
    ) {
        // Of fewer than four channels, rows so long that there are several strips of them, too.
        let wide = if c < 4 && seed % 2 == 0 { 100 } else { 3 };

        let axis = |size: usize, i: usize| {
            let far = if stride[i] == 1 { far[i] } else { 1 };
            let [k, s, far] = [kernel[i], stride[i], far].map(usize::from);
            [size, k, s, far, (k - 1) * far / 2, size.div_ceil(s)]
        };
        let mut case = case([axis(size, 0), axis(if thin { 1 } else { size + wide }, 1)], [c, c], seed);
        for shift in &mut case.to.shift {
            *shift = -8;
        }
        let weights = weights(case.window.taps() * c, &mut case.rng);
        let want = apart(case.geometry.out, c, &case.to, |dst| {
            with_constants(&case.to, &weights, |constants| {
                generic::depthwise_conv2d_s8(&view(&case.src), dst, &case.window, constants);
            });
        });
        prop_assert_eq!(&depthwise_over::<Native>(&case, &weights), &want);
        prop_assert_eq!(&depthwise_over::<Portable>(&case, &weights), &want);
    }

    #[test]
    fn sums_and_placings_over_their_input(size in [1..30usize, 1..30], c in 1..5usize, seed in any::<u64>()) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let [lhs, rhs] = [0; 2].map(|_| image([size[0], size[1], c], &mut rng));
        let to = output(c, &mut rng);
        let mut scaling = || {
            let multiplier = if rng.random_bool(0.9) { rng.random_range(1 << 30..=i32::MAX) } else { 7 };
            Scaling::new(multiplier, rng.random_range(-20..=0))
        };
        let scales = AddScales { lhs: scaling(), rhs: scaling(), output: scaling() };
        let want = apart(size, c, &to, |dst| generic::add_s8(&view(&lhs), &view(&rhs), dst, &scales));
        let got = over(&lhs, size, &to, |image| {
            dsp::add_over_s8::<Native>(image, &view(&rhs), &scales);
        });
        prop_assert_eq!(&got, &want);
        let got = over(&lhs, size, &to, |image| {
            dsp::add_over_s8::<Portable>(image, &view(&rhs), &scales);
        });
        prop_assert_eq!(&got, &want);
        let placing = Placing { scaling: scales.lhs, first: 0, stride: 1, offset: 0 };
        let want = apart(size, c, &to, |dst| generic::place_s8(&view(&lhs), dst, &placing));
        let got = over(&lhs, size, &to, |image| generic::place_over_s8(image, placing.scaling));
        prop_assert_eq!(got, want);
    }
}

/// The tiny model's layer 1 is depthwise, from tensor 1 to 2, but the sum of layer 3, of tensors 1 and 3 to 4,
/// reads tensor 1, too.
#[test]
fn only_a_tensor_that_nobody_reads_any_more_gives_way() {
    let with = |change: fn(&mut aplysia_shared::GraphV1)| {
        let (mut graph, data) = tiny();
        change(&mut graph);
        encoded(&graph, &data)
    };
    let overlap = |lhs, rhs| Err(BlobError::Overlap { lhs, rhs });
    // The sum lies over either input.
    for input in [1, 3] {
        let over = with(match input {
            1 => |g| g.tensors[4].offset = g.tensors[1].offset,
            _ => |g| g.tensors[4].offset = g.tensors[3].offset,
        });
        assert_eq!(over.unwrap()[10], 4, "asks for runtime interface 4");
    }
    // Not at its start; what is read later; under a layer that cannot.
    assert_eq!(
        with(|g| g.tensors[4].offset = g.tensors[1].offset + 16),
        overlap(4, 1)
    );
    assert_eq!(
        with(|g| g.tensors[2].offset = g.tensors[1].offset),
        overlap(2, 1)
    );
    assert_eq!(
        with(|g| g.tensors[3].offset = g.tensors[2].offset),
        overlap(3, 2)
    );
    assert_eq!(
        with(|g| g.tensors[5].offset = g.tensors[4].offset),
        overlap(5, 4)
    );
    // A sum of a tensor with itself.
    let twice = with(|g| {
        g.layers[3].inputs = [3, 3];
        g.tensors[4].offset = g.tensors[3].offset;
    });
    assert_eq!(twice, overlap(4, 3));
}
