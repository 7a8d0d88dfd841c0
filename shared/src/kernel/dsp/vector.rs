//! Packed convolution whose window is all of its input: a matrix times a vector, as a fully connected
//! layer is.
//!
//! It owns the one column and must not know the graph around it.

use super::Simd;
use super::conv2d::Packed;
use super::packing::{BLOCK, Channel, Depth, first_channel, four, join};
use crate::kernel::{Dst, Src, Weighted};
use crate::scratch::with_room;
use heapless::VecView;

/// Constants of channels as they lie in the blob, of which [`Channel::is_exact`] holds.
#[derive(Clone, Copy, Debug)]
pub struct Proved<'a> {
    /// i32 LE.
    pub bias: &'a [[u8; 4]],
    /// i32 LE, sums of the weights.
    pub sums: &'a [[u8; 4]],
    /// i32 LE.
    pub multiplier: &'a [[u8; 4]],
    /// i8, negative.
    pub shift: &'a [u8],
    /// Of the input and of the output.
    pub zero_points: [i32; 2],
}

impl<'a> Proved<'a> {
    pub(super) fn new(constants: &Weighted<'a>, sums: &'a [u8], zero_points: [i32; 2]) -> Self {
        Self {
            bias: constants.requant.bias.as_chunks().0,
            sums: sums.as_chunks().0,
            multiplier: constants.requant.multiplier.as_chunks().0,
            shift: constants.requant.shift,
            zero_points,
        }
    }

    /// Those from channel `first` on.
    fn from(self, first: usize) -> Self {
        Self {
            bias: self.bias.get(first..).unwrap_or_default(),
            sums: self.sums.get(first..).unwrap_or_default(),
            multiplier: self.multiplier.get(first..).unwrap_or_default(),
            shift: self.shift.get(first..).unwrap_or_default(),
            zero_points: self.zero_points,
        }
    }

    /// Whether loops by address can take so many `depths`, `weights` and these constants for `n` outputs.
    #[inline]
    #[cfg(any(dsp, multiply))]
    pub(super) fn fit(&self, depths: usize, weights: &[u8], n: usize) -> bool {
        let aligned = |at: *const u8| at.addr().is_multiple_of(4);
        depths > 0
            && n > 0
            && n.is_multiple_of(BLOCK)
            && weights.len() >= n * depths
            && aligned(weights.as_ptr())
            && self.shift.len() >= n
            && [self.bias, self.sums, self.multiplier]
                .iter()
                .all(|w| w.len() >= n && aligned(w.as_ptr().cast()))
    }

    /// Constants of four channels from `first` on, if they are all there.
    #[inline]
    pub(crate) fn channels(&self, first: usize) -> Option<[Channel; BLOCK]> {
        let words = |words: &[[u8; 4]]| Some(four(words, first)?.map(i32::from_le_bytes));
        let words = [
            words(self.bias)?,
            words(self.multiplier)?,
            words(self.sums)?,
        ];
        Some(join(words, four(self.shift, first)?, self.zero_points[0]))
    }
}

/// The layer's outputs before its clamp; `dst` has at least four channels.
pub(super) fn vector<S: Simd>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    depth: Depth,
    constants: &Weighted<'_>,
    packed: Packed<'_>,
) {
    with_room(depth.len() / 4, &mut |column| {
        fill(src.data, depth, column, S::spread);
        let zero_points = [src.zero_point, dst.zero_point];
        let proved = Proved::new(constants, packed.sums, zero_points);
        runs(dst, depth, constants.weights, proved, |w, proved, out| {
            S::vector(column, w, proved, out);
        });
    });
}

/// Calls `run` with the weights, constants and outputs of the blocks that repeat no channel of the one before, and
/// of the last one if it does.
#[inline]
pub(super) fn runs(
    dst: &mut Dst<'_>,
    depth: Depth,
    weights: &[u8],
    proved: Proved<'_>,
    run: impl Fn(&[u8], &Proved<'_>, &mut [i8]),
) {
    let whole = dst.data.len() - dst.data.len() % BLOCK;
    let split = whole / BLOCK * depth.block_bytes();
    let (weights, last) = weights.split_at_checked(split).unwrap_or_default();
    let last_first = first_channel(dst.data.len() / BLOCK, dst.data.len());
    run(
        weights,
        &proved,
        dst.data.get_mut(..whole).unwrap_or_default(),
    );
    if !last.is_empty() {
        let outputs = dst.data.get_mut(last_first..).unwrap_or_default();
        run(last, &proved.from(last_first), outputs);
    }
}

/// Expands the rows of an image by `spread`, each padded to whole words, as far as there is room.
#[inline]
pub(crate) fn fill(
    src: &[i8],
    depth: Depth,
    to: &mut VecView<[u32; 2]>,
    spread: impl Fn(&[i8], &mut VecView<[u32; 2]>),
) {
    if depth.run == depth.row() {
        return spread(src, to);
    }
    for line in src.chunks_exact(depth.run.max(1)) {
        let mut four = [0; 4];
        for (to, &from) in four.iter_mut().zip(line.as_chunks::<4>().1) {
            *to = from;
        }
        spread(line, to);
        spread(&four, to);
    }
}
