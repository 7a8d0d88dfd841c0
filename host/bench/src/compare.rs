//! Everything in turn, here and in PyTorch; medians of the rounds; the two tables.

use crate::How;
use crate::measure::{Record, median};
use anyhow::{Context as _, Result, bail};
use aplysia_space::Rule;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TWIN: &str = include_str!("../pytorch.py");

/// The name of the supernet, whose steps draw their rules.
const SUPERNET: &str = "supernet";

/// Layouts of memory that PyTorch knows.
const LAYOUTS: [&str; 2] = ["contiguous", "channels-last"];

/// A line of the table.
#[derive(Serialize)]
struct Row {
    network: String,
    rule: String,
    device: String,
    batch: usize,
    n_params: usize,
    /// Medians over the rounds.
    images_per_s: f64,
    /// Lowest and highest of the rounds.
    range: [f64; 2],
    peak_mb: f64,
    gpu_mb: Option<f64>,
    /// Share of a step that goes into making the batch.
    data_share: f64,
    /// Time and memory of a step over those of `bp`.
    time_over_bp: f64,
    memory_over_bp: f64,
    pytorch: Option<Other>,
}

/// PyTorch, in the layout in which it is faster.
#[derive(Serialize)]
struct Other {
    program: String,
    images_per_s: f64,
    range: [f64; 2],
    /// Images/s here over those there.
    ratio: f64,
    peak_mb: f64,
    gpu_mb: Option<f64>,
}

/// The measurements of one program on one network by one rule.
struct Series(Vec<Record>);

impl Series {
    fn median(&self, of: impl Fn(&Record) -> f64) -> f64 {
        median(self.0.iter().map(of).collect()).unwrap_or_default()
    }

    fn speed(&self) -> f64 {
        self.median(|r| r.images_per_s)
    }

    fn range(&self) -> [f64; 2] {
        let speeds = self.0.iter().map(|r| r.images_per_s);
        let fold = |f: fn(f64, f64) -> f64, from| speeds.clone().fold(from, f);
        [fold(f64::min, f64::INFINITY), fold(f64::max, 0.0)]
    }

    fn gpu_mb(&self) -> Option<f64> {
        self.0[0]
            .gpu_mb
            .map(|_| self.median(|r| r.gpu_mb.unwrap_or_default()))
    }

    /// What decides whether a network fits.
    fn memory(&self) -> f64 {
        self.gpu_mb().unwrap_or_else(|| self.median(|r| r.peak_mb))
    }
}

/// What to compare.
#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    how: How,
    /// A Python with PyTorch; left out, PyTorch is not timed.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Times that everything is measured; medians over them are kept.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Networks, or `supernet`, which has no twin.
    #[arg(long, default_values = ["ds-cnn", "darts"])]
    network: Vec<String>,
    /// Rules: the exact gradient first, to which the others are compared.
    #[arg(long, default_values = ["bp", "fa", "usf", "brsf", "frsf"])]
    rule: Vec<Rule>,
    /// Rules that PyTorch is timed by; all if none is named.
    #[arg(long)]
    twin: Vec<Rule>,
    /// Folder of the tables.
    #[arg(long, default_value = "models/bench")]
    out: PathBuf,
}

/// Measures and writes `train-DEVICE.json` and `train-DEVICE.md`, anew after every network.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    std::fs::create_dir_all(&plan.out)?;
    let mut rows: Vec<Row> = vec![];
    for name in &plan.network {
        rows.extend(network_rows(plan, name)?);
        let file = |extension| {
            let name = format!("train-{}.{extension}", plan.how.device);
            plan.out.join(name)
        };
        std::fs::write(file("json"), serde_json::to_string_pretty(&rows)? + "\n")?;
        std::fs::write(file("md"), table(&rows, plan)?)?;
    }
    println!("{}", table(&rows, plan)?);
    Ok(())
}

fn network_rows(plan: &Plan, name: &str) -> Result<Vec<Row>> {
    let rules: Vec<Option<Rule>> = match name {
        SUPERNET => vec![None],
        _ => plan.rule.iter().copied().map(Some).collect(),
    };
    let mut ours: Vec<_> = rules.iter().map(|_| Series(vec![])).collect();
    let mut theirs: Vec<_> = rules
        .iter()
        .map(|_| LAYOUTS.map(|_| Series(vec![])))
        .collect();
    for round in 1..=plan.rounds {
        for (i, &rule) in rules.iter().enumerate() {
            ours[i].0.push(here(name, rule, &plan.how)?);
            let twin = rule.filter(|r| plan.twin.is_empty() || plan.twin.contains(r));
            if let (Some(python), Some(rule)) = (&plan.python, twin) {
                for (series, layout) in theirs[i].iter_mut().zip(LAYOUTS) {
                    series.0.push(there(python, name, rule, layout, &plan.how)?);
                }
            }
            let rule = &ours[i].0[0].rule;
            eprintln!("round {round} of {}: {name}, {rule}", plan.rounds);
        }
    }
    let first = (1.0 / ours[0].speed(), ours[0].memory());
    let rows = ours.iter().zip(theirs);
    Ok(rows
        .map(|(ours, theirs)| row(ours, theirs, first))
        .collect())
}

fn row(series: &Series, layouts: [Series; 2], (bp_time, bp_memory): (f64, f64)) -> Row {
    let first = &series.0[0];
    let measured = layouts.into_iter().filter(|s| !s.0.is_empty());
    let best = measured.max_by(|a, b| a.speed().total_cmp(&b.speed()));
    Row {
        network: first.network.clone(),
        rule: first.rule.clone(),
        device: first.device.clone(),
        batch: first.batch,
        n_params: first.n_params,
        images_per_s: series.speed(),
        range: series.range(),
        peak_mb: series.median(|r| r.peak_mb),
        gpu_mb: series.gpu_mb(),
        data_share: series.median(|r| r.data_ms / r.step_ms),
        time_over_bp: 1.0 / series.speed() / bp_time,
        memory_over_bp: series.memory() / bp_memory,
        pytorch: best.map(|other| Other {
            program: other.0[0].program.clone(),
            images_per_s: other.speed(),
            range: other.range(),
            ratio: series.speed() / other.speed(),
            peak_mb: other.median(|r| r.peak_mb),
            gpu_mb: other.gpu_mb(),
        }),
    }
}

fn here(network: &str, rule: Option<Rule>, how: &How) -> Result<Record> {
    let mut command = Command::new(std::env::current_exe()?);
    match rule {
        Some(rule) => command.args(["train", network, rule.name()]),
        None => command.args([SUPERNET, "--partial", "4"]),
    };
    record(arguments(&mut command, how), None)
}

fn there(python: &Path, network: &str, rule: Rule, layout: &str, how: &How) -> Result<Record> {
    let (graph, _) = crate::networks::network(network, rule)?;
    let graph = crate::networks::graph(&graph)?.to_string();
    let mut command = Command::new(python);
    command.args([
        "-c",
        TWIN,
        "--network",
        network,
        "--rule",
        rule.name(),
        "--layout",
        layout,
    ]);
    record(arguments(&mut command, how), Some(&graph))
}

fn arguments<'a>(command: &'a mut Command, how: &How) -> &'a mut Command {
    command.args(["--device", &how.device, "--batch", &how.batch.to_string()]);
    command.args(["--warm", &how.warm.to_string()]);
    command.args(["--seconds", &how.seconds.to_string()])
}

/// Runs the command, with `input` on its standard input, and reads its last line.
fn record(command: &mut Command, input: Option<&str>) -> Result<Record> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("a measurement did not start")?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("a measurement ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .last()
        .context("a measurement printed nothing")?;
    Ok(serde_json::from_str(line)?)
}

fn table(rows: &[Row], plan: &Plan) -> Result<String> {
    let (first, how, rounds) = (&rows[0], &plan.how, plan.rounds);
    let mut text = format!(
        "# Training speed, `{}`\n\nImages/s of forward, backward and optimizer step (momentum), batch {}, float32, random \
         pixels, on {}; medians of {rounds} interleaved round(s) of {} s, lowest and highest in brackets. Here a \
         step also makes its batch (shift, mirror, normalise); PyTorch's twin has it ready. `ratio`: images/s here \
         over PyTorch's, eager, in its faster layout of memory (named). Memory: ",
        how.device, first.batch, first.device, how.seconds
    );
    let memory = match first.gpu_mb {
        Some(_) => "of the GPU in use, caches included.\n\n",
        None => "largest resident set.\n\n",
    };
    text += memory;
    text += "| network | rule | images/s | time / bp | MB | memory / bp | data | PyTorch images/s | layout | MB | ratio |\n";
    text += "|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|\n";
    for row in rows {
        let mb = |gpu: Option<f64>, peak: f64| gpu.unwrap_or(peak);
        write!(
            text,
            "| {} | {} | {} | {:.2} | {:.0} | {:.2} | {:.1} % |",
            row.network,
            row.rule,
            speed(row.images_per_s, row.range),
            row.time_over_bp,
            mb(row.gpu_mb, row.peak_mb),
            row.memory_over_bp,
            row.data_share * 100.0,
        )?;
        match &row.pytorch {
            Some(other) => writeln!(
                text,
                " {} | {} | {:.0} | {:.2} |",
                speed(other.images_per_s, other.range),
                other.program,
                mb(other.gpu_mb, other.peak_mb),
                other.ratio
            )?,
            None => text += " | | | |\n",
        }
    }
    Ok(text)
}

fn speed(median: f64, [low, high]: [f64; 2]) -> String {
    format!("{median:.0} ({low:.0}–{high:.0})")
}
