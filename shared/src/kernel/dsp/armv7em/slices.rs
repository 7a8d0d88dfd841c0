//! Slices of four channels of a depthwise convolution, one after the other. It owns their checks, and must not know
//! layers.

use super::Armv7em;
use super::bytes::fill;
use super::constants::Place;
use super::lines::Spread;
use super::rows::Rows;
use super::turns::Constants;
use super::weights::Taps;
use crate::kernel::dsp::packing::{BLOCK, Epilogue, Reach};
use crate::kernel::dsp::{Shared, Slice, Slices};
use crate::quant::Requant;
use heapless::VecView;

impl Slices for Armv7em {
    type Taps = Taps;
    type Spread = Spread;
    type Rows = Rows;

    #[inline]
    fn lengthen(to: &mut VecView<u32>, len: usize, word: u32) -> bool {
        if len > to.capacity() {
            return false;
        }
        let Some(n) = len.checked_sub(to.len()) else {
            return true;
        };
        // Behind the check, so that the compiler sees that it cannot panic.
        let spare = to.spare_capacity_mut();
        // SAFETY: `spare` takes `n` words, and all of them are written.
        unsafe {
            fill(spare.as_mut_ptr().cast(), n, word);
            to.set_len(len);
        }
        true
    }

    #[inline]
    fn taps(weights: &[u8], taps: &Taps, to: &mut [u32]) -> [i32; BLOCK] {
        if taps.fit(weights.len(), to.len()) {
            // SAFETY: it fits.
            unsafe { taps.write(weights.as_ptr(), to.as_mut_ptr()) }
        }
        [0; BLOCK]
    }

    #[inline(always)]
    fn constants(
        to: &mut Epilogue,
        requant: &Requant<'_>,
        (first, _): (usize, [i32; BLOCK]),
        [_, zero_point]: [i32; 2],
        reach: Reach,
    ) -> Option<()> {
        to.rounding.zero_point = zero_point;
        let place = Place::new(requant, first, reach)?;
        // SAFETY: `first` is its `last`, and `requant` is here.
        unsafe { place.write(first, to) }
    }

    #[inline(always)]
    fn spread_lines(src: &[i8], lines: &Spread, to: &mut [u32]) {
        if lines.fit(src.len(), to.len()) {
            // SAFETY: it fits.
            unsafe { lines.write(src.as_ptr(), to.as_mut_ptr()) }
        }
    }

    #[inline(always)]
    fn rows(strip: &Rows, slice: &Slice<'_>, out: &mut [i8]) {
        strip.run(slice, out);
    }

    /// What is checked of the last slice holds of all in front of it.
    // One for both ways.
    #[inline(never)]
    fn slices(
        all: &Shared<'_, Self>,
        taps: &mut [u32],
        pixels: &mut [u32],
        src: Option<&[i8]>,
        out: &mut [i8],
    ) -> Option<usize> {
        let (last, weights) = (all.last(), all.constants.weights);
        let left = |n: usize| n.saturating_sub(last);
        let n_src = src.map_or(out.len(), <[i8]>::len);
        let mut fit = all.taps.fit(left(weights.len()), taps.len())
            && all.lines.fit(left(n_src), pixels.len());
        all.outputs.each(|rows, from, to| {
            let pixels = pixels.len().saturating_sub(from);
            fit &= rows.fit(pixels, taps.len(), left(out.len()).saturating_sub(to));
        });
        let place = Place::new(&all.constants.requant, last, all.reach).filter(|_| fit);
        let Some(place) = place else {
            return Some(0);
        };
        let mut epilogue = Epilogue::default();
        epilogue.rounding.zero_point = all.zero_points[1];
        let (taps, pixels) = (taps.as_mut_ptr(), pixels.as_mut_ptr());
        let (weights, out) = (weights.as_ptr(), out.as_mut_ptr());
        let src = src.map_or(out.cast_const(), <[i8]>::as_ptr);
        for first in all.firsts() {
            // SAFETY: all of it fits for the last slice, and no `first` is behind that.
            let exact = unsafe {
                all.taps.write(weights.wrapping_add(first), taps);
                place.write(first, &mut epilogue)
            };
            if exact.is_none() {
                return Some(first);
            }
            let constants = Constants {
                taps,
                epilogue: &epilogue,
            };
            let out = out.wrapping_add(first);
            // SAFETY: as above.
            unsafe { all.lines.write(src.wrapping_add(first), pixels) }
            all.outputs.each(|rows, from, to| {
                let pixels = pixels.cast_const().wrapping_add(from);
                // SAFETY: as above.
                unsafe { rows.write(pixels, &constants, out.wrapping_add(to)) }
            });
        }
        None
    }
}
