//! Random search: every candidate is drawn anew. The control of every other strategy.

use crate::pareto::Point;
use crate::strategy::{Space, Strategy};
use rand_chacha::ChaCha8Rng;

/// Draws without memory.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl<S: Space> Strategy<S> for Random {
    fn ask(&self, space: &S, rng: &mut ChaCha8Rng) -> S::Genotype {
        space.sample(rng)
    }
    fn tell(&mut self, _generation: Vec<(S::Genotype, Point)>) {}
}
