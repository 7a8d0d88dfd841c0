//! Paired weights: the form of a matrix-vector product for processors that multiply one number at a time, where
//! one multiplication makes two products.
//!
//! It owns the layout, the proof, and the one column; it must not know the graph around it. The layout is that
//! of [`super::packing`], but that a halfword is two bytes, `w[even] + 128` and `w[odd] + 128`, so that a mask alone
//! takes out the weights `(u, v)` of one channel and two depths, which are not both -128:
//! `word & 0x00FF_00FF` of an even channel, `(word >> 8) & 0x00FF_00FF` of an odd one is
//! `E = u + 128 + 2^16·(v + 128)`.
//!
//! With the inputs `(x, y)` of these depths, `X = y + 2^16·x` and `C = 2^15 − 0x0080_0080·X`, modulo 2^32:
//!
//! ```text
//! E·X + C = (u + 2^16·v)·(y + 2^16·x) + 2^15 = 2^16·(u·x + v·y) + (u·y + 2^15)
//! ```
//!
//! `|u·y| <= 128·128 < 2^15`, so that the last bracket is in `0 .. 2^16`, and `|u·x + v·y| <= 255·128 <
//! 2^15`: the high halfword, sign-extended, is `u·x + v·y` exactly, for all weights and inputs. X and C
//! are made once for all channels. A polynomial product by one integer product is Kronecker's substitution
//! (L. Kronecker, "Grundzüge einer arithmetischen Theorie der algebraischen Größen", 1882, § 4).

use super::conv2d::Packed;
use super::packing::{BLOCK, Depth, first_channel, four_words, halfword};
use super::vector::{Proved, fill, runs};
use super::{Portable, Simd, blocks_of, limit};
use crate::kernel::{Dst, Src, Weighted};
use crate::layer::Window;
use crate::scratch::with_room;
use heapless::VecView;

/// The two weights of one channel in a word of two.
const MASK: u32 = 0x00FF_00FF;
/// What a stored weight is more than the weight, twice as in a word.
const MORE: u32 = 0x0080_0080;

/// Two depths of the input, [X and C](self).
type Pair = [u32; 2];

/// Weight of depth `k` and channel `lane` of a paired block, in `-128 ..= 127`; -128 if there is none.
pub fn weight(block: &[u8], k: usize, lane: usize) -> i32 {
    let byte = block.get(halfword(k, lane) + lane % 2);
    i32::from(byte.copied().unwrap_or(0)) - 128
}

/// Whether the proof holds for the channel in `lane` of a paired block of `depths`: no two weights of a word are -128.
pub fn is_split(block: &[u8], depths: usize, lane: usize) -> bool {
    let least = |k| weight(block, k, lane) == -128;
    let mut firsts = (0..depths).filter(|k| k % 4 < 2);
    !firsts.any(|k| least(k) && least(k + 2))
}

/// Weights that are [packed](super::packing), in the paired form and back: `256·odd + even` plus 0x8080 is
/// `256·(odd + 128) + (even + 128)`.
pub fn swap(weights: &mut [u8]) {
    for half in weights.as_chunks_mut::<2>().0 {
        *half = u16::from_le_bytes(*half).wrapping_add(0x8080).to_le_bytes();
    }
}

/// Dense convolution whose window is all of its input, with paired weights: bit for bit
/// [`conv2d_s8`](crate::kernel::generic::conv2d_s8).
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][in_ch]` | i8 |
/// | `dst` | `[1][1][out_ch]`, `out_ch >= 4` | i8 |
/// | `constants.weights` | [paired](self) | u8 |
///
/// Where [`Channel::is_exact`](super::packing::Channel::is_exact) refuses the constants, sums are requantized one by
/// one. Never panics if `Model::parse` accepted the blob. Cost: 4 bytes of stack an input, in a
/// [frame](crate::scratch) of the next size; instructions in [`crate::cost`],
/// and a MAC takes 1.8 on a Cortex-M3, 3.1 on an M0, 3.2 on an M4.
pub fn paired_conv2d_s8<S: Simd>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &Weighted<'_>,
    packed: Packed<'_>,
) {
    let depth = Depth::new(window, src.c);
    with_room(depth.len() / 2, &mut |pairs| {
        fill(src.data, depth, pairs, S::pair_up);
        if packed.exact && dst.c >= BLOCK {
            let zero_points = [src.zero_point, dst.zero_point];
            let proved = Proved::new(constants, packed.sums, zero_points);
            runs(dst, depth, constants.weights, proved, |w, proved, out| {
                S::paired(pairs, w, proved, out);
            });
            return limit::<S>(dst);
        }
        let to = (dst.zero_point, dst.clamp);
        let blocks = blocks_of(constants.weights, pairs.as_flattened());
        for (block, weights) in blocks.enumerate() {
            let first = first_channel(block, dst.c);
            let shift = four_words(packed.sums, first).unwrap_or_default();
            for (lane, sum) in sums(pairs, weights).into_iter().enumerate() {
                let raw = sum.wrapping_sub(src.zero_point.wrapping_mul(shift[lane]));
                if let Some(out) = dst.data.get_mut(first + lane) {
                    *out = constants.finish(first + lane, raw, to);
                }
            }
        }
    });
}

/// [`Simd::pair_up`] in plain Rust.
#[inline]
pub(super) fn append(src: &[i8], to: &mut VecView<Pair>) {
    for &[a, b, c, d] in src.as_chunks().0 {
        if to.extend_from_slice(&[pair(a, c), pair(b, d)]).is_err() {
            return;
        }
    }
}

/// X and C of two inputs.
#[inline]
fn pair(x: i8, y: i8) -> Pair {
    let both = (i32::from(x) << 16) + i32::from(y);
    let both = both.cast_unsigned();
    [both, (1u32 << 15).wrapping_sub(MORE.wrapping_mul(both))]
}

/// `Σ q·w` of one paired block, in order of its channels.
// Apart, so that its sums stay in registers.
#[inline(never)]
pub(crate) fn sums(pairs: &[Pair], weights: &[u8]) -> [i32; BLOCK] {
    let mut sums = [0i32; BLOCK];
    // Two words hold one pair of depths: channels 0 and 1, channels 2 and 3.
    let words = weights.as_chunks::<4>().0.as_chunks::<2>().0;
    for (&[x, c], words) in pairs.iter().zip(words) {
        for (sums, bytes) in sums.as_chunks_mut::<2>().0.iter_mut().zip(words) {
            let word = u32::from_le_bytes(*bytes);
            for (sum, two) in sums.iter_mut().zip([word, word >> 8]) {
                let product = (two & MASK).wrapping_mul(x).wrapping_add(c);
                *sum = sum.wrapping_add(product.cast_signed() >> 16);
            }
        }
    }
    sums
}

/// [`Simd::paired`] for slices that faster code does not take.
#[inline]
pub(super) fn blocks(pairs: &[Pair], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) {
    let weights = blocks_of(weights, pairs.as_flattened());
    let outputs = out.as_chunks_mut::<BLOCK>().0.iter_mut();
    for (block, (out, weights)) in outputs.zip(weights).enumerate() {
        let channels = constants.channels(BLOCK * block);
        let sums = sums(pairs, weights);
        for ((out, sum), channel) in out.iter_mut().zip(sums).zip(channels.iter().flatten()) {
            *out = channel.activation::<Portable>(sum, constants.zero_points[1]);
        }
    }
}
