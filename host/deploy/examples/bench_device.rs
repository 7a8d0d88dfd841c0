//! Measures every case on every processor whose bench firmware is built: `bench_device BUILT FOLDER`
//! looks for it in `BUILT/TARGET/release/bench`, with `infer` beside it, and writes `FOLDER/m4.json`,
//! `FOLDER/m4.md` and so on. `cargo xtask bench-device` calls it.

use aplysia_deploy::bench::{cases, program_bytes, record, table, toolchain};
use aplysia_deploy::processor::{PROCESSORS, Processor};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(built), Some(folder)) = (args.next(), args.next()) else {
        return Err("bench_device BUILT FOLDER".into());
    };
    std::fs::create_dir_all(&folder)?;
    for processor in &PROCESSORS {
        let elf = built.join(processor.target).join("release/bench");
        let name = processor.name;
        if elf.is_file() {
            println!("\n{name}\n\n{}", measured(processor, &elf, &folder)?);
        } else {
            eprintln!("{name} left out: no program {}", elf.display());
        }
    }
    Ok(())
}

/// Measures one processor, writes its two files and gives the table.
fn measured(processor: &Processor, elf: &Path, folder: &Path) -> Result<String, Box<dyn Error>> {
    let toolchain = toolchain(&std::fs::read(elf)?).ok_or("the firmware names no compiler")?;
    let infer = program_bytes(&std::fs::read(elf.with_file_name("infer"))?).ok_or("no program")?;
    let records = cases(processor).map(|case| record(processor, elf, case));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let file = |extension| folder.join(processor.name).with_extension(extension);
    std::fs::write(file("json"), serde_json::to_string_pretty(&records)? + "\n")?;
    let table = table(processor, &records, &toolchain, infer);
    std::fs::write(file("md"), &table)?;
    Ok(table)
}
