//! One measurement: steps of the real loop with a look at the clock between them.

use crate::networks::{N_CLASSES, network};
use crate::{How, Subject};
use anyhow::{Context as _, Result};
use aplysia_learn::supernet::{self, SupernetConfig, SupernetJob, SupernetProgress};
use aplysia_learn::{Augment, Images, Job, Progress, TrainConfig};
use aplysia_space::darts::Skeleton;
use aplysia_space::{Rule, Shape};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::Instant;

/// What a measurement found. `pytorch.py` prints the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// `aplysia`, or `pytorch` with its version and layout of memory.
    pub(crate) program: String,
    pub(crate) network: String,
    pub(crate) rule: String,
    /// The processor that computed.
    pub(crate) device: String,
    pub(crate) batch: usize,
    /// Trained parameters.
    pub(crate) n_params: usize,
    /// Steps that were timed.
    pub(crate) steps: usize,
    /// Median time of a step in ms.
    pub(crate) step_ms: f64,
    /// `batch / step_ms`.
    pub(crate) images_per_s: f64,
    /// Loss of the last step before the clock, the same on every device but for rounding; none of PyTorch,
    /// whose first weights are others.
    pub(crate) loss: Option<f32>,
    /// Time to make a batch of images (shift, mirror, normalise) in ms, part of the step; 0 where it is
    /// made before.
    pub(crate) data_ms: f64,
    /// Largest resident set of the process, in MB.
    pub(crate) peak_mb: f64,
    /// Memory of the GPU in use at the end, caches of the program included, in MB.
    pub(crate) gpu_mb: Option<f64>,
}

/// Times between steps, after some to warm up, until the time is over.
struct Clock<'a> {
    how: &'a How,
    steps: usize,
    since: Instant,
    started: Instant,
    times: Vec<f64>,
    loss: Option<f32>,
}

impl<'a> Clock<'a> {
    fn new(how: &'a How) -> Self {
        let now = Instant::now();
        Self {
            how,
            steps: 0,
            since: now,
            started: now,
            times: vec![],
            loss: None,
        }
    }

    fn tick(&mut self, loss: f32) -> ControlFlow<()> {
        let now = Instant::now();
        self.steps += 1;
        if self.steps <= self.how.warm {
            self.started = now;
            self.loss = Some(loss);
        } else {
            self.times.push((now - self.since).as_secs_f64() * 1e3);
        }
        self.since = now;
        let over = (now - self.started).as_secs_f64() >= self.how.seconds;
        match self.steps > self.how.warm && over {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Pixels and labels that stand for a dataset.
struct Data {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    shape: Shape,
}

impl Data {
    fn new(shape: Shape, n: usize) -> Self {
        let pixel = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        Self {
            pixels: (0..n * shape.len()).map(pixel).collect(),
            labels: (0..n).map(|i| (i % N_CLASSES) as u16).collect(),
            shape,
        }
    }

    fn images(&self) -> Images<'_> {
        Images {
            pixels: (&self.pixels).into(),
            labels: &self.labels,
            shape: self.shape,
            mean_pixel: &[128, 128, 128][..self.shape.c],
            std: 0.29,
        }
    }
}

/// Trains the network.
pub(crate) fn train(subject: &Subject, how: &How) -> Result<Record> {
    let (network, shape) = network(&subject.network, subject.rule)?;
    let data = Data::new(shape, 64 * how.batch);
    let config = TrainConfig {
        epochs: 1_000_000,
        batch: how.batch,
        lr: 0.01,
        ..TrainConfig::default()
    };
    let job = Job {
        network: &network,
        train: data.images(),
        valid: None,
        config: &config,
        device: how.device.parse()?,
        checkpoint: None,
    };
    let mut clock = Clock::new(how);
    aplysia_learn::train(&job, &mut |progress| match progress {
        Progress::Step { loss, .. } => clock.tick(loss),
        Progress::Epoch(_) => ControlFlow::Continue(()),
    })?;
    record(
        clock,
        &subject.network,
        subject.rule.name(),
        network.total_params(),
        data_ms(&config.augment, &data, how)?,
    )
}

/// Searches: a step is one of the architecture and one of the weights, one rule drawn per operation and edge.
pub(crate) fn supernet(how: &How, partial: usize) -> Result<Record> {
    let config = SupernetConfig {
        epochs: 1_000_000,
        flat: true,
        search_places: false,
        partial,
        ..SupernetConfig::default()
    };
    let supernet = config.supernet(&Skeleton::search(), &[Rule::Bp])?;
    let data = Data::new(supernet.network.nodes[0].shape, 16 * how.batch);
    let training = TrainConfig {
        batch: how.batch,
        lr: 0.025,
        clip_norm: 5.0,
        ..TrainConfig::default()
    };
    let job = SupernetJob {
        supernet: &supernet,
        images: data.images(),
        training: &training,
        config: &config,
        device: how.device.parse()?,
        checkpoint: None,
    };
    let mut clock = Clock::new(how);
    supernet::search(&job, &mut |progress| match progress {
        SupernetProgress::Step { loss, .. } => clock.tick(loss),
        _ => ControlFlow::Continue(()),
    })?;
    let name = format!("supernet, 22 columns, 1/{partial} of the channels");
    record(
        clock,
        &name,
        "drawn",
        supernet.network.total_params(),
        2.0 * data_ms(&training.augment, &data, how)?,
    )
}

fn record(
    clock: Clock,
    network: &str,
    rule: &str,
    n_params: usize,
    data_ms: f64,
) -> Result<Record> {
    let how = clock.how;
    let steps = clock.times.len();
    let step_ms = median(clock.times).context("no step was timed")?;
    Ok(Record {
        program: "aplysia".into(),
        network: network.into(),
        rule: rule.into(),
        device: processor(&how.device)?,
        batch: how.batch,
        n_params,
        steps,
        step_ms,
        images_per_s: how.batch as f64 * 1e3 / step_ms,
        loss: clock.loss,
        data_ms,
        peak_mb: supernet::peak_bytes().context("the system does not tell the peak of memory")?
            as f64
            / 1e6,
        gpu_mb: match how.device.as_str() {
            "cuda" => Some(gpu("memory.used")?.parse()?),
            _ => None,
        },
    })
}

/// Median time to make a batch.
fn data_ms(augment: &Augment, data: &Data, how: &How) -> Result<f64> {
    let indices: Vec<u32> = (0..how.batch as u32).collect();
    let images = data.images();
    let times = (0..50).map(|step| {
        let start = Instant::now();
        std::hint::black_box(augment.batch(&images, &indices, (0, step))?);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    });
    Ok(median(times.collect::<Result<_>>()?).unwrap_or_default())
}

/// The middle of the numbers, the upper one of two.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

/// The name of what computes, with the number of threads on a CPU.
pub(crate) fn processor(device: &str) -> Result<String> {
    match device {
        "cuda" => return gpu("name"),
        "wgpu" => return Ok("what Vulkan finds first".into()),
        _ => {}
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|l| l.starts_with("model name"));
    let name = name.and_then(|l| l.split(": ").nth(1)).unwrap_or("CPU");
    let threads = std::thread::available_parallelism()?;
    Ok(format!("{name}, {threads} threads"))
}

/// What NVIDIA's driver says of the first GPU.
fn gpu(field: &str) -> Result<String> {
    let mut command = std::process::Command::new("nvidia-smi");
    command.args([
        &format!("--query-gpu={field}"),
        "--format=csv,noheader,nounits",
    ]);
    let output = command.output().context("nvidia-smi did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().context("nvidia-smi names no GPU")?;
    Ok(line.trim().to_owned())
}
