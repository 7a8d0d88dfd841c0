//! Depthwise convolution. It owns the order of rows and channels and must not know the graph around it.

mod cut;
mod narrow;
mod outputs;

use super::packing::{BLOCK, Epilogue, Reach};
use super::{Slice, Slices, limit};
use crate::kernel::{Dst, Over, Src, Weighted, generic};
use crate::layer::Window;
use crate::scratch::with_room;
pub(crate) use cut::Cut;
use heapless::VecView;
use narrow::Apart;
pub(crate) use narrow::Narrow;
pub use outputs::Outputs;

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
/// `Model::parse` accepted the blob. Cost: stack for a strip, at most 4.7 KiB, in a [frame](crate::scratch) of the next
/// size, and 1.5 KiB, of fewer than four channels 3.6 KiB more; instructions in [`crate::cost`].
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
/// `Model::parse` accepted the blob. Cost: stack as [`depthwise_conv2d_s8`]; instructions in [`crate::cost`].
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
    zero_points: [i32; 2],
) -> Option<()> {
    let sums = S::taps(constants.weights.get(first..)?, plan, taps);
    S::constants(
        epilogue,
        &constants.requant,
        (first, sums),
        zero_points,
        reach,
    )
}

impl Cut {
    /// The whole convolution before its clamp; false if the constants of some channel need the generic
    /// kernel. Pixels of fewer than four channels are slices with values of the next ones.
    // Apart, as its scratch would be twice on the stack; so below.
    #[inline(never)]
    fn run<S: Slices>(&self, src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) -> bool {
        let mut known = false;
        with_room(self.words(dst), &mut |scratch| {
            known = self.run_in::<S>(scratch, src, dst, constants);
        });
        known
    }

    /// Words of scratch for an output `dst`.
    fn words(&self, dst: &Dst<'_>) -> usize {
        let [h, _] = self.turn([dst.h, dst.w]);
        self.windows.taps_len() + self.lines(self.rows.get().min(h)) * self.line
    }

    fn run_in<S: Slices>(
        &self,
        scratch: &mut VecView<u32>,
        src: &Src<'_>,
        dst: &mut Dst<'_>,
        constants: &Weighted<'_>,
    ) -> bool {
        // Weights, and padding for as many pixels as are read only.
        let n_taps = self.windows.taps_len();
        let weights_of = self.weights(src.c.max(BLOCK));
        let plan = S::Taps::from(weights_of);
        let reach = self.reach();
        let padding = S::padding(src.zero_point);
        let zero_points = [src.zero_point, dst.zero_point];
        let [h, w] = self.turn([dst.h, dst.w]);
        let from = self.turn([src.h, src.w]);
        let strips = h.div_ceil(self.rows.get());
        for piece in self.pieces(w) {
            for strip in 0..strips {
                let top = strip * self.rows.get();
                let rows = self.rows.get().min(h - top);
                let words = self.lines(rows) * self.line;
                scratch.truncate(n_taps);
                if !S::lengthen(scratch, n_taps + words, padding) {
                    return false;
                }
                let Some((taps, pixels)) = scratch.split_at_mut_checked(n_taps) else {
                    return false;
                };
                let lines = self.spread::<S>(src, [top, rows], piece, 0);
                let outputs = Outputs::<S>::new(self, dst, from, [piece, top, rows]);
                let all = Shared::<S> {
                    taps: &plan,
                    lines: &lines,
                    outputs: &outputs,
                    constants,
                    channels: src.c,
                    zero_points,
                    reach,
                };
                if S::slices(&all, taps, pixels, Some(src.data), dst.data).is_some() {
                    return false;
                }
            }
        }
        true
    }

    /// As [`Cut::run`] over the input, strip after strip of each block; gives the first channel of the first
    /// block whose constants need the generic kernel, where it stopped.
    #[inline(never)]
    fn run_over<S: Slices>(&self, image: &mut Over<'_>, constants: &Weighted<'_>) -> Option<usize> {
        let mut unknown = Some(0);
        with_room(self.words(&image.dst()), &mut |scratch| {
            unknown = self.run_over_in::<S>(scratch, image, constants);
        });
        unknown
    }

    fn run_over_in<S: Slices>(
        &self,
        scratch: &mut VecView<u32>,
        image: &mut Over<'_>,
        constants: &Weighted<'_>,
    ) -> Option<usize> {
        let n_taps = self.windows.taps_len();
        let plan = S::Taps::from(self.weights(image.c));
        let reach = self.reach();
        let zero_points = image.zero_points;
        let padding = S::padding(zero_points[0]);
        let [h, w] = self.turn(image.to);
        let from = self.turn(image.from);
        let phases = self.dilation[1].get().min(w);
        let strips = h.div_ceil(self.rows.get());
        if phases == 1 && strips == 1 {
            // A strip that is all of the image is the same for every block.
            S::lengthen(scratch, n_taps + self.lines(h) * self.line, padding);
            let Some((taps, pixels)) = scratch.split_at_mut_checked(n_taps) else {
                return Some(0);
            };
            let all = Shared::<S> {
                taps: &plan,
                lines: &self.spread::<S>(&image.src(), [0, h], 0, 0),
                outputs: &Outputs::new(self, &image.dst(), from, [0, 0, h]),
                constants,
                channels: image.c,
                zero_points,
                reach,
            };
            return S::slices(&all, taps, pixels, None, image.data);
        }
        let mut epilogue = Epilogue::default();
        // They fit, as `Cut::rows` says; so do the pixels.
        S::lengthen(scratch, n_taps, padding);
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
                    let words = n_taps + self.lines(rows) * self.line;
                    S::lengthen(scratch, words, padding);
                }
                let Some((taps, pixels)) = scratch.split_at_mut_checked(n_taps) else {
                    return Some(first);
                };
                let src = image.src();
                let data = src.data.get(first..).unwrap_or_default();
                for phase in 0..phases {
                    let lines = self.spread::<S>(&src, [top, rows], phase, n_kept);
                    S::spread_lines(data, &lines, pixels);
                }
                let slice = Slice {
                    pixels,
                    taps,
                    epilogue: &epilogue,
                };
                let dst = image.dst();
                for phase in 0..phases {
                    let outputs = Outputs::<S>::new(self, &dst, from, [phase, top, rows]);
                    outputs.write(dst.data, &slice, first);
                }
            }
        }
        None
    }

    /// [`Cut::inside`] as the instruction set takes it.
    #[inline(never)]
    fn spread<S: Slices>(
        &self,
        src: &Src<'_>,
        rows: [usize; 2],
        first: usize,
        kept: usize,
    ) -> S::Spread {
        self.inside(src, rows, first, kept).into()
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

/// What all slices of a strip share.
pub struct Shared<'a, S: Slices> {
    pub(super) taps: &'a S::Taps,
    pub(super) lines: &'a S::Spread,
    pub(super) outputs: &'a Outputs<S>,
    pub(super) constants: &'a Weighted<'a>,
    channels: usize,
    pub(super) zero_points: [i32; 2],
    pub(super) reach: Reach,
}

impl<S: Slices> Shared<'_, S> {
    /// First channels of the slices: where the channels are no multiple of 4, the last slice repeats some of the one
    /// before.
    #[inline(always)]
    pub(super) fn firsts(&self) -> impl Iterator<Item = usize> + use<S> {
        let last = self.last();
        (0..self.channels.div_ceil(BLOCK)).map(move |slice| (slice * BLOCK).min(last))
    }

    /// The last of them.
    #[inline(always)]
    pub(super) fn last(&self) -> usize {
        self.channels.saturating_sub(BLOCK)
    }

    /// [`Slices::slices`] of all instruction sets.
    #[inline(always)]
    pub(super) fn run(
        &self,
        taps: &mut [u32],
        pixels: &mut [u32],
        src: Option<&[i8]>,
        out: &mut [i8],
    ) -> Option<usize> {
        let mut epilogue = Epilogue::default();
        let &Self {
            taps: plan,
            lines,
            outputs,
            constants,
            zero_points,
            reach,
            ..
        } = self;
        for first in self.firsts() {
            let weights_of = (plan, &mut *taps, reach);
            let exact = weights::<S>(&mut epilogue, weights_of, first, constants, zero_points);
            if exact.is_none() {
                return Some(first);
            }
            let data = src.unwrap_or(out).get(first..).unwrap_or_default();
            S::spread_lines(data, lines, pixels);
            let slice = Slice {
                pixels,
                taps,
                epilogue: &epilogue,
            };
            outputs.write(out, &slice, first);
        }
        None
    }
}
