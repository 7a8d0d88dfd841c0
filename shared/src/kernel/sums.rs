//! What a weighted layer sums up at some of its output pixels, without running it.
//!
//! It owns the choice of pixels and the walk over them; it must not know what the sums are for. Flow: a
//! layer's input and constants → statistics of a few channels.

use core::array;
use core::iter::StepBy;
use core::ops::Range;

use super::dsp::packing::{BLOCK, Depth, MAX_WHOLE, PART, first_channel};
use super::dsp::{Columns, Simd, fill, paired};
use super::generic::conv2d_sum;
use super::{Src, Taps, axes};
use crate::blob::Constants;
use crate::layer::{Op, Tensor, Window};
use crate::quant::i32_at;
use crate::scratch::with_room;

/// Most channels looked at together: they share what is gathered of the input.
pub const CHANNELS: usize = 8 * BLOCK;

/// Sums over output pixels of one channel.
///
/// With `raw` the weighted sum, input zero point removed, without bias:
/// `sum += raw`, `deviation += |raw − center|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelStat {
    /// Where deviations are measured from; read only.
    pub center: i32,
    /// Sum of `raw`.
    pub sum: i64,
    /// Sum of `|raw − center|`.
    pub deviation: i64,
}

impl ChannelStat {
    #[inline]
    fn add(&mut self, raw: i32) {
        // No layer has the 2^31 pixels that an overflow would take.
        self.sum = self.sum.wrapping_add(raw.into());
        let distance = raw.abs_diff(self.center);
        self.deviation = self.deviation.wrapping_add(distance.into());
    }
}

/// Every `step`-th output pixel from `first` on, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lattice {
    /// Index of the first.
    pub first: usize,
    /// From one to the next, at least 1.
    pub step: usize,
}

impl Lattice {
    /// All pixels.
    pub const ALL: Self = Self { first: 0, step: 1 };

    /// Its pixels among the first `n`.
    fn pixels(self, n: usize) -> StepBy<Range<usize>> {
        (self.first..n).step_by(self.step.max(1))
    }
}

/// A weighted layer that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Sums<'a> {
    src: Src<'a>,
    out: [usize; 3],
    window: Window,
    weights: &'a [u8],
    layout: Layout<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Layout<'a> {
    /// `[out_ch][kernel_h][kernel_w][in_ch]`.
    Filters,
    /// `[kernel_h][kernel_w][ch]`.
    Depthwise,
    /// [`super::dsp::packing`], and the sums of the weights, i32 a channel.
    Packed(&'a [u8]),
    /// [`mod@paired`], and the sums of the weights, i32 a channel.
    Paired(&'a [u8]),
}

impl<'a> Sums<'a> {
    /// Of a layer that computes `op` from `src` with `constants`; none if it has no weights.
    pub fn new(op: &Op, src: Src<'a>, dst: &Tensor, constants: &Constants<'a>) -> Option<Self> {
        let flat = Src {
            h: 1,
            w: 1,
            c: src.data.len(),
            ..src
        };
        let (src, window, layout) = match *op {
            Op::Conv2d(window) => (src, window, Layout::Filters),
            Op::FullyConnected => (flat, Window::square(1, 1, 0), Layout::Filters),
            Op::DepthwiseConv2d(window) => (src, window, Layout::Depthwise),
            Op::PackedConv2d(window) => (src, window, Layout::Packed(constants.packed?.sums)),
            Op::PairedConv2d(window) => (src, window, Layout::Paired(constants.packed?.sums)),
            _ => return None,
        };
        Some(Self {
            src,
            out: [dst.h, dst.w, dst.c].map(usize::from),
            window,
            weights: constants.weights,
            layout,
        })
    }

    /// Output pixels.
    pub fn n_pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Adds what the channels from `first`, a multiple of [`CHANNELS`], sum up at the pixels of `lattice` to
    /// `stats`, at most as many; gives the number of pixels.
    ///
    /// Never panics. Cost: MACs as the layer's for these pixels and channels; packed 4 bytes of stack for a weight of a
    /// channel, of more than 1024 of them 2.8 KiB.
    pub fn add<S: Simd>(&self, first: usize, lattice: Lattice, stats: &mut [ChannelStat]) -> usize {
        let pixels = lattice.pixels(self.n_pixels());
        let n = pixels.len();
        let places = pixels.map(|i| (i / self.out[1].max(1), i % self.out[1].max(1)));
        match self.layout {
            Layout::Packed(sums) => self.packed::<S>(first, places, sums, stats),
            Layout::Paired(sums) => places.for_each(|_| self.paired::<S>(first, sums, stats)),
            Layout::Depthwise => {
                let axes = axes(&self.src, &self.window);
                for at in places {
                    let taps = Taps::of(&axes, at);
                    let blocks = stats.chunks_mut(BLOCK).zip((first..).step_by(BLOCK));
                    for (stats, first) in blocks {
                        let (src, window) = (&self.src, &self.window);
                        let raw = depthwise_sums(src, window, &taps, self.weights, first);
                        add(stats, raw);
                    }
                }
            }
            Layout::Filters => {
                let axes = axes(&self.src, &self.window);
                let filter = (self.window.taps() * self.src.c).max(1);
                for at in places {
                    let taps = Taps::of(&axes, at);
                    let filters = self.weights.chunks_exact(filter).skip(first);
                    for (stat, filter) in stats.iter_mut().zip(filters) {
                        stat.add(conv2d_sum(&self.src, &self.window, &taps, filter));
                    }
                }
            }
        }
        n
    }

    /// The last block ends at the last channel, and may begin with channels of the one before.
    #[inline(never)]
    fn packed<S: Simd>(
        &self,
        first: usize,
        mut places: impl Iterator<Item = (usize, usize)>,
        sums: &[u8],
        stats: &mut [ChannelStat],
    ) {
        let depth = Depth::new(&self.window, self.src.c);
        let bytes = depth.block_bytes();
        if depth.len() > MAX_WHOLE {
            return self.in_parts::<S>(first, places, sums, stats);
        }
        with_room(depth.len(), &mut |words| {
            // There is room.
            let _ = words.resize(depth.len(), 0);
            let mut columns = Columns::new(&self.src, &self.window, words);
            while let Some(one) = places.next() {
                let other = places.next();
                columns.fill::<S>(&self.src, &self.window, [one, other.unwrap_or(one)]);
                let blocks = stats.chunks_mut(BLOCK).zip(first / BLOCK..);
                for (stats, block) in blocks {
                    let weights = self.weights.get(block * bytes..(block + 1) * bytes);
                    let raw = S::raw_block(columns.words(), weights.unwrap_or_default());
                    for raw in raw.into_iter().take(1 + usize::from(other.is_some())) {
                        add(stats, self.of_block(raw, block, sums));
                    }
                }
            }
        });
    }

    /// [`Sums::packed`] of more depths than fit into the scratch.
    #[inline(never)]
    fn in_parts<S: Simd>(
        &self,
        first: usize,
        mut places: impl Iterator<Item = (usize, usize)>,
        sums: &[u8],
        stats: &mut [ChannelStat],
    ) {
        let depth = Depth::new(&self.window, self.src.c);
        let pitch = depth.block_bytes();
        let mut words = [0; PART];
        let mut columns = Columns::new(&self.src, &self.window, &mut words);
        let first = first / BLOCK;
        let weights = self.weights.get(first * pitch..).unwrap_or_default();
        while let Some(one) = places.next() {
            let other = places.next();
            let mut raw = [[[0; 2]; BLOCK]; CHANNELS / BLOCK];
            let n = stats.len().min(CHANNELS).div_ceil(BLOCK);
            let raw = raw.get_mut(..n).unwrap_or_default();
            for part in depth.parts() {
                let weights = weights.get(part.bytes_before(depth)..);
                columns.take(part);
                columns.fill::<S>(&self.src, &self.window, [one, other.unwrap_or(one)]);
                S::accumulate(columns.words(), weights.unwrap_or_default(), pitch, raw);
            }
            for ((stats, block), raw) in stats.chunks_mut(BLOCK).zip(first..).zip(&*raw) {
                for p in 0..1 + usize::from(other.is_some()) {
                    add(stats, self.of_block(raw.map(|raw| raw[p]), block, sums));
                }
            }
        }
    }

    /// Of sums of block `block`, zero point included, those of the channels that it does not repeat, without it.
    #[inline]
    fn of_block(
        &self,
        raw: [i32; BLOCK],
        block: usize,
        sums: &[u8],
    ) -> impl Iterator<Item = i32> + use<> {
        let begin = first_channel(block, self.out[2]);
        let shift = |lane| self.src.zero_point.wrapping_mul(i32_at(sums, begin + lane));
        let raw = array::from_fn::<_, BLOCK, _>(|i| raw[i].wrapping_sub(shift(i)));
        raw.into_iter().skip(block * BLOCK - begin)
    }

    /// The one output pixel.
    #[inline(never)]
    fn paired<S: Simd>(&self, first: usize, sums: &[u8], stats: &mut [ChannelStat]) {
        let depth = Depth::new(&self.window, self.src.c);
        let bytes = depth.block_bytes();
        with_room(depth.len() / 2, &mut |pairs| {
            fill(self.src.data, depth, pairs, S::pair_up);
            for (stats, block) in stats.chunks_mut(BLOCK).zip(first / BLOCK..) {
                let weights = self.weights.get(block * bytes..(block + 1) * bytes);
                let raw = paired::sums(pairs, weights.unwrap_or_default());
                add(stats, self.of_block(raw, block, sums));
            }
        });
    }
}

#[inline]
fn add(stats: &mut [ChannelStat], raw: impl IntoIterator<Item = i32>) {
    for (stat, raw) in stats.iter_mut().zip(raw) {
        stat.add(raw);
    }
}

/// `raw` of four channels from `first` on at one output pixel; past the last channel nothing of meaning.
// Apart, so that its sums stay in registers.
#[inline(never)]
fn depthwise_sums(
    src: &Src<'_>,
    window: &Window,
    taps: &Taps,
    weights: &[u8],
    first: usize,
) -> [i32; BLOCK] {
    let (ky, top) = taps.rows.clone();
    let (kx, left) = &taps.columns;
    let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
    let (down, right) = (
        usize::from(window.dilation_h),
        usize::from(window.dilation_w),
    );
    let mut raw = [0i32; BLOCK];
    for (row, k) in ky.enumerate() {
        let line = src.run(top + row * down, 0, src.w * c);
        let mut at = left * c + first;
        let mut from = (k * kernel_w + kx.start) * c + first;
        for _ in kx.clone() {
            let (q, w) = (lanes(line, at), lanes(weights, from));
            for (raw, (q, w)) in raw.iter_mut().zip(q.into_iter().zip(w)) {
                let product = (i32::from(q) - src.zero_point) * i32::from(w.cast_signed());
                *raw = raw.wrapping_add(product);
            }
            at += right * c;
            from += c;
        }
    }
    raw
}

/// Four values from `at` on, zeros behind the last.
#[inline(always)]
fn lanes<T: Copy + Default>(values: &[T], at: usize) -> [T; BLOCK] {
    let rest = values.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(lanes) => *lanes,
        None => array::from_fn(|i| rest.get(i).copied().unwrap_or_default()),
    }
}
