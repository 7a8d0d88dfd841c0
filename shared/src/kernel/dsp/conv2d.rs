//! Packed convolution. It owns the order of pixels and channels and must not know the graph around it.

use core::ops::Range;

use super::columns::Columns;
use super::packing::{
    BLOCK, Channel, Depth, Epilogue, MAX_WHOLE, PART, Reach, block_channels, channel,
    first_channel, four_words,
};
use super::strip::Strip;
use super::vector::vector;
use super::{Batch, GROUP, Simd, limit, parts};
use crate::kernel::{Dst, Src, Weighted};
use crate::layer::{Clamp, Window};
use crate::quant::{Requant, i32_at, saturate};
use crate::scratch::with_room;

/// What a packed layer has beside [`Weighted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed<'a> {
    /// i32 LE × O, sum of the weights of each channel.
    pub sums: &'a [u8],
    /// Of the whole layer.
    pub reach: Reach,
    /// Whether [`Channel::is_exact`](super::packing::Channel::is_exact) holds of every channel.
    pub exact: bool,
}

impl Packed<'_> {
    /// Looks at every channel whether the fast kernels are exact with `requant` behind an input of
    /// `zero_point`.
    pub fn proved(self, requant: &Requant<'_>, zero_point: i32) -> Self {
        let channel = |c: usize| channel(requant, i32_at(self.sums, c), c, zero_point);
        let exact = (0..requant.shift.len()).all(|c| channel(c).is_exact(self.reach));
        Self { exact, ..self }
    }
}

/// Dense 2-D convolution with packed weights: bit for bit
/// [`conv2d_s8`](crate::kernel::generic::conv2d_s8).
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][in_ch]` | i8 |
/// | `dst` | `[out_h][out_w][out_ch]`, `out_ch >= 4` | i8 |
/// | `constants.weights` | [packed](super::packing) | i8 pairs |
///
/// Two pixels and four channels at a time; both pixels' windows are gathered once for up to 64
/// channels. A window that is all of the input is one vector, whose constants are read where they lie.
/// More than 1024 depths, and constants that [`Channel::is_exact`] refuses, are computed in [parts](mod@parts). Never
/// panics if `Model::parse` accepted the blob. Cost: 4 bytes of stack a depth, and, with padding, up to 2 KiB of
/// rows, 4 KiB where one row of outputs reads more, both in [frames](crate::scratch) of the next size, and 2 KiB;
/// instructions in [`crate::cost`].
pub fn packed_conv2d_s8<S: Simd>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &Weighted<'_>,
    packed: Packed<'_>,
) {
    let depth = Depth::new(window, src.c);
    let single = window.is_whole([src.h, src.w], [dst.h, dst.w]);
    let is_whole = depth.len() <= MAX_WHOLE;
    if single && dst.c >= BLOCK {
        match packed.exact && is_whole {
            true => vector::<S>(src, dst, depth, constants, packed),
            false => parts::vector::<S>(src, dst, depth, constants, packed),
        }
        return limit::<S>(dst);
    }
    let bytes = depth.block_bytes();
    let n_blocks = dst.c.div_ceil(BLOCK);
    let weights = constants.weights;
    let (strip, h) = (
        Strip::new([src.h, src.w, src.c], [dst.h, dst.w], window),
        dst.h,
    );
    let n_words = if is_whole { depth.len() } else { PART };
    with_room(n_words, &mut |words| {
        // There is room.
        let _ = words.resize(n_words, 0);
        for first in (0..n_blocks).step_by(GROUP) {
            let n = GROUP.min(n_blocks - first);
            let weights = weights.get(first * bytes..(first + n) * bytes);
            let group = Group {
                first,
                n,
                weights: weights.unwrap_or_default(),
                packed,
            };
            let mut epilogues = heapless::Vec::new();
            let mut proved = |in_parts| {
                let to = (src.zero_point, in_parts);
                let fits = group.epilogues(&mut epilogues, to, dst, constants);
                if !fits {
                    epilogues.clear();
                }
                fits
            };
            let fast = is_whole && proved(false);
            if !fast {
                proved(true);
            }
            let runs = fast.then(|| group.runs(bytes, &epilogues, dst.c));
            let mut work = Work {
                group: &group,
                runs,
                epilogues: &epilogues,
                dst: &mut *dst,
                constants,
                words,
            };
            match &strip {
                Some(strip) => work.strips::<S>(src, window, strip),
                None => work.rows::<S>(src, window, 0..h),
            }
        }
        limit::<S>(dst);
    });
}

/// Output channels of one group, pixel by pixel.
pub(super) struct Work<'w, 'd, 'c> {
    pub(super) group: &'w Group<'w>,
    /// None if they are computed in parts.
    runs: Option<Runs<'w>>,
    /// With plain biases if they are computed in parts, none then where they would not be exact.
    pub(super) epilogues: &'w [Epilogue],
    pub(super) dst: &'w mut Dst<'d>,
    pub(super) constants: &'w Weighted<'c>,
    pub(super) words: &'w mut [u32],
}

impl Work<'_, '_, '_> {
    /// Strip by strip of the image with its padding, so that no window has an edge.
    #[inline(never)]
    fn strips<S: Simd>(&mut self, src: &Src<'_>, window: &Window, strip: &Strip) {
        let inner = Window {
            pad_top: 0,
            pad_left: 0,
            ..*window
        };
        let n_fours = strip.bytes(src.c, self.dst.h).div_ceil(4);
        with_room(n_fours, &mut |fours| {
            // There is room.
            let _ = fours.resize(n_fours, [saturate(src.zero_point, Clamp::FULL); 4]);
            let bytes = fours.as_flattened_mut();
            for top in (0..self.dst.h).step_by(strip.rows.max(1)) {
                let n = strip.rows.min(self.dst.h - top);
                let padded = strip.fill::<S>(src, top, n, bytes);
                self.rows::<S>(&padded, &inner, top..top + n);
            }
        });
    }

    /// Output rows `rows`, the first of which has its window at the top of `src`.
    fn rows<S: Simd>(&mut self, src: &Src<'_>, window: &Window, rows: Range<usize>) {
        let Some(runs) = &self.runs else {
            return self.parts::<S>(src, window, rows);
        };
        let mut columns = Columns::new(src, window, self.words);
        let (w, c) = (self.dst.w.max(1), self.dst.c);
        let pixels = rows.len() * w;
        let before = rows.start * w * c;
        let mut pixel = 0;
        while pixel < pixels {
            let batch = columns.batch(pixel, [rows.len(), w], c);
            if let Some(batch) = batch {
                let at = batch.at.map(|at| before + at);
                runs.batch::<S>(src.data, &mut columns, self.dst, &Batch { at, ..batch });
                pixel += 2 * batch.n;
                continue;
            }
            // The last of an odd number of pixels is alone.
            let pair = [pixel, (pixel + 1).min(pixels - 1)];
            columns.fill::<S>(src, window, pair.map(|p| (p / w, p % w)));
            let at = pair.map(|p| before + p * c);
            runs.pair::<S>(columns.words(), self.dst, at);
            pixel += 2;
        }
    }
}

/// Blocks that share the gathered windows.
pub(super) struct Group<'a> {
    pub(super) first: usize,
    pub(super) n: usize,
    pub(super) weights: &'a [u8],
    pub(super) packed: Packed<'a>,
}

impl Group<'_> {
    /// Fills `epilogues`, of parts with plain biases; false if one of them would not be exact.
    pub(super) fn epilogues(
        &self,
        epilogues: &mut heapless::Vec<Epilogue, GROUP>,
        (zero_point, in_parts): (i32, bool),
        dst: &Dst<'_>,
        constants: &Weighted<'_>,
    ) -> bool {
        let (requant, sums) = (&constants.requant, self.packed.sums);
        let reach = self.packed.reach;
        let exact = |c: &Channel| match in_parts {
            true => c.is_exact_in_parts(reach),
            false => self.packed.exact || c.is_exact(reach),
        };
        (self.first..self.first + self.n).all(|block| {
            let first = first_channel(block, dst.c);
            let sums = four_words(sums, first);
            let channels = sums.and_then(|sums| block_channels(requant, sums, first, zero_point));
            let channels = channels.filter(|channels| channels.iter().all(exact));
            let epilogue = channels.map(|channels| {
                let epilogue = Epilogue::of(&channels, dst.zero_point, reach);
                let bias = match in_parts {
                    true => channels.map(|channel| channel.bias),
                    false => epilogue.bias,
                };
                Epilogue { bias, ..epilogue }
            });
            epilogue.is_some_and(|epilogue| epilogues.push(epilogue).is_ok())
        })
    }

    /// The blocks that repeat no channel of the one before, and the last one if it does.
    fn runs<'b>(&'b self, bytes: usize, epilogues: &'b [Epilogue], out_ch: usize) -> Runs<'b> {
        let begin = self.first * BLOCK;
        let whole = self.n.min((out_ch - begin) / BLOCK);
        let (epilogues, rest) = epilogues.split_at_checked(whole).unwrap_or_default();
        let split = self.weights.split_at_checked(whole * bytes);
        let (weights, last) = split.unwrap_or_default();
        let tail = (whole < self.n).then(|| {
            let epilogue = rest.get(..1).unwrap_or_default();
            (out_ch - BLOCK, last, epilogue)
        });
        Runs {
            whole: (begin, weights, epilogues),
            tail,
        }
    }
}

/// First channel, weights and constants of a run of blocks.
type Run<'a> = (usize, &'a [u8], &'a [Epilogue]);

/// Runs of blocks whose channels follow each other.
struct Runs<'a> {
    whole: Run<'a>,
    tail: Option<Run<'a>>,
}

impl Runs<'_> {
    fn each(&self) -> impl Iterator<Item = Run<'_>> {
        core::iter::once(self.whole).chain(self.tail)
    }

    #[inline]
    fn pair<S: Simd>(&self, columns: &[u32], dst: &mut Dst<'_>, at: [usize; 2]) {
        for (first, weights, epilogues) in self.each() {
            S::blocks(columns, weights, epilogues, dst.data, at.map(|a| a + first));
        }
    }

    #[inline]
    fn batch<S: Simd>(
        &self,
        src: &[i8],
        columns: &mut Columns<'_>,
        dst: &mut Dst<'_>,
        batch: &Batch,
    ) {
        let (rows, words) = columns.parts();
        for (first, weights, epilogues) in self.each() {
            let batch = Batch {
                at: batch.at.map(|at| at + first),
                ..*batch
            };
            S::pairs(src, rows, words, (weights, epilogues), dst.data, &batch);
        }
    }
}
