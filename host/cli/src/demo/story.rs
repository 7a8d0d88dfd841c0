//! What the demo measured: figures for programs, a story for people. Nothing here is computed twice,
//! and nothing is printed that was not measured in this run.

use crate::board::Learned;
use crate::export::Exported;
use aplysia_data::{Dataset, Splits};
use aplysia_live::Comparison;
use aplysia_search::{Study, Trial};
use aplysia_space::{Genotype, McuSpace};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

/// The figures of `--json`; null is what was not measured because the demo ended before.
#[derive(Default, Serialize)]
pub(super) struct Figures {
    /// Candidates trained by the search.
    trials: Option<usize>,
    /// Of the winner on the test images, in float.
    accuracy_float_pct: Option<f64>,
    /// And by the blob.
    accuracy_int8_pct: Option<f64>,
    /// Length of the blob.
    flash_bytes: Option<u64>,
    /// The arena.
    ram_bytes: Option<u64>,
    /// Multiply-accumulates of one inference.
    macs: Option<u64>,
    /// Instructions of one inference: mean counted by the device, rounded.
    instructions: Option<u64>,
    /// The same as the cost model predicts it.
    predicted_instructions: Option<u64>,
    /// Images whose every score was equal on device and host.
    device_equal: Option<usize>,
    /// Images compared.
    device_compared: Option<usize>,
    /// Accuracy on shifted test images before learning on the device, mean of the streams.
    shift_before_pct: Option<f64>,
    /// And after.
    shift_after_pct: Option<f64>,
    /// Labels learned from each stream.
    shift_labels: Option<usize>,
    /// Instructions of learning one label: mean counted by the device, rounded.
    update_instructions: Option<u64>,
    /// RAM of the learned state.
    state_bytes: Option<usize>,
    /// Whether device and host learned the same state, bit for bit, from every stream.
    state_equal: Option<bool>,
    /// `<corruption>_before_pct` and `<corruption>_after_pct` of each stream.
    #[serde(flatten)]
    streams: BTreeMap<String, f64>,
    /// Seconds this call took.
    pub(super) wall_s: f64,
}

/// The figures, the text that grows beside them, and what went wrong.
#[derive(Default)]
pub(super) struct Story {
    pub(super) figures: Figures,
    text: String,
    /// Each difference between device and host.
    pub(super) differences: Vec<String>,
}

impl Story {
    /// One line of text; continuation lines have an empty `what`.
    fn line(&mut self, what: &str, line: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{what:<13} {line}");
    }

    pub(super) fn dataset(&mut self, splits: &Splits, test: &Dataset) {
        let line = format!(
            "Fashion-MNIST, {} classes: {} training, {} validation, {} test images",
            test.n_classes(),
            splits.train.len(),
            splits.validation.len(),
            test.len()
        );
        self.line("dataset", line);
    }

    pub(super) fn search(&mut self, study: &Study<McuSpace>, winner: &Trial<Genotype>) {
        let trials = study.trials();
        self.figures.trials = Some(trials.len());
        let n_rejected: usize = trials.iter().map(|t| t.n_rejected).sum();
        let line = format!(
            "{} candidates evaluated, {n_rejected} more rejected untrained; {} on the Pareto front",
            trials.len(),
            study.front().len()
        );
        self.line("search", line);
        let line = format!(
            "trial {}, {:.2} % of the validation images after {} short epochs",
            winner.index,
            100.0 * winner.accuracy().unwrap_or(0.0),
            study.config().halving.budgets.last().unwrap_or(&0)
        );
        self.line("winner", line);
    }

    pub(super) fn export(&mut self, exported: &Exported) {
        let (costs, accuracy) = (exported.card.costs, &exported.card.accuracy);
        self.figures.accuracy_float_pct = Some(rounded(accuracy.float_pct));
        self.figures.accuracy_int8_pct = Some(rounded(accuracy.int8_pct));
        self.figures.flash_bytes = Some(costs.flash_bytes);
        self.figures.ram_bytes = Some(costs.ram_bytes);
        self.figures.macs = Some(costs.macs);
        self.figures.predicted_instructions = Some(costs.instructions);
        self.text += &exported.network.draw();
        let line = format!(
            "float {:.2} %, int8 {:.2} % of {} test images, trained on {}",
            accuracy.float_pct,
            accuracy.int8_pct,
            exported.card.data.n_test,
            exported.card.data.n_train
        );
        self.line("accuracy", line);
        self.line("flash", format!("{} bytes (the blob)", costs.flash_bytes));
        self.line("RAM", format!("{} bytes (the arena)", costs.ram_bytes));
        self.line("work", format!("{} multiply-accumulates", costs.macs));
    }

    pub(super) fn comparison(&mut self, found: &Comparison) {
        self.figures.device_equal = Some(found.n_equal);
        self.figures.device_compared = Some(found.n);
        self.figures.instructions = Some(found.inference.mean().round() as u64);
        let line = format!(
            "{:.0} per image counted on the device, {} predicted",
            found.inference.mean(),
            self.figures.predicted_instructions.unwrap_or(0)
        );
        self.line("instructions", line);
        let line = format!(
            "device equals host on {} of {} images, every score",
            found.n_equal, found.n
        );
        self.line("Cortex-M4", line);
        self.differences
            .extend(found.difference.iter().map(ToString::to_string));
    }

    /// All streams, in order.
    pub(super) fn learning(&mut self, streams: &[Learned]) {
        self.line(
            "learning",
            "on the device, from shifted images it has not seen:",
        );
        for stream in streams {
            self.stream(stream);
        }
        let n = streams.len().max(1) as f64;
        let mean = |of: &dyn Fn(&Learned) -> f64| streams.iter().map(of).sum::<f64>() / n;
        let update = mean(&|s| s.device.update.mean());
        let figures = &mut self.figures;
        figures.shift_before_pct = Some(rounded(mean(&|s| s.before_pct)));
        figures.shift_after_pct = Some(rounded(mean(&|s| s.after_pct)));
        figures.update_instructions = Some(update.round() as u64);
        figures.shift_labels = streams.iter().map(|s| s.device.adapted.n_labels()).min();
        figures.state_bytes = streams.iter().map(|s| s.device.adapted.state_bytes).max();
        figures.state_equal = Some(streams.iter().all(|s| s.device.adapted == s.host));
        let inference = figures.instructions.unwrap_or(0).max(1) as f64;
        let line = format!(
            "{update:.0} instructions per label, {:.2} % of an inference; {} bytes of learned state",
            100.0 * update / inference,
            figures.state_bytes.unwrap_or(0)
        );
        self.line("", line);
    }

    fn stream(&mut self, stream: &Learned) {
        let Learned {
            name,
            severity,
            before_pct,
            after_pct,
            n_test,
            device,
            host,
        } = stream;
        let learned = &device.adapted;
        let streams = &mut self.figures.streams;
        streams.insert(format!("{name}_before_pct"), rounded(*before_pct));
        streams.insert(format!("{name}_after_pct"), rounded(*after_pct));
        let equal = learned == host;
        let line = format!(
            "{name} {severity}: {before_pct:.2} % before, {after_pct:.2} % after {} labels, of {n_test} \
             test images; state {:08x}, {} the host's",
            learned.n_labels(),
            learned.digest,
            if equal { "equal to" } else { "NOT" }
        );
        self.line("", line);
        if !equal {
            self.differences.push(format!(
                "{name}: the device learned {:08x}, the host {:08x}",
                learned.digest, host.digest
            ));
        }
    }

    pub(super) fn paths(&mut self, out: &Path) {
        for (what, file) in [
            ("study", "study"),
            ("run", "run"),
            ("blob", "model/model.blob"),
            ("model card", "model/card.toml"),
        ] {
            self.line(what, out.join(file).display());
        }
    }
}

/// A percentage to two decimals, as the story prints it.
fn rounded(pct: f64) -> f64 {
    (100.0 * pct).round() / 100.0
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        write!(f, "{:<13} {:.0} s", "time", self.figures.wall_s)
    }
}
