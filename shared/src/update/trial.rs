//! A new model's self-test on this device, before it is tried: its claims, its known answers, its golden samples.
//!
//! It owns their order and the limit of half of the samples; it must not know slots or flash. Cost:
//! [`N_INPUTS`](crate::claims::N_INPUTS) inferences, and one per sample (of the whole model, or of its last layer where
//! the samples are features).

use super::UpdateError;
use crate::blob::{GoldenKind, Model};
use crate::claims::{Claims, Unmet, answers};
use crate::network::{ArenaError, infer_sample};

/// Whether `model` is what `claims` say, answers in `arena` as they say, and has at least half of its golden samples
/// right there.
pub(super) fn passes<E>(
    model: &Model<'_>,
    claims: &Claims,
    arena: &mut [i8],
) -> Result<(), UpdateError<E>> {
    let want = claims.answers;
    let found = Claims {
        answers: want,
        ..Claims::unanswered(model)
    };
    if found != *claims {
        return Err(Unmet::Model.into());
    }
    let got = answers(model, arena)?;
    if got != want {
        return Err(Unmet::Answers { got, want }.into());
    }
    golden(model, arena)
}

/// Whether at least half of the golden samples of `model` come out right in `arena`; without any it passes.
fn golden<E>(model: &Model<'_>, arena: &mut [i8]) -> Result<(), UpdateError<E>> {
    let Some(golden) = model.golden() else {
        return Ok(());
    };
    let (n_samples, right) = (golden.n_samples(), n_right(model, arena)?);
    match right >= n_samples.div_ceil(2) {
        true => Ok(()),
        false => Err(UpdateError::SelfTest { right, n_samples }),
    }
}

/// How many samples of the golden set are classified rightly, without anything learned.
fn n_right(model: &Model<'_>, arena: &mut [i8]) -> Result<u16, ArenaError> {
    let mut scores = [0; crate::adapt::MAX_OUTPUTS];
    let n_classes = model.n_classes();
    let Some((scores, golden)) = scores.get_mut(..n_classes).zip(model.golden()) else {
        return Ok(0);
    };
    let first = match golden.kind() {
        GoldenKind::Inputs => 0,
        GoldenKind::Features => model.n_layers().saturating_sub(1),
    };
    let mut right = 0;
    for (label, sample) in golden.samples() {
        infer_sample(model, arena, (first, sample), scores, &mut ())?;
        let score = scores.get(label).copied().unwrap_or(i8::MIN);
        // The first of equal scores is the prediction.
        let first = scores.iter().position(|&other| other >= score);
        let best = scores.iter().all(|&other| other <= score);
        right += u16::from(best && first == Some(label));
    }
    Ok(right)
}
