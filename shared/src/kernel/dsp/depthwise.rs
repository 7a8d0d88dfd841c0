//! Depthwise convolution with square windows of 3 and 5. It owns the order of rows and channels and must
//! not know the graph around it.

use core::num::NonZeroUsize;

use super::packing::{BLOCK, Epilogue, Reach, are_exact, block_channels};
use super::slices::taps_len;
use super::{Filter, Lines, SCRATCH_WORDS, Slice, Slices, Strip, limit};
use crate::kernel::{Dst, Over, Src, Weighted, generic};
use crate::layer::Window;

/// Depthwise 2-D convolution: bit for bit
/// [`generic::depthwise_conv2d_s8`], which it calls for windows and constants it does not know.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][ch]` | i8 |
/// | `dst` | `[out_h][out_w][ch]` | i8 |
/// | `constants.weights` | `[kernel_h][kernel_w][ch]` | i8 in `-127..=127` |
///
/// Four channels at a time are expanded, borders included, into strips of rows, from which two output
/// pixels at a time are computed. Columns, and rows, whose distance is no multiple of the dilation never
/// meet in a window: each such phase is a convolution without dilation. Fast are windows of 3×3 and 5×5
/// with strides 1 and 2, or stride 1 and any dilation, from 4 channels on. Never panics if
/// `Model::parse` accepted the blob. Cost: 5.6 KiB of stack; instructions in [`crate::cost`].
pub fn depthwise_conv2d_s8<S: Slices>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &Weighted<'_>,
) {
    let cut = Cut::new(src.c, dst.w, window);
    if !cut.is_some_and(|cut| cut.run::<S>(src, dst, constants)) {
        return generic::depthwise_conv2d_s8(src, dst, window, constants);
    }
    limit::<S>(dst);
}

/// As [`depthwise_conv2d_s8`], where the output takes the place of the input and is not larger: bit for bit
/// [`generic::depthwise_conv2d_over_s8`], which it calls for windows, channels and constants that it does not
/// know.
///
/// Rows that two strips share stay expanded, so that none is read after it was overwritten. Never panics if
/// `Model::parse` accepted the blob. Cost: 6.3 KiB of stack; instructions in [`crate::cost`].
pub fn depthwise_conv2d_over_s8<S: Slices>(
    image: &mut Over<'_>,
    window: &Window,
    constants: &Weighted<'_>,
) {
    let cut = Cut::new(image.c, image.to[1], window).and_then(|cut| cut.over(image.c));
    let unknown = match cut {
        Some(cut) => cut.run_over::<S>(image, constants),
        None => Some(0),
    };
    if let Some(first) = unknown {
        generic::depthwise_conv2d_over_s8(image, first, window, constants);
    }
    // Not before all of the input was read.
    limit::<S>(&mut image.dst());
}

/// Expands the weights of four channels and writes their constants, if the fast kernels are exact.
#[inline(always)]
fn weights<S: Slices>(
    filter: &mut Filter,
    [c, first, side]: [usize; 3],
    constants: &Weighted<'_>,
    [src_zero, dst_zero]: [i32; 2],
) -> Option<()> {
    let taps = filter.taps.get_mut(..taps_len(side))?;
    let sums = S::taps(constants.weights.get(first..)?, c, side, taps);
    // Of pixels less their zero point.
    let reach = Reach(255 * 127 * u32::try_from(side * side).ok()?);
    let channels = block_channels(&constants.requant, sums, first, src_zero)?;
    if !are_exact(&channels, reach) {
        return None;
    }
    filter.epilogue = Epilogue {
        // One accumulator per channel here: no pairs.
        bias: channels.map(|channel| channel.bias),
        ..Epilogue::of(&channels, dst_zero, reach)
    };
    Some(())
}

/// `n / by`, rounded up.
fn div_ceil(n: usize, by: NonZeroUsize) -> usize {
    n / by + usize::from(n % by > 0)
}

/// Rows of four channels that fit into the scratch.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pad: [usize; 2],
    /// Phases of rows and of columns.
    pub(crate) dilation: [NonZeroUsize; 2],
    /// Words of a row of one phase.
    pitch: usize,
    /// Words from one row to the next: of one phase, or of all of them side by side.
    pub(crate) line: usize,
    /// Output rows.
    pub(crate) rows: NonZeroUsize,
}

impl Cut {
    /// Of a convolution of `c` channels that the fast kernel knows.
    pub(crate) fn new(c: usize, out_w: usize, window: &Window) -> Option<Self> {
        let square = window.kernel_h == window.kernel_w && window.stride_h == window.stride_w;
        let (kernel, stride) = (usize::from(window.kernel_h), usize::from(window.stride_h));
        let dilation = [window.dilation_h, window.dilation_w].map(usize::from);
        let known = square
            && matches!((kernel, stride), (3 | 5, 1 | 2))
            && (stride == 1 || dilation == [1, 1])
            && c >= BLOCK
            && out_w >= 1;
        if !known {
            return None;
        }
        // Told to be positive, so that no division by them can panic.
        let dilation = [
            NonZeroUsize::new(dilation[0])?,
            NonZeroUsize::new(dilation[1])?,
        ];
        // Two outputs at a time read pairs of pixels.
        let outputs = div_ceil(out_w, dilation[1]).next_multiple_of(2);
        let pitch = 2 * (outputs.checked_sub(1)? * stride + kernel).next_multiple_of(2);
        let cut = Self {
            kernel,
            stride,
            pad: [window.pad_top.into(), window.pad_left.into()],
            dilation,
            pitch,
            line: pitch,
            rows: NonZeroUsize::MIN,
        };
        cut.with_line(pitch)
    }

    /// With rows of `line` words, as many as fit.
    fn with_line(self, line: usize) -> Option<Self> {
        let room = (SCRATCH_WORDS / NonZeroUsize::new(line)?).checked_sub(self.lines(1))?;
        let rows = NonZeroUsize::new(room / NonZeroUsize::new(self.stride)? + 1)?;
        Some(Self { line, rows, ..self })
    }

    /// For an output over the input: strips of all phases, so that no column is written before another phase
    /// has read it. None where blocks of the `c` channels would share some.
    pub(crate) fn over(self, c: usize) -> Option<Self> {
        let line = self.pitch * self.dilation[1].get();
        self.with_line(line).filter(|_| c.is_multiple_of(BLOCK))
    }

    /// Words of a row before those of `phase`.
    fn before(&self, phase: usize) -> usize {
        match self.line > self.pitch {
            true => phase * self.pitch,
            false => 0,
        }
    }

    /// Input rows that `rows` output rows read.
    pub(crate) fn lines(&self, rows: usize) -> usize {
        rows.saturating_sub(1) * self.stride + (self.kernel - 1) * self.dilation[0].get() + 1
    }

    /// The whole convolution before its clamp; false if the constants of some channel need the generic
    /// kernel.
    fn run<S: Slices>(&self, src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) -> bool {
        // Padding for as much as is read only.
        let mut pixels = heapless::Vec::<u32, SCRATCH_WORDS>::new();
        let mut filter = Filter::empty();
        let padding = S::padding(src.zero_point);
        let zero_points = [src.zero_point, dst.zero_point];
        let strips = dst.h.div_ceil(self.rows.get());
        let phases = 0..self.dilation[1].get().min(dst.w);
        for [phase, strip] in phases.flat_map(|phase| (0..strips).map(move |strip| [phase, strip]))
        {
            let top = strip * self.rows.get();
            let rows = self.rows.get().min(dst.h - top);
            let words = self.lines(rows) * self.line;
            pixels.clear();
            if pixels.resize(words, padding).is_err() {
                return false;
            }
            let lines = S::Spread::from(self.inside(src, [top, rows], phase, 0));
            let outputs = Outputs::<S>::new(self, [dst.w, dst.c], [phase, top, rows]);
            // Where the channels are no multiple of 4, the last slice repeats some of the one before.
            for slice in 0..src.c.div_ceil(BLOCK) {
                let first = (slice * BLOCK).min(src.c - BLOCK);
                let shape = [src.c, first, self.kernel];
                if weights::<S>(&mut filter, shape, constants, zero_points).is_none() {
                    return false;
                }
                let data = src.data.get(first..).unwrap_or_default();
                S::spread_lines(data, &lines, &mut pixels);
                outputs.write(dst, &filter, &pixels, first);
            }
        }
        true
    }

    /// As [`Cut::run`] over the input, strip after strip of each block; gives the first channel of the first
    /// block whose constants need the generic kernel, where it stopped.
    fn run_over<S: Slices>(&self, image: &mut Over<'_>, constants: &Weighted<'_>) -> Option<usize> {
        let mut pixels = heapless::Vec::<u32, SCRATCH_WORDS>::new();
        let mut filter = Filter::empty();
        let padding = S::padding(image.zero_points[0]);
        let phases = self.dilation[1].get().min(image.to[1]);
        let strips = image.to[0].div_ceil(self.rows.get());
        // A strip that is all of the image is the same for every block.
        let stays = phases == 1 && strips == 1;
        let (mut spread, mut outputs) = (None, None);
        for first in (0..image.c).step_by(BLOCK) {
            let shape = [image.c, first, self.kernel];
            if weights::<S>(&mut filter, shape, constants, image.zero_points).is_none() {
                return Some(first);
            }
            for strip in 0..strips {
                let top = strip * self.rows.get();
                let rows = self.rows.get().min(image.to[0] - top);
                let n_kept = if top > 0 { self.keep(&mut pixels) } else { 0 };
                // Its padding is there from the block before.
                if strips > 1 || first == 0 {
                    pixels.truncate(n_kept * self.line);
                    // They fit, as `rows` says.
                    pixels
                        .resize(self.lines(rows) * self.line, padding)
                        .unwrap_or_default();
                }
                let src = image.src();
                let data = src.data.get(first..).unwrap_or_default();
                for phase in 0..phases {
                    let inside = || self.inside(&src, [top, rows], phase, n_kept).into();
                    let lines: &S::Spread = kept(&mut spread, stays, inside);
                    S::spread_lines(data, lines, &mut pixels);
                }
                let mut dst = image.dst();
                for phase in 0..phases {
                    let shape = [dst.w, dst.c];
                    let new = || Outputs::<S>::new(self, shape, [phase, top, rows]);
                    let outputs = kept(&mut outputs, stays, new);
                    outputs.write(&mut dst, &filter, &pixels, first);
                }
            }
        }
        None
    }

    /// Rows that a strip shares with the one before.
    pub(crate) fn shared_lines(&self) -> usize {
        self.lines(1).saturating_sub(self.stride)
    }

    /// Moves the rows that the next strip reads as well to its start and gives their number.
    fn keep(&self, pixels: &mut [u32]) -> usize {
        let kept = self.shared_lines();
        let from = self.rows.get() * self.stride * self.line;
        // Upwards, as the two may overlap.
        for i in 0..kept * self.line {
            let word = pixels.get(from + i).copied().unwrap_or(0);
            if let Some(to) = pixels.get_mut(i) {
                *to = word;
            }
        }
        kept
    }

    /// What of an image lies in a strip of `rows` output rows from `top` on, in columns of `phase`, behind
    /// the `kept` rows that are there.
    #[inline(always)]
    pub(crate) fn inside(
        &self,
        src: &Src<'_>,
        [top, rows]: [usize; 2],
        phase: usize,
        kept: usize,
    ) -> Lines {
        let step = self.dilation[1];
        let above = self.pad[0].saturating_sub(top * self.stride).max(kept);
        let left = div_ceil(self.pad[1].saturating_sub(phase), step);
        let y = (top * self.stride + above).saturating_sub(self.pad[0]);
        let x = (left * step.get() + phase).saturating_sub(self.pad[1]);
        let behind = [
            src.h.saturating_sub(y),
            div_ceil(src.w.saturating_sub(x), step),
        ];
        let room = [self.lines(rows), self.pitch / 2];
        Lines {
            start: (y * src.w + x) * src.c,
            step: step.get() * src.c,
            down: src.w * src.c,
            n: [
                behind[0].min(room[0].saturating_sub(above)),
                behind[1].min(room[1].saturating_sub(left)),
            ],
            to: above * self.line + self.before(phase),
            left,
            pitch: self.line,
            zero_point: src.zero_point,
        }
    }
}

/// The outputs of one phase of columns of a strip, for slice after slice.
struct Outputs<S: Slices> {
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
    /// Of `phase`, in `rows` output rows from `top` on of an output of width and channels `[w, c]`.
    #[inline(never)]
    fn new(cut: &Cut, [w, c]: [usize; 2], [phase, top, rows]: [usize; 3]) -> Self {
        let [down, right] = cut.dilation;
        let line = w * c;
        let strip = |n_rows: usize| {
            S::Rows::from(Strip {
                pitch: down.get() * cut.line,
                kernel: cut.kernel,
                stride: cut.stride,
                n: [n_rows, div_ceil(w - phase, right)],
                step: [down.get() * line, right.get() * c],
            })
        };
        let (each, rest) = (rows / down, rows % down);
        let whole = if rest > 0 { rest } else { down.get() };
        let phases = down.get().min(rows);
        Self {
            strip: strip(div_ceil(rows, down)),
            fewer: (whole < phases).then(|| strip(each)),
            phases: [phases, whole],
            words: [cut.before(phase), cut.line],
            out: [top * line + phase * c, line],
        }
    }

    /// Those of the four channels from `first` on.
    #[inline(always)]
    fn write(&self, dst: &mut Dst<'_>, filter: &Filter, pixels: &[u32], first: usize) {
        let [phases, whole] = self.phases;
        let mut phase = |strip: &S::Rows, row: usize| {
            let from = self.words[0] + row * self.words[1];
            let to = self.out[0] + row * self.out[1] + first;
            let pixels = pixels.get(from..).unwrap_or_default();
            let slice = Slice { pixels, filter };
            S::rows(strip, &slice, dst.data.get_mut(to..).unwrap_or_default());
        };
        phase(&self.strip, 0);
        for row in 1..phases {
            let short = self.fewer.as_ref().filter(|_| row >= whole);
            phase(short.unwrap_or(&self.strip), row);
        }
    }
}

/// What was made before, or, unless it `stays`, is made anew.
fn kept<T>(before: &mut Option<T>, stays: bool, make: impl FnOnce() -> T) -> &T {
    if !stays {
        *before = None;
    }
    before.get_or_insert_with(make)
}
