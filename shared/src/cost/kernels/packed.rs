//! Instructions of packed, paired and transformed convolutions. It owns the way over the pixels as the kernel takes it.

use crate::kernel::dsp::packing::{BLOCK, Depth, MAX_WHOLE};
use crate::kernel::dsp::{GROUP, PaddedStrip};
use crate::layer::{Tensor, Window};

/// Output pixels as the kernel takes them.
#[derive(Default)]
struct Walk {
    /// Evenly spaced pairs, and how many in all.
    batches: usize,
    pairs: usize,
    /// Pairs on their own.
    lone: usize,
    /// Pixels without a partner.
    singles: usize,
}

impl Walk {
    /// Over `rows` rows of `w` pixels, which follow each other evenly if they are `seamless`.
    fn over(&mut self, rows: usize, w: usize, seamless: bool) {
        let (rows, w) = if seamless { (1, rows * w) } else { (rows, w) };
        self.batches += if w > 1 { rows } else { 0 };
        self.pairs += rows * (w / 2);
        // The last of a row with the first of the next.
        self.lone += w % 2 * (rows / 2);
        self.singles += w % 2 * (rows % 2);
    }
}

/// Two pixels and four channels take 24 a group of four depths, 3 a turn of 32 depths and 59 around it;
/// a pixel without a partner 14, 3 a turn of as many and 41; gathering 9 a group, 5 a row and 30 around it, for
/// the blocks of whole channels and again for the block that repeats some; constants 36 a channel.
pub(super) fn instructions(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let [src_h, src_w, src_c] = [src.h, src.w, src.c].map(usize::from);
    let [h, w, c] = [dst.h, dst.w, dst.c].map(usize::from);
    let depth = Depth::new(window, src_c);
    let blocks = c.div_ceil(BLOCK);
    let repeats = usize::from(c % BLOCK > 0);
    let in_parts = depth.len() > MAX_WHOLE;
    if window.is_whole([src_h, src_w], [h, w]) {
        return match in_parts {
            true => vector_in_parts(depth, blocks as u64),
            false => vector(depth.len() as u64, blocks as u64) + 330 * repeats as u64,
        };
    }
    let strip = PaddedStrip::new([src_h, src_w, src_c], [h, w], window);
    let step = [window.stride_h, window.stride_w].map(usize::from);
    let padded = (window.pad_top, window.pad_left) != (0, 0);
    let (mut walk, mut lines, mut strips) = (Walk::default(), 0, 0);
    let mut edges = 0;
    match &strip {
        Some(strip) => {
            let seamless = step[0] * strip.w == w * step[1];
            for top in (0..h).step_by(strip.rows.max(1)) {
                let n = strip.rows.min(h - top);
                walk.over(n, w, seamless);
                lines += strip.lines(n);
                strips += 1;
            }
        }
        None => {
            walk.over(h, w, !padded && step[0] * src_w == w * step[1]);
            edges = match padded {
                // No strip is small enough: the pairs on either side, and those at top and bottom.
                true => 2 * h + w * usize::from(window.pad_top),
                // The last window cannot be read in whole words.
                false => usize::from(depth.run != depth.row()),
            };
            let edges = edges.min(walk.pairs);
            (walk.pairs, walk.lone) = (walk.pairs - edges, walk.lone + edges);
        }
    }
    let groups = blocks.div_ceil(GROUP) as u64;
    let line = copy(src_w * src_c) + 89;
    let around = groups * (lines as u64 * line + strips * 290 + 527) + 36 * c as u64 + 850;
    if in_parts {
        return around + pairs_in_parts(depth, &walk, (groups, blocks as u64), edges as u64);
    }
    let runs = groups + repeats as u64;
    let (k, blocks) = (depth.len() as u64, blocks as u64);
    let block = 6 * k + 3 * (k / 4).saturating_sub(1).div_ceil(8) + 59;
    let single = 7 * k / 2 + 3 * k.div_ceil(32) + 41;
    let gather = 9 * k / 4 + 5 * depth.rows as u64;
    let edge = 640 + if padded { 40 * window.taps() as u64 } else { 0 };
    walk.pairs as u64 * (blocks * block + runs * (gather + 30))
        + walk.batches as u64 * runs * 191
        + walk.lone as u64 * (blocks * block + groups * (gather + 395))
        + walk.singles as u64 * (blocks * single + groups * (gather + 141))
        + groups * edges as u64 * edge
        + around
        + 17 * k / 10
}

/// Pairs of pixels whose sums go on from part to part: four channels take 24 a group of four depths, 3 a turn of 32
/// depths and 38 around it, 160 behind all parts; gathering 9 a group, 5 a row and 190 around it, 160 a pair. What has
/// an edge is gathered 64 depths at a time.
fn pairs_in_parts(depth: Depth, walk: &Walk, (groups, blocks): (u64, u64), edges: u64) -> u64 {
    let (mut block, mut gather, mut edge) = (160, 160, 0);
    for part in depth.parts() {
        let (k, rows) = (part.len() as u64, part.rows.len() as u64);
        block += 6 * k + 3 * k.div_ceil(32) + 38;
        gather += 9 * k / 4 + 5 * rows + 190;
        edge += 300 + 3 * k + rows * 100;
    }
    // A pixel without a partner is its own.
    let pairs = (walk.pairs + walk.lone + walk.singles) as u64;
    pairs * (blocks * block + groups * gather) + groups * edges.min(pairs) * edge
}

/// A window that is all of the input, whose sums go on from part to part: as [`vector`], but 28 around a part and 230
/// behind all of them.
fn vector_in_parts(depth: Depth, blocks: u64) -> u64 {
    let depth = match depth.run == depth.row() {
        true => Depth {
            rows: 1,
            run: depth.len(),
        },
        false => depth,
    };
    let (mut block, mut spread) = (230, 0);
    for part in depth.parts() {
        let k = part.len() as u64;
        block += eights(k) + 28;
        spread += 3 * k / 2 + 150;
    }
    blocks * block + blocks.div_ceil(64) * spread + 700
}

/// Of a copy of `n` bytes.
fn copy(n: usize) -> u64 {
    (n / 16 * 10 + n % 16 * 4 + 11) as u64
}

/// A window that is all of the input: four channels take 27 a group of eight depths, 3 a turn of four
/// groups and 62 around it; expanding the input 6 for four.
fn vector(k: u64, blocks: u64) -> u64 {
    blocks * (eights(k) + 62) + 3 * k / 2 + 595
}

/// Of four channels of one pixel: `k` depths, eight at a time.
fn eights(k: u64) -> u64 {
    let half = if k.is_multiple_of(8) { 0 } else { 16 };
    27 * (k / 8) + half + 3 * (k / 8).div_ceil(4)
}

/// Paired weights, which are for smaller processors: four channels take 12.7 a depth in plain Rust and 256 around
/// them, an input 6.
pub(super) fn paired(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let k = Depth::new(window, src.c.into()).len() as u64;
    let blocks = usize::from(dst.c).div_ceil(BLOCK) as u64;
    blocks * (127 * k / 10 + 256) + 6 * k + 690
}

/// Transformed weights: of two tiles, four input channels take 325 and 120 around them; four outputs 5.5 an input
/// channel and 4 a turn of 16 of them in each of 16 products, and 575 around those. Tiles with padding are copied.
pub(super) fn transformed(window: &Window, src: &Tensor, dst: &Tensor) -> u64 {
    let [in_ch, out_ch] = [src.c, dst.c].map(u64::from);
    let (blocks, turns) = (out_ch / 4, in_ch.div_ceil(16));
    let groups = blocks.div_ceil(GROUP as u64);
    let tiles = u64::from(dst.h.div_ceil(2)) * u64::from(dst.w.div_ceil(4));
    let edges = match (window.pad_top, window.pad_left) {
        (0, 0) => 0,
        _ => tiles.min(u64::from(dst.h + dst.w / 2)),
    };
    tiles * (groups * (325 * in_ch / 4 + 120) + blocks * (88 * in_ch + 64 * turns + 575))
        + groups * edges * (300 + 24 * in_ch)
        + 40 * out_ch
        + 900
}
