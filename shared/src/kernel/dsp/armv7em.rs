//! The DSP extension of Armv7E-M and Armv8-M: Cortex-M4, M7 and M33.
//!
//! It owns every instruction written by hand and must not know layers: lengths and alignment are checked
//! here, in front of each call, and what does not fit (of layers that `Model::parse` accepts only depthwise ones with
//! a phase of columns in which there is no pixel) goes to the twin in plain Rust or is left alone. Registers: r0 to r7
//! accumulate, r8 to r11 hold operands, r12 and lr point; all callee-saved ones are restored.
#![allow(
    unsafe_code,
    reason = "the instructions exist in assembly only; each block says why it is sound"
)]

use core::arch::asm;

use super::packing::{BLOCK, Epilogue};
use super::{Area, Batch, Portable, Proved, Rows, Simd, Sum, Sums};
use bytes::{Gather, copy, expand, spread};
use elements::{Add, Pool, add, pool};
use heapless::VecView;
use matrix::{Dot4, Gemm, Pairs, dot4, gemm, gemv, pairs};
use parts::{Part, accumulate, accumulate_one};
use vector::{Vector, vector};

/// Cortex-M4, M7, M33.
#[derive(Clone, Copy, Debug)]
pub struct Armv7em;

#[macro_use]
mod macros;
#[macro_use]
mod taps;
mod bytes;
mod constants;
mod elements;
mod lines;
mod rows;
mod slices;
#[macro_use]
mod matrix;
#[macro_use]
mod vector;
mod parts;
mod tiles;
mod turns;
mod weights;
mod winograd;

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
        if let Some(job) = Gather::new(src, starts, 0, rows, to) {
            // SAFETY: the contract of `Gather::new` is that of `expand`.
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
        let Some(job) = Gemm::new(columns, weights, epilogues, out, (at, 0), single) else {
            return Portable::blocks(columns, weights, epilogues, out, at);
        };
        // SAFETY: the contract of `Gemm::new` is that of `gemm`, and for a `single` pixel that of `gemv`.
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
        let gemm = Gemm::new(
            columns,
            weights,
            epilogues,
            out,
            (batch.at, last * out_ahead),
            false,
        );
        let gather = Gather::new(src, batch.starts, last * ahead, rows, columns);
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
    fn vector(column: &[[u32; 2]], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) {
        let Some(mut job) = Vector::new(column, weights, constants, out) else {
            return Portable::vector(column, weights, constants, out);
        };
        // SAFETY: the contract of `Vector::new` is that of `vector`.
        unsafe { vector(&mut job) }
    }

    #[inline]
    fn accumulate(columns: &[u32], weights: &[u8], pitch: usize, sums: &mut [Sums]) {
        match Part::two(columns, weights, pitch, sums) {
            // SAFETY: the contract of `Part::two` is that of `accumulate`.
            Some(job) => unsafe { accumulate(&job) },
            None => Portable::accumulate(columns, weights, pitch, sums),
        }
    }

    #[inline]
    fn accumulate_one(
        column: &[[u32; 2]],
        weights: &[u8],
        pitch: usize,
        sums: &mut [[i32; BLOCK]],
    ) {
        match Part::one(column, weights, pitch, sums) {
            // SAFETY: the contract of `Part::one` is that of `accumulate_one`.
            Some(job) => unsafe { accumulate_one(&job) },
            None => Portable::accumulate_one(column, weights, pitch, sums),
        }
    }

    #[inline]
    fn means(area: &Area<'_>, reciprocal: i32, out: &mut [[i8; 16]]) {
        let to = out.as_mut_ptr().cast();
        if let Some(mut job) = Pool::new(area, 0, out.len(), to, reciprocal) {
            // SAFETY: `Pool::new` checks what is read; `out` takes 16 bytes a turn.
            unsafe { pool(&mut job) }
        }
    }

    #[inline]
    fn totals(area: &Area<'_>, at: usize) -> [[u32; 2]; 4] {
        let mut sums = [[0; 2]; 4];
        if let Some(mut job) = Pool::new(area, at, 1, sums.as_mut_ptr().cast(), 0) {
            // SAFETY: `Pool::new` checks what is read; `sums` are eight words.
            unsafe { pool(&mut job) }
        }
        sums
    }

    #[inline]
    fn add(job: &Sum<'_>, out: &mut [[i8; 4]]) {
        let Some(job) = Add::new(job, out) else {
            return;
        };
        // SAFETY: the contract of `Add::new` is that of `add`.
        unsafe { add(&job) }
    }

    #[inline]
    fn copy(from: &[i8], to: &mut [i8]) {
        let n = from.len().min(to.len());
        // SAFETY: both have `n` bytes, and a mutable slice shares none with another.
        unsafe { copy(from.as_ptr(), to.as_mut_ptr(), n) }
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

    /// Without zeros in front of what is written.
    #[inline]
    fn spread(src: &[i8], to: &mut VecView<[u32; 2]>) {
        let (n, at) = (src.len() / 4, to.len());
        if n == 0 || to.capacity().checked_sub(at).is_none_or(|room| room < n) {
            return;
        }
        // Behind the check, so that the compiler sees that it cannot panic.
        let spare = to.spare_capacity_mut();
        // SAFETY: `src` holds `n` fours, `spare` takes two words for each, and all of them are written.
        unsafe {
            spread(src.as_ptr(), spare.as_mut_ptr().cast(), n);
            to.set_len(at + n);
        }
    }
}
