//! FGSM: one step along the sign of the gradient.

use crate::batch::Moving;
use crate::{Batch, How, Loss, Target};

/// `x' = Π(x + ε·sign ∇ cross-entropy)` (Goodfellow, Shlens, Szegedy 2014, arXiv:1412.6572).
pub fn fgsm(guide: &dyn Target, batch: &Batch, how: &How) -> Vec<f32> {
    let mut moving = Moving::new(batch, how.epsilon, |_, v| v);
    let answers = moving.ask(guide, Loss::CrossEntropy, how.stop);
    moving.step(&answers, how.epsilon, how.epsilon);
    moving.x
}
