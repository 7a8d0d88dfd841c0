//! Fully connected layer. It owns this operator only and must not know the graph around it.

use super::{SCRATCH_WORDS, Simd};
use crate::kernel::{Dst, Src, Weighted, dot, generic};

/// Rows of weights that share one pass over the input.
const ROWS: usize = 4;

/// Matrix-vector product: bit for bit [`generic::fully_connected_s8`], which it calls for inputs longer
/// than its scratch (2048 values).
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[in]`, a flattened `[h][w][c]` | i8 |
/// | `dst` | `[out]` | i8 |
/// | `constants.weights` | `[out][in]` | i8 in `-127..=127` |
///
/// The input is expanded once, its zero point taken off; four rows of weights are read at a time. Never
/// panics if `Model::parse` accepted the blob. Cost: 4 KiB of stack; instructions in [`crate::cost`].
pub fn fully_connected_s8<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) {
    let n = src.data.len();
    let (fours, tail) = src.data.as_chunks::<4>();
    // Zeros for as much as is filled only.
    let mut words = heapless::Vec::<u32, SCRATCH_WORDS>::new();
    if words.resize(2 * fours.len(), 0).is_err() {
        return generic::fully_connected_s8(src, dst, constants);
    }
    let zero = src.zero_point.cast_unsigned() & 0xFFFF;
    let zero = zero | (zero << 16);
    for (to, four) in words.as_chunks_mut::<2>().0.iter_mut().zip(fours) {
        let word = u32::from_le_bytes(four.map(i8::cast_unsigned));
        *to = [
            S::ssub16(S::sxtb16(word), zero),
            S::ssub16(S::sxtb16_ror8(word), zero),
        ];
    }
    let input = words.as_slice();
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
