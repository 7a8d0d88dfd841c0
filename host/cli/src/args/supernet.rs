//! Flags of a search by supernet. How its weights are trained, the recipe says; how long, these do.

use super::at_least_one;
use aplysia_learn::supernet::{EvolutionConfig, Stop, SupernetConfig};
use aplysia_search::StrategyKind;
use clap::Args;

/// How a supernet learns an architecture.
#[derive(Args, Clone)]
#[command(next_help_heading = "Supernet (--strategy darts, eg-nas)")]
pub(crate) struct SupernetArgs {
    /// Epochs over half of `--images`; the other half teaches the architecture.
    #[arg(long, value_name = "N", default_value_t = usual().epochs, value_parser = at_least_one)]
    pub(crate) supernet_epochs: usize,
    /// Epochs in which only weights learn.
    #[arg(long, value_name = "N", default_value_t = usual().warm_epochs)]
    pub(crate) warm_epochs: usize,
    /// Learning rate of the weights at the end of the supernet's cosine.
    #[arg(long, value_name = "LR", default_value_t = 0.001)]
    pub(crate) min_lr: f64,
    /// Learning rate of the architecture (Adam).
    #[arg(long, value_name = "LR", default_value_t = usual().alpha_lr)]
    pub(crate) alpha_lr: f64,
    /// L2 penalty on the numbers of the architecture.
    #[arg(long, value_name = "DECAY", default_value_t = usual().alpha_weight_decay)]
    pub(crate) alpha_weight_decay: f64,
    /// The architecture's gradient looks one step of the weights ahead (second order, about 2.5 times the
    /// time).
    #[arg(long)]
    pub(crate) second_order: bool,
    /// A step computes every rule of every operation instead of one drawn per operation and edge.
    #[arg(long)]
    pub(crate) all_rules: bool,
    /// The 22 columns of BioNAS as published, each voting alone, instead of operation and rule apart.
    #[arg(long, conflicts_with = "rules")]
    pub(crate) flat: bool,
    /// Stem, preprocessing, FactorizedReduce and classifier carry the first of the rules; without this flag the search
    /// chooses their rules, too, one per kind of layer (`--coverage paper`: back-propagation).
    #[arg(long)]
    pub(crate) fixed_places: bool,
    /// Gradients by the architecture's numbers come down through each layer's own feedback, as published, instead of
    /// exactly.
    #[arg(long)]
    pub(crate) pseudo_gradients: bool,
    /// Partial channels: one K-th of the channels goes through the operations, edges are weighed.
    #[arg(long, value_name = "K", default_value_t = usual().partial, value_parser = at_least_one)]
    pub(crate) partial: usize,
    /// Helps every identity by a bonus that falls from 1 to 0, so that it need not win for gradients to
    /// pass (DARTS-).
    #[arg(long)]
    pub(crate) auxiliary_skip: bool,
    /// Most identities in the normal cell; the weakest give way (P-DARTS) [default: any number].
    #[arg(long, value_name = "N")]
    pub(crate) max_skips: Option<usize>,
    /// `never`, `eigenvalue` (RobustDARTS: when the curvature in the architecture rises, from epoch 10 on) or `skips`
    /// (DARTS+: when more than `--max-skips`, usually 2, identities win).
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(crate) stop: Stop,
    /// `eg-nas`: candidates of a generation.
    #[arg(long, value_name = "N", default_value_t = evolution().population)]
    pub(crate) es_population: usize,
    /// `eg-nas`: generations before each epoch of the weights.
    #[arg(long, value_name = "N", default_value_t = evolution().generations)]
    pub(crate) es_generations: usize,
    /// `eg-nas`: batches that a candidate is judged on.
    #[arg(long, value_name = "N", default_value_t = evolution().batches)]
    pub(crate) es_batches: usize,
    /// `eg-nas`: first standard deviation of a logit.
    #[arg(long, value_name = "SIGMA", default_value_t = evolution().sigma)]
    pub(crate) es_sigma: f64,
    /// `eg-nas`: part of the way to the best candidate that the architecture goes, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = evolution().step)]
    pub(crate) es_step: f64,
    /// `eg-nas`: weight of the likeness in the fitness.
    #[arg(long, value_name = "WEIGHT", default_value_t = evolution().likeness)]
    pub(crate) es_likeness: f64,
    /// `eg-nas`: largest absolute value of a logit.
    #[arg(long, value_name = "BOUND", default_value_t = evolution().bound)]
    pub(crate) es_bound: f64,
}

fn evolution() -> EvolutionConfig {
    EvolutionConfig::default()
}

fn usual() -> SupernetConfig {
    SupernetConfig::default()
}

impl SupernetArgs {
    /// The settings that these flags stand for.
    pub(crate) fn settings(&self, strategy: StrategyKind) -> SupernetConfig {
        let evolution = EvolutionConfig {
            population: self.es_population,
            generations: self.es_generations,
            batches: self.es_batches,
            sigma: self.es_sigma,
            step: self.es_step,
            likeness: self.es_likeness,
            bound: self.es_bound,
        };
        SupernetConfig {
            evolution: (strategy == StrategyKind::EgNas).then_some(evolution),
            epochs: self.supernet_epochs,
            warm_epochs: self.warm_epochs,
            min_lr: self.min_lr as f32,
            alpha_lr: self.alpha_lr,
            alpha_weight_decay: self.alpha_weight_decay,
            second_order: self.second_order,
            sample_rules: !self.all_rules,
            flat: self.flat,
            search_places: !self.fixed_places,
            exact_logits: !self.pseudo_gradients,
            partial: self.partial,
            auxiliary_skip: self.auxiliary_skip,
            max_skips: self.max_skips,
            stop: self.stop,
            ..usual()
        }
    }
}

impl Default for SupernetArgs {
    fn default() -> Self {
        let (c, e) = (usual(), evolution());
        Self {
            supernet_epochs: c.epochs,
            warm_epochs: c.warm_epochs,
            min_lr: 0.001,
            alpha_lr: c.alpha_lr,
            alpha_weight_decay: c.alpha_weight_decay,
            second_order: c.second_order,
            all_rules: !c.sample_rules,
            flat: c.flat,
            fixed_places: !c.search_places,
            pseudo_gradients: !c.exact_logits,
            partial: c.partial,
            auxiliary_skip: c.auxiliary_skip,
            max_skips: c.max_skips,
            stop: c.stop,
            es_population: e.population,
            es_generations: e.generations,
            es_batches: e.batches,
            es_sigma: e.sigma,
            es_step: e.step,
            es_likeness: e.likeness,
            es_bound: e.bound,
        }
    }
}
