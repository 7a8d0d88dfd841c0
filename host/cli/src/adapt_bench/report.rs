//! What was measured, as `summary.json` and as `README.md`.

use super::float::{FloatRun, REESTIMATED};
use super::parts::RETURN_IMAGES;
use super::{Bench, NOISE_SEVERITY, Settings, float};
use crate::{Outcome, run_folder};
use anyhow::Result;
use aplysia_live::adapt_bench::METHODS;
use aplysia_live::adapt_bench::classes::{self, Session};
use aplysia_live::adapt_bench::recall::{self, Recalled};
use aplysia_live::adapt_bench::recurring::{self, Return};
use aplysia_live::adapt_bench::replay::Replayed;
use aplysia_live::adapt_bench::sealed::{self, Sealed};
use aplysia_live::adapt_bench::summary::{Group, markdown, merged, rows};
use aplysia_live::adapt_bench::targets::{Found, targets};
use aplysia_live::adapt_bench::watched::{self, Watched};
use aplysia_live::adaptation::DOMAINS;
use std::fmt::Write;

/// Everything measured.
pub(super) struct Results {
    pub(super) groups: Vec<Group>,
    pub(super) replayed: Vec<Replayed>,
    pub(super) sessions: Vec<Session>,
    pub(super) returns: Vec<Return>,
    pub(super) watched: Vec<Watched>,
    pub(super) travelled: Vec<Recalled>,
    pub(super) sealed: Vec<Sealed>,
}

impl Bench<'_> {
    /// Writes both files and prints the tables.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn report(&self, settings: &Settings, mut results: Results) -> Result<Outcome> {
        let args = self.args;
        let asked = |g: &Group| g.seed <= args.seeds && args.severities.contains(&g.severity);
        results.groups.retain(asked);
        let groups = merged(results.groups);
        let rows = rows(&groups, self.entries);
        let targets = targets(&Found {
            rows: &rows,
            reestimated: (REESTIMATED, float::NONE),
            replayed: &results.replayed,
            watched: &results.watched,
            sealed: &results.sealed,
        });
        let sessions = classes::means(&results.sessions);
        let summary = serde_json::json!({
            "settings": settings,
            "seeds": args.seeds,
            "severities": args.severities,
            "n_cells": groups.len(),
            "rows": rows,
            "targets": targets,
            "device": results.replayed,
            "later_classes": sessions,
            "recurring": results.returns,
            "guard": results.watched,
            "slots": results.travelled,
            "sealed": results.sealed,
        });
        let part = if args.validation {
            "validation"
        } else {
            "test"
        };
        let mut text = format!(
            "# Learning on the device against its baselines\n\n`aplysia adapt-bench` on model `{}`: accuracy \
             in % of {} {part} images, the mean of {} cells (10 corruptions, severities {:?}, {} seeds), \
             streams of {} labelled validation images shown once. Wrong labels: severity \
             {NOISE_SEVERITY}, at the end of the stream; with 100 % every label is wrong. ±: standard deviation of the \
             seeds' means. Shares of an inference are of its instructions, and so of its estimated energy.\n\n",
            settings.model_id,
            args.test_images,
            groups.len(),
            args.severities,
            args.seeds,
            args.samples,
        );
        if !targets.is_empty() {
            text += "## Targets\n\n";
            targets
                .iter()
                .for_each(|target| text += &(target.line() + "\n"));
            text += "\n## Changed cameras\n\n";
        }
        text += &markdown(&rows, &results.replayed);
        if !results.watched.is_empty() {
            let _ = write!(
                text,
                "\n## Under the guard\n\nSeverity {NOISE_SEVERITY}, one run per corruption and seed; a check \
                 every {} updates and one at the end, {} golden samples may be lost.\n\n{}",
                watched::LIMITS.every,
                watched::LIMITS.drop,
                watched::markdown(&results.watched)
            );
        }
        if !results.sealed.is_empty() {
            let _ = write!(
                text,
                "\n## Under the guard, with domain slots and a sealed base\n\nThe same streams and teachers, then {} \
                 clean images, taught by the same teacher; accuracy is that of the state which the device puts in \
                 place. {} slots, a domain is new at distance {}, another state is put in place at evidence {}; of \
                 256 golden samples {} may be lost, of 32 {}.\n\n{}",
                recall::AFTER[recall::AFTER.len() - 1],
                DOMAINS.slots,
                DOMAINS.open,
                DOMAINS.evidence,
                sealed::limits(256).drop,
                sealed::limits(32).drop,
                sealed::markdown(&results.sealed)
            );
        }
        if !sessions.is_empty() {
            let _ = write!(
                text,
                "\n## Classes that come later\n\nA model of the same genotype that was trained on the first {} \
                 classes learns the others one after the other; {} seeds.\n\n{}",
                args.old_classes,
                args.seeds,
                classes::markdown(&sessions)
            );
        }
        if !results.returns.is_empty() {
            let float: Vec<_> = FloatRun::entries().collect();
            let names = METHODS.iter().map(|method| method.name);
            let names: Vec<&str> = names
                .chain(float.iter().map(|row| row.name.as_str()))
                .collect();
            let _ = write!(
                text,
                "\n## Domains that come back\n\nEvery corruption (A) with the next (B) at severity \
                 {NOISE_SEVERITY}, streams of {RETURN_IMAGES} images, {} seeds; the second stream of A has \
                 other images than the first.\n\n{}",
                args.seeds,
                recurring::markdown(&results.returns, &names)
            );
        }
        if !results.travelled.is_empty() {
            let _ = write!(
                text,
                "\n## Domain slots\n\nEvery corruption (A), the next (B), A again and clean images, severity \
                 {NOISE_SEVERITY}, streams of {RETURN_IMAGES} images, {} seeds; no guard. A domain is new at distance {} \
                 and another state is put in place at evidence {}.\n\n{}",
                args.seeds,
                DOMAINS.open,
                DOMAINS.evidence,
                recall::markdown(&results.travelled)
            );
        }
        run_folder::write(
            &args.out.join("summary.json"),
            &serde_json::to_vec_pretty(&summary)?,
        )?;
        run_folder::write(&args.out.join("README.md"), text.as_bytes())?;
        say!("{}", text.trim_end());
        Ok(Outcome::Done)
    }
}
