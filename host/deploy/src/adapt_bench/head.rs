//! One head over kept features: it learns the stream and is measured on the way.

use super::float_head::FloatHead;
use super::trunk::Trunk;
use super::{CHECKPOINTS, Cell, Learner};
use crate::DeployError;
use aplysia_shared::Model;
use aplysia_shared::adapt::{Config, Plastic, state_bytes};

/// A head that learns from features, i8 as bytes.
trait Learning {
    /// Sees a feature vector and learns its label.
    fn learn(&mut self, features: &[u8], label: u16) -> Result<(), DeployError>;
    /// Classifies, learning nothing.
    fn class(&mut self, features: &[u8]) -> Result<usize, DeployError>;
}

/// Accuracy in percent of `learner` over `trunk` after each checkpoint on shifted images, and at the end
/// on clean ones, with `taught` as the stream's labels.
pub(super) fn measure(
    model: &Model<'_>,
    learner: Learner,
    trunk: &Trunk,
    cell: &Cell<'_>,
    taught: &[u16],
) -> Result<(Vec<f64>, f64), DeployError> {
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
                plastic: Plastic::new(model, config, cell.seed, &mut buffer)?,
                arena: vec![0; model.arena_bytes()],
            };
            follow(&mut head, d, trunk, cell, taught)
        }
        Learner::FloatSgd { rate } => {
            follow(&mut FloatHead::sgd(model, rate)?, d, trunk, cell, taught)
        }
        Learner::Recentre => follow(&mut FloatHead::recentred(model)?, d, trunk, cell, taught),
    }
}

fn follow(
    head: &mut impl Learning,
    d: usize,
    trunk: &Trunk,
    cell: &Cell<'_>,
    taught: &[u16],
) -> Result<(Vec<f64>, f64), DeployError> {
    let mut shifted = trunk.shifted.iter();
    let mut shifted_pct = Vec::new();
    for (i, (features, &label)) in trunk.stream.chunks_exact(d).zip(taught).enumerate() {
        head.learn(features, label)?;
        if CHECKPOINTS.contains(&(i + 1))
            && let Some(features) = shifted.next()
        {
            shifted_pct.push(accuracy_pct(head, d, features, cell.shifted.labels)?);
        }
    }
    let clean_pct = accuracy_pct(head, d, &trunk.clean, cell.clean.labels)?;
    Ok((shifted_pct, clean_pct))
}

fn accuracy_pct(
    head: &mut impl Learning,
    d: usize,
    features: &[u8],
    labels: &[u16],
) -> Result<f64, DeployError> {
    let mut n_correct = 0;
    for (features, &label) in features.chunks_exact(d).zip(labels) {
        n_correct += usize::from(head.class(features)? == usize::from(label));
    }
    Ok(100.0 * n_correct as f64 / labels.len().max(1) as f64)
}

/// A rule of the device.
struct DeviceHead<'m, 'b> {
    model: &'m Model<'m>,
    plastic: Plastic<'b>,
    arena: Vec<i8>,
}

impl Learning for DeviceHead<'_, '_> {
    fn learn(&mut self, features: &[u8], label: u16) -> Result<(), DeployError> {
        self.class(features)?;
        self.plastic.learn(self.model, usize::from(label))?;
        Ok(())
    }

    fn class(&mut self, features: &[u8]) -> Result<usize, DeployError> {
        let prediction = (self.plastic).infer_features(self.model, &mut self.arena, features)?;
        Ok(prediction.class)
    }
}

impl Learning for FloatHead {
    fn learn(&mut self, features: &[u8], label: u16) -> Result<(), DeployError> {
        self.step(features, usize::from(label));
        Ok(())
    }

    fn class(&mut self, features: &[u8]) -> Result<usize, DeployError> {
        Ok(FloatHead::class(self, features))
    }
}
