//! Two pixels' windows as columns of halfwords: the left side of the matrix product.
//!
//! It owns the gathering of taps and must not know weights. Four depths of two pixels are four words:
//! depths 0 and 2 of either pixel, then depths 1 and 3 of either: what SXTB16 makes of bytes.

use super::packing::MAX_BYTE_DEPTH;
use super::{SCRATCH_WORDS, Simd};
use crate::kernel::Src;
use crate::layer::Window;

/// Pixels of padding at hand.
const PAD: usize = 64;

/// Columns of two output pixels.
pub(crate) struct Columns {
    words: [u32; SCRATCH_WORDS],
    depth: usize,
    padding: [i8; PAD],
}

impl Columns {
    /// For windows of `depth` values, at most as [`super::packing::packable`] says.
    pub(crate) fn new(depth: usize, zero_point: i32) -> Self {
        Self {
            words: [0; SCRATCH_WORDS],
            depth: depth.next_multiple_of(4),
            padding: [zero_point.clamp(-128, 127) as i8; PAD],
        }
    }

    /// The columns filled last.
    #[inline]
    pub(crate) fn words(&self) -> &[u32] {
        self.words.get(..self.depth).unwrap_or_default()
    }

    /// Gathers the windows of output pixels `at = [(y, x); 2]`.
    #[inline]
    pub(crate) fn fill<S: Simd>(
        &mut self,
        src: &Src<'_>,
        window: &Window,
        at: [(usize, usize); 2],
    ) {
        if window.is_pointwise() && src.c.is_multiple_of(4) {
            let [x0, x1] = at.map(|(y, x)| src.run(y, x, src.c));
            expand::<S>(x0, x1, &mut self.words);
        } else if src.c.is_multiple_of(4) {
            self.fill_words::<S>(src, window, at);
        } else {
            self.fill_bytes::<S>(src, window, at);
        }
    }

    /// Channels in fours: straight from the image.
    fn fill_words<S: Simd>(&mut self, src: &Src<'_>, window: &Window, at: [(usize, usize); 2]) {
        let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
        let mut to = self.words.as_mut_slice();
        for ky in 0..window.kernel_h {
            let rows = at.map(|at| Line::new(src, window, at, ky));
            if let [Some(x0), Some(x1)] = rows.each_ref().map(|r| r.whole(src, window)) {
                let (now, rest) = to.split_at_mut_checked(kernel_w * c).unwrap_or_default();
                expand::<S>(x0, x1, now);
                to = rest;
                continue;
            }
            for kx in 0..window.kernel_w {
                let (now, rest) = to.split_at_mut_checked(c).unwrap_or_default();
                let taps = rows.each_ref().map(|r| r.tap(src, window, kx));
                for (i, now) in now.chunks_mut(PAD).enumerate() {
                    let [x0, x1] = taps.map(|tap| match tap {
                        Some(tap) => tap.get(i * PAD..).unwrap_or_default(),
                        None => &self.padding[..],
                    });
                    expand::<S>(x0, x1, now);
                }
                to = rest;
            }
        }
    }

    /// Any channels: bytes first, then halfwords.
    fn fill_bytes<S: Simd>(&mut self, src: &Src<'_>, window: &Window, at: [(usize, usize); 2]) {
        let mut bytes = [[self.padding[0]; MAX_BYTE_DEPTH]; 2];
        let (kernel_w, c) = (usize::from(window.kernel_w), src.c);
        for (bytes, at) in bytes.iter_mut().zip(at) {
            let mut to = bytes.as_mut_slice();
            for ky in 0..window.kernel_h {
                let (now, rest) = to.split_at_mut_checked(kernel_w * c).unwrap_or_default();
                let line = Line::new(src, window, at, ky);
                match line.whole(src, window) {
                    Some(run) => copy(now, run),
                    None => {
                        for (kx, now) in (0..window.kernel_w).zip(now.chunks_exact_mut(c.max(1))) {
                            copy(now, line.tap(src, window, kx).unwrap_or_default());
                        }
                    }
                }
                to = rest;
            }
        }
        let [x0, x1] = &bytes;
        let words = self.words.get_mut(..self.depth).unwrap_or_default();
        expand::<S>(x0, x1, words);
    }
}

/// Copies the shorter of the two; a loop, as runs of a few bytes are shorter than a call.
#[inline]
fn copy(to: &mut [i8], from: &[i8]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// Fours of two runs of bytes as words, until the shortest ends.
#[inline]
pub(crate) fn expand<S: Simd>(x0: &[i8], x1: &[i8], to: &mut [u32]) {
    let fours = x0.as_chunks::<4>().0.iter().zip(x1.as_chunks::<4>().0);
    for ((x0, x1), to) in fours.zip(to.as_chunks_mut::<4>().0) {
        let word = |x: &[i8; 4]| u32::from_le_bytes(x.map(i8::cast_unsigned));
        let (x0, x1) = (word(x0), word(x1));
        *to = [
            S::sxtb16(x0),
            S::sxtb16(x1),
            S::sxtb16_ror8(x0),
            S::sxtb16_ror8(x1),
        ];
    }
}

/// One row of a window: the input row it reads, if inside, and where its first tap is, plus padding.
struct Line {
    row: Option<usize>,
    origin: usize,
}

impl Line {
    #[inline]
    fn new(src: &Src<'_>, window: &Window, (y, x): (usize, usize), ky: u8) -> Self {
        let down = usize::from(ky) * usize::from(window.dilation_h);
        let row = (y * usize::from(window.stride_h) + down)
            .checked_sub(usize::from(window.pad_top))
            .filter(|&row| row < src.h);
        Self {
            row,
            origin: x * usize::from(window.stride_w),
        }
    }

    /// Column of tap `kx`, if inside.
    #[inline]
    fn column(&self, src: &Src<'_>, window: &Window, kx: u8) -> Option<usize> {
        (self.origin + usize::from(kx) * usize::from(window.dilation_w))
            .checked_sub(usize::from(window.pad_left))
            .filter(|&column| column < src.w)
    }

    /// Tap `kx`, if inside.
    #[inline]
    fn tap<'a>(&self, src: &Src<'a>, window: &Window, kx: u8) -> Option<&'a [i8]> {
        Some(src.run(self.row?, self.column(src, window, kx)?, src.c))
    }

    /// All taps as one run, if inside and without gaps.
    #[inline]
    fn whole<'a>(&self, src: &Src<'a>, window: &Window) -> Option<&'a [i8]> {
        let first = self.column(src, window, 0)?;
        self.column(src, window, window.kernel_w.saturating_sub(1))?;
        let run = src.run(self.row?, first, usize::from(window.kernel_w) * src.c);
        (window.dilation_w == 1).then_some(run)
    }
}
