//! The files of a robustness evaluation: finished cells to go on from, and the summary.

use crate::lines::Lines;
use crate::run_folder;
use anyhow::{Context, Result, ensure};
use aplysia_attack::{Outcome, Protocol, Summary};
use aplysia_deploy::hex;
use aplysia_space::{NetworkParams, RuleShare};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

/// What every cell of a file has in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Of the parameters under attack.
    pub(crate) params_sha256: String,
    /// Of the twin's.
    pub(crate) twin_sha256: Option<String>,
    pub(crate) dataset: String,
    /// Of the images under attack.
    pub(crate) images_sha256: String,
    pub(crate) n_images: usize,
    /// Draws that random feedback is the mean of.
    pub(crate) n_draws: u32,
    /// In `cells.jsonl` without attacks and strengths, which may be added to.
    pub(crate) protocol: Protocol,
}

/// Accuracy under one corruption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Corrupted {
    pub(crate) name: String,
    /// Of severity 1 to 5.
    pub(crate) accuracy_pct: Vec<f64>,
}

/// What `summary.json` holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    /// Name of the run's folder.
    pub(crate) run: String,
    /// Name of the twin's.
    pub(crate) twin: Option<String>,
    /// Genotype of the network, as the run folder holds it.
    pub(crate) genotype: String,
    /// The share of its weights that each rule trains; empty in records of earlier versions.
    #[serde(default)]
    pub(crate) rule_share: RuleShare,
    pub(crate) settings: Settings,
    pub(crate) summary: Summary,
    pub(crate) corruptions: Vec<Corrupted>,
}

impl Record {
    /// Reads the summary in `dir`.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("summary.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}; `aplysia evaluate --robust` writes it",
                path.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.settings.protocol;
        writeln!(f, "# Robustness of {} ({})\n", self.run, self.rule_share)?;
        writeln!(
            f,
            "`aplysia evaluate --robust`: {} test images of {}, seed {}, pixels in [0, 1], twin {}. PGD and \
             TPGD: {} steps of ε/4, {} starts; APGD: {} steps; Square: {} queries; One-Pixel: {} pixels, {} \
             generations of {}; random feedback: the mean of {} draws.\n",
            self.settings.n_images,
            self.settings.dataset,
            p.seed,
            self.twin.as_deref().unwrap_or("none"),
            p.n_steps,
            p.n_restarts,
            p.n_apgd_steps,
            p.n_queries,
            p.n_pixels,
            p.generations,
            p.population,
            self.settings.n_draws,
        )?;
        writeln!(f, "{}", self.summary)?;
        writeln!(
            f,
            "| corruption | 1 | 2 | 3 | 4 | 5 |\n|---|--:|--:|--:|--:|--:|"
        )?;
        for row in &self.corruptions {
            let cells = row.accuracy_pct.iter().map(|a| format!("{a:.1} |"));
            writeln!(
                f,
                "| {} | {}",
                row.name,
                cells.collect::<Vec<_>>().join(" ")
            )?;
        }
        Ok(())
    }
}

/// SHA-256 of parameters as their run folder holds them.
///
/// # Errors
/// A number that JSON has no form for.
pub(crate) fn digest(params: &NetworkParams) -> Result<String> {
    Ok(hex(&Sha256::digest(serde_json::to_vec(params)?)))
}

/// The finished cells in `dir`, made if it is not there: `cells.jsonl`.
///
/// # Errors
/// Cells of other settings or images, a damaged line, a full disk.
pub(crate) fn cells(dir: &Path, settings: &Settings) -> Result<Lines<Outcome>> {
    run_folder::make(dir)?;
    let path = dir.join("cells.jsonl");
    let cells: Lines<Outcome> = Lines::open(path.clone(), settings)?;
    let n = settings.n_images;
    let whole = cells.with(|done| done.iter().all(|o| o.survived.len() == n));
    ensure!(whole, "{}: an outcome of other images", path.display());
    Ok(cells)
}
