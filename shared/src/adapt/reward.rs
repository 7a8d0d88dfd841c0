//! Three factors: presynaptic activity, postsynaptic choice, and a reward that says right or wrong.
//!
//! It owns the error that a reward gives each class and must not know weights: [`super::delta`] moves them.
//! Flow: probabilities, the class that was chosen and the reward go in; an error comes out.
//!
//! With `a` the class predicted, `p` the softmax of the scores, `R` 1 if `a` was right and else 0:
//!
//! `W_c += SR(eta · (R − p_a)/(1 − p_a) · ([c = a] − p_c) · x)`, biases likewise.
//!
//! `x` is the presynaptic factor, `[c = a] − p_c` the postsynaptic one, and `R − p_a`, the reward against
//! the reward expected, is broadcast to all. Divided by `1 − p_a` it makes the step the gradient of the
//! likelihood of what was said: after "right" that of the delta rule, after "wrong" `−p_a` for `a` and
//! `p_a·p_c/(1 − p_a)` for the others, none of them above 1. State as of the delta rule; no eligibility
//! trace is kept, as the reward follows its image at once: input and scores still stand. Information: the
//! input, the softmax and one bit. Stable as the delta rule. Sources: R. Williams, "Simple statistical
//! gradient-following algorithms for connectionist reinforcement learning", 1992; N. Frémaux and
//! W. Gerstner, "Neuromodulated spike-timing-dependent plasticity, and theory of three-factor learning
//! rules", 2016. Differs from them: the best class is chosen, not one at random, and the factor
//! `1/(1 − p_a)`.

use super::delta::Softmax;

/// The error of `class` in Q15, `-32768 ..= 32768`, after `chosen` was `right` or not.
pub(crate) fn error(softmax: &Softmax<'_>, class: usize, chosen: usize, right: bool) -> i32 {
    let p = softmax.probability(chosen);
    match (right, class == chosen) {
        (true, same) => (i32::from(same) << 15) - softmax.probability(class),
        (false, true) => -p,
        (false, false) => (p * softmax.probability_without(class, chosen)) >> 15,
    }
}
