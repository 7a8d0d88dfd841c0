//! `aplysia inspect`: what a blob or a genotype is and costs.

use crate::args::InspectArgs;
use crate::{Outcome, blob};
use anyhow::{Context, Result};
use aplysia_data::fashion_mnist::CLASS_NAMES;
use aplysia_deploy::{Content, Costs, cost_of_network};
use aplysia_space::{Genotype, Network, Shape};
use std::path::Path;

/// Input of the space `mcu` here: Fashion-MNIST.
const INPUT: Shape = Shape { h: 28, w: 28, c: 1 };

/// Prints layers, rules and costs.
///
/// # Errors
/// The file cannot be read or is neither a genotype nor a valid blob.
pub(crate) fn run(args: &InspectArgs) -> Result<Outcome> {
    let bytes = blob::read(&args.what)?;
    if args.what.extension().is_some_and(|e| e == "toml") {
        genotype(&bytes, &args.what)?;
    } else {
        model(&bytes, &args.what)?;
    }
    Ok(Outcome::Done)
}

fn genotype(bytes: &[u8], path: &Path) -> Result<()> {
    let text = std::str::from_utf8(bytes).context("a genotype is UTF-8 text")?;
    let genotype = Genotype::from_toml(text)
        .with_context(|| format!("{} is not a genotype", path.display()))?;
    let network = Network::lower(&genotype, INPUT, CLASS_NAMES.len())?;
    print!("{}", network.draw());
    costs(cost_of_network(&network, &Content::new(&CLASS_NAMES))?);
    Ok(())
}

fn model(bytes: &[u8], path: &Path) -> Result<()> {
    let model = blob::parse(bytes, path)?;
    let id: String = model.id().iter().map(|b| format!("{b:02x}")).collect();
    println!("model {id}");
    for (i, layer) in model.layers().iter().enumerate() {
        let out = &model.tensors()[usize::from(layer.output)];
        println!(
            "{i:>3} {:<24} -> {}x{}x{} at {}",
            kind(&layer.op),
            out.h,
            out.w,
            out.c,
            out.offset
        );
    }
    costs(Costs::of(&model));
    Ok(())
}

fn kind(op: &aplysia_shared::Op) -> String {
    let text = format!("{op:?}");
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_string()
}

/// Prints the costs, one per line with its unit.
pub(crate) fn costs(c: Costs) {
    println!("flash         {:>10} bytes (the blob)", c.flash_bytes);
    println!("RAM           {:>10} bytes (the arena)", c.ram_bytes);
    println!("work          {:>10} multiply-accumulates", c.macs);
    println!(
        "instructions  {:>10} (estimated, Cortex-M4)",
        c.instructions
    );
}
