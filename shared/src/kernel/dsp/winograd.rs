//! Convolutions of 3×3 with stride 1 by minimal filtering: 16 products where four outputs take 36.
//!
//! It owns the form of the weights, its proof, and the order of tiles; it must not know the graph around it. A tile is
//! 2×2 outputs, which read 4×4 inputs `d`. With the matrices of F(2×2, 3×3) (A. Lavin, S. Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016, section 4.1; S. Winograd, "Arithmetic Complexity of Computations", 1980) the
//! outputs are `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, summed over input channels inside the bracket. Differs: halves of G are
//! taken off behind the sums, so that all is exact in integers. Down a column of a filter `g` and of inputs `d`
//!
//! ```text
//! (a, b, c, e) = (2·g0, g0 + g1 + g2, g0 − g1 + g2, −2·g2)
//! (m0, m1, m2, m3) = Σ (d0 − d2)·a, Σ (d1 + d2)·b, Σ (d2 − d1)·c, Σ (d1 − d3)·e
//! ```
//!
//! give twice the outputs, `m0 + (m1 + m2)` and `(m1 − m2) + m3`; along a row, without the factors 2 and −2,
//! `m0 + (m1 + m2)/2` and `(m1 − m2)/2 − m3`, where both sums are even. Transformed inputs have 10 bits, weights 12;
//! no sum that is halved is farther from 0 than four times the [reach](super::packing::Reach) and bias of a layer.
//!
//! Layout, for O output channels and C input channels, multiples of 4: blocks of four outputs; in each 16 products in
//! the [order](ORDER) of their columns, and in it of their rows; for each of them C/4 groups of two pairs of input
//! channels, `(4g, 4g + 2)` and `(4g + 1, 4g + 3)`; for each pair a word per output, its low halfword of the first
//! channel.

use core::array;

use super::conv2d::{Group, Packed};
use super::packing::{BLOCK, Epilogue};
use super::{GROUP, Portable, Simd, limit};
use crate::kernel::{Dst, Src, Weighted};
use crate::layer::{Clamp, Tensor, Window};
use crate::quant::saturate;
use crate::scratch::with_room;

/// Products of a tile.
pub const PRODUCTS: usize = 16;
/// Columns, and rows, of products in the order of their use: first those whose sum and difference others go on from.
pub const ORDER: [usize; 4] = [1, 2, 0, 3];
/// Most input channels.
pub const MAX_CHANNELS: usize = 64;
/// Outputs of two tiles beside each other.
pub(super) const TILES: [usize; 2] = [2, 4];
/// Inputs that they read.
pub(super) const PATCH: [usize; 2] = [4, 6];
/// Words of the transformed inputs of four channels and two tiles.
pub(super) const FOUR_WORDS: usize = 4 * PRODUCTS;

/// Weights of a filter, `[3][3]` down and across, as they are multiplied, in the [order](ORDER) of use.
pub fn transform(filter: &[i8; 9]) -> [i16; PRODUCTS] {
    let [top, middle, bottom] = array::from_fn(|y| array::from_fn(|x| filter[3 * y + x].into()));
    let columns: [[i16; 4]; 3] = array::from_fn(|x| {
        let three: [[i16; 3]; 3] = [top, middle, bottom];
        let [a, b, c] = three.map(|row| row[x]);
        [2 * a, a + b + c, a - b + c, -2 * c]
    });
    array::from_fn(|i| {
        let [a, b, c] = columns.map(|column| column[ORDER[i % 4]]);
        match ORDER[i / 4] {
            0 => a,
            1 => a + b + c,
            2 => a - b + c,
            _ => c,
        }
    })
}

/// The filter of which these are the [transformed](transform) weights; none if there is no such filter.
pub fn restore(weights: &[i16; PRODUCTS]) -> Option<[i8; 9]> {
    // In the order of use: 1, 2, 0, 3.
    let wide = weights.map(i32::from);
    let columns: [[i32; 3]; 4] = array::from_fn(|i| {
        let [sum, _, twice, minus] = [0, 1, 2, 3].map(|row| wide[4 * i + row]);
        let (top, bottom) = (twice / 2, -minus / 2);
        [top, sum - top - bottom, bottom]
    });
    let mut filter = [0; 9];
    for (y, row) in filter.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let [sum, _, left, right] = columns.map(|column| column[y]);
        for (to, w) in row.iter_mut().zip([left, sum - left - right, right]) {
            *to = i8::try_from(w).ok()?;
        }
    }
    (transform(&filter) == *weights).then_some(filter)
}

/// Bytes of the weights of four outputs of `in_ch` channels.
pub fn block_bytes(in_ch: usize) -> usize {
    2 * PRODUCTS * BLOCK * in_ch
}

/// First byte, inside a block, of the weight of product `product` for input channel `c` of `in_ch` and output `lane`.
pub fn place(product: usize, (c, in_ch): (usize, usize), lane: usize) -> usize {
    let pair = (product * (in_ch / 4) + c / 4) * 2 + c % 2;
    16 * pair + 4 * lane + c % 4 / 2 * 2
}

/// The filter of input channel `c` of `in_ch` and output `lane` of a block; none if its weights are of no filter.
pub fn filter(block: &[u8], (c, in_ch): (usize, usize), lane: usize) -> Option<[i8; 9]> {
    restore(&array::from_fn(|product| {
        let at = place(product, (c, in_ch), lane);
        let bytes = block.get(at..).and_then(|b| b.first_chunk());
        bytes.map_or(0, |b| i16::from_le_bytes(*b))
    }))
}

/// Whether a convolution of `window` can have this form.
pub fn takes(window: &Window, src: &Tensor, dst: &Tensor) -> bool {
    let plain = Window {
        pad_top: window.pad_top,
        pad_left: window.pad_left,
        ..Window::square(3, 1, 0)
    };
    let [in_ch, out_ch, h, w] = [src.c, dst.c, dst.h, dst.w].map(usize::from);
    *window == plain
        && in_ch <= MAX_CHANNELS
        && in_ch.is_multiple_of(4)
        && out_ch.is_multiple_of(BLOCK)
        && h >= TILES[0]
        && w >= TILES[1]
}

/// Inputs of two tiles.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// First value.
    pub start: usize,
    /// Values from one row to the next.
    pub line: usize,
    /// Values from one pixel to the next, the channels.
    pub pixel: usize,
}

impl Patch {
    /// Behind `n` values of the last of so many rows and columns of pixels; none beyond all memory.
    #[cfg(dsp)]
    pub(super) fn end(&self, [rows, columns]: [usize; 2], n: usize) -> Option<usize> {
        let down = self.line.checked_mul(rows.checked_sub(1)?)?;
        let right = self.pixel.checked_mul(columns.checked_sub(1)?)?;
        let last = self.start.checked_add(down)?.checked_add(right)?;
        last.checked_add(n)
    }
}

/// Outputs of two tiles: those of [`Patch`], `start` of the first channel of the first block.
pub type Tile = Patch;

/// What these convolutions need of an instruction set. Slices that are too short give a wrong result.
pub trait Tiles: Simd {
    /// The transformed inputs of two tiles, 64 words for each four channels: for each product four, bytes 0 and 2 of
    /// either tile, then 1 and 3.
    #[inline]
    fn transform(src: &[i8], patch: &Patch, to: &mut [u32]) {
        for (i, to) in to.chunks_exact_mut(FOUR_WORDS).enumerate() {
            let at = patch.start + 4 * i;
            let word = |y: usize, x: usize| {
                let bytes = src.get(at + y * patch.line + x * patch.pixel..);
                let bytes = bytes.and_then(|b| b.first_chunk()).unwrap_or(&[0; 4]);
                u32::from_le_bytes(bytes.map(i8::cast_unsigned))
            };
            for (half, tile) in (0..2).flat_map(|half| (0..2).map(move |tile| (half, tile))) {
                let rows = array::from_fn(|y| {
                    across::<Self>(array::from_fn(|x| {
                        Self::sxtb16(word(y, 2 * tile + x) >> (8 * half))
                    }))
                });
                for (x, column) in (0..4).map(|x| (x, rows.map(|row: [u32; 4]| row[x]))) {
                    for (y, value) in across::<Self>(column).into_iter().enumerate() {
                        let at = 4 * (4 * x + y) + 2 * half + tile;
                        if let Some(to) = to.get_mut(at) {
                            *to = value;
                        }
                    }
                }
            }
        }
    }

    /// All blocks for two tiles.
    #[inline]
    fn products(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        tile: &Tile,
    ) {
        let bytes = 8 * columns.len();
        for (block, epilogue) in epilogues.iter().enumerate() {
            let weights = weights.get(block * bytes..(block + 1) * bytes);
            let weights = weights.unwrap_or_default();
            let columns_of = |x: usize| {
                let [b, c, a, e] = array::from_fn(|y| sums::<Self>(columns, weights, 4 * x + y));
                let add = |f: fn([i32; 4]) -> i32| -> [[i32; 2]; BLOCK] {
                    array::from_fn(|i| array::from_fn(|t| f([a, b, c, e].map(|m| m[i][t]))))
                };
                [
                    add(|[a, b, c, _]| a.wrapping_add(b).wrapping_add(c)),
                    add(|[_, b, c, e]| b.wrapping_sub(c).wrapping_add(e)),
                ]
            };
            let [b, c, a, e] = array::from_fn(columns_of);
            for (y, lane, t) in (0..2 * BLOCK * 2).map(|i| (i / 8, i / 2 % 4, i % 2)) {
                let [a, b, c, e] = [a, b, c, e].map(|u: [[[i32; 2]; BLOCK]; 2]| u[y][lane][t]);
                let twice = [
                    a.wrapping_add(b.wrapping_add(c) >> 1),
                    (b.wrapping_sub(c) >> 1).wrapping_sub(e),
                ];
                for (x, twice) in twice.into_iter().enumerate() {
                    let at = tile.start + y * tile.line + (2 * t + x) * tile.pixel;
                    if let Some(to) = out.get_mut(at + BLOCK * block + lane) {
                        let acc = (twice >> 1).wrapping_add(epilogue.bias[lane]);
                        *to = epilogue.requantize(lane, acc);
                    }
                }
            }
        }
    }
}

impl Tiles for Portable {}

/// `d1 + d2`, `d2 − d1`, `d0 − d2`, `d1 − d3` of halfwords.
#[inline]
fn across<S: Simd>([a, b, c, d]: [u32; 4]) -> [u32; 4] {
    let sum = S::ssub16(c, S::ssub16(0, b));
    [sum, S::ssub16(c, b), S::ssub16(a, c), S::ssub16(b, d)]
}

/// Of one product, over all input channels, of four outputs and two tiles.
#[inline]
fn sums<S: Simd>(columns: &[u32], weights: &[u8], product: usize) -> [[i32; 2]; BLOCK] {
    let mut sums = [[0; 2]; BLOCK];
    let pairs = columns.len() / FOUR_WORDS * 2;
    let weights = weights.as_chunks::<4>().0.as_chunks::<BLOCK>().0;
    let weights = weights.get(product * pairs..).unwrap_or_default();
    let columns = columns.as_chunks::<FOUR_WORDS>().0.iter();
    let columns = columns.flat_map(|four| {
        let two = four.as_chunks::<2>().0.get(2 * product..2 * product + 2);
        two.unwrap_or_default()
    });
    for (&[a, b], weights) in columns.zip(weights) {
        for (sums, w) in sums.iter_mut().zip(weights) {
            let w = u32::from_le_bytes(*w);
            *sums = [S::smlad(a, w, sums[0]), S::smlad(b, w, sums[1])];
        }
    }
    sums
}

/// Dense 3×3 convolution with [transformed](self) weights: bit for bit
/// [`conv2d_s8`](crate::kernel::generic::conv2d_s8).
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][in_ch]` | i8 |
/// | `dst` | `[out_h][out_w][out_ch]` | i8 |
/// | `constants.weights` | [blocks](self) | i16 |
///
/// Two tiles at a time, whose inputs are transformed once for up to 64 channels; where the outputs are no whole tiles,
/// some are computed twice. Never panics if `Model::parse` accepted the blob, which has proved every channel
/// [exact](super::packing::Channel::is_exact). Cost: 64 bytes of stack an input channel and, with padding, 24, both in
/// [frames](crate::scratch) of the next size, and 2 KiB; instructions in [`crate::cost`].
pub fn winograd_conv2d_s8<S: Tiles>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &Weighted<'_>,
    packed: Packed<'_>,
) {
    let bytes = block_bytes(src.c);
    let n_blocks = dst.c / BLOCK;
    let pad = [window.pad_top, window.pad_left].map(usize::from);
    let inside = pad == [0, 0] && dst.h + 2 <= src.h && dst.w + 2 <= src.w;
    let n_fours = match inside {
        true => 0,
        false => PATCH[0] * PATCH[1] * src.c / 4,
    };
    let n_words = FOUR_WORDS * src.c / 4;
    with_room(n_fours, &mut |fours| {
        // There is room, here and below.
        let _ = fours.resize(n_fours, [0; 4]);
        with_room(n_words, &mut |columns| {
            let _ = columns.resize(n_words, 0);
            for first in (0..n_blocks).step_by(GROUP) {
                let n = GROUP.min(n_blocks - first);
                let weights = constants.weights.get(first * bytes..(first + n) * bytes);
                let group = Group {
                    first,
                    n,
                    weights: weights.unwrap_or_default(),
                    packed,
                };
                let mut epilogues = heapless::Vec::new();
                group.epilogues(&mut epilogues, (src.zero_point, true), dst, constants);
                for (y, x) in tiles([dst.h, dst.w]) {
                    let at = |y: usize, x: usize| (y * dst.w + x) * dst.c;
                    let tile = Tile {
                        start: at(y, x) + first * BLOCK,
                        line: at(1, 0),
                        pixel: dst.c,
                    };
                    let (data, patch) = patch::<S>(src, [y, x], pad, fours.as_flattened_mut());
                    S::transform(data, &patch, columns);
                    S::products(columns, group.weights, &epilogues, dst.data, &tile);
                }
            }
        });
    });
    limit::<S>(dst);
}

/// The first outputs of two tiles each; the last ones of a row or column may overlap those before.
fn tiles([h, w]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    let [down, right] = TILES;
    let (bottom, last) = (h.saturating_sub(down), w.saturating_sub(right));
    (0..h).step_by(down).flat_map(move |y| {
        let columns = (0..w).step_by(right);
        columns.map(move |x| (y.min(bottom), x.min(last)))
    })
}

/// What the two tiles from output `[top, left]` on read: part of the image, or where that ends a copy with padding.
#[inline]
fn patch<'a, S: Simd>(
    src: &Src<'a>,
    [top, left]: [usize; 2],
    pad: [usize; 2],
    bytes: &'a mut [i8],
) -> (&'a [i8], Patch) {
    let (c, [rows, columns]) = (src.c, PATCH);
    let inside = |at: usize, n: usize, pad: usize, size: usize| {
        let first = at.checked_sub(pad);
        first.filter(|first| first + n <= size)
    };
    let first = inside(top, rows, pad[0], src.h).zip(inside(left, columns, pad[1], src.w));
    if let Some((y, x)) = first {
        let patch = Patch {
            start: (y * src.w + x) * c,
            line: src.w * c,
            pixel: c,
        };
        return (src.data, patch);
    }
    bytes.fill(saturate(src.zero_point, Clamp::FULL));
    let skip = pad[1].saturating_sub(left);
    let from = (left + skip).saturating_sub(pad[1]);
    let n = (columns - skip.min(columns)).min(src.w.saturating_sub(from));
    for (row, to) in bytes.chunks_exact_mut((columns * c).max(1)).enumerate() {
        let y = (top + row).checked_sub(pad[0]);
        if let Some(y) = y.filter(|&y| y < src.h) {
            let to = to.get_mut(skip * c..).unwrap_or_default();
            S::copy(
                src.run(y, from, n * c),
                to.get_mut(..n * c).unwrap_or_default(),
            );
        }
    }
    let patch = Patch {
        start: 0,
        line: columns * c,
        pixel: c,
    };
    (bytes, patch)
}
