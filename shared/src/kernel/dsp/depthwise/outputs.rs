//! Where the outputs of a strip of a depthwise convolution go. It owns the phases of rows and must not know weights.

use super::super::{Slice, Slices, Strip, div_ceil};
use super::Cut;
use crate::kernel::Dst;

/// The outputs of one phase of columns of a strip, or of a piece of it, for slice after slice.
pub struct Outputs<S: Slices> {
    /// A phase of rows.
    strip: S::Rows,
    /// One with a row less, if there is any.
    fewer: Option<S::Rows>,
    /// Phases of rows, and how many of them are no row short.
    phases: [usize; 2],
    /// Words before the first row of a phase, and from one phase to the next.
    words: [usize; 2],
    /// Values before its outputs, and from one to the next.
    out: [usize; 2],
}

impl<S: Slices> Outputs<S> {
    /// From output column `first` on, in `rows` output rows from `top` on of `dst`; `from` is the input's size, turned.
    #[inline(never)]
    pub(super) fn new(
        cut: &Cut,
        dst: &Dst<'_>,
        from: [usize; 2],
        [first, top, rows]: [usize; 3],
    ) -> Self {
        let [down, right] = cut.dilation;
        let [_, w] = cut.turn([dst.h, dst.w]);
        let [line, step] = cut.turn([dst.w * dst.c, dst.c]);
        let n = cut.outputs(w, first);
        let padding = cut.padding(0, from[0], [top, rows]);
        let [_, padding_right] = cut.padding(1, from[1], [first, n]);
        let strip = |n_rows: usize| {
            S::Rows::from(Strip {
                pitch: down.get() * cut.line,
                windows: cut.windows,
                n: [n_rows, n],
                step: [down.get() * line, right.get() * step],
                padding,
                padding_right,
            })
        };
        let (each, rest) = (rows / down, rows % down);
        let whole = if rest > 0 { rest } else { down.get() };
        let phases = down.get().min(rows);
        let mut outputs = Self {
            strip: strip(div_ceil(rows, down)),
            fewer: None,
            phases: [phases, whole],
            words: [cut.before(first), cut.line],
            out: [top * line + first * step, line],
        };
        if whole < phases {
            outputs.fewer = Some(strip(each));
        }
        outputs
    }

    /// Calls `run` with the strip of each phase of rows, its first word and its first output.
    #[cfg(dsp)]
    #[inline(always)]
    pub(in super::super) fn each(&self, mut run: impl FnMut(&S::Rows, usize, usize)) {
        let ([phases, whole], [word, words], [value, values]) = (self.phases, self.words, self.out);
        run(&self.strip, word, value);
        for row in 1..phases {
            let short = self.fewer.as_ref().filter(|_| row >= whole);
            let strip = short.unwrap_or(&self.strip);
            run(strip, word + row * words, value + row * values);
        }
    }

    /// Those of the four channels from `first` on.
    // As `each`, in one place.
    #[inline(always)]
    pub(super) fn write(&self, out: &mut [i8], slice: &Slice<'_>, first: usize) {
        let [phases, whole] = self.phases;
        for row in 0..phases {
            let short = self.fewer.as_ref().filter(|_| row >= whole);
            let from = self.words[0] + row * self.words[1];
            let to = self.out[0] + row * self.out[1] + first;
            let pixels = slice.pixels.get(from..).unwrap_or_default();
            let slice = Slice { pixels, ..*slice };
            let out = out.get_mut(to..).unwrap_or_default();
            S::rows(short.unwrap_or(&self.strip), &slice, out);
        }
    }
}
