//! Softmax. It owns this operator and its fixed-point functions and must not know the graph around it.
//!
//! Numbers are raw fixed point, named by their integer bits: Q0.31, Q2.29, Q5.26, Q12.19.

use crate::kernel::{Dst, Src};
use crate::layer::Scaling;
use crate::quant::{
    rounding_divide_by_pot, saturate, saturating_rounding_doubling_high_mul as product,
};

/// Most channels for which the sum of exponentials keeps the last shift within 31.
pub const MAX_CHANNELS: usize = 511;

/// Distance from the largest value, in quantized steps, beyond which a value counts as `e^-31`, that is 0:
/// `floor(31·2^26 / 2^shift)`.
fn reach(shift: u32) -> i32 {
    (31 << 26) >> shift.min(31)
}

/// Softmax over the channels of each pixel, output scale 1/256 and zero point −128.
///
/// `dst[c] = −128 + round(256 · e^(f·(src[c] − max)) / Σ_k e^(f·(src[k] − max)))` in fixed point, with
/// `scaling` the factor `f = beta·s_src` in units of 2^-26.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][c]`, `c <= 511` | i8 |
/// | `dst` | `[h][w][c]` | i8 |
/// | `scaling` | shift 0 to 30 | |
///
/// Never panics if `Model::parse` accepted the blob. Cost: no MACs, two exponentials of 13 products
/// per element, no scratch. Bit-exact with TensorFlow Lite's reference int8 `Softmax`.
pub fn softmax_s8(src: &Src<'_>, dst: &mut Dst<'_>, scaling: Scaling) {
    let (multiplier, shift) = (scaling.multiplier(), scaling.shift.max(0).unsigned_abs());
    let (shift, reach, clamp) = (u32::from(shift), reach(shift.into()), dst.clamp);
    // Within reach the shifted distance is at most 31·2^26.
    let exponential = |distance: i32| {
        (distance <= reach).then(|| exp(product((-distance).wrapping_shl(shift), multiplier)))
    };
    let c = src.c.max(1);
    let pixels = src.data.chunks_exact(c);
    for (pixel, outputs) in pixels.zip(dst.data.chunks_exact_mut(c)) {
        let max = pixel.iter().copied().max().map_or(0, i32::from);
        let sum = pixel.iter().fold(0i32, |sum, &q| {
            let e = exponential(max - i32::from(q)).unwrap_or(0);
            sum.wrapping_add(rounding_divide_by_pot(e, 12))
        });
        let (inverse, over_unit) = reciprocal(sum);
        for (out, &q) in outputs.iter_mut().zip(pixel) {
            let share = exponential(max - i32::from(q)).map_or(0, |e| {
                rounding_divide_by_pot(product(inverse, e), over_unit)
            });
            *out = saturate(share - 128, clamp);
        }
    }
}

/// `e^a` in Q0.31 for `a <= 0` in Q5.26: a Taylor series for the part within a quarter, a factor for
/// each bit above.
fn exp(a: i32) -> i32 {
    const QUARTER: i32 = 1 << 24;
    /// `e^-(2^i / 4)` in Q0.31.
    const FACTORS: [i32; 7] = [
        1_672_461_947,
        1_302_514_674,
        790_015_084,
        290_630_308,
        39_332_535,
        720_401,
        242,
    ];
    if a == 0 {
        return i32::MAX;
    }
    let within = (a & (QUARTER - 1)) - QUARTER;
    let above = within.wrapping_sub(a);
    let start = exp_within_quarter(within << 5);
    (24..).zip(FACTORS).fold(start, |e, (bit, factor)| {
        if above >> bit & 1 == 1 {
            product(e, factor)
        } else {
            e
        }
    })
}

/// `e^a` in Q0.31 for `a` in `-1/4 .. 0`, Q0.31: a series to the fourth power around −1/8.
fn exp_within_quarter(a: i32) -> i32 {
    /// `e^(-1/8)`.
    const MIDDLE: i32 = 1_895_147_668;
    /// `1/3`.
    const THIRD: i32 = 715_827_883;
    let x = a + (1 << 28);
    let x2 = product(x, x);
    let (x3, x4) = (product(x2, x), product(x2, x2));
    let cubic = product(rounding_divide_by_pot(x4, 2) + x3, THIRD);
    MIDDLE + product(MIDDLE, x + rounding_divide_by_pot(cubic + x2, 1))
}

/// `1/sum` for `sum >= 1` in Q12.19 as `(m, over_unit)`: `m·e` in Q0.31, divided by 2 to the power
/// `over_unit`, is 256 times the share of `e`. Newton's iteration, three steps.
fn reciprocal(sum: i32) -> (i32, u32) {
    const ONE: i32 = 1 << 29;
    let zeros = sum.leading_zeros();
    // The sum is (1 + fraction)·2^(11 − zeros), the fraction in Q0.31.
    let fraction = (sum.wrapping_shl(zeros) ^ i32::MIN).max(0);
    let half = (1 << 30) + fraction / 2;
    // 48/17 − 32/17·half in Q2.29.
    let mut x = 1_515_870_810 + product(half, -1_010_580_540);
    for _ in 0..3 {
        let rest = product(x, ONE - product(half, x));
        x = x.wrapping_add(rest.saturating_mul(4));
    }
    (x.saturating_mul(2), 35u32.saturating_sub(zeros))
}
