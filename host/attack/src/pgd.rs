//! PGD and TPGD: many small steps along the sign of the gradient, from a random start.

use crate::batch::Moving;
use crate::random::{Purpose, normal, stream, symmetric};
use crate::{Batch, How, Loss, Target};

/// Steps are this part of ε.
const STEP: f32 = 0.25;

/// Standard deviation of TPGD's start.
const START_NOISE: f32 = 0.001;

/// Start `U(±ε)`, then `x ← Π(x + ε/4·sign ∇ cross-entropy)` (Madry et al. 2017, arXiv:1706.06083).
pub fn pgd(guide: &dyn Target, batch: &Batch, how: &How) -> Vec<f32> {
    let start = |rng: &mut _| how.epsilon * symmetric(rng);
    ascend(guide, batch, how, (Purpose::Pgd, start, Loss::CrossEntropy))
}

/// Start `x + 0.001·N(0, 1)`, then PGD's steps along the divergence of the answer from the clean image's
/// (Zhang et al. 2019, arXiv:1901.08573); the label is not used but to stop.
pub fn tpgd(guide: &dyn Target, batch: &Batch, how: &How) -> Vec<f32> {
    let start = |rng: &mut _| START_NOISE * normal(rng);
    let reference = guide.logits(batch.pixels);
    let loss = Loss::Divergence(&reference);
    ascend(guide, batch, how, (Purpose::Tpgd, start, loss))
}

fn ascend(
    guide: &dyn Target,
    batch: &Batch,
    how: &How,
    (purpose, start, loss): (Purpose, impl Fn(&mut rand_chacha::ChaCha8Rng) -> f32, Loss),
) -> Vec<f32> {
    let rng = |&id| stream(how.seed, purpose, id, how.restart);
    let mut rngs: Vec<_> = batch.ids.iter().map(rng).collect();
    let mut moving = Moving::new(batch, how.epsilon, |i, v| v + start(&mut rngs[i]));
    for _ in 0..how.n_steps {
        let answers = moving.ask(guide, loss, how.stop);
        moving.step(&answers, how.epsilon * STEP, how.epsilon);
    }
    moving.x
}
