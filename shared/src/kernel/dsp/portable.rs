//! The instruction set in plain Rust, for every target without a faster one and as the twin of the
//! others in tests. It owns no algorithm beyond what an instruction set has to give.

use super::packing::{BLOCK, Epilogue};
use super::{Simd, Strip, blocks_of, halves};

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

    fn rows(strip: &Strip<'_>, out: &mut [i8]) {
        let [n_rows, n] = strip.n;
        for (y, x) in (0..n_rows).flat_map(|y| (0..n).map(move |x| (y, x))) {
            let mut acc = strip.epilogue.bias;
            for ky in 0..strip.kernel {
                let row = (y * strip.stride + ky) * strip.pitch;
                let from = row + 2 * x * strip.stride;
                let pixels = strip.pixels.get(from..).unwrap_or_default();
                let weights = strip
                    .weights
                    .get(2 * ky * strip.kernel..)
                    .unwrap_or_default();
                let taps = pixels.as_chunks().0.iter().zip(weights.as_chunks().0);
                for (&[p02, p13], &[w02, w13]) in taps.take(strip.kernel) {
                    let products = [halves(p02), halves(p13)];
                    let weights = [halves(w02), halves(w13)];
                    for (lane, acc) in acc.iter_mut().enumerate() {
                        let (p, w) = (products[lane % 2], weights[lane % 2]);
                        *acc = acc.wrapping_add(p[lane / 2] * w[lane / 2]);
                    }
                }
            }
            let at = y * strip.step[0] + x * strip.step[1];
            let outputs = out.get_mut(at..).unwrap_or_default();
            for (lane, (out, acc)) in outputs.iter_mut().zip(acc).enumerate() {
                *out = strip.epilogue.requantize(lane, acc);
            }
        }
    }
}
