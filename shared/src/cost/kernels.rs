//! Instructions of each kernel on a Cortex-M4. It owns the constants; conditions are those of the module
//! above.

use core::num::NonZeroUsize;

use crate::kernel::dsp::packing::{BLOCK, Depth};
use crate::kernel::dsp::{Cut, GROUP, MIN_ADD_ELEMENTS, PaddedStrip, in_words, is_whole};
use crate::kernel::generic::MIN_PLACE_TABLE;
use crate::layer::{Op, Tensor, Window};

/// Estimated instructions of `op` from `src` to `dst`.
pub(super) fn instructions(op: &Op, src: &Tensor, dst: &Tensor) -> u64 {
    let (inputs, outputs) = (src.len() as u64, dst.len() as u64);
    let pixels = outputs / u64::from(dst.c).max(1);
    let in_ch = u64::from(src.c);
    let src_pixels = usize::from(src.h) * usize::from(src.w);
    match op {
        Op::PackedConv2d(window) => packed(window, src, dst),
        Op::Conv2d(w) => {
            let macs = outputs * w.taps() as u64 * in_ch;
            let rows = if w.is_pointwise() { 0 } else { w.kernel_h };
            // Per MAC, per row of each output, per output.
            5 * macs + outputs * (61 * u64::from(rows) + 90)
        }
        Op::DepthwiseConv2d(window) => {
            let over = src.offset == dst.offset;
            let cut = Cut::new(src.c.into(), dst.w.into(), window);
            let cut = cut.and_then(|cut| {
                if over {
                    cut.over(src.c.into())
                } else {
                    Some(cut)
                }
            });
            match cut {
                Some(cut) => depthwise(&cut, window, src, dst),
                _ if over => outputs * (16 * window.taps() as u64 + 90),
                _ => generic_depthwise(window, dst),
            }
        }
        // 21 for 16 MACs and the loop; constants and rounding; the input.
        Op::FullyConnected => 1455 * inputs * outputs / 1000 + 111 * outputs + 2483,
        // Look-ups and one requantization, behind two tables; three requantizations.
        Op::Add(_) if outputs >= MIN_ADD_ELEMENTS as u64 => 27 * outputs / 2 + 13_500,
        Op::Add(_) => 59 * outputs,
        // Per tap and channel, per output, per pixel.
        Op::MaxPool(w) if in_words(src.c.into(), 1) => {
            w.taps() as u64 * 3 * outputs / 2 + 5 * outputs + 68 * pixels
        }
        Op::AvgPool(w) if in_words(src.c.into(), w.taps()) => {
            (94 * w.taps() as u64 + 460) * outputs / 100 + 114 * pixels
        }
        Op::GlobalAvgPool(_) if in_words(src.c.into(), src_pixels) => {
            94 * inputs / 100 + 34 * outputs
        }
        // Per tap and channel, per tap of each pixel, per output.
        Op::MaxPool(w) => w.taps() as u64 * (11 * outputs + 41 * pixels),
        Op::AvgPool(w) => w.taps() as u64 * (5 * outputs + 84 * pixels) + 36 * outputs,
        // Two exponentials a value; those far below the largest cost a third.
        Op::Softmax(_) => 290 * outputs,
        Op::Place(_) => place(inputs.min(pixels * in_ch), pixels),
        Op::GlobalAvgPool(_) => 7 * inputs + 45 * outputs,
    }
}

/// Per MAC and output, per tap of each pixel.
pub(super) fn generic_depthwise(window: &Window, dst: &Tensor) -> u64 {
    let (outputs, taps) = (dst.len() as u64, window.taps() as u64);
    let pixels = outputs / u64::from(dst.c).max(1);
    outputs * (4 * taps + 110) + 68 * pixels * taps
}

/// Per value, pixel, and for the table.
fn place(values: u64, pixels: u64) -> u64 {
    match values >= MIN_PLACE_TABLE as u64 {
        true => 5 * values + 40 * pixels + 9000,
        false => 34 * values + 40 * pixels,
    }
}

/// Rows of strips of at most `rows`, one after the other.
fn strips(h: usize, rows: usize) -> impl Iterator<Item = usize> {
    let rows = rows.max(1);
    (0..h).step_by(rows).map(move |top| rows.min(h - top))
}

/// Two pixels and four channels take 24 a group of four depths, 3 a turn of 16 depths and 73 around it;
/// a pixel without a partner 14, 3 a turn of 32 and 48; gathering 9 a group, 5 a row and 39 around it,
/// 300 without a partner; a row of a strip 5 for 8 bytes and 85; constants 30 a channel.
fn packed(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let [src_h, src_w, src_c] = [src.h, src.w, src.c].map(usize::from);
    let [h, w, c] = [dst.h, dst.w, dst.c].map(usize::from);
    let depth = Depth::new(window, src_c);
    let blocks = c.div_ceil(BLOCK);
    if is_whole(window, [src_h, src_w], [h, w]) {
        let rest = if c % BLOCK == 0 { 0 } else { 330 };
        return vector(depth.len() as u64, blocks as u64) + rest;
    }
    let groups = blocks.div_ceil(GROUP) as u64;
    let (pairs, singles, lines) = match PaddedStrip::new([src_h, src_w, src_c], [h, w], window) {
        Some(strip) => strips(h, strip.rows).fold((0, 0, 0), |(pairs, singles, lines), n| {
            let pixels = n * w;
            (
                pairs + pixels / 2,
                singles + pixels % 2,
                lines + strip.lines(n),
            )
        }),
        None => (h * w / 2, h * w % 2, 0),
    };
    let (k, blocks) = (depth.len() as u64, blocks as u64);
    let block = 6 * k + 3 * (k / 4).saturating_sub(1).div_ceil(4) + 73;
    let single = 7 * k / 2 + 3 * k.div_ceil(32) + 48;
    let gather = 9 * k / 4 + 5 * depth.rows as u64;
    let line = u64::from(src.w) * u64::from(src.c);
    let once = if lines > 0 { 4500 } else { 0 };
    pairs as u64 * (blocks * block + groups * (gather + 39))
        + singles as u64 * (blocks * single + groups * (gather + 300))
        + groups * (lines as u64 * (85 + 5 * line / 8) + once + 300)
        + 30 * c as u64
        + 5 * k
        + 700
}

/// A window that is all of the input: four channels take 27 a group of eight depths, 3 a turn of four
/// groups and 62 around it; expanding the input 12 for four.
fn vector(k: u64, blocks: u64) -> u64 {
    let half = if k.is_multiple_of(8) { 0 } else { 16 };
    blocks * (27 * (k / 8) + half + 3 * (k / 8).div_ceil(4) + 62) + 3 * k + 550
}

/// Two pixels of four channels take 8 multiplications a tap, loads, and 68 around them; an expanded
/// pixel 7.
fn depthwise(cut: &Cut, window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let [h, w] = [dst.h, dst.w].map(usize::from);
    let [down, right] = cut.dilation.map(NonZeroUsize::get);
    let k = u64::from(window.kernel_h);
    // Side by side and, where a last column is left, one below the other.
    let (beside, below) = match window.stride_w {
        1 => (k * (10 * k + 1), 108),
        _ => (11 * k * k, 113),
    };
    let (beside, below) = (beside + 2 * (k - 1) + 68, below + 68);
    let mut slice = 0;
    let columns = |phase: usize| (w - phase).div_ceil(right) as u64;
    for (w, rows) in (0..right.min(w))
        .flat_map(|phase| strips(h, cut.rows.get()).map(move |rows| (columns(phase), rows)))
    {
        let lines = cut.lines(rows).min(src.h.into()) as u64;
        slice += lines * (7 * usize::from(src.w).div_ceil(right) as u64 + 5) + 490;
        for row in 0..down.min(rows) {
            let n = (rows - row).div_ceil(down) as u64;
            slice += n * (w / 2 * beside + 22);
            slice += match (w % 2, k) {
                (0, _) => 0,
                (_, 3) if n > 1 => n.div_ceil(2) * below + 44,
                _ => n * (beside + 22),
            };
        }
    }
    u64::from(dst.c).div_ceil(BLOCK as u64) * slice + 1200
}
