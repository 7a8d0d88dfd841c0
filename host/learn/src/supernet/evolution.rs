//! Logits by evolution: candidates of one CMA-ES, a fitness of loss and likeness, a step towards the best.
//!
//! Of EG-NAS (Cai et al. 2024) the composite fitness and the step are kept. Mended are: the CMA-ES, which is one
//! for the whole search, so that its covariance learns (there it was made anew, with the same seed, for every
//! generation); the step, which goes towards the best candidate's logits, so that logits stay within a
//! bound (there a softmax was added to them without end); the fitness, a mean over several batches, each with
//! the batch norm statistics of the candidate.
//!
//! With five rules there are 28 rows of 28 logits, and 50 candidates a generation change such a covariance by
//! `c_1 + c_μ` = 4e-5 of itself: within a usual search it is the mean and the step size that adapt, the covariance
//! learns in small supernets only.

use super::architecture::Tables;
use aplysia_space::darts::N_EDGES;
use cmaes::{CMAESOptions, DVector, TerminationReason};
use serde::{Deserialize, Serialize};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Settings of the evolution. Defaults are the published ones where they exist.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvolutionConfig {
    /// Candidates of a generation.
    pub population: usize,
    /// Generations before each epoch of the weights.
    pub generations: usize,
    /// Batches of a candidate's fitness.
    pub batches: usize,
    /// First standard deviation of a logit.
    pub sigma: f64,
    /// Part of the way to the best candidate that the logits go after a generation, 0 to 1.
    pub step: f64,
    /// Weight of the likeness in the fitness.
    pub likeness: f64,
    /// Largest absolute value of a logit.
    pub bound: f64,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self {
            population: 50,
            generations: 3,
            batches: 4,
            sigma: 0.5,
            step: 0.1,
            likeness: 0.4,
            bound: 5.0,
        }
    }
}

/// What a candidate is worth, the less the better: `L + m·S` if it answers at least as well as the
/// architecture so far, else `L − m·S`. Among the good it is the unlike that count, among the bad the like.
pub fn fitness(
    loss: f64,
    (n_right, n_right_before): (u64, u64),
    likeness: f64,
    weight: f64,
) -> f64 {
    let sign = if n_right >= n_right_before { 1.0 } else { -1.0 };
    loss + sign * weight * likeness
}

/// `S`: the mean over both cells of the mean over their edges of `(cos(q, q') + 1)/2`. As published it looks at the
/// edges alone.
pub fn likeness(a: &Tables, b: &Tables) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let of =
        |(a, b): (&Vec<f64>, &Vec<f64>)| (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() + 1.0) / 2.0;
    let rows = a.candidates.iter().zip(&b.candidates).map(of);
    // Both cells have as many edges, so that the mean of the means is the mean.
    rows.sum::<f64>() / (2 * N_EDGES) as f64
}

/// A CMA-ES that is asked for points and told what they are worth, one by one. It lives in a thread of its own,
/// whose objective function waits for the answer.
pub struct Cma {
    points: Receiver<Vec<f64>>,
    answers: Sender<f64>,
}

impl Cma {
    /// Starts at `mean`. The same answers give the same points.
    pub fn new(mean: Vec<f64>, sigma: f64, population: usize, seed: u64) -> Self {
        let (ask, points) = channel();
        let (answers, told) = channel();
        std::thread::spawn(move || {
            let objective = move |x: &DVector<f64>| {
                let sent = ask.send(x.iter().copied().collect());
                // Whoever asked has gone: a value that is none ends the search.
                sent.ok()
                    .and_then(|()| told.recv().ok())
                    .unwrap_or(f64::NAN)
            };
            let options = CMAESOptions::new(mean, sigma)
                .population_size(population)
                .seed(seed);
            let Ok(mut cma) = options.build(objective) else {
                return;
            };
            let broken = [
                TerminationReason::InvalidFunctionValue,
                TerminationReason::PosDefCov,
            ];
            let ended = |reasons: &[TerminationReason]| reasons.iter().any(|r| broken.contains(r));
            // Other reasons to end hold for functions that stay as they are.
            while !cma.next().is_some_and(|end| ended(&end.reasons)) {}
        });
        Self { points, answers }
    }

    /// The next point; none if the search has broken down.
    pub fn point(&self) -> Option<Vec<f64>> {
        self.points.recv().ok()
    }

    /// What the last point is worth, the less the better.
    pub fn tell(&self, fitness: f64) {
        // A search that has broken down has no next point.
        let _ = self.answers.send(fitness);
    }
}

/// `α + step·(z − α)` within the bound.
pub fn towards(logits: &[f64], best: &[f64], config: &EvolutionConfig) -> Vec<f64> {
    let moved = logits
        .iter()
        .zip(best)
        .map(|(a, z)| a + config.step * (z - a));
    moved
        .map(|a| a.clamp(-config.bound, config.bound))
        .collect()
}
