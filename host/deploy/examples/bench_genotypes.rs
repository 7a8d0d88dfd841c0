//! Measures the networks of random genotypes that the cost model is held against: `bench_genotypes BUILT
//! FOLDER` takes the bench firmware of the Cortex-M4 in `BUILT` and writes `FOLDER/genotypes.json` and
//! `.md`. `cargo xtask bench-genotypes` calls it.

use aplysia_deploy::bench::{GENOTYPES, predict, predictions_table, toolchain};
use aplysia_deploy::processor::M4;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(built), Some(folder)) = (args.next(), args.next()) else {
        return Err("bench_genotypes BUILT FOLDER".into());
    };
    let elf = built.join(M4.target).join("release/bench");
    let toolchain = toolchain(&std::fs::read(&elf)?).ok_or("the firmware names no compiler")?;
    let predictions = (0..GENOTYPES).map(|i| predict(&elf, i));
    let predictions = predictions.collect::<Result<Vec<_>, _>>()?;
    let file = |extension| folder.join("genotypes").with_extension(extension);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(
        file("json"),
        serde_json::to_string_pretty(&predictions)? + "\n",
    )?;
    let table = predictions_table(&predictions, &toolchain);
    std::fs::write(file("md"), &table)?;
    println!("{table}");
    Ok(())
}
