//! The DSP extension of Armv7E-M and Armv8-M: Cortex-M4, M7 and M33.
//!
//! It owns every instruction written by hand and must not know layers: lengths and alignment are checked
//! here, in front of each call, and what does not fit goes to the twin in plain Rust. Registers: r0 to
//! r7 accumulate, r8 to r11 hold operands, r12 and lr point; all callee-saved ones are restored.
#![allow(
    unsafe_code,
    reason = "the instructions exist in assembly only; each block says why it is sound"
)]

use core::arch::asm;

use super::packing::{BLOCK, Epilogue};
use super::{Batch, Portable, Rows, Simd, Strip};
use matrix::{Dot4, Gather, Gemm, Pairs, dot4, expand, gemm, gemv, pairs};
use rows::{Kernel, RowJob, spread};

/// Cortex-M4, M7, M33.
#[derive(Clone, Copy, Debug)]
pub struct Armv7em;

/// Names the processor to the assembler, as each naked function has to: link-time optimization reads them
/// once without the options of the compiler.
macro_rules! processor {
    () => {
        concat!(".cpu ", env!("DSP_CPU"))
    };
}

/// One instruction that gives a word from words; it may set flags.
macro_rules! instruction {
    ($text:literal, $($word:expr),+) => {{
        let to;
        // SAFETY: one instruction on registers.
        unsafe { asm!($text, lateout(reg) to, $(in(reg) $word),+, options(pure, nomem, nostack)) };
        to
    }};
}

/// Requantizes r0 to r7 with the constants at r12, one line per operation and channel: the rounded
/// high product `(acc·2^32 + acc·(2M − 2^32) + 2^31) >> 32`, ties away from zero, rounding and zero
/// point, shift. `$c0` to `$c7` name the constant of each accumulator.
macro_rules! requantize {
    ($c0:literal $c1:literal $c2:literal $c3:literal $c4:literal $c5:literal $c6:literal $c7:literal) => {
        concat!(
            "ldm r12!, {{r8-r11}}\n",
            "smmlar r0, r0, ",
            $c0,
            ", r0\n smmlar r1, r1, ",
            $c1,
            ", r1\n",
            "smmlar r2, r2, ",
            $c2,
            ", r2\n smmlar r3, r3, ",
            $c3,
            ", r3\n",
            "smmlar r4, r4, ",
            $c4,
            ", r4\n smmlar r5, r5, ",
            $c5,
            ", r5\n",
            "smmlar r6, r6, ",
            $c6,
            ", r6\n smmlar r7, r7, ",
            $c7,
            ", r7\n",
            "ldm r12!, {{r8-r11}}\n",
            "add r0, r0, r0, asr #31\n add r1, r1, r1, asr #31\n",
            "add r2, r2, r2, asr #31\n add r3, r3, r3, asr #31\n",
            "add r4, r4, r4, asr #31\n add r5, r5, r5, asr #31\n",
            "add r6, r6, r6, asr #31\n add r7, r7, r7, asr #31\n",
            "add r0, r0, ",
            $c0,
            "\n add r1, r1, ",
            $c1,
            "\n",
            "add r2, r2, ",
            $c2,
            "\n add r3, r3, ",
            $c3,
            "\n",
            "add r4, r4, ",
            $c4,
            "\n add r5, r5, ",
            $c5,
            "\n",
            "add r6, r6, ",
            $c6,
            "\n add r7, r7, ",
            $c7,
            "\n",
            "ldm r12!, {{r8-r11}}\n",
            "asr r0, r0, ",
            $c0,
            "\n asr r1, r1, ",
            $c1,
            "\n",
            "asr r2, r2, ",
            $c2,
            "\n asr r3, r3, ",
            $c3,
            "\n",
            "asr r4, r4, ",
            $c4,
            "\n asr r5, r5, ",
            $c5,
            "\n",
            "asr r6, r6, ",
            $c6,
            "\n asr r7, r7, ",
            $c7,
            "\n",
            "ssat r0, #8, r0\n ssat r1, #8, r1\n ssat r2, #8, r2\n ssat r3, #8, r3\n",
            "ssat r4, #8, r4\n ssat r5, #8, r5\n ssat r6, #8, r6\n ssat r7, #8, r7\n",
        )
    };
}

mod matrix;
mod rows;

/// The job of `expand` for windows at `starts`, if it stays inside `src` and `to` from there to `last`
/// bytes behind.
#[inline]
fn gathering(
    src: &[i8],
    starts: [usize; 2],
    last: usize,
    rows: Rows,
    to: &mut [u32],
) -> Option<Gather> {
    let fours = rows.bytes / 4;
    let fits = fours > 0
        && rows.n > 0
        && (rows.n == 1 || rows.down >= rows.bytes)
        && starts[0].max(starts[1]) + last + rows.reach() <= src.len()
        && 4 * fours * rows.n <= to.len();
    fits.then(|| Gather {
        // Inside `src`, as checked.
        from: starts.map(|start| src.as_ptr().wrapping_add(start)),
        to: to.as_mut_ptr(),
        fours,
        rows: rows.n,
        skip: rows.down.wrapping_sub(4 * fours),
    })
}

/// The job of `gemm`, or of `gemv`, with `turn` groups of columns a turn, if it stays inside all of the
/// slices for outputs at `at` and up to `last` bytes behind.
#[inline]
fn product(
    columns: &[u32],
    weights: &[u8],
    epilogues: &[Epilogue],
    out: &mut [i8],
    (at, last): ([usize; 2], usize),
    turn: usize,
) -> Option<Gemm> {
    let n = epilogues.len();
    let groups = columns.len() / 4;
    let fits = columns.len() == 4 * groups
        && groups > 0
        && n > 0
        && weights.len() >= n * 4 * columns.len()
        && weights.as_ptr().addr().is_multiple_of(4)
        && at[0].max(at[1]) + last + n * BLOCK <= out.len();
    // Code of one group of columns.
    let bytes = if turn == 4 { 96 } else { 56 };
    let (columns, epilogue) = (columns.as_ptr_range(), epilogues.as_ptr_range());
    let out = out.as_mut_ptr();
    fits.then(|| Gemm {
        columns: columns.start,
        columns_end: columns.end,
        weights: weights.as_ptr(),
        epilogue: epilogue.start,
        epilogue_end: epilogue.end,
        // Inside `out`, as checked.
        out: at.map(|at| out.wrapping_add(at)),
        skip: bytes * (groups.wrapping_neg() % turn),
    })
}

impl Simd for Armv7em {
    #[inline(always)]
    fn sxtb16(x: u32) -> u32 {
        instruction!("sxtb16 {}, {}", x)
    }

    #[inline(always)]
    fn sxtb16_ror8(x: u32) -> u32 {
        instruction!("sxtb16 {}, {}, ror #8", x)
    }

    #[inline(always)]
    fn ssub16(x: u32, y: u32) -> u32 {
        instruction!("ssub16 {}, {}, {}", x, y)
    }

    #[inline(always)]
    fn smlad(x: u32, y: u32, acc: i32) -> i32 {
        instruction!("smlad {}, {}, {}, {}", x, y, acc)
    }

    #[inline(always)]
    fn sxtab16(acc: u32, x: u32) -> u32 {
        instruction!("sxtab16 {}, {}, {}", acc, x)
    }

    #[inline(always)]
    fn sxtab16_ror8(acc: u32, x: u32) -> u32 {
        instruction!("sxtab16 {}, {}, {}, ror #8", acc, x)
    }

    #[inline(always)]
    fn max4(x: u32, y: u32) -> u32 {
        let z;
        // SAFETY: registers and flags only.
        unsafe {
            asm!("ssub8 {z}, {x}, {y}\n sel {z}, {x}, {y}", z = out(reg) z, x = in(reg) x, y = in(reg) y, options(pure, nomem, nostack))
        };
        z
    }

    #[inline(always)]
    fn min4(x: u32, y: u32) -> u32 {
        let z;
        // SAFETY: registers and flags only.
        unsafe {
            asm!("ssub8 {z}, {x}, {y}\n sel {z}, {y}, {x}", z = out(reg) z, x = in(reg) x, y = in(reg) y, options(pure, nomem, nostack))
        };
        z
    }

    #[inline(always)]
    fn smlawb(x: i32, y: u32, acc: i32) -> i32 {
        instruction!("smlawb {}, {}, {}, {}", x, y, acc)
    }

    #[inline(always)]
    fn smlawt(x: i32, y: u32, acc: i32) -> i32 {
        instruction!("smlawt {}, {}, {}, {}", x, y, acc)
    }

    #[inline(always)]
    fn smmlar(x: i32, y: i32, acc: i32) -> i32 {
        instruction!("smmlar {}, {}, {}, {}", x, y, acc)
    }

    #[inline]
    fn gather(src: &[i8], starts: [usize; 2], rows: Rows, to: &mut [u32]) {
        if let Some(job) = gathering(src, starts, 0, rows, to) {
            // SAFETY: the contract of `gathering` is that of `expand`.
            unsafe { expand(&job) }
        }
    }

    #[inline]
    fn blocks(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        at: [usize; 2],
    ) {
        let single = at[0] == at[1];
        let turn = if single { 8 } else { 4 };
        let Some(job) = product(columns, weights, epilogues, out, (at, 0), turn) else {
            return Portable::blocks(columns, weights, epilogues, out, at);
        };
        // SAFETY: the contract of `product` is that of `gemm`, and with eight groups a turn of `gemv`.
        unsafe { if single { gemv(&job) } else { gemm(&job) } }
    }

    #[inline]
    fn pairs(
        src: &[i8],
        rows: Rows,
        columns: &mut [u32],
        (weights, epilogues): (&[u8], &[Epilogue]),
        out: &mut [i8],
        batch: &Batch,
    ) {
        let Some(last) = batch.n.checked_sub(1) else {
            return;
        };
        let [ahead, out_ahead] = [batch.ahead, batch.out_ahead];
        let n = columns.len();
        let gemm = product(
            columns,
            weights,
            epilogues,
            out,
            (batch.at, last * out_ahead),
            4,
        );
        let gather = gathering(src, batch.starts, last * ahead, rows, columns);
        let (Some(gather), Some(gemm)) = (gather, gemm) else {
            return Portable::pairs(src, rows, columns, (weights, epilogues), out, batch);
        };
        // One pointer writes the columns and reads them.
        let (columns, columns_end) = (gather.to.cast_const(), gather.to.wrapping_add(n));
        let mut job = Pairs {
            gather,
            gemm: Gemm {
                columns,
                columns_end,
                ..gemm
            },
            ahead,
            out_ahead,
            n: batch.n,
        };
        // SAFETY: both jobs hold from the first pair to the last, and so in between.
        unsafe { pairs(&mut job) }
    }

    #[inline]
    fn dot4(input: &[u32], rows: [&[u8]; 4]) -> [i32; 4] {
        let range = input.as_ptr_range();
        let mut job = Dot4 {
            rows: rows.map(<[u8]>::as_ptr),
            input: range.start,
            input_end: range.end,
            sums: [0; 4],
        };
        let fits = !input.is_empty()
            && input.len().is_multiple_of(2)
            && rows.iter().all(|row| row.len() >= 2 * input.len());
        if fits {
            // SAFETY: `fits` is the contract of `dot4`.
            unsafe { dot4(&mut job) }
        }
        job.sums
    }

    #[inline]
    fn spread(src: &[i8], step: usize, to: &mut [[u32; 2]]) {
        let n = to.len();
        if n == 0 || step < 4 || src.len() < (n - 1) * step + 4 {
            return;
        }
        // SAFETY: `src` holds `n` pixels `step` bytes apart, `to` takes two words for each.
        unsafe { spread(src.as_ptr(), step, to.as_mut_ptr(), n) }
    }

    #[inline]
    fn rows(strip: &Strip<'_>, out: &mut [i8]) {
        let kernel: Option<Kernel> = match (strip.kernel, strip.stride) {
            (3, 1) => Some(rows::kernel_3_1),
            (3, 2) => Some(rows::kernel_3_2),
            (5, 1) => Some(rows::kernel_5_1),
            (5, 2) => Some(rows::kernel_5_2),
            _ => None,
        };
        let ([n_rows, n], [line, step]) = (strip.n, strip.step);
        let (last_row, last) = (n_rows.wrapping_sub(1), n.wrapping_sub(1));
        let fits = n_rows >= 1
            && n >= 2
            && strip.pixels.len()
                >= (last_row * strip.stride + strip.kernel - 1) * strip.pitch
                    + 2 * (last * strip.stride + strip.kernel)
            && strip.weights.len() >= 2 * strip.kernel * strip.kernel
            && out.len() >= last_row * line + last * step + BLOCK;
        let (Some(kernel), true) = (kernel, fits) else {
            return Portable::rows(strip, out);
        };
        let bytes = 4 * strip.pitch;
        let mut job = RowJob {
            pixels: strip.pixels.as_ptr(),
            pixels_end: strip.pixels.as_ptr(),
            weights: strip.weights.as_ptr(),
            epilogue: strip.epilogue,
            out: out.as_mut_ptr(),
            step,
            pitch_bytes: bytes,
            back: (16 * strip.stride).wrapping_sub((strip.kernel - 1) * bytes),
        };
        // Words of an even number of outputs; the last of an odd one is paired with the one before.
        let (even, odd) = (2 * (n - n % 2) * strip.stride, n % 2 == 1);
        for y in 0..n_rows {
            let pixels = strip
                .pixels
                .as_ptr()
                .wrapping_add(y * strip.stride * strip.pitch);
            let row = out.as_mut_ptr().wrapping_add(y * line);
            (job.pixels, job.pixels_end, job.out) = (pixels, pixels.wrapping_add(even), row);
            // SAFETY: `fits` covers the windows of all outputs, and these are among them.
            unsafe { kernel(&job) }
            if odd {
                let first = pixels.wrapping_add(2 * (n - 2) * strip.stride);
                job.pixels = first;
                job.pixels_end = first.wrapping_add(4 * strip.stride);
                job.out = row.wrapping_add((n - 2) * step);
                // SAFETY: as above.
                unsafe { kernel(&job) }
            }
        }
    }
}
