//! Two pixels' windows as columns of halfwords: the left side of the matrix product.
//!
//! It owns the gathering of taps and must not know weights. Four depths of two pixels are four words,
//! see [`Simd::columns`].

use core::ops::Range;

use super::packing::{Depth, Part};
use super::{Batch, Simd};
use crate::kernel::{Axis, Src, axes};
use crate::layer::{Clamp, Window};
use crate::quant::saturate;

/// Depths that are gathered at once where a window has an edge.
const AT_ONCE: usize = 64;

/// Columns of two output pixels.
pub(crate) struct Columns<'w> {
    words: &'w mut [u32],
    part: Part,
    padding: [i8; AT_ONCE],
    inside: Inside,
}

/// Which windows lie inside the image; all in bytes of it but the positions.
struct Inside {
    stride: [usize; 2],
    pad: [usize; 2],
    /// Last top row and left column, if any.
    last: Option<[usize; 2]>,
    pixel: usize,
    line: usize,
    rows: Rows,
    /// Bytes from the first of a window to the first of the part.
    ahead: usize,
    /// Last first byte.
    limit: usize,
}

/// Rows of a window inside an image.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many.
    pub n: usize,
    /// Bytes of one, a multiple of 4.
    pub bytes: usize,
    /// Bytes from one to the next.
    pub down: usize,
}

impl Rows {
    /// Bytes from the first of them to behind the last.
    #[inline]
    pub(crate) fn reach(&self) -> usize {
        self.n.saturating_sub(1) * self.down + self.bytes
    }

    /// Whether windows that begin at `starts`, and up to `last` values behind, lie in `src`, and their columns
    /// in `to`. A row, in whole words, may reach into the next one.
    #[inline]
    #[cfg(any(dsp, multiply))]
    pub(crate) fn fit(&self, src: &[i8], starts: [usize; 2], last: usize, to: &[u32]) -> bool {
        let fours = self.bytes / 4;
        fours > 0
            && self.n > 0
            && starts[0].max(starts[1]) + last + self.reach() <= src.len()
            && 4 * fours * self.n <= to.len()
    }
}

/// Where the window of one output pixel lies.
struct Place {
    /// Rows inside, and the input row of the first of them.
    rows: (Range<usize>, usize),
    /// Columns inside, and the input column of the first of them.
    columns: (Range<usize>, usize),
}

impl Inside {
    fn new(src: &Src<'_>, window: &Window, depth: Depth) -> Self {
        let (kernel_w, dilation_h) = (usize::from(window.kernel_w), usize::from(window.dilation_h));
        let rows = Rows {
            n: depth.rows,
            bytes: depth.row(),
            down: dilation_h * src.w * src.c,
        };
        let bottom = src
            .h
            .checked_sub(depth.rows.saturating_sub(1) * dilation_h + 1);
        let right = src.w.checked_sub(kernel_w);
        let dense = window.dilation_w == 1 || kernel_w == 1;
        let limit = src.data.len().checked_sub(rows.reach());
        let last = bottom.zip(right).filter(|_| dense && limit.is_some());
        Self {
            stride: [window.stride_h.into(), window.stride_w.into()],
            pad: [window.pad_top.into(), window.pad_left.into()],
            last: last.map(<[usize; 2]>::from),
            pixel: src.c,
            line: src.w * src.c,
            rows,
            ahead: 0,
            limit: limit.unwrap_or(0),
        }
    }

    /// First value of the window of output pixel `(y, x)`, if all of it can be read in whole words.
    #[inline]
    fn start(&self, (y, x): (usize, usize)) -> Option<usize> {
        let [bottom, right] = self.last?;
        // Less than 0 is more than any image has.
        let top = (y * self.stride[0]).wrapping_sub(self.pad[0]);
        let left = (x * self.stride[1]).wrapping_sub(self.pad[1]);
        if top > bottom || left > right {
            return None;
        }
        let start = top * self.line + left * self.pixel;
        (start <= self.limit).then_some(start)
    }
}

impl Inside {
    /// Output pixels from one to the next of which the windows are evenly spaced, out of `w` a row.
    fn span(&self, [h, w]: [usize; 2]) -> usize {
        let even = self.stride[0] * self.line == w * self.stride[1] * self.pixel;
        // Without padding the first window of a row follows the last of the row above.
        match even && self.pad == [0, 0] {
            true => h * w,
            false => w,
        }
    }
}

impl<'w> Columns<'w> {
    /// For windows of which `words` take as many as [`super::packing::MAX_WHOLE`] depths, or a part's; they may hold
    /// anything.
    pub(crate) fn new(src: &Src<'_>, window: &Window, words: &'w mut [u32]) -> Self {
        let depth = Depth::new(window, src.c);
        Self {
            words,
            part: depth.whole(),
            padding: [saturate(src.zero_point, Clamp::FULL); AT_ONCE],
            inside: Inside::new(src, window, depth),
        }
    }

    /// From now on only `part` of each window is gathered.
    #[inline]
    pub(crate) fn take(&mut self, part: Part) {
        let rows = &mut self.inside.rows;
        (rows.n, rows.bytes) = (part.rows.len(), part.run.len());
        self.inside.ahead = part.rows.start * rows.down + part.run.start;
        self.part = part;
    }

    /// The columns filled last.
    #[inline]
    pub(crate) fn words(&self) -> &[u32] {
        self.words.get(..self.part.len()).unwrap_or_default()
    }

    /// The most pairs of output pixels from `pixel` on, in an output of `[h, w]`, whose windows are
    /// evenly spaced and can be read in whole words; `out_ch` outputs a pixel.
    #[inline]
    pub(crate) fn batch(&self, pixel: usize, [h, w]: [usize; 2], out_ch: usize) -> Option<Batch> {
        let span = self.inside.span([h, w]).max(1);
        let start = |pixel: usize| self.inside.start((pixel / w, pixel % w));
        let first = start(pixel)?;
        let most = (span - pixel % span) / 2;
        // The last pairs of a row may have an edge.
        let n = (most.saturating_sub(2)..=most)
            .rev()
            .find(|&n| n > 0 && start(pixel + 2 * n - 1).is_some())?;
        let step = self.inside.stride[1] * self.inside.pixel;
        Some(Batch {
            starts: [first, first + step],
            ahead: 2 * step,
            at: [pixel * out_ch, (pixel + 1) * out_ch],
            out_ahead: 2 * out_ch,
            n,
        })
    }

    /// Image rows that a batch reads, and where its columns go.
    #[inline]
    pub(crate) fn parts(&mut self) -> (Rows, &mut [u32]) {
        let words = self.words.get_mut(..self.part.len());
        (self.inside.rows, words.unwrap_or_default())
    }

    /// Gathers the windows of output pixels `at = [(y, x); 2]`. Windows inside the image are read in
    /// whole words, whose last bytes may belong to the next pixel: their weights are 0.
    #[inline]
    pub(crate) fn fill<S: Simd>(
        &mut self,
        src: &Src<'_>,
        window: &Window,
        at: [(usize, usize); 2],
    ) {
        match at.map(|at| self.inside.start(at)) {
            [Some(first), Some(second)] => {
                let starts = [first, second].map(|start| start + self.inside.ahead);
                S::gather(src.data, starts, self.inside.rows, self.words);
            }
            _ => self.fill_edge::<S>(src, window, at),
        }
    }

    /// As [`Columns::fill`], tap by tap.
    #[inline(never)]
    fn fill_edge<S: Simd>(&mut self, src: &Src<'_>, window: &Window, at: [(usize, usize); 2]) {
        let (rows, columns) = axes(src, window);
        let places = at.map(|(y, x)| Place {
            rows: rows.taps(y),
            columns: columns.taps(x),
        });
        let words = self.words.chunks_exact_mut(self.part.run.len().max(1));
        for (ky, words) in self.part.rows.clone().zip(words) {
            let lines = places.each_ref().map(|place| place.line(src, &rows, ky));
            let starts = self.part.run.clone().step_by(AT_ONCE);
            for (from, words) in starts.zip(words.chunks_mut(AT_ONCE)) {
                let mut bytes = [self.padding; 2];
                for (p, bytes) in bytes.iter_mut().enumerate() {
                    places[p].copy::<S>((lines[p], src.c), &columns, from, bytes);
                }
                expand::<S>(&bytes[0], &bytes[1], words);
            }
        }
    }
}

impl Place {
    /// The input row of row `ky`, if inside.
    fn line<'a>(&self, src: &Src<'a>, rows: &Axis, ky: usize) -> Option<&'a [i8]> {
        let (inside, first) = &self.rows;
        let steps = inside.contains(&ky).then(|| ky - inside.start)?;
        let y = first + steps * usize::from(rows.dilation);
        Some(src.run(y, 0, src.w * src.c))
    }

    /// Copies the values inside of a row of pixels of `c` channels, from depth `from` on, to their places in `to`.
    #[inline]
    fn copy<S: Simd>(
        &self,
        (line, c): (Option<&[i8]>, usize),
        columns: &Axis,
        from: usize,
        to: &mut [i8; AT_ONCE],
    ) {
        let (Some(line), (inside, first)) = (line, &self.columns) else {
            return;
        };
        // Taps without a gap are one run.
        let (step, taps) = match columns.dilation {
            1 => (inside.len().max(1), inside.len()),
            _ => (1, 1),
        };
        let end = from + AT_ONCE;
        for (i, kx) in inside.clone().step_by(step).enumerate() {
            let (begin, x) = (kx * c, first + i * usize::from(columns.dilation));
            if begin >= end {
                return;
            }
            let skip = from.saturating_sub(begin);
            let values = line.get(x * c..(x + taps) * c).unwrap_or_default();
            let values = values.get(skip..).unwrap_or_default();
            let to = to.get_mut((begin + skip).saturating_sub(from)..);
            S::copy(values, to.unwrap_or_default());
        }
    }
}

/// Fours of two runs of bytes as words, until the shortest ends.
#[inline]
pub(crate) fn expand<S: Simd>(x0: &[i8], x1: &[i8], to: &mut [u32]) {
    let fours = x0.as_chunks::<4>().0.iter().zip(x1.as_chunks::<4>().0);
    for ((x0, x1), to) in fours.zip(to.as_chunks_mut::<4>().0) {
        let word = |x: &[i8; 4]| u32::from_le_bytes(x.map(i8::cast_unsigned));
        *to = S::columns(word(x0), word(x1));
    }
}
