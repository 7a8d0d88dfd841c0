//! The checks of packed, paired and transformed weights: that they are what the fast kernels rely on. It owns these
//! rules only.

use super::{REACH, check_bound, check_scaling};
use crate::blob::{BlobError, Constants};
use crate::kernel::dsp::{Packed, packing, winograd};
use crate::layer::{Scaling, Window};
use crate::quant::i32_at;

/// Weight of a depth and a lane of a block.
type Weight = fn(&[u8], usize, usize) -> i32;
/// Whether the weights of a channel, some of them -128, can be told apart.
type IsSplit = fn(&[u8], usize, usize) -> bool;
/// How weights are read, when they can be told apart, and the most depths.
pub(super) type Form = (Weight, IsSplit, usize);

/// Weights, read by `weight`, in range, and padding, repeated channels, sums and reach as they say.
pub(super) fn check(
    layer: u8,
    found: &Constants<'_>,
    (packed, (weight, is_split, most)): (Packed<'_>, Form),
    window: &Window,
) -> Result<(), BlobError> {
    let fault = BlobError::Packing { layer };
    let in_ch = found.fan_in / window.taps().max(1);
    let (depth, n) = (packing::Depth::new(window, in_ch), found.n_channels());
    if !packing::packable(window, in_ch, n) || depth.len() > most {
        return Err(fault);
    }
    let mut reach = 0;
    let blocks = found.weights.chunks_exact(depth.block_bytes().max(1));
    for (block, weights) in blocks.enumerate() {
        for lane in 0..packing::BLOCK {
            let channel = packing::first_channel(block, n) + lane;
            let (mut sum, mut size, mut least) = (0i32, 0u32, false);
            for k in 0..depth.len() {
                let w = weight(weights, k, lane);
                let padding = k % depth.row().max(1) >= depth.run;
                if w > 127 || (padding && w != 0) {
                    return Err(fault);
                }
                // At most 2^16 terms of at most 128.
                (sum, size) = (sum + w, size + w.unsigned_abs());
                least |= w == -128;
            }
            let split = !least || is_split(weights, depth.len(), lane);
            if !split || i32_at(packed.sums, channel) != sum {
                return Err(fault);
            }
            reach = reach.max(128 * size);
            let channel_id = u16::try_from(channel).map_err(|_| fault)?;
            let (bias, multiplier, shift) = found.requant.channel(channel);
            check_scaling(layer, channel_id, Scaling::new(multiplier, shift), 30)?;
            let bound = u64::from(bias.unsigned_abs()) + u64::from(size) * REACH;
            check_bound(layer, channel_id, bound, shift)?;
        }
    }
    if packed.reach != packing::Reach(reach) || !repeats(found, depth, n, weight) {
        return Err(fault);
    }
    Ok(())
}

/// Channels that the last two blocks share have the same weights in both.
fn repeats(found: &Constants<'_>, depth: packing::Depth, n: usize, weight: Weight) -> bool {
    let shared = (packing::BLOCK - n % packing::BLOCK) % packing::BLOCK;
    let mut blocks = found.weights.rchunks_exact(depth.block_bytes().max(1));
    let (Some(last), Some(before), true) = (blocks.next(), blocks.next(), shared > 0) else {
        return true;
    };
    let first = packing::BLOCK - shared;
    (0..shared).all(|lane| {
        let same = |k| weight(last, k, lane) == weight(before, k, first + lane);
        (0..depth.len()).all(same)
    })
}

/// Weights are of filters, sums and reach as they say, and all channels exact behind an input of `zero_point`.
pub(super) fn transformed(
    layer: u8,
    found: &Constants<'_>,
    packed: Packed<'_>,
    zero_point: i32,
) -> Result<(), BlobError> {
    let fault = BlobError::Packing { layer };
    let in_ch = found.fan_in / 9;
    let mut reach = 0;
    let blocks = found
        .weights
        .chunks_exact(winograd::block_bytes(in_ch).max(1));
    for (block, weights) in blocks.enumerate() {
        for lane in 0..packing::BLOCK {
            let channel = packing::BLOCK * block + lane;
            let (mut sum, mut size) = (0i32, 0u32);
            for c in 0..in_ch {
                let filter = winograd::filter(weights, (c, in_ch), lane).ok_or(fault)?;
                for w in filter.map(i32::from) {
                    (sum, size) = (sum + w, size + w.unsigned_abs());
                }
            }
            if i32_at(packed.sums, channel) != sum {
                return Err(fault);
            }
            reach = reach.max(128 * size);
        }
    }
    let exact = packed.proved(&found.requant, zero_point).exact;
    if packed.reach != packing::Reach(reach) || !exact {
        return Err(fault);
    }
    Ok(())
}
