//! `aplysia device adapt`: the device learns from shifted images, and the host after it, bit for bit.

use super::{connect_to, domains, guard, plan, print_instructions};
use crate::args::DataArgs;
use crate::args::device::{AdaptArgs, HeadKind};
use crate::images::{self, TrainingImages};
use crate::{Outcome, blob, progress, run_folder};
use anyhow::{Result, ensure};
use aplysia_data::Dataset;
use aplysia_live::adaptation::{DeviceAdapted, Plan, adapt_by, adapt_device};
use aplysia_live::evaluate::{Images, evaluate};
use aplysia_live::guarded::{adapt_device_guarded, adapt_guarded_by};
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::Limits;
use aplysia_shared::adapt::{Config, Head};
use std::sync::atomic::{AtomicBool, Ordering};

impl AdaptArgs {
    fn config(&self) -> Config {
        Config {
            homeostasis: (!self.no_homeostasis).then_some(self.homeostasis),
            head: match self.head {
                HeadKind::Base => Head::Base,
                HeadKind::Instar => Head::Instar {
                    shift: self.instar_shift,
                },
                HeadKind::Delta => Head::Delta {
                    rate: self.delta_rate,
                },
                HeadKind::Perceptron => Head::Perceptron {
                    rate: self.perceptron_rate,
                    margin: self.perceptron_margin,
                },
                HeadKind::Reward => Head::Reward {
                    rate: self.reward_rate,
                },
                HeadKind::Deep => Head::Deep {
                    rate: self.delta_rate,
                    deep: self.deep.deep(),
                },
            },
        }
    }

    /// `n` images of the validation part, shifted: what the device learns from.
    fn stream(&self, data: &DataArgs) -> Result<Dataset> {
        let validation = TrainingImages::load(data)?.splits.validation;
        let shift = images::shift(self.corruption, self.severity)?;
        let mut stream = validation
            .subset(self.samples, u64::from(self.seed))
            .shifted(&shift)?;
        if self.liar {
            // Each wrong class in turn.
            let n = stream.n_classes().max(2);
            for (i, label) in stream.labels.iter_mut().enumerate() {
                *label = ((usize::from(*label) + 1 + i % (n - 1)) % n) as u16;
            }
        }
        Ok(stream)
    }

    /// Of the guard, where the model has a golden set and nobody switched it off.
    fn limits(&self, model: &Model<'_>) -> Option<Limits> {
        (!self.no_guard && model.golden().is_some()).then_some(Limits {
            every: self.guard_every,
            drop: self.guard_drop,
            commit_every: self.commit_every,
        })
    }
}

pub(super) fn adapt_to_shift(args: &AdaptArgs, stop: &AtomicBool) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    let limits = args.limits(&model);
    ensure!(
        limits.is_some() || !args.commit,
        "nothing is committed unscored: {}",
        match args.no_guard {
            true => "leave out --no-guard",
            false => "the model has no golden set, `aplysia golden` gives it one",
        }
    );
    args.save
        .as_deref()
        .map_or(Ok(()), run_folder::check_writable)?;
    let stream = args.stream(&args.data)?;
    let mut device = connect_to(&args.board, &args.blob, &model)?;
    let bar = progress::bar(stream.len() as u64, "adapt");
    let mut on_step = progress::step(&bar, stop);
    let (config, learned_from) = (args.config(), images::images(&stream)?);
    let flash = args
        .board
        .flash
        .as_deref()
        .map(blob::read_file)
        .transpose()?;
    let flash = flash.unwrap_or_default();
    if limits.is_none() && !args.no_guard {
        say!("unguarded     the model has no golden set: `aplysia golden` gives it one");
    }
    let seed = args.seed;
    let by = Plan {
        domains: args.domains.domains(),
        ..args.plan.plan()
    };
    device.guard(None)?;
    device.plan(by)?;
    device.configure(config, seed)?;
    device.domains(by.domains)?;
    let (on_device, report) = match limits {
        None => {
            let run = adapt_device(&mut device, config, seed, learned_from, &mut on_step)?;
            (run, None)
        }
        Some(limits) => {
            let (device, stream) = (&mut device, learned_from);
            let (run, report) =
                adapt_device_guarded(device, config, seed, stream, limits, &mut on_step)?;
            (run, Some(report))
        }
    };
    bar.finish_and_clear();
    if stop.load(Ordering::SeqCst) {
        return Ok(Outcome::Cancelled);
    }
    let (on_host, seen, spent) = match limits {
        None => {
            let (host, spent) = adapt_by(&model, config, by, seed, learned_from)?;
            (host, None, spent)
        }
        Some(limits) => {
            let careful = (limits, &flash[..]);
            let host = adapt_guarded_by(&model, config, by, seed, learned_from, careful)?;
            (host.adapted, Some(host.report), host.spent)
        }
    };
    let stats = device.stats()?;
    ensure!(
        stats.spent == spent,
        "schedule: device {:?}, host {spent:?}: please report this",
        stats.spent
    );
    ensure!(
        seen == report,
        "guard: device {report:?}, host {seen:?}: please report this"
    );
    ensure!(
        on_host == on_device.adapted,
        "the device learned {:#010x}, the host {:#010x}: please report this with the blob",
        on_device.adapted.digest,
        on_host.digest
    );
    if let Some(file) = &args.save {
        run_folder::write(file, &on_device.adapted.snapshot)?;
    }
    let n_labels = stats.spent.learned;
    self::report(args, &on_device, (stream.len(), n_labels), &model)?;
    plan::print(&stats.schedule, &stats.spent);
    guard::print(&stats.guard);
    domains::print(stats.domains);
    if args.commit {
        guard::print_commit(&device.commit()?);
    }
    Ok(Outcome::Done)
}

/// `n_labels` are those learned, also where a rollback took them back.
fn report(
    args: &AdaptArgs,
    run: &DeviceAdapted,
    (n_stream, n_labels): (usize, u32),
    model: &Model<'_>,
) -> Result<()> {
    let learned = &run.adapted;
    if n_stream > 0 {
        say!(
            "stream        {n_stream} images, {} severity {}; {n_labels} labels; {:.1} % right when first seen",
            args.corruption,
            args.severity,
            100.0 * learned.online_correct as f64 / n_stream as f64
        );
    }
    let clean = images::load_test(&args.data)?.subset(args.test_images, u64::from(args.seed));
    let shifted = clean.shifted(&images::shift(args.corruption, args.severity)?)?;
    for (name, test) in [("shifted test", &shifted), ("clean test", &clean)] {
        let test: Images<'_> = images::images(test)?;
        say!(
            "{name:<13} before {:.2} %, after {:.2} % of {} images",
            evaluate(model, test)?.accuracy_pct(),
            learned.evaluate(model, test)?.accuracy_pct(),
            test.labels.len()
        );
    }
    say!(
        "digest        {:#010x}, device and host agree",
        learned.digest
    );
    say!(
        "RAM           {} bytes of learned state, {} of arena, {} of stack",
        learned.state_bytes,
        run.arena_bytes,
        run.stack_bytes
    );
    if n_stream > 0 {
        print_instructions("per image", &run.inference);
    }
    if n_labels > 0 {
        print_instructions("per label", &run.update);
    }
    Ok(())
}
