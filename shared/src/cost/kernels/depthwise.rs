//! Instructions of depthwise convolutions. It owns the way over strips, phases and rows as the kernel takes
//! it.

use core::num::NonZeroUsize;

use super::window::Inside;
use crate::kernel::Src;
use crate::kernel::dsp::Cut;
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::over;
use crate::layer::{Tensor, Window};

/// Apart from the input or over it.
pub(super) fn instructions(window: &Window, src: &Tensor, dst: &Tensor, is_over: bool) -> u64 {
    let cut = Cut::new(src.c.into(), dst.w.into(), window);
    match (cut, is_over) {
        (Some(cut), false) => fast(&cut, [src, dst], false),
        (None, false) => generic(window, src, dst),
        (cut, true) => match cut.and_then(|cut| cut.over(src.c.into())) {
            Some(cut) => fast(&cut, [src, dst], true),
            None => generic_over(window, src, dst),
        },
    }
}

/// An expanded pixel takes 7, a word of a strip 1.5 and 11 if it is moved; what else there is, is fitted.
fn fast(cut: &Cut, [src, dst]: [&Tensor; 2], is_over: bool) -> u64 {
    let image = Src::new(src, &[]);
    let [h, w, c] = [dst.h, dst.w, dst.c].map(usize::from);
    let blocks = c.div_ceil(BLOCK);
    let [down, right] = cut.dilation.map(NonZeroUsize::get);
    let phases = right.min(w);
    let weights = 221 + 12 * cut.kernel * cut.kernel;
    let (mut total, mut kept) = (960, 0);
    for top in (0..h).step_by(cut.rows.get()) {
        let rows = cut.rows.get().min(h - top);
        let (moved, all) = (kept * cut.line, cut.lines(rows) * cut.line);
        let padding = 3 * all.saturating_sub(moved) / 2;
        let fill = 286 + padding + 11 * moved;
        total += match (is_over, top) {
            // The padding of a strip that is all of the image stays.
            (true, 0) if rows == h => blocks * (286 + weights) + padding,
            (true, 0) => blocks * (fill + weights),
            (true, _) => blocks * fill,
            (false, _) => phases * (fill + blocks * weights),
        };
        for phase in 0..phases {
            let [n, pixels] = cut.inside(&image, [top, rows], phase, kept).n;
            total += blocks * n * (7 * pixels + 5);
            let columns = (w - phase).div_ceil(right);
            for row in 0..down.min(rows) {
                total += blocks * (186 + outputs(cut, (rows - row).div_ceil(down), columns));
            }
        }
        kept = if is_over { cut.shared_lines() } else { 0 };
    }
    total as u64
}

/// `n` rows of four channels, two outputs at a time: 8 multiplications a tap, loads, and 68 around them. Of
/// an odd number of outputs the last column goes down two rows at a time where a kernel does.
fn outputs(cut: &Cut, n: usize, columns: usize) -> usize {
    let k = cut.kernel;
    let (beside, below) = match cut.stride {
        1 => (k * (10 * k + 1), 108),
        _ => (11 * k * k, 113),
    };
    let (beside, below) = (beside + 2 * (k - 1) + 68, below + 68);
    let goes_down = k == 3 && n >= 2 && columns % 2 == 1;
    let pairs = match columns {
        0 | 1 => 0,
        _ => n * (columns / 2 * beside + 16),
    };
    let last = match (columns % 2, goes_down) {
        (0, _) => 0,
        (_, true) => n.div_ceil(2) * below + 20 * (1 + n % 2),
        // By the twin in plain Rust.
        (_, false) if columns == 1 => n * (242 + 20 * k * k),
        (_, false) => n * (beside + 16),
    };
    pairs + last
}

/// Channels of one pass of the generic kernels.
const PASS: u64 = 16;

/// Per MAC, output, and per tap, row of taps and pixel of 16 channels.
fn generic(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let Inside { pixels, rows, taps } = Inside::new(window, src, dst);
    let c = u64::from(dst.c);
    let passes = c.div_ceil(PASS);
    c * (72 * taps / 10 + 63 * pixels)
        + passes * (64 * taps + 41 * rows + 81 * pixels)
        + 117 * pixels
        + 740
}

/// Per MAC, row of taps and output; inputs are copied out, a few channels at a time.
fn generic_over(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let Inside { pixels, rows, taps } = Inside::new(window, src, dst);
    let (h, c) = (u64::from(dst.h), u64::from(dst.c));
    let inputs = u64::from(src.h) * u64::from(src.w);
    let kept = over::rows(window) * usize::from(src.w);
    let pass = (over::KEPT / kept.max(1)).clamp(1, PASS as usize);
    let passes = c.div_ceil(pass as u64);
    c * (49 * taps + 41 * rows + 152 * pixels + 9 * inputs) / 2
        + passes * (58 * pixels + 35 * inputs + 140 * h)
        + 2100
}
