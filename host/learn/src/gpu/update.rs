//! What moves after a step: many short vectors, several in a launch, each in its place of one new buffer.

use super::sum::{COLUMN, fold};
use super::tensor::{UNITS, contiguous, empty};
use crate::ops::Descent;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// Vectors in a launch, at most.
const MAX_VECTORS: usize = 16;
/// Every vector of a buffer starts at a multiple of so many numbers, as GPUs want it of what they bind.
const ALIGNED: usize = 64;

/// Vectors side by side in one buffer.
struct Row<R: CubeRuntime> {
    all: CubeTensor<R>,
    lengths: Vec<usize>,
}

impl<R: CubeRuntime> Row<R> {
    /// Room for vectors like these.
    fn like(vectors: &[CubeTensor<R>]) -> Self {
        let lengths: Vec<_> = vectors
            .iter()
            .map(|v| v.meta.shape().num_elements())
            .collect();
        let room = lengths.iter().map(|n| n.next_multiple_of(ALIGNED)).sum();
        Self {
            all: empty(&vectors[0], [room]),
            lengths,
        }
    }

    fn len(&self) -> usize {
        self.all.meta.shape().num_elements()
    }

    /// Each on its own.
    fn vectors(&self) -> Vec<CubeTensor<R>> {
        let mut first = 0;
        let vector = |&n: &usize| {
            let bytes = |n: usize| (n * size_of::<f32>()) as u64;
            let behind = self.len() - first - n;
            let handle = self.all.handle.clone();
            let handle = handle.offset_start(bytes(first)).offset_end(bytes(behind));
            first += n.next_multiple_of(ALIGNED);
            let (client, device) = (self.all.client.clone(), self.all.device.clone());
            CubeTensor::new_contiguous(client, device, [n].into(), handle, self.all.dtype)
        };
        self.lengths.iter().map(vector).collect()
    }

    /// A unit for every number.
    fn grid(&self) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(UNITS);
        (
            calculate_cube_count_elemwise(&self.all.client, self.len(), dim),
            dim,
        )
    }
}

/// So many vectors fit into a launch that reads `sorts` of them and writes 2 buffers.
fn per_launch<R: CubeRuntime>(client: &ComputeClient<R>, sorts: usize) -> usize {
    let bindings = client.properties().hardware.max_bindings as usize;
    (bindings.saturating_sub(2) / sorts).clamp(1, MAX_VECTORS)
}

fn arguments<R: CubeRuntime>(vectors: &[CubeTensor<R>]) -> SequenceArg<R, Array<f32>> {
    let mut arguments = SequenceArg::new();
    for vector in vectors {
        arguments.push(contiguous(vector.clone()).into_array_arg());
    }
    arguments
}

#[cube(launch)]
fn descended(
    values: Sequence<Array<f32>>,
    velocities: Sequence<Array<f32>>,
    grads: Sequence<Array<f32>>,
    new_values: &mut Array<f32>,
    new_velocities: &mut Array<f32>,
    lr: f32,
    momentum: f32,
    decay: f32,
    clip: f32,
    #[comptime] nesterov: bool,
) {
    let mut first = 0usize;
    #[unroll]
    for i in 0..values.len() {
        let value = values.index(i);
        let n = value.len();
        if ABSOLUTE_POS >= first && ABSOLUTE_POS < first + n {
            let at = ABSOLUTE_POS - first;
            let w = value[at];
            let g = grads.index(i)[at] * clip + w * decay;
            let v = velocities.index(i)[at] * momentum + g;
            new_velocities[ABSOLUTE_POS] = v;
            let way = if nesterov { g + v * momentum } else { v };
            new_values[ABSOLUTE_POS] = w - way * lr;
        }
        first += (n + ALIGNED - 1) / ALIGNED * ALIGNED;
    }
}

/// See [`crate::ops::LearnOps::descend`].
pub(super) fn descend<R: CubeRuntime>(
    all: Vec<[CubeTensor<R>; 3]>,
    step: Descent,
) -> Vec<[CubeTensor<R>; 2]> {
    let Some([first, ..]) = all.first() else {
        return vec![];
    };
    let client = first.client.clone();
    let some = |all: &[[CubeTensor<R>; 3]]| {
        let [values, velocities, grads] =
            [0, 1, 2].map(|i| all.iter().map(|t| t[i].clone()).collect::<Vec<_>>());
        let new = [Row::like(&values), Row::like(&values)];
        let (count, dim) = new[0].grid();
        descended::launch::<R>(
            &client,
            count,
            dim,
            arguments(&values),
            arguments(&velocities),
            arguments(&grads),
            new[0].all.clone().into_array_arg(),
            new[1].all.clone().into_array_arg(),
            step.lr,
            step.momentum,
            step.decay,
            step.clip,
            step.nesterov,
        );
        let [values, velocities] = new.map(|row| row.vectors());
        let pairs = values.into_iter().zip(velocities);
        pairs.map(|(w, v)| [w, v]).collect::<Vec<_>>()
    };
    all.chunks(per_launch(&client, 3)).flat_map(some).collect()
}

#[cube(launch)]
fn blended(
    old: Sequence<Array<f32>>,
    new: Sequence<Array<f32>>,
    mixed: &mut Array<f32>,
    rate: f32,
) {
    let mut first = 0usize;
    #[unroll]
    for i in 0..old.len() {
        let before = old.index(i);
        let n = before.len();
        if ABSOLUTE_POS >= first && ABSOLUTE_POS < first + n {
            let at = ABSOLUTE_POS - first;
            mixed[ABSOLUTE_POS] = before[at] * (1.0f32 - rate) + new.index(i)[at] * rate;
        }
        first += (n + ALIGNED - 1) / ALIGNED * ALIGNED;
    }
}

/// See [`crate::ops::LearnOps::blend`].
pub(super) fn blend<R: CubeRuntime>(all: Vec<[CubeTensor<R>; 2]>, rate: f32) -> Vec<CubeTensor<R>> {
    let Some([first, _]) = all.first() else {
        return vec![];
    };
    let client = first.client.clone();
    let some = |all: &[[CubeTensor<R>; 2]]| {
        let [old, new] = [0, 1].map(|i| all.iter().map(|t| t[i].clone()).collect::<Vec<_>>());
        let mixed = Row::like(&old);
        let (count, dim) = mixed.grid();
        blended::launch::<R>(
            &client,
            count,
            dim,
            arguments(&old),
            arguments(&new),
            mixed.all.clone().into_array_arg(),
            rate,
        );
        mixed.vectors()
    };
    all.chunks(per_launch(&client, 2)).flat_map(some).collect()
}

/// `Σ x²` of vector `CUBE_POS_X`.
#[cube(launch)]
fn squared(vectors: Sequence<Array<f32>>, sums: &mut Array<f32>, first: usize) {
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    let mut sum = 0.0f32;
    #[unroll]
    for i in 0..vectors.len() {
        if CUBE_POS_X as usize == i {
            let x = vectors.index(i);
            let mut at = UNIT_POS as usize;
            while at < x.len() {
                sum += x[at] * x[at];
                at += UNITS as usize;
            }
        }
    }
    let sum = fold(&mut shared, sum, COLUMN);
    if UNIT_POS == 0 {
        sums[first + CUBE_POS_X as usize] = sum;
    }
}

/// See [`crate::ops::LearnOps::square_sums`].
pub(super) fn square_sums<R: CubeRuntime>(vectors: Vec<CubeTensor<R>>) -> CubeTensor<R> {
    let sums = empty(&vectors[0], [vectors.len()]);
    let at_once = per_launch(&sums.client, 1);
    for (i, vectors) in vectors.chunks(at_once).enumerate() {
        squared::launch::<R>(
            &sums.client,
            CubeCount::new_1d(vectors.len() as u32),
            CubeDim::new_2d(1, UNITS),
            arguments(vectors),
            sums.clone().into_array_arg(),
            i * at_once,
        );
    }
    sums
}
