//! The delta rule on the int8 head, with stochastic rounding.
//!
//! It owns the error and the update of one head and must not know where its bytes are kept. Flow: the
//! head's int8 scores, the kept input and a label go in; changed weights and biases come out.
//!
//! Let `x_i = q_i − zero_point` be the input in i8 steps of `s_x`, `o_c` the score in i8 steps of `s_o`,
//! `y` the label, `eta = rate/65536`, and `s_c = M_c·s_o/s_x` the weight's step, `M_c` being the
//! requantization factor of class `c`. In real numbers `W_c += eta·e_c·x`, `b_c += eta·e_c` with
//! `e_c = [c = y] − p_c`, `p = softmax(o)`. In steps, as computed here:
//!
//! - `w_ci += SR(eta·s_x²/(s_o·M_c) · e_c · x_i)`, limited to `-127 ..= 127`, also where it was -128;
//! - `b_c += SR(eta/(s_o·M_c) · e_c)`, limited so that no accumulator can overflow;
//! - `SR(v) = floor(v + u)`, `u` uniform in `[0, 1)` with 16 bits from xorshift32: exact in expectation,
//!   so that steps far below one LSB still add up, where rounding to nearest would never move.
//!
//! `p` and `e` are Q15; the exponential is a table of 33 values of `2^-f`, linear in between (error of
//! `2^-f` below `1.2e-4`). State: 1 byte per synapse (the head's own weights, copied once), 4 per
//! neuron, 4 of generator in all. Information: the input, the error of the neuron's own class, which
//! needs the sum of the softmax, the synapse itself. Stable for `eta · |x_real|² < 2`.
//! Source: B. Widrow and M. Hoff, "Adaptive switching circuits", 1960 (the rule); S. Gupta et al.,
//! "Deep Learning with Limited Numerical Precision", 2015 (stochastic rounding). Differs from them:
//! softmax error, 8-bit weights without a wider copy.

use super::scaled::{Scaled, saturate_i32};
use crate::quant::i32_at;
use crate::rng::XorShift32;

/// Quantization of a head: what turns real steps into LSBs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scales {
    /// `s_x`
    pub(crate) input: Scaled,
    /// `s_o`
    pub(crate) output: Scaled,
    /// `eta` in 1/65536.
    pub(crate) rate: u16,
}

impl Scales {
    /// LSBs of weight and of bias for `e·x = 1` and `e = 1`, given `M_c`.
    pub(crate) fn steps(&self, multiplier: Scaled) -> (Scaled, Scaled) {
        let rate = Scaled::new(u64::from(self.rate), -16);
        let bias = rate.over(self.output.times(multiplier));
        (bias.times(self.input.times(self.input)), bias)
    }
}

/// `round(2^15 · 2^(−j/32))`
pub(crate) const EXP2: [u16; 33] = [
    32768, 32066, 31379, 30706, 30048, 29405, 28774, 28158, 27554, 26964, 26386, 25821, 25268,
    24726, 24196, 23678, 23170, 22674, 22188, 21713, 21247, 20792, 20347, 19911, 19484, 19066,
    18658, 18258, 17867, 17484, 17109, 16743, 16384,
];

// Squaring doubles the exponent: every entry against the one at twice its place, within rounding.
const _: () = {
    let mut j = 0;
    while j <= 16 {
        let square = EXP2[j] as u32 * EXP2[j] as u32;
        assert!(square.abs_diff((EXP2[2 * j] as u32) << 15) < 1 << 16);
        j += 1;
    }
};

/// `2^-t` in Q15 for `t` in Q16, `t ≥ 0`.
pub(crate) fn exp2_neg(t: u32) -> u32 {
    let (whole, fraction) = (t >> 16, t & 0xffff);
    let (at, between) = ((fraction >> 11) as usize, fraction & 0x7ff);
    let value = |j: usize| EXP2.get(j).map_or(0, |&v| u32::from(v));
    let drop = value(at).saturating_sub(value(at + 1));
    (value(at) - ((drop * between + (1 << 10)) >> 11))
        .checked_shr(whole)
        .unwrap_or(0)
}

/// Softmax over `scores` in steps of `scale`, one class at a time.
pub(crate) struct Softmax<'a> {
    scores: &'a [i8],
    /// `scale · log2(e)` in Q16, below 2^23.
    step: u32,
    top: i8,
    sum: u32,
}

impl<'a> Softmax<'a> {
    /// Cost: one exponential per class here, one per class asked for.
    pub(crate) fn new(scores: &'a [i8], scale: Scaled) -> Self {
        // log2(e) in Q30.
        let log2_e = Scaled::new(1_549_082_005, -30);
        let step = scale.times(log2_e).apply(1, 16).clamp(0, (1 << 23) - 1);
        let mut softmax = Self {
            scores,
            step: u32::try_from(step).unwrap_or(0),
            top: scores.iter().copied().max().unwrap_or(0),
            sum: 0,
        };
        softmax.sum = scores.iter().map(|&score| softmax.weight(score)).sum();
        softmax
    }

    fn weight(&self, score: i8) -> u32 {
        exp2_neg(u32::from(self.top.abs_diff(score)) * self.step)
    }

    /// `p_class` in Q15, `0 ..= 32768`.
    pub(crate) fn probability(&self, class: usize) -> i32 {
        ((self.weight_of(class) << 15) / self.sum.max(1)).cast_signed()
    }

    /// `p_class/(1 − p_without)` in Q15 for another class than `without`; 0 where nothing is left.
    pub(crate) fn probability_without(&self, class: usize, without: usize) -> i32 {
        let rest = self.sum - self.weight_of(without);
        ((self.weight_of(class) << 15) / rest.max(1)).cast_signed()
    }

    fn weight_of(&self, class: usize) -> u32 {
        self.scores.get(class).map_or(0, |&s| self.weight(s))
    }
}

/// One class of the head.
pub(crate) struct Neuron<'a> {
    /// i8 as bytes, `[d]`.
    pub(crate) weights: &'a mut [u8],
    /// i32 LE.
    pub(crate) bias: &'a mut [u8],
    /// Of `M_c`, Q0.31.
    pub(crate) multiplier: i32,
    /// Of `M_c`, positive = left.
    pub(crate) shift: i8,
}

/// Moves one neuron by its error (Q15) with `inputs` of `fraction` fractional bits, at most 7. Cost: `d`
/// multiplications and as many random numbers, fewer where `x` is 0.
pub(crate) fn learn(
    neuron: Neuron<'_>,
    error: i32,
    (inputs, fraction): (impl Iterator<Item = i32>, i32),
    scales: &Scales,
    rng: &mut XorShift32,
) {
    let n_inputs = neuron.weights.len();
    let (weight_step, bias_step) =
        scales.steps(Scaled::from_multiplier(neuron.multiplier, neuron.shift));
    for (w, x) in neuron.weights.iter_mut().zip(inputs) {
        let step = stochastic_round(weight_step.apply(error * x, 1 - fraction), rng);
        let moved = i64::from(w.cast_signed())
            .saturating_add(step)
            .clamp(-127, 127);
        *w = i8::try_from(moved).unwrap_or(0).cast_unsigned();
    }
    let step = stochastic_round(bias_step.apply(error, 1), rng);
    let limit = super::bias_limit(n_inputs, neuron.shift);
    let bias = i64::from(i32_at(neuron.bias, 0))
        .saturating_add(step)
        .clamp(-limit, limit);
    if let Some(bytes) = neuron.bias.first_chunk_mut::<4>() {
        *bytes = saturate_i32(bias).to_le_bytes();
    }
}

/// `floor(v + u)` for `v` in Q16; draws nothing for 0, which no `u` can move.
pub(crate) fn stochastic_round(v: i64, rng: &mut XorShift32) -> i64 {
    if v == 0 {
        return 0;
    }
    v.saturating_add(i64::from(rng.next_u32() >> 16)) >> 16
}
