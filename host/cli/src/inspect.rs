//! `aplysia inspect`: what a blob or a genotype is and costs.

use crate::args::{DataArgs, InspectArgs};
use crate::images::{self, TrainingImages};
use crate::{Outcome, blob, genotype};
use anyhow::{Context, Result};
use aplysia_deploy::arena::Work;
use aplysia_deploy::cascade::{describe, lifetimes_of};
use aplysia_deploy::cost::untrained_blob;
use aplysia_deploy::energy::CHIPS;
use aplysia_deploy::plan::{Plan, memory_map};
use aplysia_deploy::plasticity::{self, Learning};
use aplysia_deploy::{Costs, hex};
use aplysia_live::adaptation::DOMAINS;
use aplysia_shared::{Model, Op, Tensor};
use aplysia_space::Design;
use std::io::{self, Write};

/// Prints layers and costs; of a blob the memory map, of a genotype the rules.
///
/// # Errors
/// Neither a genotype nor a valid blob, the images of a genotype are missing, or the output cannot be written.
pub(crate) fn run(args: &InspectArgs) -> Result<Outcome> {
    let out = &mut io::stdout().lock();
    if genotype::is_meant(&args.what) {
        design(out, &genotype::read(&args.what)?, &args.data)?;
    } else {
        let bytes = blob::read_file(&args.what).with_context(|| {
            format!(
                "give a blob that `aplysia export` or `aplysia import` wrote, or a genotype: {}",
                genotype::choices()
            )
        })?;
        model(out, &blob::parse(&bytes, &args.what)?)?;
    }
    Ok(Outcome::Done)
}

fn design(out: &mut impl Write, design: &Design, data: &DataArgs) -> Result<()> {
    let images = TrainingImages::load(data)?.splits.train;
    let (input, n_classes) = (images::shape(&images), images.n_classes());
    writeln!(
        out,
        "for {}: images {}x{}x{}, {n_classes} classes",
        data.dataset, input.h, input.w, input.c
    )?;
    let network = design.lower(input, n_classes)?.inference().0;
    write!(out, "{}", network.draw())?;
    let content = plasticity::content(design, &images.class_names);
    let blob = match untrained_blob(&network, &content) {
        Ok(blob) => blob,
        Err(e) => return Ok(writeln!(out, "not for a device: {e}")?),
    };
    let model = Model::parse(&blob)?;
    let cost = Costs::of(&model);
    costs(out, cost)?;
    writeln!(
        out,
        "              of layers one by one: `export --ram-bytes` takes less RAM for more instructions"
    )?;
    if let Some((plan, config)) =
        plasticity::describe(design, &network).zip(plasticity::config(design))
    {
        let learning = Learning::of(&model, &config)?;
        writeln!(out, "{plan}")?;
        let (bytes, n) = (learning.state_bytes, learning.instructions);
        writeln!(
            out,
            "learning      {bytes:>10} bytes of RAM beside the arena"
        )?;
        if let Some(bytes) = learning.slot_bytes {
            let slots = DOMAINS.slots;
            writeln!(
                out,
                "              {bytes:>10} bytes with {slots} domain slots"
            )?;
        }
        writeln!(
            out,
            "              {n:>10} instructions more per image (estimated, Cortex-M4)"
        )?;
    }
    energy(out, cost.instructions)
}

fn model(out: &mut impl Write, model: &Model<'_>) -> Result<()> {
    writeln!(out, "model {}", hex(&model.id()))?;
    for (i, layer) in model.layers().enumerate() {
        let Some(t) = model.tensor(layer.output) else {
            continue;
        };
        let kind = kind(&layer.op);
        writeln!(out, "{:>3} {kind:<24} -> {}x{}x{}", i + 1, t.h, t.w, t.c)?;
    }
    write!(out, "\n{}\n", arena(model))?;
    let cost = Costs::of(model);
    costs(out, cost)?;
    energy(out, cost.instructions)
}

/// Estimated cycles and microjoules of an inference on every known chip, with their bands.
fn energy(out: &mut impl Write, instructions: u64) -> Result<()> {
    writeln!(
        out,
        "\nestimates per inference, lowest to highest; not measured:"
    )?;
    for chip in &CHIPS {
        let cycles = chip.processor.cpi.times(instructions as f64 / 1e6);
        let uj = chip.energy_uj(instructions);
        writeln!(
            out,
            "{:<14} {:>8.2} M cycles ({:.2} to {:.2}) {:>9.1} uJ ({:.1} to {:.1}), {}",
            chip.name,
            cycles.mid,
            cycles.low,
            cycles.high,
            uj.mid,
            uj.low,
            uj.high,
            chip.conditions
        )?;
    }
    Ok(())
}

/// Every tensor with its place and its lifetime: layer `i` above is step `i`, the input is there at 0.
fn arena(model: &Model<'_>) -> String {
    let tensors: Vec<Tensor> = model.tensors().collect();
    let work = Work::of_model(model);
    let mut names = vec!["input".to_string(); tensors.len()];
    for (step, layer) in (1..).zip(model.layers()) {
        let output = usize::from(layer.output);
        if names[output] == "input" {
            names[output] = format!("{step} {}", kind(&layer.op));
        }
    }
    // Of the best order, or of these cascades.
    let (buffers, peak) = lifetimes_of(&model.graph());
    let lower_bound_bytes = match model.cascades() {
        [] => work.arrange().plan.lower_bound_bytes,
        _ => peak,
    };
    let arena_bytes = model.arena_bytes();
    let placed = Plan {
        offsets: tensors.iter().map(|t| t.offset as usize).collect(),
        arena_bytes,
        optimal: arena_bytes <= lower_bound_bytes,
        lower_bound_bytes,
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    memory_map(&names, &buffers, &placed) + &describe(model)
}

fn kind(op: &Op) -> String {
    let text = format!("{op:?}");
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_string()
}

/// Prints the costs, one per line with its unit.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn costs(out: &mut impl Write, c: Costs) -> Result<()> {
    sizes(out, c)?;
    let n = c.instructions;
    writeln!(out, "instructions  {n:>10} (estimated, Cortex-M4)")?;
    Ok(())
}

/// As [`costs`], for a processor whose instructions are not estimated.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn sizes(out: &mut impl Write, c: Costs) -> Result<()> {
    writeln!(out, "flash         {:>10} bytes (the blob)", c.flash_bytes)?;
    match c.golden_bytes {
        0 => writeln!(out, "golden set          none")?,
        n => writeln!(out, "golden set    {n:>10} bytes of these")?,
    }
    writeln!(out, "RAM           {:>10} bytes (the arena)", c.ram_bytes)?;
    writeln!(out, "work          {:>10} multiply-accumulates", c.macs)?;
    Ok(())
}
