//! How a depthwise convolution is cut into strips. It owns their geometry, which the cost model walks as
//! well, and must not know weights.

use core::num::NonZeroUsize;

use super::super::packing::{BLOCK, Reach};
use super::super::slices::{MAX_PAIRS, TAPS_WORDS};
use super::super::{Lines, SCRATCH_WORDS, Weights, Windows, div_ceil};
use crate::kernel::Src;
use crate::layer::Window;
use crate::scratch::MOST;

/// Words of scratch: weights, then pixels.
const WORDS: usize = SCRATCH_WORDS + TAPS_WORDS;
const _: () = assert!(WORDS <= MOST);
/// Most taps of a window: their weights' sum fits in a halfword.
const MAX_TAPS: usize = 256;

/// Rows of four channels that fit into the scratch, or, of an image that is too wide, pieces of them.
///
/// The image is turned, its columns taken as rows, where the window is higher than wide: pairs of taps lie
/// in a row.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    /// What is computed, turned.
    pub(crate) windows: Windows,
    turned: bool,
    pad: [usize; 2],
    /// Phases of rows and of columns.
    pub(crate) dilation: [NonZeroUsize; 2],
    /// Most outputs of a row of one phase that lie side by side: all of them, or an even number.
    across: NonZeroUsize,
    /// Words of a row of one phase.
    pitch: usize,
    /// Words from one row to the next: of one phase, or of all of them side by side.
    pub(crate) line: usize,
    /// Output rows.
    pub(crate) rows: NonZeroUsize,
}

impl Cut {
    /// Of a convolution of `c` channels to an output of `[h, w]` that the fast kernel knows.
    pub(crate) fn new(c: usize, out: [usize; 2], window: &Window) -> Option<Self> {
        let turned = window.kernel_h > window.kernel_w;
        let flip = |[h, w]: [u8; 2]| turn(turned, [h.into(), w.into()]);
        let windows = Windows::new(
            flip([window.kernel_h, window.kernel_w]),
            flip([window.stride_h, window.stride_w]),
        );
        let dilation = flip([window.dilation_h, window.dilation_w]);
        let [_, columns] = turn(turned, out);
        let pairs = windows.pairs;
        let known = (windows.kernel[0] == 1 || pairs <= MAX_PAIRS)
            && windows.taps() <= MAX_TAPS
            && (windows.stride[0] == 1 || dilation[0] == 1)
            && (windows.stride[1] == 1 || dilation[1] == 1)
            && c >= BLOCK
            && columns >= 1;
        if !known {
            return None;
        }
        // Told to be positive, so that no division by them can panic.
        let dilation = [
            NonZeroUsize::new(dilation[0])?,
            NonZeroUsize::new(dilation[1])?,
        ];
        let all = NonZeroUsize::new(div_ceil(columns, dilation[1]))?;
        let cut = Self {
            windows,
            turned,
            pad: flip([window.pad_top, window.pad_left]),
            dilation,
            across: all,
            pitch: 0,
            line: 0,
            rows: NonZeroUsize::MIN,
        };
        match cut.of_width(all) {
            None => cut.in_pieces(all),
            whole => whole,
        }
    }

    /// With fewer than `all` outputs side by side, halved until half of the rows of a strip are new.
    #[cold]
    #[inline(never)]
    fn in_pieces(self, all: NonZeroUsize) -> Option<Self> {
        let mut n = all.get();
        while n > 4 {
            n = n.div_ceil(4) * 2;
            let cut = NonZeroUsize::new(n).and_then(|n| self.of_width(n));
            let is_new = |cut: &Self| cut.rows.get() * cut.windows.stride[0] >= cut.shared_lines();
            if let Some(cut) = cut.filter(is_new) {
                return Some(cut);
            }
        }
        None
    }

    /// With `across` outputs of a phase side by side.
    fn of_width(self, across: NonZeroUsize) -> Option<Self> {
        // Outputs are computed in twos: of all but the last two, the pixels in front of their windows.
        let twos = across.get().div_ceil(2);
        let pixels = twos.checked_sub(1)? * self.windows.stride[1] + self.windows.pairs;
        let pitch = BLOCK * pixels;
        Self {
            across,
            pitch,
            ..self
        }
        .with_line(pitch)
    }

    /// The first outputs of a row of `w`, phase by phase and piece by piece.
    pub(crate) fn pieces(&self, w: usize) -> impl Iterator<Item = usize> + use<> {
        let [_, step] = self.dilation.map(NonZeroUsize::get);
        let piece = step * self.across.get();
        let first = (w > 0).then_some([0, 0]);
        let all = core::iter::successors(first, move |&[phase, first]| {
            let (next, other) = (first + piece, phase + 1);
            if next < w {
                return Some([phase, next]);
            }
            (other < step.min(w)).then_some([other; 2])
        });
        all.map(|[_, first]| first)
    }

    /// Outputs of the piece that begins at `first` in a row of `w`.
    pub(crate) fn outputs(&self, w: usize, first: usize) -> usize {
        div_ceil(w.saturating_sub(first), self.dilation[1]).min(self.across.get())
    }

    /// With rows of `line` words, as many as fit.
    fn with_line(self, line: usize) -> Option<Self> {
        let room = WORDS
            .checked_sub(self.windows.taps_len())?
            .min(SCRATCH_WORDS);
        let more = (room / NonZeroUsize::new(line)?).checked_sub(self.lines(1))?;
        let rows = NonZeroUsize::new(more / NonZeroUsize::new(self.windows.stride[0])? + 1)?;
        Some(Self { line, rows, ..self })
    }

    /// For an output of `to` over the input of `from`, `[h, w]` of `c` channels: strips of all phases, so
    /// that no column is written before another phase has read it. None where blocks of the channels would
    /// share some, columns of a turned image would be written over others, or a piece over what the next one reads.
    pub(crate) fn over(self, c: usize, from: [usize; 2], to: [usize; 2]) -> Option<Self> {
        let line = self.pitch * self.dilation[1].get();
        let [_, w] = self.turn(to);
        let whole = self.outputs(w, 0) == div_ceil(w, self.dilation[1]);
        let apart = whole && c.is_multiple_of(BLOCK) && (!self.turned || from[1] == to[1]);
        self.with_line(line).filter(|_| apart)
    }

    /// What is given as `[of rows, of columns]` of the image, of the turned one.
    pub(crate) fn turn<T>(&self, of: [T; 2]) -> [T; 2] {
        turn(self.turned, of)
    }

    /// Where the weights of `c` channels are.
    pub(super) fn weights(&self, c: usize) -> Weights {
        let [_, columns] = self.turn(self.windows.kernel);
        Weights {
            windows: self.windows,
            step: self.turn([columns * c, c]),
        }
    }

    /// Of pixels less their zero point.
    pub(super) fn reach(&self) -> Reach {
        let taps = u32::try_from(self.windows.taps()).unwrap_or(u32::MAX);
        Reach(taps.saturating_mul(255 * 128))
    }

    /// Words of a row before those of `phase`.
    pub(super) fn before(&self, phase: usize) -> usize {
        match self.line > self.pitch {
            true => phase * self.pitch,
            false => 0,
        }
    }

    /// Input rows that `rows` output rows read.
    pub(crate) fn lines(&self, rows: usize) -> usize {
        let taps = self.windows.kernel[0].saturating_sub(1);
        rows.saturating_sub(1) * self.windows.stride[0] + taps * self.dilation[0].get() + 1
    }

    /// Rows that a strip shares with the one before.
    pub(crate) fn shared_lines(&self) -> usize {
        self.lines(1).saturating_sub(self.windows.stride[0])
    }

    /// Whether the first of the rows (`axis` 0) or columns, out of `size`, that `n` outputs from the `first` one on
    /// read, and the last one, is padding; of phases of them none is said to be.
    pub(crate) fn padding(&self, axis: usize, size: usize, [first, n]: [usize; 2]) -> [bool; 2] {
        let (stride, pad) = (self.windows.stride[axis], self.pad[axis]);
        let begin = first * stride;
        let end = begin + n.saturating_sub(1) * stride + self.windows.kernel[axis];
        let known = self.dilation[axis].get() == 1;
        [begin < pad, end > pad + size].map(|is| known && is)
    }

    /// What of an image lies in a strip of `rows` output rows from `top` on, in columns of the phase of output column
    /// `first` from its window on, behind the `kept` rows that are there.
    #[inline(always)]
    pub(crate) fn inside(
        &self,
        src: &Src<'_>,
        [top, rows]: [usize; 2],
        first: usize,
        kept: usize,
    ) -> Lines {
        let step = self.dilation[1];
        let [top, first_column] = [top * self.windows.stride[0], first * self.windows.stride[1]];
        let [h, w] = self.turn([src.h, src.w]);
        let [down, across] = self.turn([src.w * src.c, src.c]);
        let above = self.pad[0].saturating_sub(top).max(kept);
        let left = div_ceil(self.pad[1].saturating_sub(first_column), step);
        let y = (top + above).saturating_sub(self.pad[0]);
        let x = (left * step.get() + first_column).saturating_sub(self.pad[1]);
        let behind = [h.saturating_sub(y), div_ceil(w.saturating_sub(x), step)];
        let room = [self.lines(rows), self.pitch / 2];
        Lines {
            start: y * down + x * across,
            step: step.get() * across,
            down,
            n: [
                behind[0].min(room[0].saturating_sub(above)),
                behind[1].min(room[1].saturating_sub(left)),
            ],
            to: above * self.line + self.before(first),
            left,
            pitch: self.line,
            zero_point: src.zero_point,
        }
    }
}

/// The two in the other order, if `turned`.
fn turn<T>(turned: bool, [a, b]: [T; 2]) -> [T; 2] {
    match turned {
        true => [b, a],
        false => [a, b],
    }
}
