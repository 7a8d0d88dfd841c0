//! Maximum, average and global average pooling, four channels in a word. It owns these operators only
//! and must not know the graph around them.

use super::{Simd, limit};
use crate::kernel::{Dst, Src, axes, generic};
use crate::layer::{Clamp, Scaling, Window};
use crate::quant::requantize;

/// Channels in a word.
const LANES: usize = 4;
/// Words that share one pass over a window.
const WORDS: usize = 4;
/// Channels of them.
pub(crate) const WIDE: usize = LANES * WORDS;
/// -128 in each byte.
const LEAST: u32 = u32::from_le_bytes([i8::MIN.cast_unsigned(); LANES]);
/// Most pixels whose sum of i8 fits in a halfword.
const MAX_PIXELS: usize = 256;

/// Whether sums over `pixels` pixels of `c` channels are taken four channels at a time.
pub(crate) fn in_words(c: usize, pixels: usize) -> bool {
    c >= LANES && pixels <= MAX_PIXELS
}

/// Largest value of each window: bit for bit [`generic::max_pool_s8`], which it calls for fewer than
/// four channels.
///
/// Arguments and errors are those of the generic kernel. Cost: no scratch; instructions in
/// [`crate::cost`].
pub fn max_pool_s8<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, window: &Window) {
    if !in_words(src.c, 1) {
        return generic::max_pool_s8(src, dst, window);
    }
    each_area(src, dst, window, |area, pixel| {
        blocks(
            pixel,
            |wide| {
                for (i, to) in wide.iter_mut().enumerate() {
                    put(to, area.largest::<S, WORDS>(WIDE * i));
                }
            },
            |at| area.largest::<S, 1>(at)[0],
        );
    });
    limit::<S>(dst);
}

/// Mean of each window over the taps inside the image: bit for bit [`generic::avg_pool_s8`], which it
/// calls for fewer than four channels and for windows of more than 256 taps.
///
/// Arguments and errors are those of the generic kernel. Cost: no scratch; instructions in
/// [`crate::cost`].
pub fn avg_pool_s8<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, window: &Window) {
    if !in_words(src.c, window.taps()) {
        return generic::avg_pool_s8(src, dst, window);
    }
    each_area(src, dst, window, |area, pixel| {
        let reciprocal = reciprocal(area.rows * area.columns);
        blocks(
            pixel,
            |wide| S::means(area, reciprocal, wide),
            |at| area.means::<S, 1>(at, reciprocal)[0],
        );
    });
    limit::<S>(dst);
}

/// Mean over all pixels, rescaled: bit for bit [`generic::global_avg_pool_s8`], which it calls for
/// fewer than four channels and for more than 256 pixels.
///
/// Arguments and errors are those of the generic kernel. Cost: no scratch; instructions in
/// [`crate::cost`].
pub fn global_avg_pool_s8<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, scaling: Scaling) {
    let pixels = src.h * src.w;
    if !in_words(src.c, pixels) {
        return generic::global_avg_pool_s8(src, dst, scaling);
    }
    let area = Area {
        data: src.data,
        start: 0,
        pitch: 0,
        step: src.c,
        rows: 1,
        columns: pixels,
    };
    // At most 256 pixels and a zero point of 8 bits.
    let zeros = i32::try_from(pixels).unwrap_or(0) * src.zero_point;
    let factor = (scaling.multiplier(), scaling.shift);
    let (zero_point, clamp) = (dst.zero_point, dst.clamp);
    let finish = |sums: [u32; 2]| {
        word(lanes(sums).map(|sum| requantize(sum - zeros, factor, zero_point, clamp).into()))
    };
    blocks(
        dst.data,
        |wide| {
            for (i, to) in wide.iter_mut().enumerate() {
                put(to, S::totals(&area, WIDE * i).map(finish));
            }
        },
        |at| finish(area.sums::<S, 1>(at)[0]),
    );
}

/// `floor(2^30 / n) + 1`, with which the mean of `n` values is [`mean`].
fn reciprocal(n: usize) -> i32 {
    (1 << 30) / i32::try_from(n).unwrap_or(1).max(1) + 1
}

/// The two sums of `sums` over `n`, to nearest, ties away from zero.
///
/// With `m = 2^30/n + δ`, `0 < δ <= 1`, `floor(s·m / 2^16)` is `2^14·s/n + e`: for `|s| <= 2^15` at most
/// half a unit away from zero by δ and less than one down by the floor. A sum that is no tie is at least
/// `2^14/(2n) >= 32` units from one. A positive tie stays one, as `e` is at least 0, and rounds up; a
/// negative one falls below the tie and rounds down.
#[inline]
fn mean<S: Simd>(sums: u32, reciprocal: i32) -> [i32; 2] {
    const HALF: i32 = 1 << 13;
    [
        S::smlawb(reciprocal, sums, HALF) >> 14,
        S::smlawt(reciprocal, sums, HALF) >> 14,
    ]
}

/// Both limits in each byte of a word.
pub(crate) fn limits(clamp: Clamp) -> [u32; 2] {
    [clamp.min, clamp.max].map(|limit| u32::from_le_bytes([limit.cast_unsigned(); LANES]))
}

/// The low bytes of four lanes.
#[inline]
fn word([a, b, c, d]: [i32; LANES]) -> u32 {
    let [a, b, c, d] = [a, b, c, d].map(|lane| lane.cast_unsigned() & 0xFF);
    a | (b << 8) | (c << 16) | (d << 24)
}

/// The sums of channels 0 and 2, and of 1 and 3, in the order of the channels.
#[inline]
fn lanes([even, odd]: [u32; 2]) -> [i32; LANES] {
    let low = |x: u32| (x << 16).cast_signed() >> 16;
    let high = |x: u32| x.cast_signed() >> 16;
    [low(even), low(odd), high(even), high(odd)]
}

/// Calls `pool` with the taps inside the image of every output pixel.
#[inline(always)]
fn each_area(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    pool: impl Fn(&Area<'_>, &mut [i8]),
) {
    let (rows, columns) = axes(src, window);
    let (c, pitch) = (src.c, src.w * src.c);
    for (y, line) in dst.data.chunks_exact_mut((dst.w * c).max(1)).enumerate() {
        let (ky, top) = rows.taps(y);
        for (x, pixel) in line.chunks_exact_mut(c.max(1)).enumerate() {
            let (kx, left) = columns.taps(x);
            let area = Area {
                data: src.data,
                start: top * pitch + left * c,
                pitch,
                step: c,
                rows: ky.len(),
                columns: kx.len(),
            };
            pool(&area, pixel);
        }
    }
}

/// Writes the channels of a pixel, at least four: `wide` those of the first words, `narrow` gives the
/// other words from a channel on; the last of them may repeat channels.
#[inline(always)]
fn blocks(pixel: &mut [i8], wide: impl FnOnce(&mut [[i8; WIDE]]), narrow: impl Fn(usize) -> u32) {
    let c = pixel.len();
    let wides = pixel.as_chunks_mut().0;
    let mut at = WIDE * wides.len();
    wide(wides);
    while at < c {
        let from = at.min(c.saturating_sub(LANES));
        put(pixel.get_mut(from..).unwrap_or_default(), [narrow(from)]);
        at += LANES;
    }
}

/// Writes words to the start of `to`.
#[inline(always)]
pub(crate) fn put<const N: usize>(to: &mut [i8], words: [u32; N]) {
    if let Some(to) = to.as_chunks_mut().0.first_chunk_mut::<N>() {
        *to = words.map(|word| word.to_le_bytes().map(u8::cast_signed));
    }
}

/// Pixels of an image.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    /// The image.
    pub data: &'a [i8],
    /// The first value of the first pixel.
    pub start: usize,
    /// Values from one row to the next.
    pub pitch: usize,
    /// Values from one pixel to the next.
    pub step: usize,
    /// Rows of pixels.
    pub rows: usize,
    /// Pixels of a row.
    pub columns: usize,
}

impl Area<'_> {
    /// `each` of the words from channel `at` on, pixel by pixel.
    #[inline(always)]
    fn fold<const N: usize, A>(
        &self,
        at: usize,
        mut acc: [A; N],
        each: impl Fn(&mut A, u32),
    ) -> [A; N] {
        let mut row = self.start + at;
        for _ in 0..self.rows {
            let mut at = row;
            for _ in 0..self.columns {
                let values = self.data.get(at..at + LANES * N).unwrap_or_default();
                if let Some(words) = values.as_chunks::<LANES>().0.first_chunk::<N>() {
                    for (acc, bytes) in acc.iter_mut().zip(words) {
                        each(acc, u32::from_le_bytes(bytes.map(i8::cast_unsigned)));
                    }
                }
                at += self.step;
            }
            row += self.pitch;
        }
        acc
    }

    /// Largest values.
    #[inline(always)]
    fn largest<S: Simd, const N: usize>(&self, at: usize) -> [u32; N] {
        self.fold(at, [LEAST; N], |acc, word| *acc = S::max4(*acc, word))
    }

    /// Sums of channels 0 and 2, and of 1 and 3, of each word.
    #[inline(always)]
    pub(crate) fn sums<S: Simd, const N: usize>(&self, at: usize) -> [[u32; 2]; N] {
        self.fold(at, [[0; 2]; N], |acc, word| {
            *acc = [S::sxtab16(acc[0], word), S::sxtab16_ror8(acc[1], word)];
        })
    }

    /// Means.
    #[inline(always)]
    pub(crate) fn means<S: Simd, const N: usize>(&self, at: usize, reciprocal: i32) -> [u32; N] {
        self.sums::<S, N>(at).map(|[even, odd]| {
            let ([a, c], [b, d]) = (mean::<S>(even, reciprocal), mean::<S>(odd, reciprocal));
            word([a, b, c, d])
        })
    }
}
