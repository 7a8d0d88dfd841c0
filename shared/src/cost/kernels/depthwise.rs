//! Instructions of depthwise convolutions. It owns the way over strips, phases and rows as the kernel takes
//! it.

use super::window::Inside;
use crate::kernel::Src;
use crate::kernel::dsp::packing::BLOCK;
use crate::kernel::dsp::{Cut, MAX_PAIRS, Narrow, div_ceil};
use crate::kernel::over;
use crate::layer::{Tensor, Window};

/// Apart from the input or over it.
pub(super) fn instructions(window: &Window, src: &Tensor, dst: &Tensor, is_over: bool) -> u64 {
    let size = |t: &Tensor| [t.h, t.w].map(usize::from);
    if let Some(narrow) = Narrow::new(src.c.into(), size(dst), window) {
        return slices(&narrow, [src, dst], is_over);
    }
    let cut = Cut::new(src.c.into(), size(dst), window);
    let over = |cut: Cut| cut.over(src.c.into(), size(src), size(dst));
    match (cut, is_over) {
        (Some(cut), false) => fast(&cut, [src, dst], false),
        (None, false) => generic(window, src, dst),
        (cut, true) => match cut.and_then(over) {
            Some(cut) => fast(&cut, [src, dst], true),
            None => generic_over(window, src, dst),
        },
    }
}

/// Fewer than four channels: strip by strip a copy with padding, slices of four, and what of them is kept.
fn slices(narrow: &Narrow, [src, dst]: [&Tensor; 2], is_over: bool) -> u64 {
    let ([w, slices], h) = (narrow.w, usize::from(dst.h));
    let size = |t: &Tensor, [h, w]: [usize; 2], c: usize| {
        let [h, w, c] = [h, w, c].map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        Tensor { h, w, c, ..*t }
    };
    let line = usize::from(src.w) * usize::from(src.c);
    let row = usize::from(dst.w) * usize::from(dst.c);
    let copy = |n: usize| n / 16 * 10 + n % 16 * 4 + 60;
    // Tenths for a value that is kept.
    let each = if is_over { 70 } else { 52 };
    let mut total = 1700;
    for top in (0..h).step_by(narrow.rows.max(1)) {
        let n = narrow.rows.min(h - top);
        let lines = narrow.lines(n);
        let kept = if is_over && top > 0 { narrow.kept() } else { 0 };
        let image = size(src, [lines, w], src.c.into());
        let fours = size(dst, [n, slices], BLOCK);
        total += fast(&narrow.cut, [&image, &fours], false) as usize
            + (lines - kept) * copy(line)
            + 10 * kept * w * usize::from(src.c)
            + n * match narrow.values {
                BLOCK => copy(row),
                values => each * row / 10 + 10 * row / values.max(1) + 40,
            };
    }
    total as u64
}

/// A word of a strip takes 1.2 and 11 if it is moved; what else there is, is fitted.
fn fast(cut: &Cut, [src, dst]: [&Tensor; 2], is_over: bool) -> u64 {
    let image = Src::new(src, &[]);
    let [h, w] = cut.turn([dst.h, dst.w].map(usize::from));
    let blocks = usize::from(dst.c).div_ceil(BLOCK);
    let down = cut.dilation[0].get();
    let phases = cut.dilation[1].get().min(w);
    let [taps, columns] = cut.windows.kernel;
    let weights = match cut.windows.square() {
        // Of a row of three or five weights.
        Some(_) => 200 + columns * (7 + 10 * (columns - 1)),
        None => 230 + taps * (30 + 26 * cut.windows.pairs),
    };
    let (mut total, mut kept) = (1700, 0);
    for top in (0..h).step_by(cut.rows.get()) {
        let rows = cut.rows.get().min(h - top);
        let (moved, all) = (kept * cut.line, cut.lines(rows) * cut.line);
        let padding = 6 * all.saturating_sub(moved) / 5;
        // Of phases of columns: with phases of rows, and with some that are a row short.
        let plan = match (down, rows > down && rows % down > 0) {
            (1, _) => 430,
            (_, false) => 620,
            (_, true) => 820,
        };
        let pieces = cut.pieces(w).count();
        let (plans, moving) = (plan * pieces, padding + 11 * moved);
        total += match (is_over, top) {
            // All of the image in one strip: its plan and its padding stay, or its padding.
            (true, 0) if rows == h && phases == 1 => plans + padding + blocks * (40 + weights),
            (true, 0) if rows == h => padding + blocks * (plans + weights),
            (true, 0) => blocks * (plans + padding + weights),
            (true, _) => blocks * (plans + moving),
            (false, _) => plans + pieces * (padding + blocks * weights),
        };
        for piece in cut.pieces(w) {
            let lines = cut.inside(&image, [top, rows], piece, kept);
            total += blocks * lines.n[0] * expanded(lines.left, lines.n[1]);
            let columns = cut.outputs(w, piece);
            for row in 0..down.min(rows) {
                let call = if row == 0 { 55 } else { 70 };
                total +=
                    blocks * (call + outputs(cut, div_ceil(rows - row, cut.dilation[0]), columns));
            }
        }
        kept = if is_over { cut.shared_lines() } else { 0 };
    }
    total as u64
}

/// A row of `n` pixels from column `left` on: 10 a pair, 2 a turn of two, 9 a pixel alone, 11 around them.
fn expanded(left: usize, n: usize) -> usize {
    let first = (left % 2).min(n);
    let (pairs, last) = ((n - first) / 2, (n - first) % 2);
    10 * pairs + 2 * (pairs / 2) + 9 * (first + last) + 11
}

/// `n` rows of four channels, two outputs at a time: 8 multiplications for two taps, loads, and 44 around
/// them. Of an odd number of outputs the last column goes down two rows at a time where a kernel does, else
/// with a turn for each.
fn outputs(cut: &Cut, n: usize, columns: usize) -> usize {
    let square = cut.windows.square();
    let beside = match square {
        Some([3, 1]) => 3 * 25,
        Some([3, _]) => 3 * 27,
        Some(_) => 5 * 39,
        None => {
            let pairs = cut.windows.pairs;
            let pieces = cut.windows.kernel[0] * pairs.div_ceil(MAX_PAIRS);
            14 * cut.windows.kernel[0] * pairs + 6 * pieces + 5
        }
    };
    let beside = beside + 44;
    // With the weights onto the stack.
    let call = match square {
        Some([3, _]) => 16,
        Some(_) => 30,
        None => 10,
    };
    let below = match square {
        Some([3, 1]) => Some(140),
        Some([3, _]) => Some(144),
        _ => None,
    };
    let rows = |turns: usize| call + n * (turns * beside + 11);
    let pairs = if columns >= 2 { rows(columns / 2) } else { 0 };
    let last = match (columns % 2, below.filter(|_| n >= 2)) {
        (0, _) => 0,
        (_, Some(below)) => n.div_ceil(2) * below + 41 * (1 + n % 2),
        (_, None) => rows(1) + 15,
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
