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

impl Simd for Multiply {
    #[inline]
    fn sxtb16(x: u32) -> u32 {
        Portable::sxtb16(x)
    }

    #[inline]
    fn sxtb16_ror8(x: u32) -> u32 {
        Portable::sxtb16_ror8(x)
    }

    #[inline]
    fn ssub16(x: u32, y: u32) -> u32 {
        Portable::ssub16(x, y)
    }

    #[inline]
    fn smlad(x: u32, y: u32, acc: i32) -> i32 {
        Portable::smlad(x, y, acc)
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
        let [n_rows, n] = strip.n;
        let last_row = n_rows.wrapping_sub(1) * strip.stride + strip.kernel;
        let reach = last_row.wrapping_sub(1) * strip.pitch
            + 2 * (n.wrapping_sub(1) * strip.stride + strip.kernel);
        let fits = n_rows >= 1
            && n >= 1
            && strip.kernel >= 1
            && strip.pitch >= 2 * strip.kernel
            && strip.pixels.len() >= reach
            && strip.weights.len() >= 2 * strip.kernel * strip.kernel;
        if !fits {
            return Portable::rows(strip, out);
        }
        let taps = strip.kernel * strip.kernel;
        let shape = [strip.kernel, 4 * (strip.pitch - 2 * strip.kernel), 8 * taps];
        for (y, x) in (0..n_rows).flat_map(|y| (0..n).map(move |x| (y, x))) {
            let from = y * strip.stride * strip.pitch + 2 * x * strip.stride;
            let pixels = strip.pixels.as_ptr().wrapping_add(from);
            let mut acc = strip.epilogue.bias;
            // SAFETY: `fits` covers the window of every output and all of its weights.
            unsafe { loops::window(pixels, strip.weights.as_ptr(), &mut acc, &shape) }
            let outputs = out.get_mut(y * strip.step[0] + x * strip.step[1]..);
            if let Some(outputs) = outputs.and_then(|out| out.first_chunk_mut::<BLOCK>()) {
                for (lane, (out, acc)) in outputs.iter_mut().zip(acc).enumerate() {
                    *out = strip.epilogue.requantize(lane, acc);
                }
            }
        }
    }
}
