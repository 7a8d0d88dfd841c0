//! Depthwise convolutions where the maps lie: a unit for every element of the result, the channels side by
//! side, so that neighbours read neighbours.

use super::sum::{Plan, Tile, column, fold, total};
use super::tensor::{UNITS, by_element, contiguous, dims, empty};
use crate::ops::ConvGeometry;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Where a window stands: output pixel `o` sees input pixel `o·stride + tap·dilation − pad`.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Window {
    pub(super) in_h: usize,
    pub(super) in_w: usize,
    pub(super) out_h: usize,
    pub(super) out_w: usize,
    pub(super) channels: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) pad: usize,
}

impl<R: CubeRuntime> WindowLaunch<R> {
    /// That of `g` over maps of so many channels.
    pub(super) fn of(g: &ConvGeometry, channels: usize) -> Self {
        let (i, o) = (g.input, g.output);
        Self::new(i.h, i.w, o.h, o.w, channels, g.stride, g.dilation, g.pad)
    }
}

#[cube(launch)]
fn convolve(
    x: &Array<f32>,
    weight: &Array<f32>,
    y: &mut Array<f32>,
    g: Window,
    #[comptime] kernel: usize,
) {
    if ABSOLUTE_POS >= y.len() {
        terminate!();
    }
    let c = ABSOLUTE_POS % g.channels;
    let pixel = ABSOLUTE_POS / g.channels;
    let left = pixel % g.out_w * g.stride;
    let top = pixel / g.out_w % g.out_h * g.stride;
    let image = pixel / (g.out_w * g.out_h) * g.in_h;
    let mut sum = 0.0f32;
    #[unroll]
    for ky in 0..kernel {
        let row = top + ky * g.dilation;
        if row >= g.pad && row < g.in_h + g.pad {
            #[unroll]
            for kx in 0..kernel {
                let col = left + kx * g.dilation;
                if col >= g.pad && col < g.in_w + g.pad {
                    let at = (image + row - g.pad) * g.in_w + col - g.pad;
                    let w = weight[(c * kernel + ky) * kernel + kx];
                    sum += x[at * g.channels + c] * w;
                }
            }
        }
    }
    y[ABSOLUTE_POS] = sum;
}

/// See [`crate::ops::LearnOps::convolve`].
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    g: &ConvGeometry,
) -> CubeTensor<R> {
    let x = contiguous(x);
    let [n, ..] = dims::<R, 4>(&x);
    let y = empty(&x, [n, g.output.h, g.output.w, g.output.c]);
    let (count, dim) = by_element(&y);
    convolve::launch::<R>(
        &y.client,
        count,
        dim,
        x.into_array_arg(),
        contiguous(weight).into_array_arg(),
        y.clone().into_array_arg(),
        WindowLaunch::of(g, g.input.c),
        g.kernel,
    );
    y
}

#[cube(launch)]
fn convolve_back(
    feedback: &Array<f32>,
    dy: &Array<f32>,
    dx: &mut Array<f32>,
    g: Window,
    #[comptime] kernel: usize,
) {
    if ABSOLUTE_POS >= dx.len() {
        terminate!();
    }
    let c = ABSOLUTE_POS % g.channels;
    let pixel = ABSOLUTE_POS / g.channels;
    let right = pixel % g.in_w + g.pad;
    let bottom = pixel / g.in_w % g.in_h + g.pad;
    let image = pixel / (g.in_w * g.in_h) * g.out_h;
    let mut sum = 0.0f32;
    #[unroll]
    for ky in 0..kernel {
        let down = ky * g.dilation;
        if bottom >= down && (bottom - down) % g.stride == 0 {
            let row = (bottom - down) / g.stride;
            if row < g.out_h {
                #[unroll]
                for kx in 0..kernel {
                    let along = kx * g.dilation;
                    if right >= along && (right - along) % g.stride == 0 {
                        let col = (right - along) / g.stride;
                        if col < g.out_w {
                            let at = (image + row) * g.out_w + col;
                            let b = feedback[(c * kernel + ky) * kernel + kx];
                            sum += dy[at * g.channels + c] * b;
                        }
                    }
                }
            }
        }
    }
    dx[ABSOLUTE_POS] = sum;
}

/// See [`crate::ops::LearnOps::convolve_back`].
pub(super) fn back<R: CubeRuntime>(
    feedback: CubeTensor<R>,
    dy: CubeTensor<R>,
    g: &ConvGeometry,
) -> CubeTensor<R> {
    let dy = contiguous(dy);
    let [n, ..] = dims::<R, 4>(&dy);
    let dx = empty(&dy, [n, g.input.h, g.input.w, g.input.c]);
    let (count, dim) = by_element(&dx);
    convolve_back::launch::<R>(
        &dx.client,
        count,
        dim,
        contiguous(feedback).into_array_arg(),
        dy.into_array_arg(),
        dx.clone().into_array_arg(),
        WindowLaunch::of(g, g.input.c),
        g.kernel,
    );
    dx
}

/// `Σ x·z` of tap `CUBE_POS_Z` over this cube's rows of output pixels.
#[cube(launch)]
fn part_correlation(
    x: &Array<f32>,
    z: &Array<f32>,
    parts: &mut Array<f32>,
    n_rows: usize,
    g: Window,
    #[comptime] kernel: usize,
    #[comptime] tile: Tile,
) {
    let c = column(tile);
    let tap = CUBE_POS_Z as usize;
    let down = tap / kernel * g.dilation;
    let along = tap % kernel * g.dilation;
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut sum = 0.0f32;
    if c < g.channels {
        let mut pixel = CUBE_POS_Y as usize * tile.rows + UNIT_POS_Y as usize;
        while pixel < n_rows {
            let col = pixel % g.out_w * g.stride + along;
            let row = pixel / g.out_w % g.out_h * g.stride + down;
            if row >= g.pad && row < g.in_h + g.pad && col >= g.pad && col < g.in_w + g.pad {
                let image = pixel / (g.out_w * g.out_h) * g.in_h;
                let at = (image + row - g.pad) * g.in_w + col - g.pad;
                sum += x[at * g.channels + c] * z[pixel * g.channels + c];
            }
            pixel += CUBE_COUNT_Y as usize * tile.rows;
        }
    }
    let sum = fold(&mut shared, sum, tile);
    if c < g.channels && UNIT_POS_Y == 0 {
        let weight = c * (kernel * kernel) + tap;
        parts[CUBE_POS_Y as usize * g.channels * (kernel * kernel) + weight] = sum;
    }
}

/// See [`crate::ops::LearnOps::correlate`].
pub(super) fn correlate<R: CubeRuntime>(
    x: CubeTensor<R>,
    z: CubeTensor<R>,
    g: &ConvGeometry,
) -> CubeTensor<R> {
    let (x, z) = (contiguous(x), contiguous(z));
    let [n, ..] = dims::<R, 4>(&z);
    let rows = n * g.output.h * g.output.w;
    let plan = Plan::new(rows, g.input.c);
    let parts = empty(&x, [plan.parts(), g.n_weights()]);
    part_correlation::launch::<R>(
        &parts.client,
        plan.summing_each(g.kernel * g.kernel),
        plan.dim(),
        x.into_array_arg(),
        z.into_array_arg(),
        parts.clone().into_array_arg(),
        rows,
        WindowLaunch::of(g, g.input.c),
        g.kernel,
        plan.tile,
    );
    match plan.parts() {
        1 => super::tensor::shaped(parts, [g.n_weights()]),
        n_parts => total(parts, n_parts),
    }
}
