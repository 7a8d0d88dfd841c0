//! The stage behind a study: costs by `deploy`, training by `learn`, learning on the device by [`super::adapted`].

use super::Searched;
use super::adapted::Shifted;
use super::spaces::Deployment;
use crate::{blob, images, progress, run_folder, train};
use aplysia_data::{Dataset, Normalization};
use aplysia_deploy::plasticity;
use aplysia_learn::supernet::SupernetConfig;
use aplysia_learn::{Device, LearnError, Progress, TrainConfig, Trained, evaluate, recalibrate};
use aplysia_search::{Costs, Evaluate, Job, Proposal, Score, TrainError};
use aplysia_space::{Network, RuleShare};

/// The stage behind the study: costs by `deploy`, training by `learn`.
pub(super) struct Trainer<'a, S> {
    pub(super) space: S,
    pub(super) train: &'a Dataset,
    pub(super) valid: &'a Dataset,
    pub(super) normalization: &'a Normalization,
    /// How candidates are tried on shifted images, if the study asks for it.
    pub(super) shifted: Option<Shifted>,
    /// Bytes of RAM that layers of a candidate run together for, if they may.
    pub(super) within: Option<u64>,
    pub(super) schedule_epochs: usize,
    pub(super) settings: TrainConfig,
    /// Where candidates are learned.
    pub(super) supernet: SupernetConfig,
    pub(super) device: Device,
}

impl<S: Searched> Trainer<'_, S> {
    /// What a training is worth that stands somewhere in its schedule, with batch norm recalibrated there.
    fn score(
        &self,
        job: &Job<'_, S::Genotype>,
        network: &Network,
        trained: &Trained,
    ) -> Result<Score, TrainError> {
        let images = |part| train::learn_images(part, self.normalization);
        let params = recalibrate(network, &trained.params, images(self.train), self.device);
        let params = params.map_err(|e| TrainError::Fatal(Box::new(e)))?;
        let found = evaluate(network, &params, images(self.valid), self.device);
        let found = found.map_err(|e| TrainError::Fatal(Box::new(e)))?;
        let adapted = self.shifted.as_ref().map(|shifted| {
            let design = self.space.design(job.genotype);
            let learner = (&design, network, params);
            shifted.accuracy(learner, (self.train, self.normalization), job.seed)
        });
        Ok(Score {
            accuracy: found.accuracy_pct() / 100.0,
            adapted: adapted
                .transpose()
                .map_err(|e| TrainError::Failed(format!("{e:#}")))?,
        })
    }

    fn network(&self, genotype: &S::Genotype) -> Result<Network, String> {
        let design = self.space.design(genotype);
        let network = design.lower(images::shape(self.train), self.train.n_classes());
        network.map_err(|e| e.to_string())
    }
}

impl<S: Searched> Evaluate<S::Genotype> for Trainer<'_, S> {
    fn cost(&self, genotype: &S::Genotype) -> Result<Costs, String> {
        let network = self.network(genotype)?.inference().0;
        let design = self.space.design(genotype);
        let content = plasticity::content(&design, &self.train.class_names);
        let planned = plasticity::config(&design);
        let how = Deployment {
            planned: planned.as_ref(),
            within: self.within,
        };
        self.space.cost(&network, &content, how)
    }

    fn rule_share(&self, genotype: &S::Genotype) -> Result<RuleShare, String> {
        Ok(self.network(genotype)?.rule_share())
    }

    fn train(&mut self, job: &Job<'_, S::Genotype>) -> Result<Score, TrainError> {
        let network = self.network(job.genotype).map_err(TrainError::Failed)?;
        let checkpoint = job.dir.join("checkpoint.bin");
        if let (Some(previous), false) = (&job.previous, checkpoint.exists()) {
            let copied = blob::read_file(&previous.join("checkpoint.bin"))
                .and_then(|bytes| run_folder::write(&checkpoint, &bytes));
            copied.map_err(|e| TrainError::Fatal(e.into()))?;
        }
        let config = TrainConfig {
            epochs: job.budget as usize,
            schedule_epochs: self.schedule_epochs,
            seed: job.seed,
            ..self.settings.clone()
        };
        let learn_job = aplysia_learn::Job {
            network: &network,
            train: train::learn_images(self.train, self.normalization),
            // Scored once, at the end.
            valid: None,
            config: &config,
            device: self.device,
            checkpoint: Some(&checkpoint),
        };
        let trained =
            aplysia_learn::train(&learn_job, &mut |_: Progress<'_>| progress::flow(job.stop));
        match trained {
            Ok(t) if !t.finished => Err(TrainError::Interrupted),
            Ok(t) => self.score(job, &network, &t),
            Err(e @ LearnError::Diverged { .. }) => Err(TrainError::Failed(e.to_string())),
            Err(e) => Err(TrainError::Fatal(Box::new(e))),
        }
    }

    fn propose(&mut self, proposal: &Proposal<'_>) -> Result<S::Genotype, TrainError> {
        self.space
            .learned(|space| self.learn(space, proposal))
            .unwrap_or_else(|| Err(TrainError::Failed("no supernet of this space".into())))
    }
}
