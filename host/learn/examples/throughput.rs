//! Training and evaluation speed in images/s on random pixels.
//!
//! `cargo run --release -p aplysia-learn --example throughput [-- GENOTYPE.toml [BATCH]]`

use aplysia_learn::{Device, Images, Job, Progress, TrainConfig, evaluate, train};
use aplysia_space::{Genotype, Network, Shape};
use std::ops::ControlFlow;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEFAULT: &str = include_str!("throughput.toml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let text = args.next().map(std::fs::read_to_string).transpose()?;
    let batch = args.next().map(|b| b.parse()).transpose()?.unwrap_or(128);
    let shape = Shape { h: 28, w: 28, c: 1 };
    let network = Network::lower(
        &Genotype::from_toml(text.as_deref().unwrap_or(DEFAULT))?,
        shape,
        10,
    )?;
    let n = 64 * batch;
    let pixels: Vec<u8> = (0..n * shape.len())
        .map(|i| ((i * 7919) >> 3) as u8)
        .collect();
    let labels: Vec<u16> = (0..n).map(|i| (i % 10) as u16).collect();
    let images = Images {
        pixels: &pixels,
        labels: &labels,
        shape,
        mean_pixel: &[73],
        std: 0.35,
    };
    let config = TrainConfig {
        epochs: 3,
        batch,
        ..TrainConfig::default()
    };
    let job = Job {
        network: &network,
        train: images,
        valid: None,
        config: &config,
        device: Device::Cpu,
        checkpoint: None,
    };
    println!("{:.2} M MACs, batch {batch}", network.macs() as f64 / 1e6);
    let mut clock = Instant::now();
    let trained = train(&job, &mut |progress| {
        if let Progress::Epoch(record) = progress {
            let speed = n as f64 / clock.elapsed().as_secs_f64();
            println!("train: {speed:.0} images/s, loss {:.3}", record.loss);
            clock = Instant::now();
        }
        ControlFlow::Continue(())
    })?;
    let clock = Instant::now();
    evaluate(&network, &trained.params, images, Device::Cpu)?;
    println!(
        "evaluate: {:.0} images/s",
        n as f64 / clock.elapsed().as_secs_f64()
    );
    Ok(())
}
