//! One learner follows a script: a head over kept features, or, in `deep`, a model over whole images.

use super::Learner;
use super::float_head::FloatHead;
use super::script::Step;
use crate::LiveError;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Plastic, state_bytes};

/// What learns from samples: features of a head, i8 as bytes, or pixels.
pub(super) trait Learning {
    /// Sees a sample and learns its label.
    fn learn(&mut self, sample: &[u8], label: u16) -> Result<(), LiveError>;
    /// Classifies, learning nothing.
    fn class(&mut self, sample: &[u8]) -> Result<usize, LiveError>;
}

/// What `learner` says of every image of every measurement of the script, over the features of its images.
pub(super) fn follow(
    model: &Model<'_>,
    learner: Learner,
    seed: u32,
    script: (&[Step<'_>], &[Vec<u8>]),
) -> Result<Vec<Vec<u16>>, LiveError> {
    let d = model.features().len();
    match learner {
        Learner::Device(head) => {
            let config = Config {
                homeostasis: None,
                head,
            };
            let mut buffer = vec![0; state_bytes(model, &config)?];
            let mut head = DeviceHead {
                model,
                plastic: Plastic::new(model, config, seed, &mut buffer)?,
                arena: vec![0; model.arena_bytes()],
            };
            run(&mut head, d, script)
        }
        Learner::FloatSgd { rate } => run(&mut FloatHead::sgd(model, rate)?, d, script),
        Learner::Recentre => run(&mut FloatHead::recentred(model)?, d, script),
    }
}

/// What `learner` says of every sample of every measurement; `samples` of each step, `len` bytes each.
pub(super) fn run<S: AsRef<[u8]>>(
    learner: &mut impl Learning,
    len: usize,
    (script, samples): (&[Step<'_>], &[S]),
) -> Result<Vec<Vec<u16>>, LiveError> {
    let mut measured = Vec::new();
    for (step, samples) in script.iter().zip(samples) {
        let samples = samples.as_ref().chunks_exact(len);
        match step {
            Step::See(images) => {
                for (sample, &label) in samples.zip(images.labels) {
                    learner.learn(sample, label)?;
                }
            }
            Step::Measure(_) => {
                let classes = samples.map(|sample| Ok(learner.class(sample)? as u16));
                measured.push(classes.collect::<Result<_, LiveError>>()?);
            }
        }
    }
    Ok(measured)
}

/// A rule of the device.
struct DeviceHead<'m, 'b> {
    model: &'m Model<'m>,
    plastic: Plastic<'b>,
    arena: Vec<i8>,
}

impl Learning for DeviceHead<'_, '_> {
    fn learn(&mut self, features: &[u8], label: u16) -> Result<(), LiveError> {
        self.class(features)?;
        self.plastic.learn(self.model, usize::from(label))?;
        Ok(())
    }

    fn class(&mut self, features: &[u8]) -> Result<usize, LiveError> {
        let prediction = (self.plastic).infer_features(self.model, &mut self.arena, features)?;
        Ok(prediction.class)
    }
}

impl Learning for FloatHead {
    fn learn(&mut self, features: &[u8], label: u16) -> Result<(), LiveError> {
        self.step(features, usize::from(label));
        Ok(())
    }

    fn class(&mut self, features: &[u8]) -> Result<usize, LiveError> {
        Ok(FloatHead::class(self, features))
    }
}
