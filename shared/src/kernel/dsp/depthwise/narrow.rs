//! Depthwise convolution of fewer than four channels. It owns the way from there to slices of four, and must not know
//! instructions.
//!
//! A row of an image without edges is a sequence of values, and so is a row of outputs. Four values that follow each
//! other are a slice of four channels: of one pixel, or with a stride of 1 of as many as there is room for. Their
//! windows begin at four values that follow each other, too, so that [`Cut`] computes them, with a stride as wide as
//! the pixels of a slice. Values too many are left aside.

use super::super::Slices;
use super::super::packing::BLOCK;
use super::Cut;
use crate::kernel::{Dst, Over, Src, Weighted};
use crate::layer::{Clamp, Window};
use crate::quant::{Requant, saturate};

/// Bytes of a strip of the image with its padding, and of its outputs in fours.
const ROOM: usize = 1536;
/// What reading a slice may take behind the last pixel.
const SLACK: usize = BLOCK - 1;
/// Most taps of a window.
const MAX_TAPS: usize = 64;

/// Rows of an image of fewer than four channels.
#[derive(Clone, Copy)]
pub(crate) struct Narrow {
    /// Of slices.
    pub(crate) cut: Cut,
    /// Output rows of a strip.
    pub(crate) rows: usize,
    /// Columns with padding, and slices of an output row.
    pub(crate) w: [usize; 2],
    /// Values of a slice that are outputs.
    pub(crate) values: usize,
    channels: usize,
    /// Input rows of the first output row, and of each further one.
    reach: [usize; 2],
    pad: [usize; 2],
}

impl Narrow {
    /// Of a convolution of `c` channels to an output of `[h, w]` that there is room for.
    #[inline(never)]
    pub(crate) fn new(c: usize, [h, w]: [usize; 2], window: &Window) -> Option<Self> {
        let [down, right] = window.reach();
        let [step, across] = [window.stride_h, window.stride_w].map(usize::from);
        let beside = match (c, window.stride_w, window.dilation_w) {
            (1, 1, 1) => 4,
            (2, 1, 1) => 2,
            _ => 1,
        };
        let padded = w.checked_sub(1)? * across + right;
        let slices = w.div_ceil(usize::from(beside));
        let fitting = (ROOM - SLACK) / (padded * c).max(1);
        let rows = fitting.checked_sub(down)? / step.max(1) + 1;
        let rows = rows.min(ROOM / (slices * BLOCK).max(1)).min(h);
        let inner = Window {
            stride_w: window.stride_w.checked_mul(beside)?,
            pad_top: 0,
            pad_left: 0,
            ..*window
        };
        let known = (1..BLOCK).contains(&c) && rows > 0 && window.taps() <= MAX_TAPS;
        let cut = Cut::new(BLOCK, [rows, slices], &inner).filter(|_| known)?;
        Some(Self {
            cut,
            rows,
            w: [padded, slices],
            values: usize::from(beside) * c,
            channels: c,
            reach: [down, step],
            pad: [window.pad_top, window.pad_left].map(usize::from),
        })
    }

    /// Input rows that `n` output rows read.
    pub(crate) fn lines(&self, n: usize) -> usize {
        self.reach[0] + n.saturating_sub(1) * self.reach[1]
    }

    /// Rows that a strip shares with the one before.
    pub(crate) fn kept(&self) -> usize {
        self.reach[0].saturating_sub(self.reach[1])
    }

    /// The whole convolution before its clamp; false, with nothing written, if the constants of some channel need the
    /// generic kernel.
    #[inline(never)]
    pub(super) fn run<S: Slices>(
        &self,
        image: &mut dyn Image,
        window: &Window,
        constants: &Weighted<'_>,
    ) -> bool {
        let lanes = Lanes::new(constants, self.channels, window.taps());
        let lanes = lanes.constants();
        let zero_point = image.src().zero_point;
        let mut bytes = [saturate(zero_point, Clamp::FULL); ROOM];
        let mut fours = [0; ROOM];
        let (h, line) = (image.dst().h, self.w[0] * self.channels);
        for top in (0..h).step_by(self.rows.max(1)) {
            let n = self.rows.min(h - top);
            let kept = if top > 0 {
                image.keep(self, &mut bytes)
            } else {
                0
            };
            self.fill::<S>(&image.src(), [top, n], kept, &mut bytes);
            let lines = self.lines(n);
            let src = Src {
                data: bytes.get(..lines * line + SLACK).unwrap_or_default(),
                h: lines,
                w: self.w[0],
                c: self.channels,
                zero_point,
            };
            let mut to = image.dst();
            let mut dst = Dst {
                data: fours.get_mut(..n * self.w[1] * BLOCK).unwrap_or_default(),
                h: n,
                w: self.w[1],
                c: BLOCK,
                zero_point: to.zero_point,
                clamp: Clamp::FULL,
            };
            if !self.cut.run::<S>(&src, &mut dst, &lanes) {
                return false;
            }
            self.write::<S>(dst.data, &mut to, top);
        }
        true
    }

    /// Copies what `n` output rows from `top` on read behind the `kept` rows that are there.
    fn fill<S: Slices>(
        &self,
        src: &Src<'_>,
        [top, n]: [usize; 2],
        kept: usize,
        bytes: &mut [i8; ROOM],
    ) {
        let line = self.w[0] * src.c;
        let inside = src.w.min(self.w[0].saturating_sub(self.pad[1])) * src.c;
        let lines = bytes.chunks_exact_mut(line.max(1)).enumerate();
        for (i, to) in lines.take(self.lines(n)).skip(kept) {
            let to = to.get_mut(self.pad[1] * src.c..).unwrap_or_default();
            let to = to.get_mut(..inside).unwrap_or_default();
            let y = (top * self.reach[1] + i).checked_sub(self.pad[0]);
            match y.filter(|&y| y < src.h) {
                Some(y) => S::copy(src.run(y, 0, src.w * src.c), to),
                None => to.fill(saturate(src.zero_point, Clamp::FULL)),
            }
        }
    }

    /// Rows of outputs in fours to `dst`, from row `top` on.
    fn write<S: Slices>(&self, fours: &[i8], dst: &mut Dst<'_>, top: usize) {
        let row = dst.w * dst.c;
        let to = dst.data.get_mut(top * row..).unwrap_or_default();
        let rows = fours.chunks_exact((self.w[1] * BLOCK).max(1));
        for (to, from) in to.chunks_exact_mut(row.max(1)).zip(rows) {
            if self.values == BLOCK {
                S::copy(from, to);
                continue;
            }
            let slices = from.as_chunks::<BLOCK>().0;
            for (to, from) in to.chunks_mut(self.values.max(1)).zip(slices) {
                for (to, &q) in to.iter_mut().zip(from) {
                    *to = q;
                }
            }
        }
    }
}

/// What is read and written: two images, or one in the place of the other.
pub(super) trait Image {
    fn src(&self) -> Src<'_>;
    fn dst(&mut self) -> Dst<'_>;
    /// Moves the rows that the next strip reads as well to the start of `bytes` and gives their number, if they may
    /// have been overwritten.
    fn keep(&self, _narrow: &Narrow, _bytes: &mut [i8; ROOM]) -> usize {
        0
    }
}

/// Input and output apart.
pub(super) struct Apart<'i, 's, 'd>(pub(super) &'i Src<'s>, pub(super) &'i mut Dst<'d>);

impl Image for Apart<'_, '_, '_> {
    fn src(&self) -> Src<'_> {
        *self.0
    }

    fn dst(&mut self) -> Dst<'_> {
        Dst {
            data: self.1.data,
            ..*self.1
        }
    }
}

impl Image for Over<'_> {
    fn src(&self) -> Src<'_> {
        Over::src(self)
    }

    fn dst(&mut self) -> Dst<'_> {
        Over::dst(self)
    }

    fn keep(&self, narrow: &Narrow, bytes: &mut [i8; ROOM]) -> usize {
        let line = narrow.w[0] * narrow.channels;
        let kept = narrow.kept();
        let from = narrow.rows * narrow.reach[1] * line;
        // Upwards, as the two may overlap.
        for i in 0..kept * line {
            let q = bytes.get(from + i).copied().unwrap_or(0);
            if let Some(to) = bytes.get_mut(i) {
                *to = q;
            }
        }
        kept
    }
}

/// Constants of the four values of a slice, whose channels are those of the image in turn. In this order all of them
/// are aligned to 4, as kernels ask of them.
#[repr(C)]
struct Lanes {
    weights: heapless::Vec<[u8; BLOCK], MAX_TAPS>,
    bias: [[u8; 4]; BLOCK],
    multiplier: [[u8; 4]; BLOCK],
    shift: [u8; BLOCK],
}

impl Lanes {
    fn new(constants: &Weighted<'_>, c: usize, taps: usize) -> Self {
        let channel = |lane: usize| lane % c.max(1);
        let weight = |tap: usize, lane| constants.weights.get(tap * c + channel(lane)).copied();
        let weights = (0..taps.min(MAX_TAPS))
            .map(|tap| core::array::from_fn(|lane| weight(tap, lane).unwrap_or(0)));
        let of =
            core::array::from_fn::<_, BLOCK, _>(|lane| constants.requant.channel(channel(lane)));
        Self {
            weights: weights.collect(),
            bias: of.map(|(bias, ..)| bias.to_le_bytes()),
            multiplier: of.map(|(_, multiplier, _)| multiplier.to_le_bytes()),
            shift: of.map(|(.., shift)| shift.cast_unsigned()),
        }
    }

    fn constants(&self) -> Weighted<'_> {
        Weighted {
            weights: self.weights.as_flattened(),
            requant: Requant {
                bias: self.bias.as_flattened(),
                multiplier: self.multiplier.as_flattened(),
                shift: &self.shift,
            },
        }
    }
}
