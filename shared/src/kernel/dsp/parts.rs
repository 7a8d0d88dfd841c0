//! Packed convolutions whose sums go on from one part of the depths to the next.
//!
//! It owns the order of parts and must not know the graph around it. A part is so short that the two channels of a
//! pair can be told apart whatever the weights are; the sums of the parts are added up in 32 bits, one by one.

use core::array;
use core::ops::Range;

use super::columns::Columns;
use super::conv2d::{Group, Packed, Work};
use super::packing::{
    BLOCK, Channel, Depth, Epilogue, PART, block_channels, first_channel, four_words,
};
use super::vector::fill;
use super::{GROUP, Simd};
use crate::kernel::{Dst, Src, Weighted};
use crate::layer::{Clamp, Window};
use crate::quant::i32_at;

/// Sums of the channels of a block, of two pixels each.
pub type Sums = [[i32; 2]; BLOCK];

/// Blocks that share what is expanded of a vector.
const BLOCKS: usize = 64;

/// [`Simd::accumulate`] for slices that faster code does not take.
pub(super) fn accumulate<S: Simd>(
    columns: &[u32],
    weights: &[u8],
    pitch: usize,
    sums: &mut [Sums],
) {
    let bytes = BLOCK * columns.len();
    for (i, sums) in sums.iter_mut().enumerate() {
        let block = weights.get(i * pitch..i * pitch + bytes);
        let [first, second] = S::raw_block(columns, block.unwrap_or_default());
        for (sums, raw) in sums.iter_mut().zip(first.into_iter().zip(second)) {
            *sums = [sums[0].wrapping_add(raw.0), sums[1].wrapping_add(raw.1)];
        }
    }
}

/// [`Simd::accumulate_one`] for slices that faster code does not take.
pub(super) fn accumulate_one<S: Simd>(
    column: &[[u32; 2]],
    weights: &[u8],
    pitch: usize,
    sums: &mut [[i32; BLOCK]],
) {
    let bytes = 4 * BLOCK * column.len();
    for (i, sums) in sums.iter_mut().enumerate() {
        let block = weights.get(i * pitch..i * pitch + bytes);
        let raw = S::sums(column, block.unwrap_or_default());
        for (sum, raw) in sums.iter_mut().zip(raw) {
            *sum = sum.wrapping_add(raw);
        }
    }
}

/// Whether loops by address can take so many `depths` of `n` blocks of `weights`.
#[inline]
#[cfg(any(dsp, multiply))]
pub(super) fn fit(depths: usize, weights: &[u8], pitch: usize, n: usize) -> bool {
    let bytes = BLOCK * depths;
    depths > 0
        && depths.is_multiple_of(4)
        && pitch >= bytes
        && pitch.is_multiple_of(4)
        && weights.as_ptr().addr().is_multiple_of(4)
        && n.checked_sub(1)
            .is_some_and(|last| weights.len() >= last * pitch + bytes)
}

impl Work<'_, '_, '_> {
    /// Output rows `rows`, the first of which has its window at the top of `src`.
    #[inline(never)]
    pub(super) fn parts<S: Simd>(&mut self, src: &Src<'_>, window: &Window, rows: Range<usize>) {
        let depth = Depth::new(window, src.c);
        let mut columns = Columns::new(src, window, self.words);
        let (w, c) = (self.dst.w.max(1), self.dst.c);
        let mut to = Outputs {
            group: self.group,
            epilogues: self.epilogues,
            dst: &mut *self.dst,
            constants: self.constants,
        };
        let (pixels, before) = (rows.len() * w, rows.start * w * c);
        for pixel in (0..pixels).step_by(2) {
            // The last of an odd number of pixels is alone.
            let pair = [pixel, (pixel + 1).min(pixels - 1)];
            let mut sums = [[[0; 2]; BLOCK]; GROUP];
            let sums = sums.get_mut(..self.group.n).unwrap_or_default();
            for part in depth.parts() {
                let weights = self.group.weights.get(part.bytes_before(depth)..);
                columns.take(part);
                columns.fill::<S>(src, window, pair.map(|p| (p / w, p % w)));
                let weights = weights.unwrap_or_default();
                S::accumulate(columns.words(), weights, depth.block_bytes(), sums);
            }
            to.deliver::<S>(sums, src.zero_point, pair.map(|p| before + p * c));
        }
    }
}

/// Where the sums of one group go.
struct Outputs<'w, 'd, 'c> {
    group: &'w Group<'w>,
    epilogues: &'w [Epilogue],
    dst: &'w mut Dst<'d>,
    constants: &'w Weighted<'c>,
}

impl Outputs<'_, '_, '_> {
    /// The outputs of two pixels, which begin `at`.
    #[inline]
    fn deliver<S: Simd>(&mut self, sums: &[Sums], zero_point: i32, at: [usize; 2]) {
        for (i, sums) in sums.iter().enumerate() {
            let first = first_channel(self.group.first + i, self.dst.c);
            let outputs = [0, 1].map(|p| sums.map(|sums| sums[p]));
            let outputs = match self.epilogues.get(i) {
                Some(of) => outputs.map(|sums| of.activations::<S>(sums)),
                None => {
                    let to = (self.dst.zero_point, self.dst.clamp);
                    let packed = (zero_point, self.group.packed);
                    outputs.map(|sums| finish(self.constants, packed, first, sums, to))
                }
            };
            for (at, outputs) in at.into_iter().zip(outputs) {
                let out = self.dst.data.get_mut(at + first..);
                if let Some(out) = out.and_then(|out| out.first_chunk_mut()) {
                    *out = outputs;
                }
            }
        }
    }
}

/// The activations of four channels from `first` on whose constants are not proved.
// Apart, as few layers take it.
#[inline(never)]
fn finish(
    constants: &Weighted<'_>,
    (zero_point, packed): (i32, Packed<'_>),
    first: usize,
    sums: [i32; BLOCK],
    to: (i32, Clamp),
) -> [i8; BLOCK] {
    array::from_fn(|lane| {
        let channel = first + lane;
        let shift = zero_point.wrapping_mul(i32_at(packed.sums, channel));
        constants.finish(channel, sums[lane].wrapping_sub(shift), to)
    })
}

/// A layer whose window is all of its input, before its clamp; `dst` has at least four channels.
#[inline(never)]
pub(super) fn vector<S: Simd>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    depth: Depth,
    constants: &Weighted<'_>,
    packed: Packed<'_>,
) {
    // Rows without padding are one.
    let depth = match depth.run == depth.row() {
        true => Depth {
            rows: 1,
            run: depth.len(),
        },
        false => depth,
    };
    let (pitch, n_blocks) = (depth.block_bytes(), dst.c.div_ceil(BLOCK));
    for first in (0..n_blocks).step_by(BLOCKS) {
        let weights = constants.weights.get(first * pitch..).unwrap_or_default();
        let mut sums = [[0; BLOCK]; BLOCKS];
        let n = BLOCKS.min(n_blocks - first);
        let sums = sums.get_mut(..n).unwrap_or_default();
        for part in depth.parts() {
            let mut column = heapless::Vec::<_, { PART / 4 }>::new();
            let lines = Depth {
                rows: part.rows.len(),
                run: part.run.end.min(depth.run) - part.run.start,
            };
            let from = part.rows.start * depth.run + part.run.start;
            let values = src.data.get(from..from + lines.rows * lines.run);
            fill(values.unwrap_or_default(), lines, &mut column, S::spread);
            let weights = weights.get(part.bytes_before(depth)..);
            S::accumulate_one(&column, weights.unwrap_or_default(), pitch, sums);
        }
        for (i, &mut sums) in sums.iter_mut().enumerate() {
            let first = first_channel(first + i, dst.c);
            let channels = four_words(packed.sums, first)
                .and_then(|of| block_channels(&constants.requant, of, first, src.zero_point));
            let exact = |c: &Channel| packed.exact || c.is_exact_in_parts(packed.reach);
            let outputs = match channels.filter(|channels| channels.iter().all(exact)) {
                Some(channels) => {
                    array::from_fn(|i| channels[i].activation::<S>(sums[i], dst.zero_point))
                }
                None => {
                    let to = (dst.zero_point, dst.clamp);
                    finish(constants, (src.zero_point, packed), first, sums, to)
                }
            };
            let out = dst
                .data
                .get_mut(first..)
                .and_then(|out| out.first_chunk_mut());
            if let Some(out) = out {
                *out = outputs;
            }
        }
    }
}
