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

/// A word of a strip takes a quarter and 11 if it is moved; what else there is, is fitted.
fn fast(cut: &Cut, [src, dst]: [&Tensor; 2], is_over: bool) -> u64 {
    let image = Src::new(src, &[]);
    let [h, w] = cut.turn([dst.h, dst.w].map(usize::from));
    let from = cut.turn([src.h, src.w].map(usize::from));
    let blocks = usize::from(dst.c).div_ceil(BLOCK);
    let down = cut.dilation[0].get();
    let phases = cut.dilation[1].get().min(w);
    let [taps, columns] = cut.windows.kernel;
    // With the constants, 61.
    let weights = match cut.windows.square() {
        Some([3, _]) => 215,
        // Of a row of five weights.
        Some(_) => 120 + columns * (7 + 10 * (columns - 1)),
        None => 150 + taps * (30 + 26 * cut.windows.pairs),
    };
    // With the checks of a block on its own.
    let alone = weights + 220;
    let (mut total, mut kept) = (1490, 0);
    for top in (0..h).step_by(cut.rows.get()) {
        let rows = cut.rows.get().min(h - top);
        let (moved, all) = (kept * cut.line, cut.lines(rows) * cut.line);
        let padding = all.saturating_sub(moved) / 4 + 45;
        // Of phases of columns: with phases of rows, and with some that are a row short.
        let plan = match (down, rows > down && rows % down > 0) {
            (1, _) => 480,
            (_, false) => 740,
            (_, true) => 940,
        };
        let pieces = cut.pieces(w).count();
        let (plans, moving) = (plan * pieces, padding + 11 * moved);
        total += match (is_over, top) {
            // All of the image in one strip: its plan and its padding stay, or of phases its padding.
            (true, 0) if rows == h && phases == 1 => plans + padding + blocks * weights,
            (true, 0) if rows == h => padding + blocks * (plans + 110 * pieces + alone),
            (true, 0) => blocks * (plans + padding + alone),
            (true, _) => blocks * (plans + moving),
            (false, _) => plans + pieces * (padding + blocks * weights),
        };
        for piece in cut.pieces(w) {
            let lines = cut.inside(&image, [top, rows], piece, kept);
            total += blocks * (20 + lines.n[0] * expanded(lines.left, lines.n[1]));
            let columns = cut.outputs(w, piece);
            let padding = [
                cut.padding(0, from[0], [top, rows]),
                cut.padding(1, from[1], [piece, columns]),
            ];
            for row in 0..down.min(rows) {
                let call = if row == 0 { 0 } else { 60 };
                let rows = div_ceil(rows - row, cut.dilation[0]);
                total += blocks * (call + outputs(cut, rows, columns, padding));
            }
        }
        kept = if is_over { cut.shared_lines() } else { 0 };
    }
    total as u64
}

/// A row of `n` pixels from column `left` on: 18 for two pairs, 10 or 11 for one, 10 for a pixel alone, 18 for that in
/// front of one pair, and 7 to 10 around them.
fn expanded(left: usize, n: usize) -> usize {
    let first = (left % 2).min(n);
    let (pairs, last) = ((n - first) / 2, (n - first) % 2);
    let groups = pairs / 2;
    let turns = match groups.div_ceil(4) {
        0 | 1 => groups.min(1),
        turns => 3 * turns + 1,
    };
    let begin = match (first, pairs % 2) {
        (0, 0) => 0,
        (0, _) => 10 + last,
        (_, 0) => 10,
        _ => 18,
    };
    18 * groups + turns + begin + 10 * last + 6
}

/// `n` rows of four channels, two outputs at a time: 8 multiplications for two taps, loads, and 40 around
/// them. Rows of windows of three that are padding are left out. Of an odd number of outputs the last column goes down
/// two rows at a time where a kernel does, without third pixels that are padding, else with a turn for each.
fn outputs(cut: &Cut, n: usize, columns: usize, [rows, across]: [[bool; 2]; 2]) -> usize {
    let square = cut.windows.square();
    let count = usize::from;
    // Of a single row that is both, one is left out.
    let rows = [rows[0], rows[1] && !(n == 1 && rows[0])];
    // Of a turn and less where the first or the last row is left out, of a call, of another row.
    let (turn, without, call, next) = match square {
        Some([3, 1]) => (75 + 41, 19 * count(rows[0]) + 24 * count(rows[1]), 45, 12),
        Some([3, _]) => (81 + 41, 21 * count(rows[0]) + 26 * count(rows[1]), 45, 12),
        Some(_) => (5 * 39 + 40, 0, 53, 10),
        None => {
            let pairs = cut.windows.pairs;
            let pieces = cut.windows.kernel[0] * pairs.div_ceil(MAX_PAIRS);
            let turn = 14 * cut.windows.kernel[0] * pairs + 6 * pieces + 5;
            (turn + 40, 0, 39, 10)
        }
    };
    let below = match square {
        Some([3, 1]) => Some((53 + 40, 49)),
        Some([3, _]) => Some((51 + 40, 50)),
        _ => None,
    };
    let turns = |turns: usize, without: usize| {
        let all = call + n.saturating_sub(1) * next + n * turns * turn;
        all.saturating_sub(turns * without)
    };
    let pairs = match columns / 2 {
        0 => 0,
        n_turns => turns(n_turns, without),
    };
    let last = match (columns % 2, below.filter(|_| n >= 2)) {
        (0, _) => 0,
        (_, Some((near, third))) => {
            let third = if across[1] { 0 } else { third };
            n.div_ceil(2) * (near + third) + 52 + 10 * (n % 2)
        }
        (_, None) => turns(1, without) + 9,
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
    let kept = window.reach()[0] * usize::from(src.w);
    let pass = (over::KEPT / kept.max(1)).clamp(1, PASS as usize);
    let passes = c.div_ceil(pass as u64);
    c * (49 * taps + 41 * rows + 152 * pixels + 9 * inputs) / 2
        + passes * (58 * pixels + 35 * inputs + 140 * h)
        + 2100
}
