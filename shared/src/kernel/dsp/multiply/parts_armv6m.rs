//! Sums that go on from one part of the depths to the next: Cortex-M0. It owns this code only and must not know
//! layers.

use super::{pair, sums as sums_of};
use crate::kernel::dsp::Sums;
use crate::kernel::dsp::packing::BLOCK;

/// The sum of an odd channel.
fn odd(both: i32, even: i32) -> i32 {
    both.wrapping_sub(even) >> 8
}

/// Adds the sums of two pixels.
///
/// # Safety
/// `columns` are words in fours, at least four; `weights`, aligned to 4, holds as many for each of the `sums`, `pitch`
/// bytes from one to the next.
pub(in crate::kernel::dsp::multiply) unsafe fn accumulate(
    columns: &[u32],
    weights: *const u8,
    pitch: usize,
    sums: &mut [Sums],
) {
    let range = columns.as_ptr_range();
    for (block, sums) in sums.iter_mut().enumerate() {
        for (half, sums) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let weights = weights.wrapping_add(pitch * block + 4 * half);
            let mut of = [[0; 2]; 2];
            // SAFETY: of the block's words of weights, every second one from the first or second on.
            unsafe { pair(range.start, range.end, weights, &mut of) }
            let [evens, boths] = of;
            for p in 0..2 {
                sums[0][p] = sums[0][p].wrapping_add(evens[p]);
                sums[1][p] = sums[1][p].wrapping_add(odd(boths[p], evens[p]));
            }
        }
    }
}

/// Adds the sums of one pixel.
///
/// # Safety
/// As [`accumulate`], with words of `column` in twos and twice as many of weights.
pub(in crate::kernel::dsp::multiply) unsafe fn accumulate_one(
    column: &[[u32; 2]],
    weights: *const u8,
    pitch: usize,
    sums: &mut [[i32; BLOCK]],
) {
    let range = column.as_ptr_range();
    for (block, sums) in sums.iter_mut().enumerate() {
        let mut of = [0; BLOCK];
        let weights = weights.wrapping_add(pitch * block);
        // SAFETY: the same contract, of one block.
        unsafe { sums_of(range.start.cast(), range.end.cast(), weights, &mut of) }
        let [a, b, c, d] = of;
        for (sum, of) in sums.iter_mut().zip([a, odd(b, a), c, odd(d, c)]) {
            *sum = sum.wrapping_add(of);
        }
    }
}
