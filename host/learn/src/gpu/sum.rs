//! Sums over the rows of a map, per column, in two launches: parts of the rows by cubes side by side, then
//! the parts in their order by whoever needs the sum.

use super::tensor::{UNITS, contiguous, empty};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// How the units of a cube stand: so many columns side by side, so many rows below each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// All units below each other.
pub(super) const COLUMN: Tile = Tile {
    columns: 1,
    rows: UNITS as usize,
};

/// Rows that a unit adds up by itself, at least.
const ROWS_PER_UNIT: usize = 8;
/// Parts of a sum, at most.
const MAX_PARTS: usize = 128;
/// Cubes that write rows, at most.
const MAX_WRITERS: usize = 1024;

/// The cubes of a map of `rows` by `columns`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) tile: Tile,
    rows: usize,
    /// Cubes side by side.
    across: u32,
}

impl Plan {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let width = columns.next_power_of_two().min(32);
        Self {
            tile: Tile {
                columns: width,
                rows: UNITS as usize / width,
            },
            rows,
            across: columns.div_ceil(width) as u32,
        }
    }

    /// Parts that the rows are summed in.
    pub(super) fn parts(&self) -> usize {
        let rows = self.tile.rows * ROWS_PER_UNIT;
        self.rows.div_ceil(rows).clamp(1, MAX_PARTS)
    }

    pub(super) fn dim(&self) -> CubeDim {
        CubeDim::new_2d(self.tile.columns as u32, self.tile.rows as u32)
    }

    /// A cube for every part.
    pub(super) fn summing(&self) -> CubeCount {
        CubeCount::Static(self.across, self.parts() as u32, 1)
    }

    /// [`Plan::summing`], `times` over.
    pub(super) fn summing_each(&self, times: usize) -> CubeCount {
        CubeCount::Static(self.across, self.parts() as u32, times as u32)
    }

    /// Cubes that go through all rows together.
    pub(super) fn writing(&self) -> CubeCount {
        let cubes = self.rows.div_ceil(self.tile.rows * 4).clamp(1, MAX_WRITERS);
        CubeCount::Static(self.across, cubes as u32, 1)
    }
}

/// The column of this unit.
#[cube]
pub(super) fn column(#[comptime] tile: Tile) -> usize {
    CUBE_POS_X as usize * tile.columns + UNIT_POS_X as usize
}

/// The sum of `value` over the units of this column, in a tree.
#[cube]
pub(super) fn fold(shared: &mut SharedMemory<f32>, value: f32, #[comptime] tile: Tile) -> f32 {
    let at = UNIT_POS as usize;
    let row = UNIT_POS_Y as usize;
    sync_cube();
    shared[at] = value;
    sync_cube();
    let mut half = (tile.rows / 2).runtime();
    while half > 0 {
        if row < half {
            let other = shared[at + half * tile.columns];
            shared[at] += other;
        }
        sync_cube();
        half /= 2;
    }
    shared[UNIT_POS_X as usize]
}

/// This unit's share of `Σ_part values[part·stride + at]`.
#[cube]
pub(super) fn share(
    values: &Array<f32>,
    at: usize,
    stride: usize,
    n_parts: usize,
    #[comptime] tile: Tile,
) -> f32 {
    let mut sum = 0.0f32;
    let mut part = UNIT_POS_Y as usize;
    while part < n_parts {
        sum += values[part * stride + at];
        part += tile.rows;
    }
    sum
}

#[cube(launch)]
fn add_parts(parts: &Array<f32>, sum: &mut Array<f32>, n_parts: usize, #[comptime] tile: Tile) {
    let at = column(tile);
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut value = 0.0f32;
    if at < sum.len() {
        value = share(parts, at, sum.len(), n_parts, tile);
    }
    let value = fold(&mut shared, value, tile);
    if at < sum.len() && UNIT_POS_Y == 0 {
        sum[at] = value;
    }
}

/// `Σ_part parts[part, i]`, `parts` `[n_parts, n]`.
pub(super) fn total<R: CubeRuntime>(parts: CubeTensor<R>, n_parts: usize) -> CubeTensor<R> {
    let n = parts.meta.shape().num_elements() / n_parts;
    let sum = empty(&parts, [n]);
    let plan = Plan::new(1, n);
    let client = parts.client.clone();
    add_parts::launch::<R>(
        &client,
        plan.summing(),
        plan.dim(),
        parts.into_array_arg(),
        sum.clone().into_array_arg(),
        n_parts,
        plan.tile,
    );
    sum
}

/// `Σ a·b` of this cube's share of the elements.
#[cube(launch)]
fn part_products(a: &Array<f32>, b: &Array<f32>, parts: &mut Array<f32>) {
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut sum = 0.0f32;
    let mut at = CUBE_POS_X as usize * UNITS as usize + UNIT_POS as usize;
    while at < a.len() {
        sum += a[at] * b[at];
        at += CUBE_COUNT_X as usize * UNITS as usize;
    }
    let sum = fold(&mut shared, sum, COLUMN);
    if UNIT_POS == 0 {
        parts[CUBE_POS_X as usize] = sum;
    }
}

/// See [`crate::ops::LearnOps::dot`].
pub(super) fn dot<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
    let plan = Plan::new(a.meta.shape().num_elements(), 1);
    let parts = empty(&a, [plan.parts()]);
    part_products::launch::<R>(
        &parts.client,
        CubeCount::new_1d(plan.parts() as u32),
        plan.dim(),
        contiguous(a).into_array_arg(),
        contiguous(b).into_array_arg(),
        parts.clone().into_array_arg(),
    );
    total(parts, plan.parts())
}
