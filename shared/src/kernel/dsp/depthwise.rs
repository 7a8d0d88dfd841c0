//! Depthwise convolution with square windows of 3 and 5. It owns the order of rows and channels and must
//! not know the graph around it.

use core::num::NonZeroUsize;

use super::packing::{BLOCK, Channel, Epilogue, Reach};
use super::{SCRATCH_WORDS, Simd, Strip};
use crate::kernel::{Dst, Src, Weighted, generic};
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
    let mut pixels = [0; SCRATCH_WORDS];
    // Where the channels are no multiple of 4, the last slice repeats some of the one before.
    for slice in 0..src.c.div_ceil(BLOCK) {
        let first = (slice * BLOCK).min(src.c - BLOCK);
        let mut taps = [0; 2 * MAX_KERNEL * MAX_KERNEL];
        let Some(epilogue) = weights::<S>(
            &mut taps,
            [src.c, first],
            constants,
            [src.zero_point, dst.zero_point],
        ) else {
            return generic::depthwise_conv2d_s8(src, dst, window, constants);
        };
        for top in (0..dst.h).step_by(cut.rows) {
            let rows = cut.rows.min(dst.h - top);
            cut.expand::<S>(src, [top, first, rows], &mut pixels);
            let strip = Strip {
                pixels: &pixels,
                pitch: cut.pitch.get(),
                kernel: cut.kernel,
                stride: cut.stride,
                weights: &taps,
                epilogue: &epilogue,
                n: [rows, dst.w],
                step: [dst.w * dst.c, dst.c],
            };
            let from = top * dst.w * dst.c + first;
            S::rows(&strip, dst.data.get_mut(from..).unwrap_or_default());
        }
    }
    dst.limit();
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

    /// Expands what `rows` output rows from `top` on read, channels from `first` on.
    fn expand<S: Simd>(
        &self,
        src: &Src<'_>,
        [top, first, rows]: [usize; 3],
        pixels: &mut [u32; SCRATCH_WORDS],
    ) {
        let zero = src.zero_point.cast_unsigned() & 0xFFFF;
        let padding = [zero | (zero << 16); 2];
        let n = self.lines(rows);
        for (i, row) in pixels
            .chunks_exact_mut(self.pitch.get())
            .take(n)
            .enumerate()
        {
            let row = row.as_chunks_mut::<2>().0;
            let y = (top * self.stride + i).checked_sub(self.pad[0]);
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
