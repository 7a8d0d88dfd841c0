//! Measures every case with a bench firmware: `bench_device ELF FOLDER` writes `FOLDER/m4.json` and
//! `FOLDER/m4.md`. `cargo xtask bench-device` calls it.

use aplysia_deploy::bench::{CASES, record, table, toolchain};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(elf), Some(folder)) = (args.next(), args.next()) else {
        return Err("bench_device ELF FOLDER".into());
    };
    let toolchain = toolchain(&std::fs::read(&elf)?).ok_or("the firmware names no compiler")?;
    let records = CASES.iter().map(|case| record(&elf, case));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    std::fs::create_dir_all(&folder)?;
    let json = serde_json::to_string_pretty(&records)?;
    std::fs::write(folder.join("m4.json"), json + "\n")?;
    let table = table(&records, &toolchain);
    std::fs::write(folder.join("m4.md"), &table)?;
    print!("{table}");
    Ok(())
}
