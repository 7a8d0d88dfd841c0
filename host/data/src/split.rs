//! The seeded split of the training file into a training and a validation part.

use crate::{DataError, Dataset};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Training and validation parts of one training file; together they are the whole file.
#[derive(Clone, Debug)]
pub struct Splits {
    /// Five sixths (50,000 of Fashion-MNIST's 60,000), in file order.
    pub train: Dataset,
    /// One sixth (10,000), in file order.
    pub validation: Dataset,
}

impl Splits {
    /// Splits `train_file` by `seed`, classes in proportion in both parts.
    pub fn new(train_file: &Dataset, seed: u64) -> Self {
        let mut order = stratified_order(&train_file.labels, seed);
        let (validation, train) = order.split_at_mut(train_file.len() / 6);
        validation.sort_unstable();
        train.sort_unstable();
        Self {
            train: train_file.select(train),
            validation: train_file.select(validation),
        }
    }

    /// Both parts together, training images first.
    ///
    /// # Errors
    /// As [`Dataset::bytes`], where they are not files of one folder.
    pub fn whole(&self) -> Result<Dataset, DataError> {
        self.train.followed_by(&self.validation)
    }
}

/// A random order of all indices in which every prefix holds the classes in proportion.
///
/// The images of a class are shuffled; its `r`-th of `n` stands at `(r + 1/2)/n` of the way.
/// In a prefix of length `m` each class deviates from its share by less than the number of classes.
pub fn stratified_order(labels: &[u16], seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn: Vec<(u64, usize)> = (0..labels.len()).map(|i| (rng.random(), i)).collect();
    drawn.sort_unstable();
    let n_classes = labels.iter().max().map_or(0, |&l| usize::from(l) + 1);
    let mut n_of_class = vec![0_u64; n_classes];
    for &l in labels {
        n_of_class[usize::from(l)] += 1;
    }
    let mut rank = vec![0_u64; n_classes];
    let mut placed: Vec<(f64, u64, usize)> = drawn
        .into_iter()
        .map(|(key, i)| {
            let class = usize::from(labels[i]);
            rank[class] += 1;
            (
                (rank[class] as f64 - 0.5) / n_of_class[class] as f64,
                key,
                i,
            )
        })
        .collect();
    placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    placed.into_iter().map(|(_, _, i)| i).collect()
}
