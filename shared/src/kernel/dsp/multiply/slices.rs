//! Slices of four channels for processors that multiply one number at a time. It owns their form: pixels and
//! weights as two words, channels 0 and 2, then 1 and 3; pixels keep their zero point.

use super::{Multiply, Windows, bytes, loops};
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::{Lines, Simd, Slice, Slices, Strip, Weights, halves};

impl Slices for Multiply {
    type Taps = Weights;
    type Spread = Lines;
    type Rows = Strip;

    #[inline]
    fn padding(zero_point: i32) -> u32 {
        let half = zero_point.cast_unsigned() & 0xFFFF;
        half | (half << 16)
    }

    #[inline]
    fn taps(weights: &[u8], taps: &Weights, to: &mut [u32]) -> [i32; BLOCK] {
        // At most 256 weights: halfwords hold their sums.
        let mut total = [0u32; 2];
        let ([rows, columns], step) = (taps.windows.kernel, taps.step);
        let mut to = to.as_chunks_mut().0.iter_mut();
        for row in 0..rows {
            let mut rest = weights.get(row * step[0]..).unwrap_or_default();
            for to in to.by_ref().take(columns) {
                let Some(bytes) = rest.first_chunk() else {
                    break;
                };
                let word = u32::from_le_bytes(*bytes);
                *to = [Self::sxtb16(word), Self::sxtb16_ror8(word)];
                total = [
                    Self::sxtab16(total[0], word),
                    Self::sxtab16_ror8(total[1], word),
                ];
                rest = rest.get(step[1]..).unwrap_or_default();
            }
        }
        let [[s0, s2], [s1, s3]] = total.map(halves);
        [s0, s1, s2, s3]
    }

    #[inline]
    fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
        let [rows, n] = lines.n;
        let (Some(last_row), Some(last)) = (rows.checked_sub(1), n.checked_sub(1)) else {
            return;
        };
        let begin = lines.to + 2 * lines.left;
        let fits = lines.start + last_row * lines.down + last * lines.step + BLOCK <= src.len()
            && begin + last_row * lines.pitch + 2 * n <= to.len();
        if !fits {
            return;
        }
        let mut from = src.as_ptr().wrapping_add(lines.start);
        let mut to = to.as_mut_ptr().wrapping_add(begin);
        for _ in 0..rows {
            // SAFETY: `fits` covers the pixels of every row and two words for each.
            unsafe { bytes::spread(from, lines.step, to.cast(), n) }
            from = from.wrapping_add(lines.down);
            to = to.wrapping_add(lines.pitch);
        }
    }

    fn rows(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
        let ([n_rows, n], [line, step]) = (strip.n, strip.step);
        let (last_row, last) = (n_rows.wrapping_sub(1), n.wrapping_sub(1));
        let ([rows, columns], stride) = (strip.windows.kernel, strip.windows.stride);
        let fits = n_rows >= 1
            && n >= 1
            && rows >= 1
            && columns >= 1
            && strip.pitch >= 2 * columns
            && slice.pixels.len()
                >= (last_row * stride[0] + rows - 1) * strip.pitch
                    + 2 * (last * stride[1] + columns)
            && slice.taps.len() >= 2 * rows * columns
            && out.len() >= last_row * line + last * step + BLOCK;
        if !fits {
            return;
        }
        let (pixels, to) = (slice.pixels.as_ptr(), out.as_mut_ptr());
        let mut job = Windows {
            pixels,
            weights: slice.taps.as_ptr(),
            epilogue: slice.epilogue,
            out: [to; 2],
            skip: 4 * (strip.pitch - 2 * columns),
            rows,
            columns,
            ahead: 0,
        };
        let mut pair = |y: usize, x: usize, [ahead, next]: [usize; 2]| {
            job.pixels = pixels.wrapping_add(y * stride[0] * strip.pitch + 2 * x * stride[1]);
            let to = to.wrapping_add(y * line + x * step);
            (job.out, job.ahead) = ([to, to.wrapping_add(next)], ahead);
            // SAFETY: `fits` covers the windows of all outputs, and these are among them.
            unsafe { loops::windows(&job) }
        };
        for (y, x) in (0..n_rows).flat_map(|y| (0..n / 2).map(move |x| (y, 2 * x))) {
            pair(y, x, [8 * stride[1], step]);
        }
        // The last column of an odd number goes down; what is alone then is its own second.
        for y in (0..n_rows).step_by(2).filter(|_| n % 2 == 1) {
            match y < last_row {
                true => pair(y, last, [4 * stride[0] * strip.pitch, line]),
                false => pair(y, last, [0, 0]),
            }
        }
    }
}
