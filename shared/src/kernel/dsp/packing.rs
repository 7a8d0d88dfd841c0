//! The packed form of a convolution's constants.
//!
//! It owns the layout that `deploy` writes and the fast kernels read, and the proof that makes it exact;
//! it must not know pixels. Layout, for O >= 4 channels and K [depths](Depth): each row of the window has
//! `kernel_w·in_ch` of them, rounded up to 4 with weights of 0, so that a row of a window is read in
//! whole words:
//!
//! - blocks of four channels, the last one ends at channel O and may repeat channels of the one before;
//! - a block is K words, two for each pair of depths `(4g, 4g+2)` and `(4g+1, 4g+3)`: first channels 0
//!   and 1, then 2 and 3. The low halfword is of the first depth, the high one of the second;
//! - a halfword is `256·w[odd] + w[even]`, and no other: where `w[odd]` is -128, `w[even]` is at least 0.
//!
//! With `P` the sum of a channel, bias included, one SMLAD of the halfwords adds up `256·P[odd] +
//! P[even]` and one of their sign-extended low bytes `P[even]`. Modulo 2^32 the difference is
//! `256·P[odd]`, so that a shift gives `P[odd]` exactly if `|P[odd]| < 2^23`, which
//! [`Channel::is_exact`] proves from the bias and the layer's [reach](Reach), and parsing of the parts of channels with
//! weights of -128.

#[cfg_attr(multiply, path = "multiply/rounding.rs")]
mod rounding;

use core::array;
use core::num::NonZeroUsize;
use core::ops::Range;

use super::{Simd, div_ceil};
use crate::layer::Window;
use crate::quant::{Requant, high_product, high_product_by_parts};
pub use rounding::Rounding;

/// Channels of a block.
pub const BLOCK: usize = 4;
/// Most depths of a packed convolution: the sums of 2^16 products of a weight and an input are below 2^30.
pub const MAX_DEPTH: usize = 1 << 16;
/// Most depths of a paired layer, and of one that is computed in one part: what fits into the scratch for two pixels.
pub const MAX_WHOLE: usize = super::SCRATCH_WORDS;
/// Most depths of a [`Part`]: no sum of as many products is 2^23 or more, unless all of the weights are -128.
pub const PART: usize = 512;
const _: () = assert!((PART - 1) * 128 * 128 + 127 * 128 < 1 << 23);

/// How a filter is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Rows of the window.
    pub rows: usize,
    /// Weights of a row: `kernel_w·in_ch`.
    pub run: usize,
}

impl Depth {
    /// Of `window` over `in_ch` channels.
    pub fn new(window: &Window, in_ch: usize) -> Self {
        Self {
            rows: window.kernel_h.into(),
            run: usize::from(window.kernel_w) * in_ch,
        }
    }

    /// Depths of a row, padding included.
    #[inline]
    pub fn row(&self) -> usize {
        self.run.next_multiple_of(4)
    }

    /// All depths.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.saturating_mul(self.row())
    }

    /// True without weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Depth of weight `i` of a filter `[kernel_h][kernel_w][in_ch]`.
    pub fn of(&self, i: usize) -> usize {
        let run = self.run.max(1);
        i / run * self.row() + i % run
    }

    /// Bytes of one block.
    pub fn block_bytes(&self) -> usize {
        self.len().saturating_mul(BLOCK)
    }

    /// The depths in parts that follow each other, of at most 512 each: rows, or pieces of one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let one = NonZeroUsize::MIN;
        let (rows, row) = (self.rows, NonZeroUsize::new(self.row()).unwrap_or(one));
        let pieces = NonZeroUsize::new(row.get().div_ceil(PART)).unwrap_or(one);
        let piece = div_ceil(row.get(), pieces).next_multiple_of(4);
        let lines = (PART / row).max(1);
        (0..rows).step_by(lines).flat_map(move |top| {
            (0..row.get()).step_by(piece.max(4)).map(move |left| Part {
                rows: top..(top + lines).min(rows),
                run: left..(left + piece).min(row.get()),
            })
        })
    }

    /// All depths as one part.
    pub(crate) fn whole(&self) -> Part {
        Part {
            rows: 0..self.rows,
            run: 0..self.row(),
        }
    }

    /// Bytes of all blocks.
    pub fn packed_bytes(&self, out_ch: usize) -> usize {
        self.block_bytes().saturating_mul(out_ch.div_ceil(BLOCK))
    }
}

/// Rows of a window, and padded depths of each of them.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) rows: Range<usize>,
    pub(crate) run: Range<usize>,
}

impl Part {
    /// Its depths.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.rows.len() * self.run.len()
    }

    /// Bytes of a block of `depth` in front of it.
    #[inline]
    pub(crate) fn bytes_before(&self, depth: Depth) -> usize {
        BLOCK * (self.rows.start * depth.row() + self.run.start)
    }
}

/// Whether a convolution can be packed.
pub fn packable(window: &Window, in_ch: usize, out_ch: usize) -> bool {
    out_ch >= BLOCK && Depth::new(window, in_ch).len() <= MAX_DEPTH
}

/// Whether runtimes below ABI 6 refuse a packed convolution: more than 1024 depths, or a row of more than 64 of input
/// channels that are no multiple of 4.
pub(crate) fn is_wide(window: &Window, in_ch: usize) -> bool {
    let depth = Depth::new(window, in_ch);
    depth.len() > 1024 || (!in_ch.is_multiple_of(4) && depth.row() > 64)
}

/// First channel of block `block`.
pub fn first_channel(block: usize, out_ch: usize) -> usize {
    (block * BLOCK).min(out_ch.saturating_sub(BLOCK))
}

/// First byte, inside a block, of the halfword that holds depth `k` of channels `lane` and `lane ^ 1`.
pub fn halfword(k: usize, lane: usize) -> usize {
    let (group, pair, high) = (k / 4, k % 2, k % 4 / 2);
    16 * group + 8 * pair + 4 * (lane / 2) + 2 * high
}

/// Weight of depth `k` and channel `lane` of a block, in `-128 ..= 128`; 0 if there is none.
pub fn weight(block: &[u8], k: usize, lane: usize) -> i32 {
    let bytes = block.get(halfword(k, lane)..).and_then(|b| b.first_chunk());
    let [low, high] = *bytes.unwrap_or(&[0; 2]);
    let even = i32::from(low.cast_signed());
    match lane % 2 {
        0 => even,
        _ => i32::from(high.cast_signed()) + i32::from(even < 0),
    }
}

/// Whether the kernels can tell the channel in `lane` of a block of `depths` from the other one of its halfwords, given
/// weights of -128 to 127: in an odd lane fewer than [`PART`] of them are -128.
pub(crate) fn is_split(block: &[u8], depths: usize, lane: usize) -> bool {
    let least = (0..depths).filter(|&k| weight(block, k, lane) == -128);
    lane.is_multiple_of(2) || least.count() < PART
}

/// The weights of channel `o` of `out_ch` in their order before packing, i8 as bytes; only as many as `row`
/// takes.
pub(crate) fn unpack(packed: &[u8], depth: &Depth, (o, out_ch): (usize, usize), row: &mut [u8]) {
    let block = o / BLOCK;
    let lane = o.saturating_sub(first_channel(block, out_ch));
    let bytes = packed
        .get(block * depth.block_bytes()..)
        .unwrap_or_default();
    for (i, to) in row.iter_mut().enumerate() {
        let weight = weight(bytes, depth.of(i), lane);
        *to = i8::try_from(weight).unwrap_or(0).cast_unsigned();
    }
}

/// `128·Σ|w|`, the largest over a layer's channels: no `Σ q·w` is farther from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach(pub u32);

/// Bias and requantization of four channels as the fast kernels take them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Epilogue {
    /// Biases with the input's zero point folded in, the odd ones as `256·odd + even`.
    pub bias: [i32; BLOCK],
    /// `2·multiplier` modulo 2^32, for `multiplier >= 2^30`.
    pub multiplier: [i32; BLOCK],
    /// The right shift and what is added to it.
    pub rounding: Rounding,
}

/// Bias that an accumulator without zero point takes, and the constants of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// Bias, zero point of the input folded in.
    pub bias: i32,
    /// Q0.31.
    pub multiplier: i32,
    /// Positive = left.
    pub shift: i8,
}

impl Epilogue {
    /// Four channels of which [`Channel::is_exact`] holds.
    #[inline(always)]
    pub fn of(channels: &[Channel; BLOCK], zero_point: i32, reach: Reach) -> Self {
        let [a, b, c, d] = channels.map(|channel| channel.bias);
        let odd = |odd: i32, even: i32| odd.wrapping_mul(256).wrapping_add(even);
        Self {
            bias: [a, odd(b, a), c, odd(d, c)],
            multiplier: channels.map(|channel| channel.multiplier.wrapping_mul(2)),
            rounding: Rounding::of(channels, zero_point, reach),
        }
    }

    /// The bias of channel `lane` alone.
    #[inline]
    pub(crate) fn bias(&self, lane: usize) -> i32 {
        match lane % 2 {
            0 => self.bias[lane],
            _ => self.bias[lane].wrapping_sub(self.bias[lane - 1]) >> 8,
        }
    }

    /// `acc` of channel `lane`, bias included, as an activation: the two roundings of
    /// [`crate::quant::requantize`].
    #[inline]
    pub fn requantize(&self, lane: usize, acc: i32) -> i8 {
        let multiplier = (self.multiplier[lane].cast_unsigned() >> 1).cast_signed();
        self.rounding.round(lane, high(acc, multiplier))
    }

    /// [`Epilogue::requantize`] of four sums without the biases, which are plain.
    #[inline(always)]
    pub(crate) fn activations<S: Simd>(&self, sums: [i32; BLOCK]) -> [i8; BLOCK] {
        let acc: [i32; BLOCK] = array::from_fn(|i| sums[i].wrapping_add(self.bias[i]));
        if cfg!(multiply) {
            return array::from_fn(|i| self.requantize(i, acc[i]));
        }
        let high = array::from_fn(|i| S::smmlar(acc[i], self.multiplier[i], acc[i]));
        self.rounding.round_all::<S>(high)
    }
}

/// The rounded high word of `2·acc·multiplier`, which no sum leaves.
#[inline]
fn high(acc: i32, multiplier: i32) -> i32 {
    // Cortex-M0 has no long product.
    match cfg!(all(multiply, not(armv7m))) {
        true => high_product_by_parts(acc, multiplier),
        false => high_product(acc, multiplier),
    }
}

/// No sum of `channels`, bias included, is farther from 0; at most twice as far as the farthest bias, and
/// `reach`.
#[inline(always)]
fn bound(channels: &[Channel; BLOCK], reach: Reach) -> u32 {
    let (far, signs) = channels.iter().fold((0, 0), |(far, signs), channel| {
        // `|x|`, or 1 less below 0.
        let bias = channel.bias ^ (channel.bias >> 31);
        (far | bias, signs | channel.bias)
    });
    let below = u32::from(signs < 0);
    // At most 2^31, and 2^30.
    far.cast_unsigned() + below + reach.0.min(1 << 30)
}

/// Whether a fast kernel is exact for `channels`: [`Channel::is_exact`] of each, and refused
/// for biases of half that size where they differ.
#[inline(always)]
pub(crate) fn are_exact(channels: &[Channel; BLOCK], reach: Reach) -> bool {
    bound(channels, reach) < 1 << 23 && channels.iter().all(Channel::is_in_range)
}

impl Channel {
    /// A multiplier of at least 2^30 and a right shift by 2 to 22.
    #[inline(always)]
    fn is_in_range(&self) -> bool {
        self.multiplier >= 1 << 30 && (-22..=-2).contains(&self.shift)
    }

    /// Whether a fast kernel is exact: it needs `|bias| + reach < 2^23`, a multiplier of at least 2^30
    /// and a right shift by 2 to 22, so that no sum leaves 32 bits.
    #[inline]
    pub fn is_exact(&self, reach: Reach) -> bool {
        // At most 2^31 and 2^24.
        self.bias.unsigned_abs() + reach.0.min(1 << 24) < 1 << 23 && self.is_in_range()
    }

    /// Whether the fast requantization is exact for sums that are not split behind the last part: as
    /// [`Channel::is_exact`] with 2^29 for 2^23, unless products have 32 bits only.
    #[inline]
    pub(crate) fn is_exact_in_parts(&self, reach: Reach) -> bool {
        let most = match cfg!(all(multiply, not(armv7m))) {
            true => 1 << 23,
            false => 1 << 29,
        };
        // At most 2^31 and 2^30.
        self.bias.unsigned_abs() + reach.0.min(1 << 30) < most && self.is_in_range()
    }

    /// The activation of `Σ q·w`, where [`Channel::is_exact`] holds.
    #[inline]
    pub(crate) fn activation<S: Simd>(&self, sum: i32, zero_point: i32) -> i8 {
        let right = u32::from(self.shift.unsigned_abs());
        let half = 1i32.wrapping_shl(right.wrapping_sub(1));
        let round = half.wrapping_add(zero_point.wrapping_shl(right));
        let acc = self.bias.wrapping_add(sum);
        let high = match cfg!(multiply) {
            true => high(acc, self.multiplier),
            false => S::smmlar(acc, self.multiplier.wrapping_mul(2), acc),
        };
        let sum = high.wrapping_add(high >> 31).wrapping_add(round);
        crate::quant::saturate(sum.wrapping_shr(right), crate::Clamp::FULL)
    }
}

/// Constants of `channel` with `zero_point·Σw` taken from the bias.
#[inline]
pub fn channel(requant: &Requant<'_>, sum: i32, channel: usize, zero_point: i32) -> Channel {
    let (bias, multiplier, shift) = requant.channel(channel);
    Channel {
        bias: bias.wrapping_sub(zero_point.wrapping_mul(sum)),
        multiplier,
        shift,
    }
}

/// Four values from `first` on, if they are all there.
#[inline]
pub(crate) fn four<T: Copy>(values: &[T], first: usize) -> Option<&[T; BLOCK]> {
    values.get(first..)?.first_chunk()
}

/// Four i32 LE from the `first` on, if they are all there.
#[inline]
pub(crate) fn four_words(bytes: &[u8], first: usize) -> Option<[i32; BLOCK]> {
    Some(four(bytes.as_chunks().0, first)?.map(i32::from_le_bytes))
}

/// [`channel`] of four channels from `first` on, with their sums of weights; none if they are not all
/// there.
#[inline]
pub(crate) fn block_channels(
    requant: &Requant<'_>,
    sums: [i32; BLOCK],
    first: usize,
    zero_point: i32,
) -> Option<[Channel; BLOCK]> {
    let bias = four_words(requant.bias, first)?;
    let multiplier = four_words(requant.multiplier, first)?;
    let shift = four(requant.shift, first)?;
    Some(join([bias, multiplier, sums], shift, zero_point))
}

/// Biases, multipliers and sums of weights, and shifts, as channels.
#[inline]
pub(crate) fn join(
    [bias, multiplier, sums]: [[i32; BLOCK]; 3],
    shift: &[u8; BLOCK],
    zero_point: i32,
) -> [Channel; BLOCK] {
    core::array::from_fn(|i| Channel {
        bias: bias[i].wrapping_sub(zero_point.wrapping_mul(sums[i])),
        multiplier: multiplier[i],
        shift: shift[i].cast_signed(),
    })
}
