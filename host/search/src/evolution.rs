//! Constrained multi-objective evolution (NSGA-II): the best of parents and children survive.
//!
//! Differs from the paper: children that break a hard limit are never trained (the study asks again),
//! and operators are those of the space. Source: see [`crate::pareto`].

use crate::pareto::{Point, ranking};
use crate::strategy::{Space, Strategy};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Probability that a child has two parents before it mutates.
const P_CROSSOVER: f64 = 0.5;

/// Probability that a crossed child also mutates.
const P_MUTATION: f64 = 0.8;

/// The surviving candidates, best first.
#[derive(Clone, Debug)]
pub struct Evolution<G> {
    size: usize,
    population: Vec<(G, Point)>,
}

impl<G> Evolution<G> {
    /// Keeps at most `size` survivors; the first generation is drawn at random.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            population: vec![],
        }
    }

    /// Binary tournament: of two survivors drawn, the one that ranks better.
    fn parent(&self, rng: &mut ChaCha8Rng) -> &G {
        let mut draw = || rng.random_range(0..self.population.len());
        let best = draw().min(draw());
        &self.population[best].0
    }
}

impl<S: Space> Strategy<S> for Evolution<S::Genotype> {
    fn ask(&self, space: &S, rng: &mut ChaCha8Rng) -> S::Genotype {
        if self.population.is_empty() {
            return space.sample(rng);
        }
        if !rng.random_bool(P_CROSSOVER) {
            return space.mutate(self.parent(rng), rng);
        }
        let child = space.crossover(self.parent(rng), self.parent(rng), rng);
        if rng.random_bool(P_MUTATION) {
            space.mutate(&child, rng)
        } else {
            child
        }
    }

    fn tell(&mut self, generation: Vec<(S::Genotype, Point)>) {
        self.population.extend(generation);
        let points: Vec<Point> = self.population.iter().map(|(_, p)| *p).collect();
        let survivors = ranking(&points).into_iter().take(self.size);
        self.population = survivors.map(|i| self.population[i].clone()).collect();
    }
}
