//! From finished units to the results.

use super::{Chosen, Fitted, GradientNoise, Kind, Network, Study, Summary};
use crate::images::TrainingImages;
use crate::run_folder::{self, RunFolder};
use crate::{images, report, train};
use anyhow::{Context, Result};
use aplysia_data::Dataset;
use aplysia_learn::Device;
use aplysia_report::evidence::{
    Arm, Attacked, Evidence, Noise, Searched, Trained, claims, markdown,
};
use aplysia_report::figure::{arms, main_rule, rules_in_words};
use aplysia_space::Rule;
use serde::Serialize;
use std::path::Path;

/// What the finished training in `dir` came to.
pub(super) fn fitted(dir: &Path, data: &TrainingImages, test: &Dataset) -> Result<Fitted> {
    let run = RunFolder::load(dir)?;
    let network = run.design.lower(images::shape(test), test.n_classes())?;
    let normalized = train::learn_images(test, &data.normalization);
    let found = aplysia_learn::evaluate(&network, &run.params, normalized, Device::Cpu)?;
    let weights: Vec<f64> = network
        .weighted()
        .map(|node| network.n_weights(node) as f64)
        .collect();
    let angle = |epoch: &aplysia_learn::EpochRecord| {
        let layers = epoch.alignment.iter().zip(&weights);
        let known = layers.filter_map(|(a, &w)| Some((f64::from((*a)?.angle_deg), w)));
        let (sum, total) = known.fold((0.0, 0.0), |(sum, total), (a, w)| (sum + a * w, total + w));
        (total > 0.0).then(|| sum / total)
    };
    let last = run
        .record
        .history
        .last()
        .context("a run without an epoch")?;
    Ok(Fitted {
        valid_pct: 100.0 * f64::from(last.valid_accuracy.unwrap_or(0.0)),
        test_pct: found.accuracy_pct(),
        angles_deg: run.record.history.iter().map(angle).collect(),
    })
}

/// Over all layers.
fn noise(epoch: usize, layers: &[Option<GradientNoise>]) -> Noise {
    let sum = |of: fn(&GradientNoise) -> f64| layers.iter().flatten().map(of).sum::<f64>();
    let (variance, mean_square) = (sum(|l| l.variance), sum(|l| l.mean_square));
    Noise {
        epoch,
        variance: variance / sum(|l| l.n_weights as f64).max(1.0),
        to_signal: variance / mean_square.max(f64::MIN_POSITIVE),
    }
}

/// `summary.json`.
#[derive(Serialize)]
struct Results<'a> {
    evidence: &'a Evidence,
    claims: Vec<claims::Claim>,
    comparisons: Vec<aplysia_report::evidence::Comparison>,
}

impl Study<'_> {
    /// All that is known so far.
    fn evidence(&self, networks: &[Network<'_>]) -> Result<Evidence> {
        let arms = networks.iter().map(|network| self.arm(network));
        let mut searches = vec![];
        for network in networks.iter().filter(|n| n.kind == Kind::Searched) {
            let search = network.search;
            let chosen: Chosen = self.search(search)?;
            let run = self.run_dir(network, self.settings.seeds[0]);
            searches.push(Searched {
                name: search.name.clone(),
                procedure: search.of.name.clone(),
                space: network.design.space().into(),
                n_train: RunFolder::load(&run)?.record.n_train,
                epochs: self.settings.training(&search.of).epochs,
                n_trials: chosen.n_trials,
                valid_pct: chosen.valid_pct,
                genotype: chosen.genotype,
                is_bp: network.design == network.design.clone().with_rule(Rule::Bp),
                has_controls: search.of.controls,
                device: self.units.known(&self.export_key(network)),
            });
        }
        Ok(Evidence {
            n_valid: self.data.splits.validation.len(),
            n_test: self.test.len(),
            arms: arms.collect::<Result<_>>()?,
            searches,
        })
    }

    fn arm(&self, network: &Network<'_>) -> Result<Arm> {
        let lowered = network
            .design
            .lower(images::shape(&self.test), self.test.n_classes())?;
        let run = |&seed: &u64| -> Option<Trained> {
            let fitted: Fitted = self.units.known(&self.run_key(network, seed))?;
            let attacked: Option<Summary> = self.units.known(&self.attack_key(network, seed));
            let measured = |&epoch: &usize| -> Option<Noise> {
                let key = self.noise_key(network, seed, epoch);
                Some(noise(epoch, &self.units.known::<Vec<_>>(&key)?))
            };
            Some(Trained {
                seed,
                valid_pct: fitted.valid_pct,
                test_pct: fitted.test_pct,
                angles_deg: fitted.angles_deg,
                noise: self
                    .settings
                    .noise_epochs(&network.search.of)
                    .iter()
                    .filter_map(measured)
                    .collect(),
                attacked: attacked.map(|summary| Attacked {
                    n_images: summary.n_images,
                    clean_pct: summary.clean_pct,
                    strengths: report::strengths(&summary),
                    n_masking: summary.masking().count(),
                    n_faults: summary.faults().count(),
                }),
            })
        };
        Ok(Arm {
            search: network.search.name.clone(),
            kind: network.kind,
            rules: rules_in_words(&lowered),
            main_rule: main_rule(&lowered),
            runs: self.settings.seeds.iter().filter_map(run).collect(),
        })
    }

    /// Writes README.md, summary.json, the settings and the figures.
    pub(super) fn write(&self, networks: &[Network<'_>]) -> Result<()> {
        let evidence = self.evidence(networks)?;
        let results = self.args.results.clone();
        let dir = results.unwrap_or_else(|| self.args.out.join("results"));
        run_folder::make(&dir)?;
        let figures = arms::all(&evidence);
        for figure in &figures {
            let path = dir.join(format!("{}.svg", figure.name));
            run_folder::write(&path, figure.file().as_bytes())?;
        }
        let names: Vec<String> = figures.into_iter().map(|f| f.name).collect();
        let text = markdown(&evidence, &self.head(), &names);
        run_folder::write(&dir.join("README.md"), text.as_bytes())?;
        let searches = evidence.procedures().filter(|s| s.has_controls);
        let results = Results {
            claims: claims::claims(&evidence),
            comparisons: searches
                .flat_map(|s| evidence.comparisons(&s.name))
                .collect(),
            evidence: &evidence,
        };
        run_folder::write(
            &dir.join("summary.json"),
            &serde_json::to_vec_pretty(&results)?,
        )?;
        let settings = toml::to_string(&self.settings)?;
        run_folder::write(&dir.join("settings.toml"), settings.as_bytes())?;
        say!("wrote {}", dir.display());
        Ok(())
    }

    /// Title, command and settings.
    fn head(&self) -> String {
        let s = &self.settings;
        let searches = s.search.iter().map(|search| {
            let training = match &search.train {
                Some(t) => format!(
                    "aplysia train GENOTYPE-OF-{} --epochs {} {} --seed SEED\n",
                    search.name, t.epochs, t.flags
                ),
                None => String::new(),
            };
            let repeats = match search.repeats {
                1 => String::new(),
                n => format!("   # and --seed 2 to {n}"),
            };
            format!(
                "aplysia search {} {}{repeats}\n{training}",
                search.name, search.flags
            )
        });
        format!(
            "# Do mixed learning rules help?\n\n{}\n\n```\naplysia study paper DIR --size {}\n```\n\ndoes the following, \
             on {}, training seeds {:?}, and can be stopped and continued at any moment:\n\n```\n{}aplysia train \
             GENOTYPE --epochs {} {} --seed SEED\naplysia evaluate RUN --robust --twin TWIN {}\naplysia export RUN {}\n```\n",
            s.about,
            self.args.size,
            self.args.data.dataset,
            s.seeds,
            searches.collect::<String>(),
            s.train.epochs,
            s.train.flags,
            s.robust.flags,
            s.export.flags
        )
    }
}
