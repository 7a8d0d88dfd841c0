//! Processors that multiply one number at a time: Cortex-M3 (MLA) and M0 (MULS).
//!
//! It owns the loops over products and must not know layers: lengths and alignment are checked here, in
//! front of each call, and what does not fit (no layer that `Model::parse` accepts) goes to the twin in plain
//! Rust or is left alone. The packed halfword
//! `256·odd + even` is worth two products here too: one of it, one of its sign-extended low byte. Of paired
//! weights ([`mod@super::paired`]) one multiplication makes both.
#![allow(
    unsafe_code,
    reason = "registers are allotted by hand; each block says why it is sound"
)]

#[cfg_attr(armv7m, path = "multiply/bytes_armv7m.rs")]
#[cfg_attr(not(armv7m), path = "multiply/bytes_armv6m.rs")]
mod bytes;
#[cfg_attr(armv7m, path = "multiply/armv7m.rs")]
#[cfg_attr(not(armv7m), path = "multiply/armv6m.rs")]
mod loops;
mod slices;

use super::packing::{BLOCK, Epilogue};
use super::parts::fit;
use super::winograd::Tiles;
use super::{Batch, Portable, Proved, Rows, Simd, Sums, parts, portable};
use heapless::VecView;

/// Cortex-M0, M3.
#[derive(Clone, Copy, Debug)]
pub struct Multiply;

impl Tiles for Multiply {}

/// Two output pixels, or twice the same, of four channels of a depthwise convolution.
#[repr(C)]
struct Windows {
    /// The first window, two words a tap.
    pixels: *const u32,
    /// Two words a tap.
    weights: *const u32,
    epilogue: *const Epilogue,
    out: [*mut i8; 2],
    /// Bytes from behind one row of the window to the next.
    skip: usize,
    /// Of the window.
    rows: usize,
    columns: usize,
    /// Bytes from the first window to the second.
    ahead: usize,
}

/// Packed or paired blocks for one column, with constants as they lie in the blob; it moves what is read and
/// written block by block.
#[repr(C)]
struct Vector {
    column: *const u32,
    end: *const u32,
    weights: *const u8,
    bias: *const [i32; BLOCK],
    sums: *const [i32; BLOCK],
    multiplier: *const [i32; BLOCK],
    /// Negative.
    shift: *const [i8; BLOCK],
    out: *mut [i8; BLOCK],
    out_end: *mut [i8; BLOCK],
    /// Of the input and of the output.
    zero_points: [i32; 2],
}

impl Vector {
    /// Of slices that [`Proved::fit`] accepts; nothing is read.
    #[inline]
    fn new(column: &[[u32; 2]], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) -> Self {
        let words = [constants.bias, constants.sums, constants.multiplier];
        let [bias, sums, multiplier] = words.map(|w| w.as_ptr().cast());
        let (column, out) = (column.as_ptr_range(), out.as_mut_ptr_range());
        Self {
            column: column.start.cast(),
            end: column.end.cast(),
            weights: weights.as_ptr(),
            bias,
            sums,
            multiplier,
            shift: constants.shift.as_ptr().cast(),
            out: out.start.cast(),
            out_end: out.end.cast(),
            zero_points: constants.zero_points,
        }
    }
}

/// Rows at one or two places that become columns.
#[repr(C)]
struct Gather {
    from: [*const i8; 2],
    to: *mut u32,
    /// Fours of bytes of a row.
    fours: usize,
    rows: usize,
    /// Bytes from behind a row to the next one.
    skip: usize,
}

impl Gather {
    /// For windows that begin at `starts`, and up to `last` bytes behind, if they stay inside the slices.
    #[inline]
    fn new(
        src: &[i8],
        (starts, last): ([usize; 2], usize),
        rows: Rows,
        to: &mut [u32],
    ) -> Option<Self> {
        rows.fit(src, starts, last, to).then(|| Self {
            // Inside `src`, as checked.
            from: starts.map(|start| src.as_ptr().wrapping_add(start)),
            to: to.as_mut_ptr(),
            fours: rows.bytes / 4,
            rows: rows.n,
            skip: rows.down.wrapping_sub(rows.bytes / 4 * 4),
        })
    }
}

/// Whether there is what `loops::blocks` reads.
#[inline]
fn fits(columns: &[u32], weights: &[u8], epilogues: &[Epilogue]) -> bool {
    !columns.is_empty()
        && columns.len().is_multiple_of(4)
        && !epilogues.is_empty()
        && weights.len() >= epilogues.len() * BLOCK * columns.len()
        && weights.as_ptr().addr().is_multiple_of(4)
}

impl Simd for Multiply {
    // Bytes as they are: those of the first pixel, then those of the second, in the first two words.
    #[cfg(armv7m)]
    #[inline]
    fn columns(x0: u32, x1: u32) -> [u32; 4] {
        [x0, x1, 0, 0]
    }

    #[cfg(armv7m)]
    #[inline]
    fn halfwords([x0, x1, ..]: [u32; 4]) -> [u32; 4] {
        Portable::columns(x0, x1)
    }

    #[inline]
    fn gather(src: &[i8], starts: [usize; 2], rows: Rows, to: &mut [u32]) {
        if let Some(job) = Gather::new(src, (starts, 0), rows, to) {
            // SAFETY: the contract of `Gather::new` is that of `gather`.
            unsafe { bytes::gather(&job) }
        }
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
        let job = Gather::new(src, (batch.starts, last * batch.ahead), rows, columns);
        let end = batch.at[0].max(batch.at[1]) + last * batch.out_ahead;
        let fits = fits(columns, weights, epilogues) && end + epilogues.len() * BLOCK <= out.len();
        let (Some(mut job), true) = (job, fits) else {
            return Portable::pairs(src, rows, columns, (weights, epilogues), out, batch);
        };
        let mut to = batch.at.map(|at| out.as_mut_ptr().wrapping_add(at));
        for _ in 0..batch.n {
            job.to = columns.as_mut_ptr();
            // SAFETY: the contracts of `Gather::new` and `fits`, which hold to the last pair.
            unsafe {
                bytes::gather(&job);
                loops::blocks(columns, weights.as_ptr(), epilogues, to);
            }
            job.from = job.from.map(|from| from.wrapping_add(batch.ahead));
            to = to.map(|to| to.wrapping_add(batch.out_ahead));
        }
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
            bytes::spread(src.as_ptr(), 4, spare.as_mut_ptr().cast(), n);
            to.set_len(at + n);
        }
    }

    #[inline]
    fn dot4(input: &[u32], rows: [&[u8]; 4]) -> [i32; 4] {
        let fits = !input.is_empty()
            && input.len().is_multiple_of(2)
            && rows.iter().all(|row| row.len() >= 2 * input.len());
        if !fits {
            return Portable::dot4(input, rows);
        }
        let mut sums = [0; 4];
        let input = input.as_ptr_range();
        let rows = rows.map(<[u8]>::as_ptr);
        // SAFETY: `fits` is the contract of `dot4`.
        unsafe { loops::dot4(input.start, input.end, &rows, &mut sums) }
        sums
    }

    #[inline]
    fn vector(column: &[[u32; 2]], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) {
        if !constants.fit(4 * column.len(), weights, out.len()) {
            return Portable::vector(column, weights, constants, out);
        }
        let mut job = Vector::new(column, weights, constants, out);
        // SAFETY: `fit` is the contract of `vector`.
        unsafe { loops::vector(&mut job) }
    }

    #[inline]
    fn pair_up(src: &[i8], to: &mut VecView<[u32; 2]>) {
        let (n, at) = (src.len() / 4, to.len());
        if n == 0
            || to
                .capacity()
                .checked_sub(at)
                .is_none_or(|room| room < 2 * n)
        {
            return;
        }
        let spare = to.spare_capacity_mut();
        // SAFETY: `src` holds `n` fours, `spare` takes four words for each, and all of them are written.
        unsafe {
            bytes::pair_up(src.as_ptr(), spare.as_mut_ptr().cast(), n);
            to.set_len(at + 2 * n);
        }
    }

    #[inline]
    fn paired(pairs: &[[u32; 2]], weights: &[u8], constants: &Proved<'_>, out: &mut [i8]) {
        let even = pairs.len().is_multiple_of(2);
        if !(even && constants.fit(2 * pairs.len(), weights, out.len())) {
            return Portable::paired(pairs, weights, constants, out);
        }
        let mut job = Vector::new(pairs, weights, constants, out);
        // SAFETY: `fit` is the contract of `paired`.
        unsafe { loops::paired(&mut job) }
    }

    #[inline]
    fn accumulate(columns: &[u32], weights: &[u8], pitch: usize, sums: &mut [Sums]) {
        match fit(columns.len(), weights, pitch, sums.len()) {
            // SAFETY: `fit` is the contract of `accumulate`.
            true => unsafe { loops::accumulate(columns, weights.as_ptr(), pitch, sums) },
            false => parts::accumulate::<Self>(columns, weights, pitch, sums),
        }
    }

    #[inline]
    fn accumulate_one(
        column: &[[u32; 2]],
        weights: &[u8],
        pitch: usize,
        sums: &mut [[i32; BLOCK]],
    ) {
        match fit(4 * column.len(), weights, pitch, sums.len()) {
            // SAFETY: `fit` is the contract of `accumulate_one`.
            true => unsafe { loops::accumulate_one(column, weights.as_ptr(), pitch, sums) },
            false => parts::accumulate_one::<Self>(column, weights, pitch, sums),
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
        let end = at[0].max(at[1]) + epilogues.len() * BLOCK;
        if !(fits(columns, weights, epilogues) && end <= out.len()) {
            return portable::blocks::<Self>(columns, weights, epilogues, out, at);
        }
        let out = out.as_mut_ptr();
        // SAFETY: `fits` is the contract; both places are inside `out`.
        unsafe {
            loops::blocks(
                columns,
                weights.as_ptr(),
                epilogues,
                at.map(|at| out.wrapping_add(at)),
            )
        }
    }
}
