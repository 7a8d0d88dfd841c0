//! The instruction set in plain Rust, for every target without a faster one and as the twin of the
//! others in tests. It owns no algorithm beyond what an instruction set has to give.

use super::packing::{BLOCK, Epilogue};
use super::slices::{self, pair};
use super::{Lines, Simd, Slice, Slices, Strip, blocks_of, halves};

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

/// [`Simd::blocks`] for slices that faster code does not take.
pub(super) fn blocks<S: Simd>(
    columns: &[u32],
    weights: &[u8],
    epilogues: &[Epilogue],
    out: &mut [i8],
    at: [usize; 2],
) {
    let blocks = blocks_of(weights, columns);
    for (block, (weights, epilogue)) in blocks.zip(epilogues).enumerate() {
        let raw = S::raw_block(columns, weights);
        for (at, raw) in at.iter().zip(raw) {
            let outputs = out.get_mut(at + BLOCK * block..).unwrap_or_default();
            for (lane, (out, raw)) in outputs.iter_mut().zip(raw).enumerate() {
                *out = epilogue.requantize(lane, raw.wrapping_add(epilogue.bias(lane)));
            }
        }
    }
}

impl Simd for Portable {
    fn blocks(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        at: [usize; 2],
    ) {
        blocks::<Self>(columns, weights, epilogues, out, at);
    }
}

impl Slices for Portable {
    type Spread = Lines;
    type Rows = Strip;

    fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
        slices::spread_lines(src, lines, to);
    }

    fn rows(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
        let Slice { pixels, filter } = *slice;
        let ([n_rows, n], side) = (strip.n, strip.kernel);
        let pairs = side.saturating_sub(1);
        let half = |words: &[u32], at: usize, which: usize| {
            let word = words.get(at).copied().unwrap_or(0);
            halves(word)[which % 2]
        };
        for (y, x) in (0..n_rows).flat_map(|y| (0..n).map(move |x| (y, x))) {
            let mut acc = filter.epilogue.bias;
            for (ky, kx) in (0..side).flat_map(|ky| (0..side).map(move |kx| (ky, kx))) {
                let row = (y * strip.stride + ky) * strip.pitch;
                let column = x * strip.stride + kx;
                // Every weight but the last begins a pair.
                let first = kx.min(pairs.saturating_sub(1));
                for (c, acc) in acc.iter_mut().enumerate() {
                    let pixel = half(pixels, row + BLOCK * (column / 2) + c, column);
                    let at = BLOCK * pairs * ky + pair(c, first, pairs);
                    let weight = half(&filter.taps, at, kx - first);
                    *acc = acc.wrapping_add(pixel * weight);
                }
            }
            let at = y * strip.step[0] + x * strip.step[1];
            let outputs = out.get_mut(at..).unwrap_or_default();
            for (lane, (out, acc)) in outputs.iter_mut().zip(acc).enumerate() {
                *out = filter.epilogue.requantize(lane, acc);
            }
        }
    }
}
