//! Candidates that a supernet learns.

use super::Searched;
use super::trainer::Trainer;
use crate::progress::{self, Live};
use crate::{run_folder, train};
use aplysia_learn::supernet::{self, SupernetJob, SupernetProgress};
use aplysia_learn::{LearnError, TrainConfig};
use aplysia_search::{Proposal, TrainError};
use aplysia_space::DartsSpace;
use aplysia_space::darts::Genotype;

impl<S: Searched> Trainer<'_, S> {
    /// Trains a supernet of `space` and gives what it favours; `history.json` in the proposal's folder tells
    /// how it came to it.
    pub(super) fn learn(
        &self,
        space: &DartsSpace,
        proposal: &Proposal<'_>,
    ) -> Result<Genotype, TrainError> {
        let net = self.supernet.supernet(&space.skeleton, &space.rules);
        let net = net.map_err(|e| TrainError::Failed(e.to_string()))?;
        let training = TrainConfig {
            seed: proposal.seed,
            ..self.settings.clone()
        };
        let checkpoint = proposal.dir.join("checkpoint.bin");
        let job = SupernetJob {
            supernet: &net,
            images: train::learn_images(self.train, self.normalization),
            training: &training,
            config: &self.supernet,
            device: self.device,
            checkpoint: Some(&checkpoint),
        };
        let curves = [("loss", ""), ("weights", " %"), ("architecture", " %")];
        let mut live = Live::new(0, "supernet", &curves);
        let mut peak = None;
        let found = supernet::search(&job, &mut |p| {
            if let SupernetProgress::Step { peak_bytes, .. } = p {
                peak = peak_bytes;
            }
            report(&mut live, proposal.trial, peak, p);
            progress::flow(proposal.stop)
        });
        live.finish();
        let found = match found {
            Ok(found) if !found.finished => return Err(TrainError::Interrupted),
            Ok(found) => found,
            Err(e @ (LearnError::Diverged { .. } | LearnError::Evolution { .. })) => {
                return Err(TrainError::Failed(e.to_string()));
            }
            Err(e) => return Err(TrainError::Fatal(Box::new(e))),
        };
        let history = serde_json::to_vec_pretty(&found.history);
        let written = history
            .map_err(anyhow::Error::from)
            .and_then(|text| run_folder::write(&proposal.dir.join("history.json"), &text));
        written.map_err(|e| TrainError::Fatal(e.into()))?;
        Ok(found.genotype)
    }
}

fn report(live: &mut Live, trial: usize, peak: Option<u64>, p: SupernetProgress<'_>) {
    match p {
        SupernetProgress::Step {
            step,
            n_steps,
            loss,
            ..
        } => {
            live.push("loss", loss.into());
            live.at(step, n_steps, format!("trial {trial}"));
        }
        SupernetProgress::Candidate => {}
        SupernetProgress::Generation { generation, loss } => {
            live.about(format!(
                "trial {trial} generation {generation} from loss {loss:.3}"
            ));
        }
        SupernetProgress::Epoch(e) => {
            let percent = |share: f32| format!("{:.2} %", 100.0 * share);
            let alpha = e.alpha_accuracy.map_or("-".into(), percent);
            let eigenvalue = e
                .eigenvalue
                .map_or(String::new(), |l| format!("  eigenvalue {l:.4}"));
            let memory = peak.map_or(String::new(), |bytes| {
                format!("  peak memory {:.2} GB", bytes as f64 / 1e9)
            });
            let line = format!(
                "trial {trial:>3} supernet epoch {:>3}  loss {:.4}  weights {}  architecture {alpha}{eigenvalue}{memory}",
                e.epoch,
                e.loss,
                percent(e.accuracy)
            );
            live.push("weights", f64::from(100.0 * e.accuracy));
            let learned = e.alpha_accuracy.into_iter();
            learned.for_each(|accuracy| live.push("architecture", f64::from(100.0 * accuracy)));
            live.say(&line);
        }
    }
}
