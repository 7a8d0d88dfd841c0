//! Depthwise convolution with square windows of 3 and 5. It owns the order of rows and channels and must
//! not know the graph around it.

use core::num::NonZeroUsize;

use super::packing::{BLOCK, Channel, Epilogue, Reach};
use super::{SCRATCH_WORDS, Simd, Strip};
use crate::kernel::{Dst, Over, Src, Weighted, generic};
use crate::layer::Window;

/// Largest window side.
const MAX_KERNEL: usize = 5;

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
/// pixels at a time are computed. Fast are windows of 3×3 and 5×5, steps 1 and 2, no dilation, from 4
/// channels and 2 output columns on, without statistics. Never panics if `Model::parse` accepted the
/// blob. Cost: 4.6 KiB of stack; instructions in [`crate::cost`].
pub fn depthwise_conv2d_s8<S: Simd>(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    window: &Window,
    constants: &mut Weighted<'_>,
) {
    let cut = Cut::new(src.c, dst.w, window);
    let (Some(cut), None) = (cut, &constants.stats) else {
        return generic::depthwise_conv2d_s8(src, dst, window, constants);
    };
    let mut image = Over {
        data: &mut *dst.data,
        from: [src.h, src.w],
        to: [dst.h, dst.w],
        c: src.c,
        zero_points: [src.zero_point, dst.zero_point],
        clamp: dst.clamp,
    };
    match run::<S>(cut, &mut image, Some(src.data), constants) {
        Some(_) => generic::depthwise_conv2d_s8(src, dst, window, constants),
        None => dst.limit(),
    }
}

/// As [`depthwise_conv2d_s8`], where the output takes the place of the input and is not larger: bit for bit
/// [`generic::depthwise_conv2d_over_s8`], which it calls for windows, channels and constants that it does not
/// know.
///
/// Rows that two strips share stay expanded, so that none is read after it was overwritten. Never panics if
/// `Model::parse` accepted the blob. Cost: 4.6 KiB of stack; instructions in [`crate::cost`].
pub fn depthwise_conv2d_over_s8<S: Simd>(
    image: &mut Over<'_>,
    window: &Window,
    constants: &mut Weighted<'_>,
) {
    let cut = Cut::new(image.c, image.to[1], window).filter(|_| knows_over(image.c));
    let unknown = match (cut, &constants.stats) {
        (Some(cut), None) => run::<S>(cut, image, None, constants),
        _ => Some(0),
    };
    if let Some(first) = unknown {
        generic::depthwise_conv2d_over_s8(image, first, window, constants);
    }
    // Not before all of the input was read.
    image.dst().limit();
}

/// Whether blocks of channels share none, so that none is written before it is read.
pub(crate) fn knows_over(c: usize) -> bool {
    c.is_multiple_of(BLOCK)
}

/// Reads the image, or what is `apart` in its shape, and writes the output, limited to i8, at its start; gives
/// the first channel of the first block whose constants are not known, where it stopped.
#[inline(never)]
fn run<S: Simd>(
    cut: Cut,
    image: &mut Over<'_>,
    apart: Option<&[i8]>,
    constants: &Weighted<'_>,
) -> Option<usize> {
    let ([h, w], [out_h, out_w], c) = (image.from, image.to, image.c);
    let mut unknown = None;
    let mut pixels = [0; SCRATCH_WORDS];
    // Where the channels are no multiple of 4, the last slice repeats some of the one before.
    for slice in 0..c.div_ceil(BLOCK) {
        let first = (slice * BLOCK).min(c - BLOCK);
        let mut taps = [0; 2 * MAX_KERNEL * MAX_KERNEL];
        let known = weights::<S>(&mut taps, [c, first], constants, image.zero_points);
        let Some(epilogue) = known else {
            unknown = Some(first);
            break;
        };
        for top in (0..out_h).step_by(cut.rows.max(1)) {
            let rows = cut.rows.min(out_h - top);
            let kept = match apart {
                None if top > 0 => cut.keep(&mut pixels),
                _ => 0,
            };
            let src = Src {
                data: apart.unwrap_or(image.data),
                h,
                w,
                c,
                zero_point: image.zero_points[0],
            };
            cut.expand::<S>(&src, [top, first, rows], kept, &mut pixels);
            let strip = Strip {
                pixels: &pixels,
                pitch: cut.pitch.get(),
                kernel: cut.kernel,
                stride: cut.stride,
                weights: &taps,
                epilogue: &epilogue,
                n: [rows, out_w],
                step: [out_w * c, c],
            };
            let from = top * out_w * c + first;
            S::rows(&strip, image.data.get_mut(from..).unwrap_or_default());
        }
    }
    unknown
}

/// Expands the weights of four channels and gives their constants.
fn weights<S: Simd>(
    taps: &mut [u32; 2 * MAX_KERNEL * MAX_KERNEL],
    [c, first]: [usize; 2],
    constants: &Weighted<'_>,
    [src_zero, dst_zero]: [i32; 2],
) -> Option<Epilogue> {
    let rows = constants.weights.chunks_exact(c.max(1));
    let (mut sums, mut sizes) = ([0i32; BLOCK], [0u32; BLOCK]);
    for (row, to) in rows.zip(taps.as_chunks_mut().0) {
        let bytes = row.get(first..)?.first_chunk::<BLOCK>()?;
        let word = u32::from_le_bytes(*bytes);
        *to = [S::sxtb16(word), S::sxtb16_ror8(word)];
        for ((sum, size), w) in sums.iter_mut().zip(&mut sizes).zip(bytes) {
            *sum += i32::from(w.cast_signed());
            *size += u32::from(w.cast_signed().unsigned_abs());
        }
    }
    let reach = Reach(128 * sizes.into_iter().max()?);
    let channels: [Channel; BLOCK] = core::array::from_fn(|i| {
        super::packing::channel(&constants.requant, sums[i], first + i, src_zero)
    });
    let mut epilogue = Epilogue::new(channels, dst_zero, reach)?;
    // One accumulator per channel here: no pairs.
    epilogue.bias = channels.map(|channel| channel.bias);
    Some(epilogue)
}

/// Rows of four channels that fit into the scratch.
pub(crate) struct Cut {
    kernel: usize,
    stride: usize,
    pad: [usize; 2],
    /// Words of a row.
    pitch: NonZeroUsize,
    /// Output rows.
    pub(crate) rows: usize,
}

impl Cut {
    /// Of a convolution of `c` channels that the fast kernel knows.
    pub(crate) fn new(c: usize, out_w: usize, window: &Window) -> Option<Self> {
        let square = window.kernel_h == window.kernel_w && window.stride_h == window.stride_w;
        let (kernel, stride) = (usize::from(window.kernel_h), usize::from(window.stride_h));
        let known = square
            && matches!((kernel, stride), (3 | 5, 1 | 2))
            && (window.dilation_h, window.dilation_w) == (1, 1)
            && c >= BLOCK
            && out_w >= 2;
        if !known {
            return None;
        }
        // Told to be positive, so that no division by them can panic.
        let pitch = NonZeroUsize::new(2 * ((out_w - 1) * stride + kernel))?;
        let rows = (SCRATCH_WORDS / pitch).checked_sub(kernel)? / NonZeroUsize::new(stride)? + 1;
        Some(Self {
            kernel,
            stride,
            pad: [window.pad_top.into(), window.pad_left.into()],
            pitch,
            rows,
        })
    }

    /// Input rows that `rows` output rows read.
    pub(crate) fn lines(&self, rows: usize) -> usize {
        rows.saturating_sub(1) * self.stride + self.kernel
    }

    /// Moves the rows that the next strip reads as well to its start and gives their number.
    fn keep(&self, pixels: &mut [u32; SCRATCH_WORDS]) -> usize {
        let kept = self.kernel.saturating_sub(self.stride);
        let from = self.rows * self.stride * self.pitch.get();
        // Upwards, as the two may overlap.
        for i in 0..kept * self.pitch.get() {
            let word = pixels.get(from + i).copied().unwrap_or(0);
            if let Some(to) = pixels.get_mut(i) {
                *to = word;
            }
        }
        kept
    }

    /// Expands what `rows` output rows from `top` on read, channels from `first` on; the first `kept` rows
    /// are there.
    fn expand<S: Simd>(
        &self,
        src: &Src<'_>,
        [top, first, rows]: [usize; 3],
        kept: usize,
        pixels: &mut [u32; SCRATCH_WORDS],
    ) {
        let zero = src.zero_point.cast_unsigned() & 0xFFFF;
        let padding = [zero | (zero << 16); 2];
        let n = self.lines(rows).saturating_sub(kept);
        let new = pixels.get_mut(kept * self.pitch.get()..);
        let rows = new.unwrap_or_default().chunks_exact_mut(self.pitch.get());
        let first_row = top * self.stride + kept;
        for (i, row) in rows.take(n).enumerate() {
            let row = row.as_chunks_mut::<2>().0;
            let y = (first_row + i).checked_sub(self.pad[0]);
            let Some(y) = y.filter(|&y| y < src.h) else {
                row.fill(padding);
                continue;
            };
            let (left, rest) = row.split_at_mut(self.pad[1].min(row.len()));
            left.fill(padding);
            let (inside, right) = rest.split_at_mut(src.w.min(rest.len()));
            right.fill(padding);
            let line = src.run(y, 0, src.w * src.c).get(first..);
            S::spread(line.unwrap_or_default(), src.c, inside);
        }
    }
}
