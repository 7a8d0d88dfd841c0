//! The instar prototype head: a running class mean, compared by cosine.
//!
//! It owns the arithmetic of prototypes and must not know models or buffers: it works on slices.
//! Flow: the kept input of the head, centred, goes in; classes and updated prototypes come out.
//!
//! Let `x_i = q_i − zero_point` be the head's input (i8 steps, `-255 ..= 255`), `P_c` the prototype of
//! class `c` (i16 Q7, `-32640 ..= 32640`), `y` the label and `n` the shift (2 ..= 6):
//!
//! - learn: `P_y += (128·x − P_y) >> n`, the arithmetic shift rounding down;
//! - predict: `argmax_c (P_c·x)/|P_c|`, the lowest class among equals; `|P_c| = floor(sqrt(ΣP²))` is
//!   cached. A prototype of zeros is an empty slot and never predicted.
//!
//! State: 2 bytes per synapse (`2·K·d` in all), 4 bytes of cached norm per class. Information: the
//! input, its label and the synapse itself; no other class, no error. Stable for every `n ≥ 0`:
//! `P_y` moves towards `128·x` and never past it. With `n = 0` the prototype is the last sample.
//! Source: S. Grossberg, "Adaptive pattern classification and universal recoding I", Biological
//! Cybernetics 23, 1976 (the instar); its fixed point is the nearest-class-mean classifier.
//! Differs from it: integers, cosine in place of competition by distance, start at the class means of
//! training.

use crate::bytes;
use crate::quant::{i16_at, i32_at};

/// Class whose prototype is nearest to `features` (bytes of i8), with one i8 score per class:
/// the cosine times 127, rounded down.
///
/// | argument | shape | type |
/// |---|---|---|
/// | `prototypes` | `[n_classes][d]` | i16 LE, Q7 |
/// | `norms` | `[n_classes]` | u31 LE, Q7 |
/// | `features` | `[d]` | i8 as bytes |
/// | `scores` | `[n_classes]`, written | i8 |
///
/// Cost: `K·d` multiplications of 16 by 9 bits, `2·K` divisions, one square root.
pub(crate) fn predict(
    prototypes: &[u8],
    norms: &[u8],
    features: &[u8],
    zero_point: i8,
    scores: &mut [i8],
) -> usize {
    let squares = features.iter().map(|&f| {
        let x = i64::from(centred(f, zero_point));
        (x * x).unsigned_abs()
    });
    // The length of x in Q8, so that cosines keep their resolution for short vectors.
    let length = (squares.sum::<u64>() << 16).isqrt().cast_signed().max(1);
    let (mut best, mut class) = (i64::MIN, 0);
    let rows = bytes::rows(prototypes, 2 * features.len());
    for (c, (row, score)) in rows.zip(scores.iter_mut()).enumerate() {
        let norm = i64::from(i32_at(norms, c).cast_unsigned());
        if norm == 0 {
            *score = i8::MIN;
            continue;
        }
        let (weights, _) = row.as_chunks::<2>();
        let dot: i64 = weights
            .iter()
            .zip(features)
            .map(|(&w, &f)| i64::from(i16::from_le_bytes(w)) * i64::from(centred(f, zero_point)))
            .sum();
        let projection = dot * 256 / norm;
        let cosine = (projection * 127).div_euclid(length);
        *score = i8::try_from(cosine.clamp(-127, 127)).unwrap_or(0);
        if projection > best {
            (best, class) = (projection, c);
        }
    }
    class
}

/// Moves the prototype in `row` (i16 LE, `[d]`) towards `features`; returns its new norm.
// Among its callers' values its own would be spilled in every step.
#[inline(never)]
pub(crate) fn learn(row: &mut [u8], features: &[u8], zero_point: i8, shift: u8) -> u32 {
    let (weights, _) = row.as_chunks_mut::<2>();
    for (w, &f) in weights.iter_mut().zip(features) {
        let p = i32::from(i16::from_le_bytes(*w));
        let target = i32::from(centred(f, zero_point)) * 128;
        let moved = p + ((target - p) >> shift.min(31));
        *w = i16::try_from(moved).unwrap_or(i16::MAX).to_le_bytes();
    }
    norm(row)
}

/// `floor(sqrt(Σ P²))` of one prototype, i16 LE: below `2^31` up to `2^32` features.
pub(crate) fn norm(row: &[u8]) -> u32 {
    let squares = (0..row.len() / 2).map(|i| {
        let p = u64::from(i16_at(row, i).unsigned_abs());
        p * p
    });
    u32::try_from(squares.sum::<u64>().isqrt()).unwrap_or(u32::MAX)
}

/// `q − zero_point` of one feature, `-255 ..= 255`.
pub(crate) fn centred(feature: u8, zero_point: i8) -> i16 {
    i16::from(feature.cast_signed()) - i16::from(zero_point)
}
