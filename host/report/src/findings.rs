//! What a report is made from: a study, training runs and released models, in plain numbers.

use aplysia_search::{Costs, Limits, Record, Space};
use aplysia_space::{Network, Rule};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything one report shows.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The study.
    pub search: Search,
    /// Training runs, in the order to be shown.
    pub runs: Vec<Run>,
    /// Exported models, in the order to be shown.
    pub releases: Vec<Release>,
    /// Networks under attack, in the order to be shown.
    pub attacked: Vec<Attacked>,
}

/// A study.
#[derive(Clone, Debug)]
pub struct Search {
    /// Its name, any text.
    pub name: String,
    /// The resolved config, as text.
    pub config: String,
    /// Trials planned.
    pub n_trials: usize,
    /// Training up to the end of each rung.
    pub budgets: Vec<u64>,
    /// What a network may cost.
    pub limits: Limits,
    /// The trials so far, in order.
    pub candidates: Vec<Candidate>,
    /// Positions in `candidates` of the Pareto front, the best by [`aplysia_search::Score::lead`] first.
    pub front: Vec<usize>,
    /// The supernets that learned the trials, if that is how they were chosen.
    pub supernets: Vec<Supernet>,
}

/// A supernet that learned a trial's genotype.
#[derive(Clone, Debug)]
pub struct Supernet {
    /// The trial.
    pub trial: usize,
    /// One entry per epoch, the first is epoch 1.
    pub epochs: Vec<SupernetEpoch>,
}

/// What is known of a supernet after an epoch.
#[derive(Clone, Debug)]
pub struct SupernetEpoch {
    /// Share of the weights' images answered right, 0..=1.
    pub weights_accuracy: f64,
    /// Share of the architecture's images answered right; none while only weights learn.
    pub architecture_accuracy: Option<f64>,
    /// Dominant eigenvalue of the loss's Hessian in the logits, where it was evaluated.
    pub eigenvalue: Option<f64>,
    /// The network it favoured then.
    pub favoured: Network,
}

/// One trial.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Generation, from 0.
    pub generation: usize,
    /// What it costs.
    pub costs: Costs,
    /// Validation accuracy (0..=1) at the end of each rung it trained on.
    pub accuracies: Vec<f64>,
    /// The same on shifted images after learning on the device; empty if the study does not ask for it.
    pub adapted: Vec<f64>,
    /// Why its training failed, if it did.
    pub failure: Option<String>,
    /// The genotype in its serialized form.
    pub genotype: serde_json::Value,
    /// The genotype spelled out.
    pub network: Network,
}

impl Candidate {
    /// Accuracy after the last of `n_rungs` rungs, if it came so far.
    pub fn final_accuracy(&self, n_rungs: usize) -> Option<f64> {
        let last = self.accuracies.last().copied();
        last.filter(|_| self.failure.is_none() && self.accuracies.len() == n_rungs)
    }
}

impl Search {
    /// From a study folder's content, its supernets left out; `lower` spells a genotype out.
    ///
    /// # Errors
    /// Those of `lower`, and of turning genotypes and config into text.
    pub fn new<S, E>(
        name: String,
        record: &Record<S>,
        lower: impl Fn(&S::Genotype) -> Result<Network, E>,
    ) -> Result<Self, E>
    where
        S: Space + Serialize + DeserializeOwned,
        E: From<serde_json::Error> + From<toml::ser::Error>,
    {
        let mut candidates = vec![];
        for trial in &record.trials {
            candidates.push(Candidate {
                generation: trial.generation,
                costs: trial.costs,
                accuracies: trial.accuracies.clone(),
                adapted: trial.adapted.clone(),
                failure: trial.failure.clone(),
                genotype: serde_json::to_value(&trial.genotype)?,
                network: lower(&trial.genotype)?,
            });
        }
        Ok(Self {
            name,
            config: toml::to_string(&record.config)?,
            n_trials: record.config.n_trials,
            budgets: record.config.halving.budgets.clone(),
            limits: record.config.limits,
            candidates,
            front: record.front().iter().map(|t| t.index).collect(),
            supernets: vec![],
        })
    }

    /// Whether the study asks for accuracy after learning on the device.
    pub fn adapts(&self) -> bool {
        self.candidates.iter().any(|c| !c.adapted.is_empty())
    }

    /// The trials that trained on every rung: position and accuracy.
    pub fn finished(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let n_rungs = self.budgets.len();
        let all = self.candidates.iter().enumerate();
        all.filter_map(move |(i, c)| Some((i, c.final_accuracy(n_rungs)?)))
    }
}

/// A training run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name, any text.
    pub name: String,
    /// Equal for runs that differ by their seed only.
    pub settings: String,
    /// Its seed.
    pub seed: u64,
    /// Training images.
    pub n_train: usize,
    /// What was trained.
    pub network: Network,
    /// One entry per epoch, the first is epoch 1.
    pub epochs: Vec<Epoch>,
}

/// What is known after an epoch.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Share of augmented training images answered right, 0..=1.
    pub train_accuracy: f64,
    /// Share of validation images answered right, 0..=1.
    pub valid_accuracy: Option<f64>,
    /// Angle between feedback and weights in degrees, per layer in the order of
    /// [`Network::weighted`]; none where the rule has no feedback of that shape.
    pub angles_deg: Vec<Option<f64>>,
}

impl Run {
    /// Validation accuracy after the last epoch.
    pub fn valid_accuracy(&self) -> Option<f64> {
        self.epochs.last()?.valid_accuracy
    }
}

/// An exported model, measured on the test images.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its name, any text.
    pub name: String,
    /// Training seeds.
    pub seeds: Vec<u64>,
    /// Float accuracy per seed, in percent.
    pub float_pct: Vec<f64>,
    /// Int8 accuracy per seed, in percent.
    pub int8_pct: Vec<f64>,
    /// Test images.
    pub n_test: usize,
    /// What it costs.
    pub costs: Costs,
    /// What was exported.
    pub network: Network,
}

/// A network under attack.
#[derive(Clone, Debug)]
pub struct Attacked {
    /// Its name, any text.
    pub name: String,
    /// The rules of the network by the share of weights they train.
    pub rules: String,
    /// The rule of most weights.
    pub main_rule: Rule,
    /// Test images attacked.
    pub n_images: usize,
    /// Percent of them answered right before any attack.
    pub clean_pct: f64,
    /// What is left at every strength, rising.
    pub strengths: Vec<Strength>,
    /// What One-Pixel leaves, in percent of all images, if it was tried.
    pub one_pixel_pct: Option<f64>,
}

/// Percent of the images that withstand all attacks of a kind whose pixels change by `epsilon_255` at most; none
/// where no such attack was tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Strength {
    /// In 1/255.
    pub epsilon_255: f64,
    /// Along the feedback of the network's own rules.
    pub own_pct: Option<f64>,
    /// Along its exact gradient.
    pub exact_pct: Option<f64>,
    /// Along the gradient of another network.
    pub transfer_pct: Option<f64>,
    /// By random search.
    pub square_pct: Option<f64>,
    /// All of these.
    pub worst_pct: f64,
    /// Share of `own_pct` that is gradient masking.
    pub masked_pct: Option<f64>,
}

/// The runs that differ by their seed only, in the order of their first.
pub fn repeats(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut place = BTreeMap::new();
    let mut groups: Vec<Vec<&Run>> = vec![];
    for run in runs {
        let at = *place.entry(&run.settings).or_insert_with(|| {
            groups.push(vec![]);
            groups.len() - 1
        });
        groups[at].push(run);
    }
    groups
}

/// Mean, and sample standard deviation if there are two values or more; none of nothing.
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = values.len() as f64;
    let mean = (n > 0.0).then(|| values.iter().sum::<f64>() / n)?;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    Some((mean, (n > 1.0).then(|| (squares / (n - 1.0)).sqrt())))
}
