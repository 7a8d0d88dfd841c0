//! APGD: PGD with momentum whose step is halved where it no longer helps (Croce, Hein 2020,
//! arXiv:2003.01690, algorithm 1); no step size to choose.

use crate::batch::{Answer, Moving, project, sign};
use crate::random::{Purpose, stream, symmetric};
use crate::{Batch, How, Loss, Target};

/// Weight of the new step; the rest is momentum.
const ALPHA: f32 = 0.75;
/// The step is halved if at most this share of the steps since the last checkpoint improved the loss.
const RHO: f64 = 0.75;

/// Places of the checkpoints of `n_steps`: the first after 0.22 of them, each interval shorter than the
/// one before by 0.03, but not below 0.06.
fn checkpoints(n_steps: usize) -> Vec<usize> {
    let part = |share: f64| ((share * n_steps as f64) as usize).max(1);
    let (mut interval, shrink, shortest) = (part(0.22), part(0.03), part(0.06));
    let mut places = vec![];
    let mut at = interval;
    while at <= n_steps {
        places.push(at);
        interval = interval.saturating_sub(shrink).max(shortest);
        at += interval;
    }
    places
}

/// One image's ascent.
struct Climb {
    step: f32,
    previous: Vec<f32>,
    best: Vec<f32>,
    best_gradient: Vec<f32>,
    best_loss: f64,
    last_loss: f64,
    /// Since the last checkpoint.
    n_improved: usize,
    /// At the last checkpoint.
    checked_loss: f64,
    was_halved: bool,
}

impl Climb {
    fn new(x: &[f32], answer: &Answer, epsilon: f32) -> Self {
        Self {
            step: 2.0 * epsilon,
            previous: x.to_vec(),
            best: x.to_vec(),
            best_gradient: answer.gradient.clone(),
            best_loss: answer.loss,
            last_loss: answer.loss,
            n_improved: 0,
            checked_loss: answer.loss,
            was_halved: true,
        }
    }

    /// `z = Π(x + a·sign g)`, `x ← Π(x + 0.75·(z − x) + 0.25·(x − x_previous))`; the first step is whole.
    fn advance(&mut self, x: &mut [f32], clean: &[f32], g: &[f32], (epsilon, first): (f32, bool)) {
        let alpha = if first { 1.0 } else { ALPHA };
        for (i, x) in x.iter_mut().enumerate() {
            let z = project(*x + self.step * sign(g[i]), clean[i], epsilon);
            let next = *x + alpha * (z - *x) + (1.0 - alpha) * (*x - self.previous[i]);
            self.previous[i] = *x;
            *x = project(next, clean[i], epsilon);
        }
    }

    /// What the step has brought.
    fn record(&mut self, x: &[f32], answer: &Answer) {
        self.n_improved += usize::from(answer.loss > self.last_loss);
        self.last_loss = answer.loss;
        if answer.loss > self.best_loss {
            self.best_loss = answer.loss;
            self.best.copy_from_slice(x);
            self.best_gradient.copy_from_slice(&answer.gradient);
        }
    }

    /// After `interval` steps: whether to go back to the best with half the step.
    fn check(&mut self, interval: usize) -> bool {
        let few = self.n_improved as f64 <= RHO * interval as f64;
        let stuck = !self.was_halved && self.checked_loss >= self.best_loss;
        self.was_halved = few || stuck;
        self.checked_loss = self.best_loss;
        self.n_improved = 0;
        if self.was_halved {
            self.step /= 2.0;
        }
        self.was_halved
    }
}

/// APGD along `loss`, from `x + ε·t/max|t|`, `t ~ U(−1, 1)`; gives the images of the highest loss.
pub fn apgd(guide: &dyn Target, batch: &Batch, loss: Loss, how: &How) -> Vec<f32> {
    let n = batch.shape.n_values();
    let noise = batch.ids.iter().flat_map(|&id| {
        let rng = &mut stream(how.seed, Purpose::Apgd, id, how.restart);
        let t: Vec<f32> = (0..n).map(|_| symmetric(rng)).collect();
        let largest = t.iter().fold(f32::MIN_POSITIVE, |m, t| m.max(t.abs()));
        t.into_iter().map(move |t| how.epsilon * t / largest)
    });
    let noise: Vec<f32> = noise.collect();
    let mut noise = noise.into_iter();
    let mut moving = Moving::new(batch, how.epsilon, |_, v| v + noise.next().unwrap_or(0.0));
    let mut climbs: Vec<Option<Climb>> = batch.labels.iter().map(|_| None).collect();
    let mut answers = moving.ask(guide, loss, how.stop);
    for answer in &answers {
        let x = moving.image(answer.image).0;
        climbs[answer.image] = Some(Climb::new(x, answer, how.epsilon));
    }
    let checkpoints = checkpoints(how.n_steps);
    let mut last_check = 0;
    for done in 1..=how.n_steps {
        for answer in &answers {
            let (x, clean) = moving.image(answer.image);
            if let Some(climb) = &mut climbs[answer.image] {
                climb.advance(x, clean, &answer.gradient, (how.epsilon, done == 1));
            }
        }
        answers = moving.ask(guide, loss, how.stop);
        let check = checkpoints.contains(&done);
        for answer in &mut answers {
            let x = moving.image(answer.image).0;
            let Some(climb) = &mut climbs[answer.image] else {
                continue;
            };
            climb.record(x, answer);
            if check && climb.check(done - last_check) {
                x.copy_from_slice(&climb.best);
                answer.gradient.copy_from_slice(&climb.best_gradient);
            }
        }
        if check {
            last_check = done;
        }
    }
    for answer in &answers {
        if let Some(climb) = &climbs[answer.image] {
            moving.image(answer.image).0.copy_from_slice(&climb.best);
        }
    }
    moving.x
}
