//! The instruction set in plain Rust, for every target without a faster one and as the twin of the
//! others in tests. It owns no algorithm beyond what an instruction set has to give.

use super::packing::{BLOCK, Epilogue};
use super::{Lines, Simd, Slice, Slices, Strip, Weights, blocks_of, slices};

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

/// [`Simd::raw_block`] for every instruction set.
#[inline]
pub(super) fn raw_block<S: Simd>(columns: &[u32], weights: &[u8]) -> [[i32; BLOCK]; 2] {
    let mut raw = [[0i32; 4]; 2];
    // Two words hold one pair of depths: channels 0 and 1, channels 2 and 3.
    let fours = weights.as_chunks::<4>().0.as_chunks::<4>().0;
    for (w, &x) in fours.iter().zip(columns.as_chunks().0) {
        let columns = S::halfwords(x);
        for (w, &[x0, x1]) in w.as_chunks::<2>().0.iter().zip(columns.as_chunks().0) {
            for (half, bytes) in w.iter().enumerate() {
                let word = u32::from_le_bytes(*bytes);
                let even = S::sxtb16(word);
                let odd = S::sxtb16_ror8(S::ssub16(word, even));
                for (pixel, x) in raw.iter_mut().zip([x0, x1]) {
                    pixel[2 * half] = S::smlad(x, even, pixel[2 * half]);
                    pixel[2 * half + 1] = S::smlad(x, odd, pixel[2 * half + 1]);
                }
            }
        }
    }
    raw
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
    type Taps = Weights;
    type Spread = Lines;
    type Rows = Strip;

    #[inline]
    fn taps(weights: &[u8], taps: &Weights, to: &mut [u32]) -> [i32; BLOCK] {
        slices::taps(weights, taps, to);
        [0; BLOCK]
    }

    fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
        slices::spread_lines(src, lines, to);
    }

    fn rows(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
        let (windows, [n_rows, n]) = (&strip.windows, strip.n);
        let pairs = windows.pairs;
        let pixels = slice.pixels.as_chunks::<BLOCK>().0;
        let taps = slice.taps.as_chunks::<BLOCK>().0;
        for (y, x) in (0..n_rows).flat_map(|y| (0..n).map(move |x| (y, x))) {
            let mut acc = slice.epilogue.bias;
            let column = (x - x % 2) * windows.stride[1];
            for (row, j) in (0..windows.kernel[0]).flat_map(|row| (0..pairs).map(move |j| (row, j)))
            {
                let line = (y * windows.stride[0] + row) * (strip.pitch / BLOCK);
                let pixels = pixels.get(line + column / 2 + j).unwrap_or(&[0; BLOCK]);
                let taps = taps
                    .get(2 * (row * pairs + j) + x % 2)
                    .unwrap_or(&[0; BLOCK]);
                for (acc, (&x, &w)) in acc.iter_mut().zip(pixels.iter().zip(taps)) {
                    *acc = Self::smlad(x, w, *acc);
                }
            }
            let at = y * strip.step[0] + x * strip.step[1];
            let outputs = out.get_mut(at..).unwrap_or_default();
            for (lane, (out, acc)) in outputs.iter_mut().zip(acc).enumerate() {
                *out = slice.epilogue.requantize(lane, acc);
            }
        }
    }
}
