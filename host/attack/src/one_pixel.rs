//! One-Pixel: differential evolution over the places and colours of a few pixels; asks for logits only
//! (Su, Vargas, Sakurai 2019, arXiv:1710.08864).

use crate::batch::{row, row_mut};
use crate::random::{Purpose, stream};
use crate::{Batch, ImageShape, Loss, Target, predicted};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Weight of the difference of two candidates.
const DIFFERENTIAL: f32 = 0.5;

/// Size of the search.
#[derive(Clone, Copy, Debug)]
pub struct OnePixel {
    /// Pixels to change.
    pub n_pixels: usize,
    /// Candidates, at least 4.
    pub population: usize,
    /// Generations after the first.
    pub generations: usize,
    /// Everything random follows from it and the image.
    pub seed: u64,
}

/// One image's candidates; a gene is `(row, column, colours)` per pixel, all in [0, 1).
struct Swarm {
    image: usize,
    rng: ChaCha8Rng,
    genes: Vec<Vec<f32>>,
    /// Cross-entropy of each candidate.
    losses: Vec<f64>,
}

/// Raises the cross-entropy (lowers `p(true class)`) by `x_a + 0.5·(x_b − x_c)` of three other candidates; a
/// number that leaves its range is drawn anew; a child that is no worse takes its parent's place. An image that the
/// target gets wrong is left alone.
///
/// # Panics
/// With a population below 4.
pub fn one_pixel(target: &dyn Target, batch: &Batch, how: &OnePixel) -> Vec<f32> {
    let (s, n) = (batch.shape, batch.shape.n_values());
    let mut out = batch.pixels.to_vec();
    let len = how.n_pixels * (2 + s.c);
    let swarm = |image: usize| Swarm {
        image,
        rng: stream(how.seed, Purpose::OnePixel, batch.ids[image], 0),
        genes: vec![],
        losses: vec![],
    };
    let mut swarms: Vec<Swarm> = (0..batch.len()).map(swarm).collect();
    for _ in 0..=how.generations {
        let children: Vec<Vec<Vec<f32>>> = swarms
            .iter_mut()
            .map(|s| s.children(how.population, len))
            .collect();
        let tried = swarms.iter().zip(&children).flat_map(|(swarm, children)| {
            let clean = batch.clean(swarm.image);
            children
                .iter()
                .flat_map(move |gene| painted(clean, gene, s))
        });
        let tried: Vec<f32> = tried.collect();
        let logits = target.logits(&tried);
        let mut logits = logits.chunks(target.n_classes());
        swarms = swarms
            .into_iter()
            .zip(children)
            .filter_map(|(mut swarm, children)| {
                let label = batch.labels[swarm.image];
                let answers: Vec<&[f32]> = logits.by_ref().take(how.population).collect();
                let wrong = answers.iter().position(|z| predicted(z) != label);
                if let Some(at) = wrong {
                    let image = painted(batch.clean(swarm.image), &children[at], s);
                    row_mut(&mut out, swarm.image, n).copy_from_slice(&image);
                    return None;
                }
                let loss = |z: &&[f32]| Loss::CrossEntropy.at(z, label, 0).0;
                swarm.take(children, answers.iter().map(loss).collect());
                Some(swarm)
            })
            .collect();
    }
    for swarm in swarms {
        let best = (0..swarm.losses.len())
            .max_by(|&a, &b| swarm.losses[a].total_cmp(&swarm.losses[b]))
            .expect("a population is not empty");
        let image = painted(batch.clean(swarm.image), &swarm.genes[best], s);
        row_mut(&mut out, swarm.image, n).copy_from_slice(row(&image, 0, n));
    }
    out
}

impl Swarm {
    /// The next generation; the first is drawn from U(0, 1).
    fn children(&mut self, population: usize, len: usize) -> Vec<Vec<f32>> {
        let rng = &mut self.rng;
        if self.genes.is_empty() {
            let gene = |_| (0..len).map(|_| rng.random()).collect();
            return (0..population).map(gene).collect();
        }
        let genes = &self.genes;
        let child = |parent: usize| -> Vec<f32> {
            let mut others = vec![];
            while others.len() < 3 {
                let other = rng.random_range(0..population);
                if other != parent && !others.contains(&other) {
                    others.push(other);
                }
            }
            let [a, b, c] = [others[0], others[1], others[2]].map(|i| &genes[i]);
            (0..len)
                .map(|k| {
                    let value = a[k] + DIFFERENTIAL * (b[k] - c[k]);
                    let inside = (0.0..1.0).contains(&value);
                    if inside { value } else { rng.random() }
                })
                .collect()
        };
        (0..population).map(child).collect()
    }

    /// Children that are no worse take their parents' places.
    fn take(&mut self, children: Vec<Vec<f32>>, losses: Vec<f64>) {
        if self.genes.is_empty() {
            (self.genes, self.losses) = (children, losses);
            return;
        }
        for (i, (child, loss)) in children.into_iter().zip(losses).enumerate() {
            if loss >= self.losses[i] {
                (self.genes[i], self.losses[i]) = (child, loss);
            }
        }
    }
}

/// `clean` with the pixels of `gene`.
fn painted(clean: &[f32], gene: &[f32], s: ImageShape) -> Vec<f32> {
    let mut image = clean.to_vec();
    for pixel in gene.chunks(2 + s.c) {
        let place = |share: f32, n: usize| ((share * n as f32) as usize).min(n - 1);
        let at = (place(pixel[0], s.h) * s.w + place(pixel[1], s.w)) * s.c;
        image[at..at + s.c].copy_from_slice(&pixel[2..]);
    }
    image
}
