//! A strip of the image with its padding around it: windows without edges.
//!
//! It owns the copy and must not know weights.

use super::Simd;
use crate::Clamp;
use crate::kernel::Src;
use crate::layer::Window;
use crate::quant::saturate;

/// Most bytes of a strip, on the stack.
const MOST_BYTES: usize = 4096;
/// Most bytes of a strip for more than one row of outputs.
const USUAL_BYTES: usize = 2048;
/// What reading whole words may take behind the last pixel.
const SLACK: usize = 3;

/// How an image is cut.
pub(crate) struct Strip {
    /// Output rows of a strip.
    pub(crate) rows: usize,
    /// Input rows of the first output row, and of each further one.
    reach: [usize; 2],
    pad: [usize; 2],
    /// Columns.
    pub(crate) w: usize,
}

impl Strip {
    /// Of an image `[h, w, c]` for outputs `[h, w]`; none if no window has an edge, or no strip is
    /// small enough.
    pub(crate) fn new(src: [usize; 3], dst: [usize; 2], window: &Window) -> Option<Self> {
        let [down, right] = window.reach();
        let [step_h, step_w] = [window.stride_h, window.stride_w].map(usize::from);
        let h = dst[0].checked_sub(1)? * step_h + down;
        let w = dst[1].checked_sub(1)? * step_w + right;
        let pad = [window.pad_top, window.pad_left].map(usize::from);
        if pad == [0, 0] && h <= src[0] && w <= src[1] {
            return None;
        }
        let fitting = |bytes: usize| ((bytes - SLACK) / (w * src[2]).max(1)).checked_sub(down);
        let rows = match fitting(USUAL_BYTES) {
            Some(more) => more / step_h.max(1) + 1,
            None => fitting(MOST_BYTES).map(|_| 1)?,
        };
        Some(Self {
            rows,
            reach: [down, step_h],
            pad,
            w,
        })
    }

    /// Bytes of a strip of an image of `c` channels and `h` output rows.
    pub(super) fn bytes(&self, c: usize, h: usize) -> usize {
        self.lines(self.rows.min(h)) * self.w * c + SLACK
    }

    /// Input rows that `n` output rows read.
    pub(crate) fn lines(&self, n: usize) -> usize {
        self.reach[0] + n.saturating_sub(1) * self.reach[1]
    }

    /// Copies what `n` output rows from `top` on read into `bytes`, which are padding or an earlier strip.
    pub(crate) fn fill<'b, S: Simd>(
        &self,
        src: &Src<'_>,
        top: usize,
        n: usize,
        bytes: &'b mut [i8],
    ) -> Src<'b> {
        let h = self.lines(n);
        let line = self.w * src.c;
        let padding = saturate(src.zero_point, Clamp::FULL);
        let inside = src.w.min(self.w.saturating_sub(self.pad[1])) * src.c;
        for (i, to) in bytes.chunks_exact_mut(line.max(1)).take(h).enumerate() {
            let to = to.get_mut(self.pad[1] * src.c..).unwrap_or_default();
            let to = to.get_mut(..inside).unwrap_or_default();
            let y = (top * self.reach[1] + i).checked_sub(self.pad[0]);
            match y.filter(|&y| y < src.h) {
                Some(y) => S::copy(src.run(y, 0, src.w * src.c), to),
                None => to.fill(padding),
            }
        }
        Src {
            data: bytes.get(..h * line + SLACK).unwrap_or_default(),
            h,
            w: self.w,
            ..*src
        }
    }
}
