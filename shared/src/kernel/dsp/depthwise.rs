//! Depthwise convolution. It owns the order of rows and channels and must not know the graph around it.

mod cut;
mod narrow;

use super::packing::{BLOCK, Epilogue, Reach, are_exact, block_channels};
use super::{Slice, Slices, Strip, div_ceil, limit};
use crate::kernel::{Dst, Over, Src, Weighted, generic};
use crate::layer::Window;
pub(crate) use cut::Cut;
use cut::WORDS;
use narrow::Apart;
pub(crate) use narrow::Narrow;

/// Depthwise 2-D convolution: bit for bit
/// [`generic::depthwise_conv2d_s8`], which it calls for windows and constants it does not know.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][ch]` | i8 |
/// | `dst` | `[out_h][out_w][ch]` | i8 |
/// | `constants.weights` | `[kernel_h][kernel_w][ch]` | i8 |
///
/// Four channels at a time are expanded, borders included, into strips of rows, from which two output
/// pixels at a time are computed; columns are taken as rows where the window is higher than wide. Columns,
/// and rows, whose distance is no multiple of the dilation never meet in a window: each such phase is a
/// convolution without dilation. Of an image that is too wide for the scratch as many columns are taken at a time as
/// fit. Fewer than four channels are computed as [slices](narrow) of values beside each other. Fast are windows of one
/// row or one column, and others whose taps and stride in the longer direction are at most 12 together; of 256 taps in
/// all, of fewer than four channels 64 (and a stride four times as long of one channel, twice of two), with either a
/// stride or a dilation in each direction, where the scratch takes the rows of a window: of fewer than four channels
/// 1.5 kB of rows with padding, else of at least four outputs side by side. Never panics if
/// `Model::parse` accepted the blob. Cost: 6.2 KiB of stack, of fewer than four channels 12.1 KiB; instructions in
/// [`crate::cost`].
pub fn depthwise_conv2d_s8<S: Slices>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &Weighted<'_>,
) {
    let out = [dst.h, dst.w];
    let known = if src.c < BLOCK {
        let narrow = Narrow::new(src.c, out, window);
        narrow.is_some_and(|n| n.run::<S>(&mut Apart(src, dst), window, constants))
    } else {
        let cut = Cut::new(src.c, out, window);
        cut.is_some_and(|cut| cut.run::<S>(src, dst, constants))
    };
    if !known {
        return generic::depthwise_conv2d_s8(src, dst, window, constants);
    }
    limit::<S>(dst);
}

/// As [`depthwise_conv2d_s8`], where the output takes the place of the input and is not larger: bit for bit
/// [`generic::depthwise_conv2d_over_s8`], which it calls for windows, channels and constants that it does not
/// know.
///
/// Rows that two strips share stay expanded, so that none is read after it was overwritten. Never panics if
/// `Model::parse` accepted the blob. Cost: 6.9 KiB of stack, of fewer than four channels 12.1 KiB; instructions in
/// [`crate::cost`].
pub fn depthwise_conv2d_over_s8<S: Slices>(
    image: &mut Over<'_>,
    window: &Window,
    constants: &Weighted<'_>,
) {
    let unknown = if image.c < BLOCK {
        let narrow = Narrow::new(image.c, image.to, window);
        let known = narrow.is_some_and(|n| n.run::<S>(image, window, constants));
        (!known).then_some(0)
    } else {
        let cut = Cut::new(image.c, image.to, window);
        match cut.and_then(|cut| cut.over(image.c, image.from, image.to)) {
            Some(cut) => cut.run_over::<S>(image, constants),
            None => Some(0),
        }
    };
    if let Some(first) = unknown {
        generic::depthwise_conv2d_over_s8(image, first, window, constants);
    }
    // Not before all of the input was read.
    limit::<S>(&mut image.dst());
}

/// Expands the weights of the four channels from `first` on and writes their constants, if the fast kernels
/// are exact.
#[inline(always)]
fn weights<S: Slices>(
    epilogue: &mut Epilogue,
    (plan, taps, reach): (&S::Taps, &mut [u32], Reach),
    first: usize,
    constants: &Weighted<'_>,
    [src_zero, dst_zero]: [i32; 2],
) -> Option<()> {
    let sums = S::taps(constants.weights.get(first..)?, plan, taps);
    let channels = block_channels(&constants.requant, sums, first, src_zero)?;
    if !are_exact(&channels, reach) {
        return None;
    }
    *epilogue = Epilogue {
        // One accumulator per channel here: no pairs.
        bias: channels.map(|channel| channel.bias),
        ..Epilogue::of(&channels, dst_zero, reach)
    };
    Some(())
}

impl Cut {
    /// The whole convolution before its clamp; false if the constants of some channel need the generic
    /// kernel. Pixels of fewer than four channels are slices with values of the next ones.
    // Apart, as its scratch would be twice on the stack; so below.
    #[inline(never)]
    fn run<S: Slices>(&self, src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) -> bool {
        // Weights, and padding for as many pixels as are read only.
        let mut scratch = heapless::Vec::<u32, WORDS>::new();
        let n_taps = self.windows.taps_len();
        let weights_of = self.weights(src.c.max(BLOCK));
        let (plan, mut epilogue) = (weights_of.into(), Epilogue::default());
        let reach = self.reach();
        let padding = S::padding(src.zero_point);
        let zero_points = [src.zero_point, dst.zero_point];
        let [h, w] = self.turn([dst.h, dst.w]);
        let strips = h.div_ceil(self.rows.get());
        for piece in self.pieces(w) {
            for strip in 0..strips {
                let top = strip * self.rows.get();
                let rows = self.rows.get().min(h - top);
                let words = self.lines(rows) * self.line;
                scratch.truncate(n_taps);
                if scratch.resize(n_taps + words, padding).is_err() {
                    return false;
                }
                let Some((taps, pixels)) = scratch.split_at_mut_checked(n_taps) else {
                    return false;
                };
                let lines = S::Spread::from(self.inside(src, [top, rows], piece, 0));
                let outputs = Outputs::<S>::new(self, dst, [piece, top, rows]);
                // Where the channels are no multiple of 4, the last slice repeats some of the one before.
                for slice in 0..src.c.div_ceil(BLOCK) {
                    let first = (slice * BLOCK).min(src.c.saturating_sub(BLOCK));
                    let weights_of = (&plan, &mut *taps, reach);
                    let exact =
                        weights::<S>(&mut epilogue, weights_of, first, constants, zero_points);
                    if exact.is_none() {
                        return false;
                    }
                    let data = src.data.get(first..).unwrap_or_default();
                    S::spread_lines(data, &lines, pixels);
                    let slice = Slice {
                        pixels,
                        taps,
                        epilogue: &epilogue,
                    };
                    outputs.write(dst, &slice, first);
                }
            }
        }
        true
    }

    /// As [`Cut::run`] over the input, strip after strip of each block; gives the first channel of the first
    /// block whose constants need the generic kernel, where it stopped.
    #[inline(never)]
    fn run_over<S: Slices>(&self, image: &mut Over<'_>, constants: &Weighted<'_>) -> Option<usize> {
        let mut scratch = heapless::Vec::<u32, WORDS>::new();
        let n_taps = self.windows.taps_len();
        let (plan, mut epilogue) = (self.weights(image.c).into(), Epilogue::default());
        let reach = self.reach();
        let zero_points = image.zero_points;
        let padding = S::padding(zero_points[0]);
        let [h, w] = self.turn(image.to);
        let phases = self.dilation[1].get().min(w);
        let strips = h.div_ceil(self.rows.get());
        // A strip that is all of the image is the same for every block.
        let stays = phases == 1 && strips == 1;
        let (mut spread, mut outputs) = (None, None);
        // They fit, as `Cut::rows` says; so do the pixels.
        scratch.resize(n_taps, padding).unwrap_or_default();
        for first in (0..image.c).step_by(BLOCK) {
            let taps = scratch.get_mut(..n_taps).unwrap_or_default();
            let weights_of = (&plan, taps, reach);
            let exact = weights::<S>(&mut epilogue, weights_of, first, constants, zero_points);
            if exact.is_none() {
                return Some(first);
            }
            for strip in 0..strips {
                let top = strip * self.rows.get();
                let rows = self.rows.get().min(h - top);
                let pixels = scratch.get_mut(n_taps..).unwrap_or_default();
                let n_kept = if top > 0 { self.keep(pixels) } else { 0 };
                // Its padding is there from the block before.
                if strips > 1 || first == 0 {
                    scratch.truncate(n_taps + n_kept * self.line);
                    scratch
                        .resize(n_taps + self.lines(rows) * self.line, padding)
                        .unwrap_or_default();
                }
                let Some((taps, pixels)) = scratch.split_at_mut_checked(n_taps) else {
                    return Some(first);
                };
                let src = image.src();
                let data = src.data.get(first..).unwrap_or_default();
                for phase in 0..phases {
                    let inside = || self.inside(&src, [top, rows], phase, n_kept).into();
                    let lines: &S::Spread = kept(&mut spread, stays, inside);
                    S::spread_lines(data, lines, pixels);
                }
                let slice = Slice {
                    pixels,
                    taps,
                    epilogue: &epilogue,
                };
                let mut dst = image.dst();
                for phase in 0..phases {
                    let new = || Outputs::<S>::new(self, &dst, [phase, top, rows]);
                    let outputs = kept(&mut outputs, stays, new);
                    outputs.write(&mut dst, &slice, first);
                }
            }
        }
        None
    }

    /// Moves the rows that the next strip reads as well to its start and gives their number.
    fn keep(&self, pixels: &mut [u32]) -> usize {
        let kept = self.shared_lines();
        let from = self.rows.get() * self.windows.stride[0] * self.line;
        // Upwards, as the two may overlap.
        for i in 0..kept * self.line {
            let word = pixels.get(from + i).copied().unwrap_or(0);
            if let Some(to) = pixels.get_mut(i) {
                *to = word;
            }
        }
        kept
    }
}

/// The outputs of one phase of columns of a strip, or of a piece of it, for slice after slice.
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
    /// From output column `first` on, in `rows` output rows from `top` on of `dst`.
    #[inline(never)]
    fn new(cut: &Cut, dst: &Dst<'_>, [first, top, rows]: [usize; 3]) -> Self {
        let [down, right] = cut.dilation;
        let [_, w] = cut.turn([dst.h, dst.w]);
        let [line, step] = cut.turn([dst.w * dst.c, dst.c]);
        let strip = |n_rows: usize| {
            S::Rows::from(Strip {
                pitch: down.get() * cut.line,
                windows: cut.windows,
                n: [n_rows, cut.outputs(w, first)],
                step: [down.get() * line, right.get() * step],
            })
        };
        let (each, rest) = (rows / down, rows % down);
        let whole = if rest > 0 { rest } else { down.get() };
        let phases = down.get().min(rows);
        Self {
            strip: strip(div_ceil(rows, down)),
            fewer: (whole < phases).then(|| strip(each)),
            phases: [phases, whole],
            words: [cut.before(first), cut.line],
            out: [top * line + first * step, line],
        }
    }

    /// Those of the four channels from `first` on.
    #[inline(always)]
    fn write(&self, dst: &mut Dst<'_>, slice: &Slice<'_>, first: usize) {
        let [phases, whole] = self.phases;
        let mut phase = |strip: &S::Rows, row: usize| {
            let from = self.words[0] + row * self.words[1];
            let to = self.out[0] + row * self.out[1] + first;
            let pixels = slice.pixels.get(from..).unwrap_or_default();
            let slice = Slice { pixels, ..*slice };
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
