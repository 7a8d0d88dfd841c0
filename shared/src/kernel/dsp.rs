//! The fast kernels: SIMD within 32-bit registers (Armv7E-M DSP), multiplications one by one on the smaller Cortex-M,
//! SSE2 on x86-64, plain Rust elsewhere.
//!
//! It owns the choice of the instruction set and the algorithms that all of them share; it must not know the graph.
//! Every kernel is generic over [`Simd`]: one algorithm runs with [`Native`] on device and host, and with [`Portable`],
//! its twin in plain Rust, in tests. All give the bits of [`super::generic`].
//!
//! Sources: Arm DDI 0403E (Armv7-M ARM), chapter A7; L. Lai, N. Suda, V. Chandra, "CMSIS-NN: Efficient Neural Network
//! Kernels for Arm Cortex-M CPUs", 2018 (two pixels at a time). Differs: two channels share a halfword ([`packing`]).

mod add;
mod columns;
mod conv2d;
mod depthwise;
mod fully_connected;
mod jobs;
pub mod packing;
pub mod paired;
mod parts;
mod pointwise;
mod pool;
mod portable;
mod slices;
mod strip;
mod vector;
pub mod winograd;

#[cfg(any(dsp, all(multiply, armv7m)))]
#[macro_use]
mod carried;
#[cfg(dsp)]
mod armv7em;
#[cfg(multiply)]
mod multiply;
#[cfg(target_arch = "x86_64")]
mod sse2;

pub(crate) use add::MIN_ELEMENTS as MIN_ADD_ELEMENTS;
pub use add::{Sum, add_over_s8, add_s8};
pub(crate) use columns::Columns;
pub use columns::Rows;
pub use conv2d::{Packed, packed_conv2d_s8};
pub(crate) use depthwise::{Cut, Narrow};
pub use depthwise::{Outputs, Shared, depthwise_conv2d_over_s8, depthwise_conv2d_s8};
pub use fully_connected::fully_connected_s8;
pub use jobs::{Batch, Lines, Slice, Strip, Weights, Windows};
pub use paired::paired_conv2d_s8;
pub use parts::Sums;
pub use pointwise::pointwise_conv2d_s8;
pub use pool::{Area, avg_pool_s8, global_avg_pool_s8, max_pool_s8};
pub(crate) use pool::{WIDE, in_words};
pub use portable::Portable;
pub(crate) use slices::MAX_PAIRS;
pub use slices::Slices;
pub(crate) use strip::Strip as PaddedStrip;
pub use vector::Proved;
pub(crate) use vector::fill;
pub use winograd::winograd_conv2d_s8;

use super::Dst;
use crate::layer::Clamp;
use heapless::VecView;
use packing::Epilogue;

/// What this build runs on.
#[cfg(dsp)]
pub use armv7em::Armv7em as Native;
#[cfg(multiply)]
pub use multiply::Multiply as Native;
#[cfg(not(any(dsp, multiply, target_arch = "x86_64")))]
pub use portable::Portable as Native;
#[cfg(target_arch = "x86_64")]
pub use sse2::Sse2 as Native;

/// Blocks of a packed convolution that share gathered windows.
pub(crate) const GROUP: usize = 16;
/// Most words of scratch of a convolution.
pub(crate) const SCRATCH_WORDS: usize = 1024;

/// The blocks of packed `weights` that are as deep as `columns`; none without columns.
fn blocks_of<'w>(weights: &'w [u8], columns: &[u32]) -> core::slice::ChunksExact<'w, u8> {
    match packing::BLOCK * columns.len() {
        0 => [].chunks_exact(1), // A maximum with 1 in its place leaves a panic in the program.
        bytes => weights.chunks_exact(bytes),
    }
}

/// `n / by`, rounded up.
pub(crate) fn div_ceil(n: usize, by: core::num::NonZeroUsize) -> usize {
    n / by + usize::from(n % by > 0)
}

/// The low and the high halfword.
#[inline]
fn halves(x: u32) -> [i32; 2] {
    let [a, b, c, d] = x.to_le_bytes();
    [[a, b], [c, d]].map(|half| i32::from(i16::from_le_bytes(half)))
}

/// 0xFF in every byte where `x >= y`, signed, 0 elsewhere: low bits are subtracted inside a byte, unlike signs decide.
#[inline]
fn at_least(x: u32, y: u32) -> u32 {
    const SIGNS: u32 = 0x8080_8080;
    let low = (x | SIGNS) - (y & !SIGNS);
    let signs = ((y & !x) | (low & !(x ^ y))) & SIGNS;
    (signs << 1).wrapping_sub(signs >> 7)
}

/// Limits every output to the clamp, for kernels whose instructions limit to i8 only.
fn limit<S: Simd>(dst: &mut Dst<'_>) {
    if dst.clamp == Clamp::FULL {
        return;
    }
    let [min, max] = pool::limits(dst.clamp);
    let (fours, rest) = dst.data.as_chunks_mut::<4>();
    for four in fours {
        let word = u32::from_le_bytes(four.map(i8::cast_unsigned));
        *four = S::min4(S::max4(word, min), max)
            .to_le_bytes()
            .map(u8::cast_signed);
    }
    for out in rest {
        *out = (*out).max(dst.clamp.min).min(dst.clamp.max);
    }
}

/// Of the low 16 bits of either.
#[inline]
fn word(low: i32, high: i32) -> u32 {
    (low.cast_unsigned() & 0xFFFF) | (high.cast_unsigned() << 16)
}

#[inline]
fn low_word(x: i64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the modulus is meant")]
    {
        x as i32
    }
}

/// An instruction set. Methods named like an instruction do what it does, in plain Rust unless it is there.
pub trait Simd: Sized {
    /// Bytes 0 and 2, sign-extended to halfwords.
    #[inline]
    fn sxtb16(x: u32) -> u32 {
        let [a, _, c, _] = x.to_le_bytes().map(u8::cast_signed);
        word(a.into(), c.into())
    }

    /// Bytes 1 and 3.
    #[inline]
    fn sxtb16_ror8(x: u32) -> u32 {
        Self::sxtb16(x >> 8)
    }

    /// Halfwords of `x` less those of `y`.
    #[inline]
    fn ssub16(x: u32, y: u32) -> u32 {
        let ([a, b], [c, d]) = (halves(x), halves(y));
        word(a - c, b - d)
    }

    /// `acc` plus the two products of the signed halfwords of `x` and `y`, modulo 2^32.
    #[inline]
    fn smlad(x: u32, y: u32, acc: i32) -> i32 {
        let ([a, b], [c, d]) = (halves(x), halves(y));
        acc.wrapping_add(a * c).wrapping_add(b * d)
    }

    /// Halfwords of `acc` plus bytes 0 and 2 of `x`, sign-extended.
    #[inline]
    fn sxtab16(acc: u32, x: u32) -> u32 {
        let minus = |x: u32| Self::ssub16(0, x);
        Self::ssub16(acc, minus(Self::sxtb16(x)))
    }

    /// Halfwords of `acc` plus bytes 1 and 3 of `x`, sign-extended.
    #[inline]
    fn sxtab16_ror8(acc: u32, x: u32) -> u32 {
        Self::sxtab16(acc, x >> 8)
    }

    /// The larger of the signed bytes of `x` and `y`, byte by byte.
    #[inline]
    fn max4(x: u32, y: u32) -> u32 {
        y ^ ((x ^ y) & at_least(x, y))
    }

    /// The smaller of the signed bytes of `x` and `y`, byte by byte.
    #[inline]
    fn min4(x: u32, y: u32) -> u32 {
        x ^ ((x ^ y) & at_least(x, y))
    }

    /// `acc + floor(x · low halfword of y / 2^16)`, modulo 2^32.
    #[inline]
    fn smlawb(x: i32, y: u32, acc: i32) -> i32 {
        Self::smlawt(x, y << 16, acc)
    }

    /// `acc + floor(x · high halfword of y / 2^16)`, modulo 2^32.
    #[inline]
    fn smlawt(x: i32, y: u32, acc: i32) -> i32 {
        let product = i64::from(x) * i64::from(y.cast_signed() >> 16);
        acc.wrapping_add(low_word(product >> 16))
    }

    /// `acc + floor((x·y + 2^31) / 2^32)`, modulo 2^32.
    #[inline]
    fn smmlar(x: i32, y: i32, acc: i32) -> i32 {
        let product = i64::from(x) * i64::from(y) + (1 << 31);
        acc.wrapping_add(low_word(product >> 32))
    }

    /// Four depths of two pixels in columns: of either bytes 0 and 2, then 1 and 3, unless
    /// [`Simd::blocks`] takes them in another form.
    #[inline]
    fn columns(x0: u32, x1: u32) -> [u32; 4] {
        let odd = [x0, x1].map(Self::sxtb16_ror8);
        [Self::sxtb16(x0), Self::sxtb16(x1), odd[0], odd[1]]
    }

    /// [`Simd::columns`] as halfwords.
    #[inline]
    fn halfwords(columns: [u32; 4]) -> [u32; 4] {
        columns
    }

    /// Reads rows at two places of `src` into [`Simd::columns`]. Slices that are too short give a wrong
    /// result.
    #[inline]
    fn gather(src: &[i8], starts: [usize; 2], rows: Rows, to: &mut [u32]) {
        let [mut first, mut second] = starts;
        for to in to.chunks_exact_mut(rows.bytes.max(1)).take(rows.n) {
            let run = |start: usize| src.get(start..start + rows.bytes).unwrap_or_default();
            columns::expand::<Self>(run(first), run(second), to);
            (first, second) = (first + rows.down, second + rows.down);
        }
    }

    /// `Σ input·w` of four rows of weights, two words of input with four weights. Rows that are too
    /// short give a wrong result.
    #[inline]
    fn dot4(input: &[u32], rows: [&[u8]; 4]) -> [i32; 4] {
        rows.map(|row| {
            let fours = input.as_chunks::<2>().0.iter().zip(row.as_chunks::<4>().0);
            fours.fold(0, |sum, (x, w)| {
                let w = u32::from_le_bytes(*w);
                let sum = Self::smlad(x[0], Self::sxtb16(w), sum);
                Self::smlad(x[1], Self::sxtb16_ror8(w), sum)
            })
        })
    }

    /// All blocks of a packed convolution for two pixels, or twice the same: `out[at[p] + 4·b + i]` is channel `i` of
    /// block `b` and pixel `p`, limited to i8. Slices that are too short give a wrong result.
    fn blocks(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        at: [usize; 2],
    );

    /// [`Simd::gather`], then [`Simd::blocks`], for each pair of a batch; `columns` as long as one window.
    #[inline]
    fn pairs(
        src: &[i8],
        rows: Rows,
        columns: &mut [u32],
        (weights, epilogues): (&[u8], &[Epilogue]),
        out: &mut [i8],
        batch: &Batch,
    ) {
        for i in 0..batch.n {
            let starts = batch.starts.map(|start| start + i * batch.ahead);
            let at = batch.at.map(|at| at + i * batch.out_ahead);
            Self::gather(src, starts, rows, columns);
            Self::blocks(columns, weights, epilogues, out, at);
        }
    }

    /// Blocks of a packed convolution for one window whose constants are proved, two words for each four
    /// depths of `column`: as many outputs as `out` takes, limited to i8. Slices that are too short give
    /// a wrong result.
    #[inline]
    fn vector(column: &[[u32; 2]], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) {
        let bytes = 4 * packing::BLOCK * column.len();
        let mut rest = weights;
        for (block, out) in out
            .as_chunks_mut::<{ packing::BLOCK }>()
            .0
            .iter_mut()
            .enumerate()
        {
            let Some((weights, behind)) = rest.split_at_checked(bytes) else {
                return;
            };
            rest = behind;
            let sums = Self::sums(column, weights);
            let channels = constants.channels(packing::BLOCK * block);
            for ((out, sum), channel) in out.iter_mut().zip(sums).zip(channels.iter().flatten()) {
                *out = channel.activation::<Self>(sum, constants.zero_points[1]);
            }
        }
    }

    /// `Σ q·w` of one packed block for one window, exact below 2^23.
    #[inline]
    fn sums(column: &[[u32; 2]], weights: &[u8]) -> [i32; packing::BLOCK] {
        let mut sums = [0; packing::BLOCK];
        // Two words hold one pair of depths: channels 0 and 1, channels 2 and 3.
        let pairs = weights.as_chunks::<4>().0.as_chunks::<2>().0;
        for (&x, pair) in column.as_flattened().iter().zip(pairs) {
            for (sums, bytes) in sums.as_chunks_mut::<2>().0.iter_mut().zip(pair) {
                let word = u32::from_le_bytes(*bytes);
                *sums = [
                    Self::smlad(x, Self::sxtb16(word), sums[0]),
                    Self::smlad(x, word, sums[1]),
                ];
            }
        }
        let odd = |both: i32, even: i32| both.wrapping_sub(even) >> 8;
        let [a, b, c, d] = sums;
        [a, odd(b, a), c, odd(d, c)]
    }

    /// Appends fours of bytes as [pairs](mod@paired): bytes 0 and 2, then 1 and 3, as far as there is room.
    #[inline]
    fn pair_up(src: &[i8], to: &mut VecView<[u32; 2]>) {
        paired::append(src, to);
    }

    /// Blocks of a paired convolution for one window, as [`Simd::vector`]; an even number of
    /// [pairs](mod@paired).
    #[inline]
    fn paired(pairs: &[[u32; 2]], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) {
        paired::blocks(pairs, weights, constants, out);
    }

    /// Means of the pixels of `area` from channel 0 on, with `reciprocal` as [`mod@pool`] makes it.
    #[inline]
    fn means(area: &Area<'_>, reciprocal: i32, out: &mut [[i8; pool::WIDE]]) {
        for (i, out) in out.iter_mut().enumerate() {
            pool::put(out, area.means::<Self, 4>(pool::WIDE * i, reciprocal));
        }
    }

    /// Sums of the pixels of `area`, 16 channels from `at` on: of channels 0 and 2 of four, then 1 and 3.
    #[inline]
    fn totals(area: &Area<'_>, at: usize) -> [[u32; 2]; 4] {
        area.sums::<Self, 4>(at)
    }

    /// Sums of fours of values by tables, limited.
    #[inline]
    fn add(job: &Sum<'_>, out: &mut [[i8; 4]]) {
        job.fours::<Self>(out);
    }

    /// The first bytes of `from`, as many as `to` takes.
    #[inline]
    fn copy(from: &[i8], to: &mut [i8]) {
        let n = from.len().min(to.len());
        if let Some((to, from)) = to.get_mut(..n).zip(from.get(..n)) {
            to.copy_from_slice(from);
        }
    }

    /// Appends fours of bytes, if there is room for all: bytes 0 and 2, 1 and 3 as halfwords.
    #[inline]
    fn spread(src: &[i8], to: &mut VecView<[u32; 2]>) {
        let (fours, at) = (src.as_chunks::<4>().0, to.len());
        if to.resize(at + fours.len(), [0; 2]).is_ok() {
            for (to, bytes) in to.iter_mut().skip(at).zip(fours) {
                let word = u32::from_le_bytes(bytes.map(i8::cast_unsigned));
                *to = [Self::sxtb16(word), Self::sxtb16_ror8(word)];
            }
        }
    }

    /// `Σ q·w` of one packed block for two pixels, exact for any weights: `[pixel][channel]`.
    #[inline]
    fn raw_block(columns: &[u32], weights: &[u8]) -> [[i32; 4]; 2] {
        portable::raw_block::<Self>(columns, weights)
    }

    /// Adds `Σ q·w` of packed blocks, `pitch` bytes from one to the next, for two pixels to `sums`: at most 512 depths.
    /// Slices that are too short give a wrong result.
    #[inline]
    fn accumulate(columns: &[u32], weights: &[u8], pitch: usize, sums: &mut [parts::Sums]) {
        parts::accumulate::<Self>(columns, weights, pitch, sums);
    }

    /// [`Simd::accumulate`] for one pixel, two words for each four depths of `column`.
    #[inline]
    fn accumulate_one(column: &[[u32; 2]], weights: &[u8], pitch: usize, sums: &mut [[i32; 4]]) {
        parts::accumulate_one::<Self>(column, weights, pitch, sums);
    }
}
