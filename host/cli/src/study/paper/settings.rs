//! Settings of the study: its sizes by name, or a file of one's own.

use crate::args::study::PaperArgs;
use crate::call;
use anyhow::{Context, Result, ensure};
use aplysia_space::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// The sizes.
const SIZES: [(&str, &str); 3] = [
    (
        "smoke",
        include_str!("../../../../presets/paper-smoke.toml"),
    ),
    (
        "small",
        include_str!("../../../../presets/paper-small.toml"),
    ),
    ("full", include_str!("../../../../presets/paper-full.toml")),
];

/// A study.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// What it is and costs, for people.
    pub(super) about: String,
    /// Seeds of every training.
    pub(super) seeds: Vec<u64>,
    /// Rules that the controls carry in every layer.
    pub(super) single_rules: Vec<Rule>,
    /// Number of random assignments, drawn from the rules that the search had.
    pub(super) assignments: u64,
    /// How every network is trained.
    pub(super) train: Training,
    /// Variance of gradients.
    pub(super) noise: Noise,
    /// Attacks.
    pub(super) robust: Robust,
    /// The device.
    pub(super) export: Export,
    /// The searches.
    pub(super) search: Vec<SearchSettings>,
}

/// A search.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchSettings {
    /// Its name, also of its folder.
    pub(super) name: String,
    /// Whether its genotype is trained under single rules and random assignments, too.
    pub(super) controls: bool,
    /// Flags of `aplysia search`, without a seed.
    pub(super) flags: String,
    /// So often, from the seeds 1, 2, ...: `name`, `name-2`, ..., each with trainings of its own.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(super) repeats: u64,
    /// How its networks are trained, if not like the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) train: Option<Training>,
}

fn once() -> u64 {
    1
}

fn is_once(repeats: &u64) -> bool {
    *repeats == once()
}

/// A search from one seed.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    /// Its name, also of its folder.
    pub(super) name: String,
    /// From 1.
    pub(super) seed: u64,
    /// Its flags.
    pub(super) flags: String,
    /// What all its repeats have in common.
    pub(super) of: SearchSettings,
}

/// Trainings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Training {
    /// Passes over the images.
    pub(super) epochs: usize,
    /// Flags of `aplysia train`.
    pub(super) flags: String,
}

/// Variance of gradients.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noise {
    /// So many of the first seeds.
    pub(super) seeds: usize,
    /// After so many epochs, rising; 0: before the first. Those beyond the end of a training are left out.
    pub(super) epochs: Vec<usize>,
    /// Batches.
    pub(super) batches: usize,
}

/// Attacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Robust {
    /// So many of the first seeds.
    pub(super) seeds: usize,
    /// Flags of `aplysia evaluate --robust`.
    pub(super) flags: String,
}

/// The device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    /// Test images that the emulated device classifies.
    pub(super) device_images: usize,
    /// Flags of `aplysia export`.
    pub(super) flags: String,
}

impl Settings {
    /// The size of this name, or the settings in the file of this name; checked.
    ///
    /// # Errors
    /// No such file, unknown fields, flags that no command takes.
    pub(super) fn load(args: &PaperArgs) -> Result<Self> {
        let size = &args.size;
        let named = SIZES.iter().find(|(name, _)| name == size);
        let text = match named {
            Some((_, text)) => text.to_string(),
            None => std::fs::read_to_string(size).with_context(|| {
                format!("cannot read {size}; smoke, small and full are built in")
            })?,
        };
        let settings: Self = toml::from_str(&text)
            .with_context(|| format!("{size} holds no settings of the study"))?;
        settings.check(args)?;
        Ok(settings)
    }

    fn check(&self, args: &PaperArgs) -> Result<()> {
        ensure!(!self.seeds.is_empty(), "no seeds: give one at least");
        ensure!(
            self.noise.epochs.is_sorted_by(|a, b| a < b)
                && self.noise.epochs.iter().all(|&e| e <= self.train.epochs),
            "noise.epochs {:?}: rising, at most the {} of the training",
            self.noise.epochs,
            self.train.epochs
        );
        let (nowhere, data) = (Path::new("."), &args.data);
        for search in &self.search {
            ensure!(
                search.repeats > 0,
                "search {}: repeats 0, at least 1",
                search.name
            );
            call::train(nowhere, nowhere, &self.training(search).flags, data)?;
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
            ensure!(
                search.name.chars().all(fits),
                "search {}: letters, digits and -, it names files",
                search.name
            );
        }
        let mut names = BTreeSet::new();
        for search in self.searches() {
            call::search(nowhere, &search.flags, data)?;
            ensure!(
                names.insert(search.name.clone()),
                "two searches are named {}: rename one (repeats are named NAME-2, NAME-3, ...)",
                search.name
            );
        }
        call::train(nowhere, nowhere, &self.train.flags, data)?;
        call::robust(nowhere, nowhere, &self.robust.flags, data)?;
        call::export(nowhere, nowhere, &self.export.flags, data)?;
        Ok(())
    }

    /// All searches, one procedure after the other.
    pub(super) fn searches(&self) -> Vec<Repeat> {
        let repeat = |of: &SearchSettings, seed: u64| Repeat {
            name: match seed {
                1 => of.name.clone(),
                _ => format!("{}-{seed}", of.name),
            },
            seed,
            flags: match seed {
                1 => of.flags.clone(),
                _ => format!("{} --seed {seed}", of.flags),
            },
            of: of.clone(),
        };
        let seeds = self
            .search
            .iter()
            .flat_map(|of| (1..=of.repeats).map(move |seed| (of, seed)));
        seeds.map(|(of, seed)| repeat(of, seed)).collect()
    }

    /// How the networks of `search` are trained.
    pub(super) fn training<'a>(&'a self, search: &'a SearchSettings) -> &'a Training {
        search.train.as_ref().unwrap_or(&self.train)
    }

    /// Epochs of the trainings of `search` after which gradients are looked at.
    pub(super) fn noise_epochs(&self, search: &SearchSettings) -> &[usize] {
        let last = self.training(search).epochs;
        let epochs = &self.noise.epochs;
        &epochs[..epochs.partition_point(|&e| e <= last)]
    }

    /// Seeds whose gradients are looked at.
    pub(super) fn noise_seeds(&self) -> &[u64] {
        &self.seeds[..self.noise.seeds.min(self.seeds.len())]
    }

    /// Seeds whose networks are attacked.
    pub(super) fn attacked_seeds(&self) -> &[u64] {
        &self.seeds[..self.robust.seeds.min(self.seeds.len())]
    }
}
