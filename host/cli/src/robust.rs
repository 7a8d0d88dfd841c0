//! `aplysia evaluate --robust`: a run's network under attack, resumable cell by cell.
//!
//! `cells.jsonl` begins with the settings; each further line is one finished cell. The same command goes on
//! where it was stopped; other attacks and strengths may be added later.

mod record;
mod target;

pub(crate) use record::Record;

use crate::args::{DataArgs, EvaluateArgs};
use crate::lines::Lines;
use crate::run_folder::{self, RunFolder};
use crate::{Outcome, images, progress, report, train};
use anyhow::{Context, Result, bail, ensure};
use aplysia_attack::{Batch, Cell, ImageShape, Protocol, Summary, Target, Victim, predicted};
use aplysia_data::{Corruption, Dataset, Normalization};
use aplysia_space::{Design, Rule, RuleShare};
use record::{Corrupted, Settings};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use target::Net;

/// Candidates of One-Pixel.
const POPULATION: usize = 150;

/// Runs the cells that are missing, then writes and prints the summary.
///
/// # Errors
/// As [`measure`]; missing data; after everything is written, a sanity check that says the figures are wrong.
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    let test = images::load_test(&args.data)?;
    let normalization = train::normalization(&args.data)?;
    let stop = progress::stop_flag()?;
    let Some(record) = measure(args, (&test, &normalization), &stop)? else {
        return Ok(Outcome::Interrupted);
    };
    say!("{}", record.to_string().trim_end());
    let n_faults = record.summary.faults().count();
    if n_faults > 0 {
        bail!("{n_faults} sanity checks say that these figures are wrong (lines FAULT above)");
    }
    Ok(Outcome::Done)
}

/// [`run`] on images that are loaded already, printing nothing; none if `stop` was raised before the end.
///
/// # Errors
/// No finished run, other data, a folder of other settings, a full disk.
pub(crate) fn measure(
    args: &EvaluateArgs,
    (test, normalization): (&Dataset, &Normalization),
    stop: &AtomicBool,
) -> Result<Option<Record>> {
    ensure!(
        args.what.is_dir(),
        "--robust needs a run folder: {} has no gradient",
        args.what.display()
    );
    let run = RunFolder::load_for(&args.what, &args.data)?;
    let test = test.subset(args.robust.images, args.robust.seed);
    let twin = args.robust.twin.as_deref();
    let twin = twin.map(|dir| self::twin((dir, &args.data), &run, &test));
    let twin = twin.transpose()?;
    let nets = Nets::new(args, &run, twin.as_ref(), (&test, normalization))?;
    let protocol = protocol(args);
    let settings = Settings {
        params_sha256: record::digest(&run.params)?,
        twin_sha256: twin
            .as_ref()
            .map(|t| record::digest(&t.params))
            .transpose()?,
        dataset: args.data.dataset.to_string(),
        images_sha256: test.digest.clone(),
        n_images: test.len(),
        n_draws: args.robust.draws,
        protocol: Protocol {
            attacks: vec![],
            epsilons_255: vec![],
            ..protocol.clone()
        },
    };
    let out = args.robust.out.clone();
    let out: PathBuf = out.unwrap_or_else(|| args.what.join("robust"));
    let cells = record::cells(&out, &settings)?;
    if !attack(&nets, &protocol, &test, &cells, stop)? {
        return Ok(None);
    }
    let logits = nets.exact.logits(&pixels(&test)?);
    let answers = logits.chunks(test.n_classes()).zip(&test.labels);
    let clean: Vec<bool> = answers.map(|(z, &label)| predicted(z) == label).collect();
    let wanted = protocol.cells(nets.victim());
    let done = cells.into_done();
    let found = |&cell: &Cell| done.iter().find(|o| o.cell == cell).cloned();
    let outcomes: Vec<_> = wanted.iter().filter_map(found).collect();
    let record = Record {
        run: report::name(&args.what),
        twin: args.robust.twin.as_deref().map(report::name),
        genotype: run.design.to_toml(),
        rule_share: rule_share(&run, &test)?,
        settings: Settings {
            protocol: protocol.clone(),
            ..settings
        },
        summary: Summary::new(&protocol, &clean, &outcomes),
        corruptions: corruptions(args, &run, (&test, normalization))?,
    };
    let text = record.to_string();
    run_folder::write(
        &out.join("summary.json"),
        &serde_json::to_vec_pretty(&record)?,
    )?;
    run_folder::write(&out.join("README.md"), text.as_bytes())?;
    Ok(Some(record))
}

/// The run in `dir`, another than `run` and trained by back-propagation.
fn twin((dir, data): (&Path, &DataArgs), run: &RunFolder, test: &Dataset) -> Result<RunFolder> {
    let twin = RunFolder::load_for(dir, data)?;
    ensure!(
        twin.params != run.params,
        "--twin {} is the run under attack itself; give another one, trained by back-propagation",
        dir.display()
    );
    ensure!(
        is_bp(&twin.design),
        "--twin {} was trained by {}, not by bp alone; give a run of `aplysia train --rule bp`",
        dir.display(),
        rule_share(&twin, test)?
    );
    Ok(twin)
}

/// Whether every layer is trained by back-propagation.
fn is_bp(design: &Design) -> bool {
    design.clone().with_rule(Rule::Bp) == *design
}

fn protocol(args: &EvaluateArgs) -> Protocol {
    let a = &args.robust;
    let mut epsilons: Vec<f32> = a.epsilons.iter().map(|&e| e.into()).collect();
    epsilons.sort_by(f32::total_cmp);
    epsilons.dedup();
    let mut attacks = a.attacks.clone();
    attacks.sort();
    attacks.dedup();
    Protocol {
        attacks,
        epsilons_255: epsilons,
        n_steps: a.steps,
        n_restarts: a.restarts,
        n_apgd_steps: a.apgd_steps,
        n_queries: a.queries,
        n_pixels: a.pixels,
        generations: a.generations,
        population: POPULATION,
        seed: a.seed,
    }
}

/// The networks of an evaluation.
struct Nets {
    own: Option<Net>,
    exact: Net,
    twin: Option<Net>,
}

impl Nets {
    fn new(
        args: &EvaluateArgs,
        run: &RunFolder,
        twin: Option<&RunFolder>,
        images: (&Dataset, &Normalization),
    ) -> Result<Self> {
        let device = train::device(&args.device)?;
        let net = |run: &RunFolder, dir: &Path, exact| {
            let draws = args.robust.draws;
            Net::new(run, dir, images, (exact, draws, device))
                .with_context(|| format!("{} was not trained on these images", dir.display()))
        };
        let exact = net(run, &args.what, true)?;
        let own = (!is_bp(&run.design)).then(|| net(run, &args.what, false));
        let own = own.transpose()?;
        let twin = match (twin, &args.robust.twin) {
            (Some(twin), Some(dir)) => Some(net(twin, dir, true)?),
            _ => None,
        };
        Ok(Self { own, exact, twin })
    }

    fn victim(&self) -> Victim<'_> {
        Victim {
            own: self.own.as_ref().map(|net| net as _),
            exact: &self.exact,
            twin: self.twin.as_ref().map(|net| net as _),
        }
    }
}

/// The share of the weights that each rule trains.
fn rule_share(run: &RunFolder, test: &Dataset) -> Result<RuleShare> {
    let network = run.design.lower(images::shape(test), test.n_classes())?;
    Ok(network.rule_share())
}

/// In [0, 1].
fn pixels(data: &Dataset) -> Result<Vec<f32>> {
    let bytes = data.bytes()?.iter();
    Ok(bytes.map(|&p| f32::from(p) / 255.0).collect())
}

/// Runs what is missing in `cells`; false if it was interrupted.
fn attack(
    nets: &Nets,
    protocol: &Protocol,
    test: &Dataset,
    cells: &Lines<aplysia_attack::Outcome>,
    stop: &AtomicBool,
) -> Result<bool> {
    let wanted = protocol.cells(nets.victim());
    let is_done = |cell| cells.with(|done| done.iter().any(|o| o.cell == cell));
    let missing: Vec<_> = wanted.iter().filter(|&&c| !is_done(c)).collect();
    let pixels = pixels(test)?;
    let ids: Vec<usize> = (0..test.len()).collect();
    let batch = Batch {
        pixels: &pixels,
        labels: &test.labels,
        ids: &ids,
        shape: ImageShape {
            h: test.shape.h,
            w: test.shape.w,
            c: test.shape.c,
        },
    };
    let bar = progress::bar((missing.len() * test.len()) as u64, "attacking");
    for &cell in missing {
        bar.set_message(cell.to_string());
        let outcome = protocol.run(cell, nets.victim(), &batch, &mut |n| {
            bar.inc(n as u64);
            progress::flow(stop)
        })?;
        let Some(outcome) = outcome else {
            return Ok(false);
        };
        let left = outcome.survived.iter().filter(|&&s| s).count();
        bar.suspend(|| writeln!(std::io::stderr(), "{cell}: {left} of {} left", test.len()))?;
        cells.push(outcome)?;
    }
    bar.finish_and_clear();
    Ok(true)
}

/// Accuracy of the run on the same images behind every changed camera.
fn corruptions(
    args: &EvaluateArgs,
    run: &RunFolder,
    (test, normalization): (&Dataset, &Normalization),
) -> Result<Vec<Corrupted>> {
    let device = train::device(&args.device)?;
    let network = run.design.lower(images::shape(test), test.n_classes())?;
    let mut all = vec![];
    for corruption in Corruption::ALL {
        let mut accuracy_pct = vec![];
        for severity in 1..=5 {
            let shifted = test.shifted(&images::shift(corruption, severity)?)?;
            let shifted = train::learn_images(&shifted, normalization);
            let found = aplysia_learn::evaluate(&network, &run.params, shifted, device)?;
            accuracy_pct.push(found.accuracy_pct());
        }
        all.push(Corrupted {
            name: corruption.name().into(),
            accuracy_pct,
        });
    }
    Ok(all)
}
