//! The perceptron: the delta rule's step after mistakes only, on two classes only.
//!
//! It owns which classes move and must not know how: [`super::delta`] moves them. Flow: scores, the class
//! predicted and a label go in; errors of the two classes come out, or nothing.
//!
//! With `o` the scores, `y` the label and `k` the best other class (the lowest among equals): if another
//! class than `y` was predicted, or `o_y − o_k < margin`, then `W_y += SR(eta·x)`, `W_k −= SR(eta·x)`, and
//! the biases likewise; else nothing. That is the delta rule with `e_y = 1`, `e_k = −1`. State as there.
//! Information: the input, and the score of the two classes. Cost: `2·d` multiplications and random numbers
//! per mistake, a comparison per class otherwise; `eta` scales all weights alike, so that its size matters
//! only against the weights of training. Source: F. Rosenblatt, "The perceptron", Psychological Review 65,
//! 1958; several classes: K. Crammer and Y. Singer, "Ultraconservative online algorithms for multiclass
//! problems", 2003. Differs from them: 8-bit weights with stochastic rounding.

/// `(y, k)`, if there is something to learn from.
pub(crate) fn rivals(
    scores: &[i8],
    predicted: usize,
    label: usize,
    margin: u8,
) -> Option<(usize, usize)> {
    let others = scores
        .iter()
        .enumerate()
        .filter(|&(class, _)| class != label);
    // The first among equals.
    let (rival, &best) = others.min_by_key(|&(_, &score)| core::cmp::Reverse(score))?;
    let lead = i16::from(*scores.get(label)?) - i16::from(best);
    (predicted != label || lead < i16::from(margin)).then_some((label, rival))
}
