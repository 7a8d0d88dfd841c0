//! Maps without numbers of their own: rectified, side by side, taken apart, moved.

use super::tensor::{by_element, contiguous, dims, empty, empty_like};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

#[cube(launch)]
fn rectified(x: &Array<f32>, y: &mut Array<f32>) {
    if ABSOLUTE_POS >= y.len() {
        terminate!();
    }
    y[ABSOLUTE_POS] = max(x[ABSOLUTE_POS], 0.0f32);
}

/// `max(x, 0)`; `x` is contiguous.
pub(super) fn rectify<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let y = empty_like(&x);
    let (count, dim) = by_element(&y);
    rectified::launch::<R>(
        &y.client,
        count,
        dim,
        x.into_array_arg(),
        y.clone().into_array_arg(),
    );
    y
}

#[cube(launch)]
fn rectified_back(y: &Array<f32>, grad: &Array<f32>, dx: &mut Array<f32>) {
    if ABSOLUTE_POS >= dx.len() {
        terminate!();
    }
    let mut value = grad[ABSOLUTE_POS];
    if y[ABSOLUTE_POS] <= 0.0f32 {
        value = 0.0f32;
    }
    dx[ABSOLUTE_POS] = value;
}

/// `grad` where `y`, the input or the output of a ReLU, is above 0.
pub(super) fn rectify_back<R: CubeRuntime>(y: CubeTensor<R>, grad: CubeTensor<R>) -> CubeTensor<R> {
    let dx = empty_like(&grad);
    let (count, dim) = by_element(&dx);
    rectified_back::launch::<R>(
        &dx.client,
        count,
        dim,
        contiguous(y).into_array_arg(),
        contiguous(grad).into_array_arg(),
        dx.clone().into_array_arg(),
    );
    dx
}

#[cube(launch)]
fn signed(w: &Array<f32>, signs: &mut Array<f32>, size: f32) {
    if ABSOLUTE_POS >= signs.len() {
        terminate!();
    }
    let value = w[ABSOLUTE_POS];
    let mut sign = 0.0f32;
    if value > 0.0f32 {
        sign = size;
    }
    if value < 0.0f32 {
        sign = -size;
    }
    signs[ABSOLUTE_POS] = sign;
}

/// See [`crate::ops::LearnOps::signs`].
pub(super) fn signs<R: CubeRuntime>(w: CubeTensor<R>, size: f32) -> CubeTensor<R> {
    let signs = empty_like(&w);
    let (count, dim) = by_element(&signs);
    signed::launch::<R>(
        &signs.client,
        count,
        dim,
        contiguous(w).into_array_arg(),
        signs.clone().into_array_arg(),
        size,
    );
    signs
}

#[cube(launch)]
fn signed_by(w: &Array<f32>, m: &Array<f32>, signs: &mut Array<f32>) {
    if ABSOLUTE_POS >= signs.len() {
        terminate!();
    }
    let value = w[ABSOLUTE_POS];
    let size = m[ABSOLUTE_POS];
    let mut sign = 0.0f32;
    if value > 0.0f32 {
        sign = size;
    }
    if value < 0.0f32 {
        sign = -size;
    }
    signs[ABSOLUTE_POS] = sign;
}

/// See [`crate::ops::LearnOps::signs_by`].
pub(super) fn signs_by<R: CubeRuntime>(w: CubeTensor<R>, m: CubeTensor<R>) -> CubeTensor<R> {
    let signs = empty_like(&w);
    let (count, dim) = by_element(&signs);
    signed_by::launch::<R>(
        &signs.client,
        count,
        dim,
        contiguous(w).into_array_arg(),
        contiguous(m).into_array_arg(),
        signs.clone().into_array_arg(),
    );
    signs
}

#[cube(launch)]
fn side_by_side(maps: Sequence<Array<f32>>, all: &mut Array<f32>, width: usize) {
    if ABSOLUTE_POS >= all.len() {
        terminate!();
    }
    let pixel = ABSOLUTE_POS / width;
    let c = ABSOLUTE_POS % width;
    let n_pixels = all.len() / width;
    let mut first = 0usize;
    #[unroll]
    for i in 0..maps.len() {
        let map = maps.index(i);
        let its = map.len() / n_pixels;
        if c >= first && c < first + its {
            all[ABSOLUTE_POS] = map[pixel * its + c - first];
        }
        first += its;
    }
}

/// See [`crate::ops::LearnOps::concat_forward`].
pub(super) fn concat<R: CubeRuntime>(maps: Vec<CubeTensor<R>>) -> CubeTensor<R> {
    let [n, h, w, _] = dims(&maps[0]);
    let width = maps.iter().map(|m| dims::<R, 4>(m)[3]).sum();
    let all = empty(&maps[0], [n, h, w, width]);
    let (count, dim) = by_element(&all);
    let mut args = SequenceArg::new();
    for map in maps {
        args.push(contiguous(map).into_array_arg());
    }
    side_by_side::launch::<R>(
        &all.client,
        count,
        dim,
        args,
        all.clone().into_array_arg(),
        width,
    );
    all
}

#[cube(launch)]
fn taken(all: &Array<f32>, map: &mut Array<f32>, first: usize, width: usize, its: usize) {
    if ABSOLUTE_POS >= map.len() {
        terminate!();
    }
    map[ABSOLUTE_POS] = all[ABSOLUTE_POS / its * width + first + ABSOLUTE_POS % its];
}

/// See [`crate::ops::LearnOps::split`].
pub(super) fn split<R: CubeRuntime>(all: CubeTensor<R>, widths: &[usize]) -> Vec<CubeTensor<R>> {
    let all = contiguous(all);
    let [n, h, w, width] = dims(&all);
    let firsts = widths.iter().scan(0, |end, its| {
        let first = *end;
        *end += its;
        Some(first)
    });
    let take = |(first, &its): (usize, &usize)| {
        let map = empty(&all, [n, h, w, its]);
        let (count, dim) = by_element(&map);
        taken::launch::<R>(
            &map.client,
            count,
            dim,
            all.clone().into_array_arg(),
            map.clone().into_array_arg(),
            first,
            width,
            its,
        );
        map
    };
    firsts.zip(widths).map(take).collect()
}

#[cube(launch)]
fn shifted(
    x: &Array<f32>,
    y: &mut Array<f32>,
    h: usize,
    w: usize,
    c: usize,
    #[comptime] back: bool,
) {
    if ABSOLUTE_POS >= y.len() {
        terminate!();
    }
    let col = ABSOLUTE_POS / c % w;
    let row = ABSOLUTE_POS / c / w % h;
    let step = (w + 1) * c;
    let mut value = 0.0f32;
    if back {
        if row > 0 && col > 0 {
            value = x[ABSOLUTE_POS - step];
        }
    } else {
        if row + 1 < h && col + 1 < w {
            value = x[ABSOLUTE_POS + step];
        }
    }
    y[ABSOLUTE_POS] = value;
}

/// See [`crate::ops::LearnOps::shift_forward`].
pub(super) fn shift<R: CubeRuntime>(x: CubeTensor<R>, back: bool) -> CubeTensor<R> {
    let x = contiguous(x);
    let [_, h, w, c] = dims(&x);
    let y = empty_like(&x);
    let (count, dim) = by_element(&y);
    shifted::launch::<R>(
        &y.client,
        count,
        dim,
        x.into_array_arg(),
        y.clone().into_array_arg(),
        h,
        w,
        c,
        back,
    );
    y
}
