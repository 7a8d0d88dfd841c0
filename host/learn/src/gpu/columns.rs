//! Dense convolutions as matrix products.
//!
//! A row of columns is what one output pixel sees, channel by channel and in each tap by tap, which is the order
//! of the weights: `y = columns·Wᵀ` and `dW = dyᵀ·columns` need no weight moved. Windows of one pixel are the map
//! itself. The weight gradient ends in few numbers from many rows: it is taken image by image and summed.

use super::depthwise::{Window, WindowLaunch};
use super::sum::total;
use super::tensor::{by_element, contiguous, dims, empty, shaped};
use crate::ops::ConvGeometry;
use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::ops::permute;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// What every output pixel sees.
#[cube(launch)]
fn gather(x: &Array<f32>, columns: &mut Array<f32>, g: Window, #[comptime] kernel: usize) {
    if ABSOLUTE_POS >= columns.len() {
        terminate!();
    }
    let tap = ABSOLUTE_POS % (kernel * kernel);
    let c = ABSOLUTE_POS / (kernel * kernel) % g.channels;
    let pixel = ABSOLUTE_POS / (kernel * kernel) / g.channels;
    let col = pixel % g.out_w * g.stride + tap % kernel * g.dilation;
    let row = pixel / g.out_w % g.out_h * g.stride + tap / kernel * g.dilation;
    let mut value = 0.0f32;
    if row >= g.pad && row < g.in_h + g.pad && col >= g.pad && col < g.in_w + g.pad {
        let image = pixel / (g.out_w * g.out_h) * g.in_h;
        let at = (image + row - g.pad) * g.in_w + col - g.pad;
        value = x[at * g.channels + c];
    }
    columns[ABSOLUTE_POS] = value;
}

/// By which output pixels every input pixel is seen.
#[cube(launch)]
fn gather_back(dy: &Array<f32>, columns: &mut Array<f32>, g: Window, #[comptime] kernel: usize) {
    if ABSOLUTE_POS >= columns.len() {
        terminate!();
    }
    let tap = ABSOLUTE_POS % (kernel * kernel);
    let c = ABSOLUTE_POS / (kernel * kernel) % g.channels;
    let pixel = ABSOLUTE_POS / (kernel * kernel) / g.channels;
    let right = pixel % g.in_w + g.pad;
    let bottom = pixel / g.in_w % g.in_h + g.pad;
    let along = tap % kernel * g.dilation;
    let down = tap / kernel * g.dilation;
    let mut value = 0.0f32;
    if right >= along && bottom >= down {
        let col = (right - along) / g.stride;
        let row = (bottom - down) / g.stride;
        let whole = col * g.stride + along == right && row * g.stride + down == bottom;
        if whole && col < g.out_w && row < g.out_h {
            let image = pixel / (g.in_w * g.in_h) * g.out_h;
            value = dy[((image + row) * g.out_w + col) * g.channels + c];
        }
    }
    columns[ABSOLUTE_POS] = value;
}

/// `x` as seen by `g`: `[n, h'·w', in_ch·kernel²]`.
fn seen<R: CubeRuntime>(x: CubeTensor<R>, g: &ConvGeometry) -> CubeTensor<R> {
    let x = contiguous(x);
    let [n, ..] = dims::<R, 4>(&x);
    let shape = [n, g.output.h * g.output.w, g.input.c * g.kernel * g.kernel];
    if is_map(g) {
        return shaped(x, shape);
    }
    let columns = empty(&x, shape);
    let (count, dim) = by_element(&columns);
    gather::launch::<R>(
        &columns.client,
        count,
        dim,
        x.into_array_arg(),
        columns.clone().into_array_arg(),
        WindowLaunch::of(g, g.input.c),
        g.kernel,
    );
    columns
}

/// `dy` as it reaches the input: `[n·h·w, out_ch·kernel²]`.
fn reaching<R: CubeRuntime>(dy: CubeTensor<R>, g: &ConvGeometry) -> CubeTensor<R> {
    let dy = contiguous(dy);
    let [n, ..] = dims::<R, 4>(&dy);
    let shape = [n * g.input.h * g.input.w, g.output.c * g.kernel * g.kernel];
    if is_map(g) {
        return shaped(dy, shape);
    }
    let columns = empty(&dy, shape);
    let (count, dim) = by_element(&columns);
    gather_back::launch::<R>(
        &columns.client,
        count,
        dim,
        dy.into_array_arg(),
        columns.clone().into_array_arg(),
        WindowLaunch::of(g, g.output.c),
        g.kernel,
    );
    columns
}

/// Whether the map is its own columns.
fn is_map(g: &ConvGeometry) -> bool {
    (g.kernel, g.stride, g.pad) == (1, 1, 0)
}

/// `lhs·rhs`, of so many rows by so many columns, for each of so many.
fn product<R: CubeRuntime, const D: usize>(
    lhs: CubeTensor<R>,
    rhs: CubeTensor<R>,
    shape: [usize; D],
) -> CubeTensor<R> {
    let out = empty(&lhs, shape);
    matmul(lhs, rhs, Some(out), MatmulStrategy::default(), DType::F32)
        .expect("burn multiplies f32 of every shape on every device")
}

/// See [`crate::ops::LearnOps::convolve`].
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    g: &ConvGeometry,
) -> CubeTensor<R> {
    let columns = seen(x, g);
    let [n, pixels, depth] = dims(&columns);
    let columns = shaped(columns, [n * pixels, depth]);
    let weight = shaped(contiguous(weight), [g.output.c, depth]);
    let y = product(columns, permute(weight, &[1, 0]), [n * pixels, g.output.c]);
    shaped(y, [n, g.output.h, g.output.w, g.output.c])
}

/// See [`crate::ops::LearnOps::convolve_back`].
pub(super) fn back<R: CubeRuntime>(
    feedback: CubeTensor<R>,
    dy: CubeTensor<R>,
    g: &ConvGeometry,
) -> CubeTensor<R> {
    let columns = reaching(dy, g);
    let [rows, depth] = dims(&columns);
    let taps = g.kernel * g.kernel;
    let feedback = shaped(contiguous(feedback), [g.output.c, g.input.c, taps]);
    // Tap by tap below each other, as the columns have it.
    let feedback = match taps {
        1 => feedback,
        _ => contiguous(permute(feedback, &[0, 2, 1])),
    };
    let dx = product(
        columns,
        shaped(feedback, [depth, g.input.c]),
        [rows, g.input.c],
    );
    let n = rows / (g.input.h * g.input.w);
    shaped(dx, [n, g.input.h, g.input.w, g.input.c])
}

/// See [`crate::ops::LearnOps::correlate`].
pub(super) fn correlate<R: CubeRuntime>(
    x: CubeTensor<R>,
    z: CubeTensor<R>,
    g: &ConvGeometry,
) -> CubeTensor<R> {
    let columns = seen(x, g);
    let [n, pixels, depth] = dims(&columns);
    let z = shaped(contiguous(z), [n, pixels, g.output.c]);
    total(
        product(permute(z, &[0, 2, 1]), columns, [n, g.output.c, depth]),
        n,
    )
}
