//! `aplysia study paper`: are learning rules that a search mixes better than one rule, than rules drawn at
//! random, than back-propagation?
//!
//! Owns the plan: which searches, networks, seeds and attacks, in which order; each is what the command of that name
//! does. Every finished unit is a line of `units.jsonl` under a key that spells its settings out, so that a
//! kill loses one unit at most (and of a training one epoch), and a study grows when its settings do.

mod gather;
mod settings;
mod units;

use crate::args::TrainArgs;
use crate::args::study::PaperArgs;
use crate::board::{self, Board};
use crate::images::{self, TrainingImages};
use crate::train::Training;
use crate::{Outcome, call, device, export, progress, robust, run_folder, search};
use anyhow::{Context, Result, ensure};
use aplysia_attack::Summary;
use aplysia_data::Dataset;
use aplysia_learn::GradientNoise;
use aplysia_report::evidence::{Kind, OnDevice};
use aplysia_shared::Model;
use aplysia_space::{Design, Rule};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use settings::{Repeat, Settings};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use units::{Units, key, told};

/// Why a unit ends before its end.
const STOPPED: &str = "stopped";

/// A study under way.
struct Study<'a> {
    args: &'a PaperArgs,
    settings: Settings,
    data: TrainingImages,
    test: Dataset,
    units: Units,
    stop: Arc<AtomicBool>,
}

/// What a search chose.
#[derive(Clone, Serialize, Deserialize)]
struct Chosen {
    genotype: String,
    valid_pct: f64,
    n_trials: usize,
    /// Of the space searched: what random assignments are drawn from.
    rules: Vec<Rule>,
}

/// A network to be trained from several seeds.
struct Network<'a> {
    search: &'a Repeat,
    kind: Kind,
    design: Design,
}

/// What a training came to.
#[derive(Clone, Serialize, Deserialize)]
struct Fitted {
    valid_pct: f64,
    test_pct: f64,
    /// Per epoch.
    angles_deg: Vec<Option<f64>>,
}

/// Runs what is missing, then writes the results.
///
/// # Errors
/// Missing data or emulator, settings that no command takes, a full disk.
pub(crate) fn run(args: &PaperArgs) -> Result<Outcome> {
    let settings = Settings::load(args)?;
    if settings.export.device_images > 0 {
        board::check(&device::firmware(args.firmware.as_deref()))?;
    }
    let stop = progress::stop_flag()?;
    let data = TrainingImages::load(&args.data)?;
    let study = Study {
        args,
        settings,
        test: images::load_test(&args.data)?,
        units: Units::open(&args.out, &args.data, &data)?,
        data,
        stop,
    };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(args.threads);
    match threads.build()?.install(|| study.run()) {
        Ok(()) => Ok(Outcome::Done),
        // Ctrl-C also ends the emulators, so an error after it is an interruption.
        Err(_) if study.stop.load(Ordering::SeqCst) => Ok(Outcome::Interrupted),
        Err(e) => Err(e),
    }
}

impl Study<'_> {
    /// Every phase; the results are written after each, as far as they are known.
    fn run(&self) -> Result<()> {
        let searches = self.settings.searches();
        let mut networks = vec![];
        for search in &searches {
            networks.extend(self.networks(search, &self.search(search)?));
        }
        for &seed in &self.settings.seeds {
            for network in &networks {
                self.train(network, seed)?;
            }
        }
        self.write(&networks)?;
        for &seed in self.settings.attacked_seeds() {
            for network in &networks {
                self.attack(&networks, network, seed)?;
            }
        }
        self.write(&networks)?;
        let first = |n: &&Network<'_>| n.kind == Kind::Searched && n.search.seed == 1;
        for network in networks.iter().filter(first) {
            self.export(network)?;
        }
        self.write(&networks)
    }

    fn search_key(&self, search: &Repeat) -> String {
        key(&["search", &search.name, &told(&search.flags)])
    }

    /// What the search chose.
    fn search(&self, search: &Repeat) -> Result<Chosen> {
        let key = self.search_key(search);
        let dir = self
            .args
            .out
            .join(units::folder("search", &search.name, &key));
        self.units.get(&key, || {
            let args = call::search(&dir, &search.flags, &self.args.data)?;
            let found = search::winner(&args, &self.data, &self.stop)?;
            let found = found.context(STOPPED)?;
            Ok(Chosen {
                genotype: found.design.to_toml(),
                valid_pct: found.valid_pct,
                n_trials: found.n_trials,
                rules: found.rules,
            })
        })
    }

    /// The network that was chosen under its own rules and, if wanted, under all others.
    fn networks<'s>(&self, search: &'s Repeat, chosen: &Chosen) -> Vec<Network<'s>> {
        // It was written by this program.
        let Ok(design) = Design::from_toml(&chosen.genotype) else {
            return vec![];
        };
        let network = |kind, design| Network {
            search,
            kind,
            design,
        };
        let mut all = vec![network(Kind::Searched, design.clone())];
        if search.of.controls {
            let single = |&rule: &Rule| network(Kind::Single(rule), design.clone().with_rule(rule));
            all.extend(self.settings.single_rules.iter().map(single));
            let drawn = |draw| {
                let mut rng = ChaCha8Rng::seed_from_u64(draw);
                let drawn = design.clone().with_random_rules(&chosen.rules, &mut rng);
                network(Kind::Random(draw), drawn)
            };
            all.extend((1..=self.settings.assignments).map(drawn));
        }
        all
    }

    /// Names a training: its network, seed and settings.
    fn run_key(&self, network: &Network<'_>, seed: u64) -> String {
        let s = &self.settings;
        let training = s.training(&network.search.of);
        let noise = match s.noise_seeds().contains(&seed) {
            true => format!(
                "gradients of {} batches after {:?}",
                s.noise.batches,
                s.noise_epochs(&network.search.of)
            ),
            false => String::new(),
        };
        let (genotype, epochs) = (
            network.design.to_toml(),
            format!("{} epochs", training.epochs),
        );
        let rules = format!("{} {}", network.search.name, network.kind);
        key(&[
            "train",
            &rules,
            &format!("seed {seed}"),
            &epochs,
            &told(&training.flags),
            &noise,
            &genotype,
        ])
    }

    fn run_dir(&self, network: &Network<'_>, seed: u64) -> PathBuf {
        let key = self.run_key(network, seed);
        let name = format!("{}-{}-{seed}", network.search.name, network.kind).replace(' ', "-");
        self.args.out.join(units::folder("run", &name, &key))
    }

    fn noise_key(&self, network: &Network<'_>, seed: u64, epoch: usize) -> String {
        key(&[
            "gradients",
            &format!("after {epoch}"),
            &self.run_key(network, seed),
        ])
    }

    /// Trains, looking at the gradients on the way where that is wanted.
    fn train(&self, network: &Network<'_>, seed: u64) -> Result<()> {
        let key = self.run_key(network, seed);
        let dir = self.run_dir(network, seed);
        let how = self.settings.training(&network.search.of);
        let (genotype, epochs) = (dir.with_extension("toml"), how.epochs);
        if !self.units.has(&key) {
            run_folder::make(&self.args.out.join("run"))?;
            run_folder::write(&genotype, network.design.to_toml().as_bytes())?;
        }
        let args = call::train(&genotype, &dir, &how.flags, &self.args.data)?;
        let args = TrainArgs {
            seed,
            epochs,
            ..args
        };
        if self.settings.noise_seeds().contains(&seed) {
            for &epoch in self.settings.noise_epochs(&network.search.of) {
                self.units.get(&self.noise_key(network, seed, epoch), || {
                    let training = Training::new(&args, &self.data)?.until(epoch);
                    ensure!(epoch == 0 || training.fit(&self.stop)?, STOPPED);
                    training.gradient_noise(self.settings.noise.batches)
                })?;
            }
        }
        self.units.get(&key, || {
            let training = Training::new(&args, &self.data)?.until(epochs);
            ensure!(training.fit(&self.stop)?, STOPPED);
            gather::fitted(&dir, &self.data, &self.test)
        })?;
        Ok(())
    }

    fn attack_key(&self, network: &Network<'_>, seed: u64) -> String {
        key(&[
            "attack",
            &told(&self.settings.robust.flags),
            &self.run_key(network, seed),
        ])
    }

    /// Another training of the same genotype, by back-propagation.
    fn twin(&self, networks: &[Network<'_>], network: &Network<'_>, seed: u64) -> Option<PathBuf> {
        let other = *self.settings.seeds.iter().find(|&&other| other != seed)?;
        let bp = network.design.clone().with_rule(Rule::Bp);
        let is_twin = |n: &&Network<'_>| n.search.name == network.search.name && n.design == bp;
        let twin = networks.iter().find(is_twin)?;
        Some(self.run_dir(twin, other))
    }

    fn attack(&self, networks: &[Network<'_>], network: &Network<'_>, seed: u64) -> Result<()> {
        let key = self.attack_key(network, seed);
        self.units.get(&key, || -> Result<Summary> {
            let run = self.run_dir(network, seed);
            let out = run.join(units::folder("", "robust", &key));
            let mut args = call::robust(&run, &out, &self.settings.robust.flags, &self.args.data)?;
            args.robust.twin = self.twin(networks, network, seed);
            let images = (&self.test, &self.data.normalization);
            let record = robust::measure(&args, images, &self.stop)?;
            Ok(record.context(STOPPED)?.summary)
        })?;
        Ok(())
    }

    fn export_key(&self, network: &Network<'_>) -> String {
        let runs = self
            .settings
            .seeds
            .iter()
            .map(|&seed| self.run_key(network, seed));
        let export = &self.settings.export;
        let images = format!("{} images on the device", export.device_images);
        key(&[
            "export",
            &told(&export.flags),
            &images,
            &runs.collect::<Vec<_>>().concat(),
        ])
    }

    /// Exports the run of the first seed, the others as its repeats, and runs it on the emulated board.
    fn export(&self, network: &Network<'_>) -> Result<()> {
        self.units.get(&self.export_key(network), || {
            let out = self.args.out.join("model").join(&network.search.name);
            let dirs = self
                .settings
                .seeds
                .iter()
                .map(|&seed| self.run_dir(network, seed));
            let dirs: Vec<PathBuf> = dirs.collect();
            let (run, repeats) = dirs.split_first().context("no seeds")?;
            let export = &self.settings.export;
            let mut args = call::export(run, &out, &export.flags, &self.args.data)?;
            args.repeats = repeats.to_vec();
            let exported = export::write(&args, &self.data, &self.test)?;
            let board = Board {
                firmware: device::firmware(self.args.firmware.as_deref()),
                model: Model::parse(&exported.blob)?,
                blob: &out.join("model.blob"),
                stop: &self.stop,
            };
            let some = self
                .test
                .subset(export.device_images, self.settings.seeds[0]);
            let compared = board.compare(&some)?;
            ensure!(compared.n == some.len(), STOPPED);
            let card = exported.card;
            Ok(OnDevice {
                float_pct: card.accuracy.float_per_seed_pct,
                int8_pct: card.accuracy.int8_per_seed_pct,
                flash_bytes: card.costs.flash_bytes,
                ram_bytes: card.costs.ram_bytes,
                macs: card.costs.macs,
                instructions: compared.inference.mean(),
                n_equal: compared.n_equal,
                n_compared: compared.n,
            })
        })?;
        Ok(())
    }
}
