//! Processors that multiply one number at a time: Cortex-M3 (MLA) and M0 (MULS).
//!
//! It owns the loops over products and must not know layers: lengths and alignment are checked here, in
//! front of each call, and what does not fit goes to the twin in plain Rust. The packed halfword
//! `256·odd + even` is worth two products here too: one of it, one of its sign-extended low byte.
#![allow(
    unsafe_code,
    reason = "registers are allotted by hand; each block says why it is sound"
)]

#[cfg_attr(armv7m, path = "multiply/armv7m.rs")]
#[cfg_attr(not(armv7m), path = "multiply/armv6m.rs")]
mod loops;

use super::packing::{BLOCK, Epilogue};
use super::{Portable, Simd, Strip};

/// Cortex-M0, M3.
#[derive(Clone, Copy, Debug)]
pub struct Multiply;

/// Two output pixels, or twice the same, of four channels of a depthwise convolution.
#[repr(C)]
struct Windows {
    /// The first window, two words a tap.
    pixels: *const u32,
    /// Two words a tap.
    weights: *const u32,
    epilogue: *const Epilogue,
    out: [*mut i8; 2],
    /// Rows and columns.
    side: usize,
    /// Bytes from behind one row of the window to the next.
    skip: usize,
    /// Bytes from the first window to the second.
    ahead: usize,
}

impl Simd for Multiply {
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
    fn blocks(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        at: [usize; 2],
    ) {
        let n = epilogues.len();
        let fits = !columns.is_empty()
            && columns.len().is_multiple_of(4)
            && n > 0
            && weights.len() >= n * BLOCK * columns.len()
            && weights.as_ptr().addr().is_multiple_of(4)
            && at.iter().all(|at| at + n * BLOCK <= out.len());
        if !fits {
            return Portable::blocks(columns, weights, epilogues, out, at);
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

    fn rows(strip: &Strip<'_>, out: &mut [i8]) {
        let ([n_rows, n], [line, step]) = (strip.n, strip.step);
        let (last_row, last) = (n_rows.wrapping_sub(1), n.wrapping_sub(1));
        let side = strip.kernel;
        let fits = n_rows >= 1
            && n >= 1
            && side >= 1
            && strip.pitch >= 2 * side
            && strip.pixels.len()
                >= (last_row * strip.stride + side - 1) * strip.pitch
                    + 2 * (last * strip.stride + side)
            && strip.weights.len() >= 2 * side * side
            && out.len() >= last_row * line + last * step + BLOCK;
        if !fits {
            return Portable::rows(strip, out);
        }
        for y in 0..n_rows {
            for x in (0..n).step_by(2) {
                let from = strip.stride * (y * strip.pitch + 2 * x);
                let out = out.as_mut_ptr().wrapping_add(y * line + x * step);
                // The last of an odd number of pixels is its own second.
                let more = usize::from(x < last);
                let job = Windows {
                    pixels: strip.pixels.as_ptr().wrapping_add(from),
                    weights: strip.weights.as_ptr(),
                    epilogue: strip.epilogue,
                    out: [out, out.wrapping_add(more * step)],
                    side,
                    skip: 4 * (strip.pitch - 2 * side),
                    ahead: more * 8 * strip.stride,
                };
                // SAFETY: `fits` covers the windows of all outputs, and these are among them.
                unsafe { loops::windows(&job) }
            }
        }
    }
}
