//! Batch norm, with the ReLU after it, in two launches each way: the sums of a part of the rows, then what is
//! made of the whole sums.

use super::Gpu;
use super::sum::{Plan, Tile, column, fold, share};
use super::tensor::{UNITS, contiguous, dims, empty, empty_like};
use crate::ops::{BN_EPS, NormGrads, NormSaved};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeRuntime};
use cubecl::prelude::*;

/// `Σ(x − k)` and `Σ(x − k)²` of this cube's rows, with `k` the column's first element: as a rule so close to
/// the mean that little cancels in `Σ(x − k)²/n − (Σ(x − k)/n)²` (relative error about `d²·6e-8` where `k` lies `d`
/// standard deviations off).
#[cube(launch)]
fn part_moments(
    x: &Array<f32>,
    parts: &mut Array<f32>,
    n_rows: usize,
    c: usize,
    #[comptime] tile: Tile,
) {
    let at = column(tile);
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut sum = 0.0f32;
    let mut square = 0.0f32;
    if at < c {
        let first = x[at];
        let mut row = CUBE_POS_Y as usize * tile.rows + UNIT_POS_Y as usize;
        while row < n_rows {
            let d = x[row * c + at] - first;
            sum += d;
            square += d * d;
            row += CUBE_COUNT_Y as usize * tile.rows;
        }
    }
    let sum = fold(&mut shared, sum, tile);
    let square = fold(&mut shared, square, tile);
    if at < c && UNIT_POS_Y == 0 {
        let to = CUBE_POS_Y as usize * 2 * c + at;
        parts[to] = sum;
        parts[to + c] = square;
    }
}

/// The two sums of a column.
#[derive(CubeType)]
struct Sums {
    first: f32,
    second: f32,
}

/// The sums of column `at` over all `parts` `[n_parts, 2, c]`; of a column that is none, of nothing.
#[cube]
fn whole(parts: &Array<f32>, at: usize, c: usize, n_parts: usize, #[comptime] tile: Tile) -> Sums {
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    if at < c {
        first = share(parts, at, 2 * c, n_parts, tile);
        second = share(parts, at + c, 2 * c, n_parts, tile);
    }
    Sums {
        first: fold(&mut shared, first, tile),
        second: fold(&mut shared, second, tile),
    }
}

#[cube(launch)]
fn normalise(
    x: &Array<f32>,
    parts: &Array<f32>,
    gamma: &Array<f32>,
    beta: &Array<f32>,
    out: &mut Array<f32>,
    mean_out: &mut Array<f32>,
    var_out: &mut Array<f32>,
    n_rows: usize,
    c: usize,
    n_parts: usize,
    #[comptime] tile: Tile,
    #[comptime] relu: bool,
) {
    let at = column(tile);
    let sums = whole(parts, at, c, n_parts, tile);
    if at < c {
        let count = n_rows as f32;
        let offset = sums.first / count;
        let mean = x[at] + offset;
        let var = max(sums.second / count - offset * offset, 0.0f32);
        if UNIT_POS_Y == 0 && CUBE_POS_Y == 0 {
            mean_out[at] = mean;
            var_out[at] = var;
        }
        let scale = gamma[at] / (var + BN_EPS).sqrt();
        let shift = beta[at];
        let mut row = CUBE_POS_Y as usize * tile.rows + UNIT_POS_Y as usize;
        while row < n_rows {
            let i = row * c + at;
            let z = (x[i] - mean) * scale + shift;
            out[i] = if relu { max(z, 0.0f32) } else { z };
            row += CUBE_COUNT_Y as usize * tile.rows;
        }
    }
}

/// See [`crate::ops::LearnOps::norm_forward`]; a ReLU follows if `relu`. `x` is contiguous.
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    relu: bool,
) -> [CubeTensor<R>; 3] {
    let [n, h, w, c] = dims(&x);
    let rows = n * h * w;
    let plan = Plan::new(rows, c);
    let parts = empty(&x, [plan.parts(), 2, c]);
    let client = x.client.clone();
    part_moments::launch::<R>(
        &client,
        plan.summing(),
        plan.dim(),
        x.clone().into_array_arg(),
        parts.clone().into_array_arg(),
        rows,
        c,
        plan.tile,
    );
    let (out, mean, var) = (empty_like(&x), empty(&x, [c]), empty(&x, [c]));
    normalise::launch::<R>(
        &client,
        plan.writing(),
        plan.dim(),
        x.into_array_arg(),
        parts.into_array_arg(),
        gamma.into_array_arg(),
        beta.into_array_arg(),
        out.clone().into_array_arg(),
        mean.clone().into_array_arg(),
        var.clone().into_array_arg(),
        rows,
        c,
        plan.parts(),
        plan.tile,
        relu,
    );
    [out, mean, var]
}

/// What a column's gradients are made of.
#[derive(CubeType, CubeLaunch)]
struct Column {
    mean: Array<f32>,
    var: Array<f32>,
    gamma: Array<f32>,
    beta: Array<f32>,
}

impl<R: CubeRuntime> ColumnLaunch<R> {
    fn of(saved: [&CubeTensor<R>; 4]) -> Self {
        let [mean, var, gamma, beta] = saved.map(|t| t.clone().into_array_arg());
        Self::new(mean, var, gamma, beta)
    }
}

/// The gradient that comes through the ReLU.
#[cube]
fn through(grad: f32, xhat: f32, gamma: f32, beta: f32, #[comptime] relu: bool) -> f32 {
    let mut dz = grad;
    if relu {
        if xhat * gamma + beta <= 0.0f32 {
            dz = 0.0f32;
        }
    }
    dz
}

/// `Σdz` and `Σdz·x̂` of this cube's rows.
#[cube(launch)]
fn part_gradients(
    x: &Array<f32>,
    grad: &Array<f32>,
    saved: &Column,
    parts: &mut Array<f32>,
    n_rows: usize,
    c: usize,
    #[comptime] tile: Tile,
    #[comptime] relu: bool,
) {
    let at = column(tile);
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    if at < c {
        let mean = saved.mean[at];
        let rstd = 1.0f32 / (saved.var[at] + BN_EPS).sqrt();
        let gamma = saved.gamma[at];
        let beta = saved.beta[at];
        let mut row = CUBE_POS_Y as usize * tile.rows + UNIT_POS_Y as usize;
        while row < n_rows {
            let i = row * c + at;
            let xhat = (x[i] - mean) * rstd;
            let dz = through(grad[i], xhat, gamma, beta, relu);
            sum += dz;
            product += dz * xhat;
            row += CUBE_COUNT_Y as usize * tile.rows;
        }
    }
    let sum = fold(&mut shared, sum, tile);
    let product = fold(&mut shared, product, tile);
    if at < c && UNIT_POS_Y == 0 {
        let to = CUBE_POS_Y as usize * 2 * c + at;
        parts[to] = sum;
        parts[to + c] = product;
    }
}

/// `dx = γ·rstd·(dz − (Σdz + x̂·Σdz·x̂)/n)`.
#[cube(launch)]
fn input_gradient(
    x: &Array<f32>,
    grad: &Array<f32>,
    saved: &Column,
    parts: &Array<f32>,
    dx: &mut Array<f32>,
    dgamma: &mut Array<f32>,
    dbeta: &mut Array<f32>,
    n_rows: usize,
    c: usize,
    n_parts: usize,
    #[comptime] tile: Tile,
    #[comptime] relu: bool,
) {
    let at = column(tile);
    let sums = whole(parts, at, c, n_parts, tile);
    if at < c {
        if UNIT_POS_Y == 0 && CUBE_POS_Y == 0 {
            dbeta[at] = sums.first;
            dgamma[at] = sums.second;
        }
        let count = n_rows as f32;
        let (mean_sum, mean_product) = (sums.first / count, sums.second / count);
        let mean = saved.mean[at];
        let rstd = 1.0f32 / (saved.var[at] + BN_EPS).sqrt();
        let gamma = saved.gamma[at];
        let beta = saved.beta[at];
        let mut row = CUBE_POS_Y as usize * tile.rows + UNIT_POS_Y as usize;
        while row < n_rows {
            let i = row * c + at;
            let xhat = (x[i] - mean) * rstd;
            let dz = through(grad[i], xhat, gamma, beta, relu);
            dx[i] = (dz - mean_sum - xhat * mean_product) * (gamma * rstd);
            row += CUBE_COUNT_Y as usize * tile.rows;
        }
    }
}

/// See [`crate::ops::LearnOps::norm_backward`]; of the batch norm and the ReLU after it if `relu`.
pub(super) fn backward<R: CubeRuntime, BT: BoolElement>(
    saved: NormSaved<Gpu<R, BT>>,
    grad: CubeTensor<R>,
    relu: bool,
) -> NormGrads<Gpu<R, BT>> {
    let (x, grad) = (contiguous(saved.x), contiguous(grad));
    let [n, h, w, c] = dims(&x);
    let rows = n * h * w;
    let plan = Plan::new(rows, c);
    let held = || ColumnLaunch::of([&saved.mean, &saved.var, &saved.gamma, &saved.beta]);
    let parts = empty(&x, [plan.parts(), 2, c]);
    let client = x.client.clone();
    part_gradients::launch::<R>(
        &client,
        plan.summing(),
        plan.dim(),
        x.clone().into_array_arg(),
        grad.clone().into_array_arg(),
        held(),
        parts.clone().into_array_arg(),
        rows,
        c,
        plan.tile,
        relu,
    );
    let (dx, dgamma, dbeta) = (empty_like(&x), empty(&x, [c]), empty(&x, [c]));
    input_gradient::launch::<R>(
        &client,
        plan.writing(),
        plan.dim(),
        x.into_array_arg(),
        grad.into_array_arg(),
        held(),
        parts.into_array_arg(),
        dx.clone().into_array_arg(),
        dgamma.clone().into_array_arg(),
        dbeta.clone().into_array_arg(),
        rows,
        c,
        plan.parts(),
        plan.tile,
        relu,
    );
    NormGrads {
        x: dx,
        gamma: dgamma,
        beta: dbeta,
    }
}

#[cube(launch)]
fn affine(
    x: &Array<f32>,
    scale: &Array<f32>,
    shift: &Array<f32>,
    out: &mut Array<f32>,
    #[comptime] relu: bool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let at = ABSOLUTE_POS % scale.len();
    let z = x[ABSOLUTE_POS] * scale[at] + shift[at];
    out[ABSOLUTE_POS] = if relu { max(z, 0.0f32) } else { z };
}

/// `relu?(x·scale + shift)`, per channel. `x` is contiguous.
pub(super) fn line<R: CubeRuntime>(
    x: CubeTensor<R>,
    scale: CubeTensor<R>,
    shift: CubeTensor<R>,
    relu: bool,
) -> CubeTensor<R> {
    let out = empty_like(&x);
    let (count, dim) = super::tensor::by_element(&out);
    affine::launch::<R>(
        &out.client,
        count,
        dim,
        x.into_array_arg(),
        scale.into_array_arg(),
        shift.into_array_arg(),
        out.clone().into_array_arg(),
        relu,
    );
    out
}
