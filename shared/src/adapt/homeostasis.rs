//! Homeostasis: every channel keeps the statistics it had in training, without labels.
//!
//! It owns the running statistics of one channel and their folding into requantization constants; it
//! must not know layers or buffers. Flow: a layer's sums over its output pixels go in, the constants
//! with which the layer runs come out.
//!
//! Let `z` be the accumulator without bias, `mu_s`, `dev_s` its mean and mean absolute deviation in
//! training (from the blob, over all pixels), `mu`, `dev` the running ones, `s` the momentum shift:
//!
//! - observe, before the layer runs: `mu += (mean_pixels(z) − mu)/2^t`,
//!   `dev += (mean_pixels|z − mu| − dev)/2^t`, to nearest, `dev ≥ 1`. Channels form groups of 32: one image
//!   updates the even groups, the next one the odd ones. An update reads every sixth pixel, row by row; the first
//!   pixel it reads moves on by one each time. `t = min(s, ⌊log2(n + 4)⌋)` for a channel's n-th update, counted
//!   from 0, so that the first updates move the averages faster than by `2^-s`;
//! - fold: `z' = (z − mu)·g + mu_s` with `g = dev_s/dev` limited to `1/4 ..= 4`. As
//!   `M·(z' + b) = (M·g)·(z + (mu_s + b)/g − mu)`, the layer runs unchanged with
//!   `M_eff = M·g`, `b_eff = (mu_s + b)/g − mu`.
//!
//! With `mu = mu_s` and `dev = dev_s` the constants are those of the blob, bit for bit. State: 8 bytes
//! per neuron (channel), none per synapse, and 9 for its folded constants. Information: the channel's own
//! activity, nothing else. Stable for every `s ≥ 0`: both averages are convex. Resolution: changes of less than
//! `2^(s−1)` accumulator units are not followed. `2^-s` is a momentum scaled to batches of one image.
//! Sources: E. Bienenstock, L. Cooper, P. Munro, "Theory for the development of neuron selectivity",
//! Journal of Neuroscience 2, 1982 (the sliding threshold); Y. Li et al., "Revisiting Batch
//! Normalization for Practical Domain Adaptation", 2016 (re-estimated statistics). Differs from them:
//! mean absolute deviation in place of the variance, so no square root.

use super::scaled::{rounding_div, rounding_shift, saturate_i32};
use crate::kernel::sums::{ChannelStat, Lattice};

/// Mean and mean absolute deviation of one channel, in accumulator units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    /// `mu`
    pub(crate) mean: i32,
    /// `dev`, taken as 1 if smaller.
    pub(crate) deviation: i32,
}

/// Requantization constants of one channel: bias, multiplier in Q0.31, shift.
pub(crate) type Constants = (i32, i32, i8);

/// Dividend and divisor of `1/g`, with a product of either and 33 bits inside 64.
fn inverse_gain(source: Activity, now: Activity) -> (i64, i64) {
    let src = i64::from(source.deviation.max(1));
    let dev = i64::from(now.deviation.max(1));
    let dev = dev.max((src + 3) / 4).min(src * 4);
    let drop = if src >= 1 << 28 { 3 } else { 0 };
    (dev >> drop, src >> drop)
}

/// `b_eff`, `M_eff` of one channel of `fan_in` weights; the bias is limited so that no accumulator can
/// overflow.
pub(crate) fn fold(
    source: Activity,
    now: Activity,
    (bias, multiplier, shift): Constants,
    fan_in: usize,
) -> Constants {
    let (dev, src) = inverse_gain(source, now);
    let target = i64::from(source.mean) + i64::from(bias);
    let centre = rounding_div(target.saturating_mul(dev), src);
    let (multiplier, shift) = gained(multiplier, shift, (dev, src));
    let limit = super::bias_limit(fan_in, shift);
    let bias = saturate_i32((centre - i64::from(now.mean)).clamp(-limit, limit));
    (bias, multiplier, shift)
}

/// `M·src/dev`, again with a multiplier in `2^30 .. 2^31` and a shift in `-31 ..= 30`.
fn gained(multiplier: i32, shift: i8, (dev, src): (i64, i64)) -> (i32, i8) {
    if multiplier <= 0 || dev == src {
        return (multiplier, shift);
    }
    let mut product = rounding_div(i64::from(multiplier) * src, dev);
    let mut shift = shift;
    while product >= 1 << 31 && shift < 30 {
        product = rounding_shift(product, 1);
        shift += 1;
    }
    while (1..1 << 30).contains(&product) && shift > -31 {
        product <<= 1;
        shift -= 1;
    }
    (saturate_i32(product), shift)
}

/// Output pixels of which one is looked at.
pub(crate) const STEP: usize = 6;

/// Images of which a channel follows one.
pub(crate) const TURNS: u16 = 2;

/// Whether it is the turn of the `unit`-th [channels](crate::kernel::sums::CHANNELS) after `followed` images.
pub(crate) fn is_turn(unit: usize, followed: u16) -> bool {
    (unit + usize::from(followed)).is_multiple_of(TURNS.into())
}

/// The pixels of an output of `n_pixels` that are looked at after `followed` images.
pub(crate) fn lattice(followed: u16, n_pixels: usize) -> Lattice {
    let step = n_pixels.clamp(1, STEP);
    Lattice {
        first: usize::from(followed / TURNS) % step,
        step,
    }
}

/// `t` after `followed` images.
pub(crate) fn momentum(shift: u8, followed: u16) -> u8 {
    let log2 = (u32::from(followed / TURNS) + 4).ilog2();
    shift.min(u8::try_from(log2).unwrap_or(u8::MAX))
}

/// The number of images followed after one more: past 2^16 it goes on at 2^15, where momentum is at its end.
pub(crate) fn count(followed: u16) -> u16 {
    followed.checked_add(1).unwrap_or(1 << 15)
}

/// The running statistics after one image of which `pixels` output pixels were looked at.
pub(crate) fn observe(now: Activity, stat: &ChannelStat, pixels: usize, momentum: u8) -> Activity {
    let pixels = i64::try_from(pixels).unwrap_or(i64::MAX).max(1);
    let towards = |old: i32, new: i64| {
        let old = i64::from(old);
        let new = i64::from(saturate_i32(new));
        saturate_i32(old + rounding_shift(new - old, momentum))
    };
    Activity {
        mean: towards(now.mean, rounding_div(stat.sum, pixels)),
        deviation: towards(now.deviation, rounding_div(stat.deviation, pixels)).max(1),
    }
}
