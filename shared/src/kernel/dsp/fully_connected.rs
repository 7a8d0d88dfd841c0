//! Fully connected layer. It owns this operator only and must not know the graph around it.

use super::{GROUP, SCRATCH_WORDS, Simd};
use crate::kernel::{Dst, Src, Weighted, dot};
use crate::scratch::with_room;
use heapless::VecView;

/// Rows of weights that share one pass over the input.
const ROWS: usize = 4;
/// Values that the scratch takes.
const PART: usize = 2 * SCRATCH_WORDS;

/// Matrix-vector product: bit for bit [`fully_connected_s8`](crate::kernel::generic::fully_connected_s8).
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[in]`, a flattened `[h][w][c]` | i8 |
/// | `dst` | `[out]` | i8 |
/// | `constants.weights` | `[out][in]` | i8 |
///
/// The input is expanded, its zero point taken off, once if it has up to 2048 values, else in parts of as many for each
/// 64 outputs; four rows of weights are read at a time. Never panics if `Model::parse` accepted the blob. Cost: 2 bytes
/// of stack an input, in a [frame](crate::scratch) of the next size, for more than 2048 inputs 4.6 KiB; instructions in
/// [`crate::cost`].
pub fn fully_connected_s8<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) {
    let n = src.data.len();
    if n > PART {
        return in_parts::<S>(src, dst, constants);
    }
    with_room(n / 2, &mut |words| {
        let tail = expand::<S>(src.data, src.zero_point, words);
        expanded::<S>((words, tail), src, dst, constants);
    });
}

/// Of the input in words, but for its last one to three values.
fn expanded<S: Simd>(
    (input, tail): (&[u32], &[i8]),
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    constants: &Weighted<'_>,
) {
    let n = src.data.len();
    let to = (dst.zero_point, dst.clamp);
    let weights = constants.weights;
    let groups = weights.chunks((ROWS * n).max(1));
    for (group, (outputs, rows)) in dst.data.chunks_mut(ROWS).zip(groups).enumerate() {
        let row = |i: usize| {
            let from = i.min(outputs.len() - 1) * n;
            rows.get(from..from + n).unwrap_or_default()
        };
        let rows: [&[u8]; ROWS] = core::array::from_fn(row);
        let raw = S::dot4(input, rows);
        for (i, (out, (raw, row))) in outputs
            .iter_mut()
            .zip(raw.into_iter().zip(rows))
            .enumerate()
        {
            let rest = row.get(n - tail.len()..).unwrap_or_default();
            let raw = raw.wrapping_add(dot(tail, rest, src.zero_point));
            *out = constants.finish(group * ROWS + i, raw, to);
        }
    }
}

/// Fills `words` with whole fours of `values`, zero point taken off, and gives the rest.
#[inline(always)]
fn expand<'a, S: Simd>(values: &'a [i8], zero_point: i32, words: &mut VecView<u32>) -> &'a [i8] {
    let (fours, tail) = values.as_chunks::<4>();
    words.clear();
    // Zeros for as much as is filled only; there is room.
    if words.resize(2 * fours.len(), 0).is_err() {
        return values;
    }
    let zero = zero_point.cast_unsigned() & 0xFFFF;
    let zero = zero | (zero << 16);
    for (to, four) in words.as_chunks_mut::<2>().0.iter_mut().zip(fours) {
        let word = u32::from_le_bytes(four.map(i8::cast_unsigned));
        *to = [
            S::ssub16(S::sxtb16(word), zero),
            S::ssub16(S::sxtb16_ror8(word), zero),
        ];
    }
    tail
}

/// Of an input that is longer than the scratch.
#[inline(never)]
fn in_parts<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) {
    let n = src.data.len();
    let to = (dst.zero_point, dst.clamp);
    let weights = constants.weights.chunks((GROUP * ROWS * n).max(1));
    let outputs = dst.data.chunks_mut(GROUP * ROWS);
    let mut words = heapless::Vec::<u32, SCRATCH_WORDS>::new();
    for (group, (outputs, weights)) in outputs.zip(weights).enumerate() {
        let mut sums = [[0i32; ROWS]; GROUP];
        for (part, values) in src.data.chunks(PART).enumerate() {
            let tail = expand::<S>(values, src.zero_point, &mut words);
            let rows = weights.chunks((ROWS * n).max(1));
            for (sums, rows) in sums.iter_mut().zip(rows) {
                let last = (rows.len() / n.max(1)).saturating_sub(1);
                let row = |i: usize| {
                    let from = i.min(last) * n + part * PART;
                    rows.get(from..from + values.len()).unwrap_or_default()
                };
                let rows: [&[u8]; ROWS] = core::array::from_fn(row);
                let raw = S::dot4(&words, rows);
                for (sum, (raw, row)) in sums.iter_mut().zip(raw.into_iter().zip(rows)) {
                    let rest = row.get(values.len() - tail.len()..).unwrap_or_default();
                    let raw = raw.wrapping_add(dot(tail, rest, src.zero_point));
                    *sum = sum.wrapping_add(raw);
                }
            }
        }
        let sums = sums.as_flattened().iter();
        for (i, (out, &raw)) in outputs.iter_mut().zip(sums).enumerate() {
            *out = constants.finish(group * GROUP * ROWS + i, raw, to);
        }
    }
}
