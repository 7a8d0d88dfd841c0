//! The coverage-guided fuzzer over the targets of the tests: `APLYSIA_FUZZ_TARGET` names one.
//!
//! It owns the way into libFuzzer and nothing else. `APLYSIA_FUZZ_SEEDS` is a folder for the seeds and the
//! kept inputs; with `APLYSIA_FUZZ_KEEP` nothing is run, and the inputs in that folder are kept from then on.
//! Started by `cargo xtask fuzz`; see `README.md`.
#![no_main]

#[path = "../../attack.rs"]
mod attack;
#[path = "../../nor.rs"]
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod nor;
#[path = "../../slots.rs"]
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod slots;
#[path = "../../tflite.rs"]
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod tflite;
#[path = "../../toy.rs"]
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod toy;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io, process};

static TARGET: OnceLock<attack::Target> = OnceLock::new();

fn chosen() -> attack::Target {
    *TARGET.get_or_init(|| {
        attack::target(&env::var("APLYSIA_FUZZ_TARGET").expect("APLYSIA_FUZZ_TARGET"))
    })
}

/// Puts the inputs to start from where libFuzzer looks for them, or keeps what it found.
fn prepare() -> io::Result<()> {
    let target = chosen();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let kept: PathBuf = corpus.join(target.name).with_extension("gz");
    if let Some(folder) = env::var_os("APLYSIA_FUZZ_KEEP") {
        let inputs = fs::read_dir(folder)?.map(|entry| fs::read(entry?.path()));
        attack::kept::write(&kept, inputs.collect::<io::Result<_>>()?)?;
        process::exit(0);
    }
    if let Some(folder) = env::var_os("APLYSIA_FUZZ_SEEDS") {
        let inputs = (target.seeds)()
            .into_iter()
            .chain(attack::kept::read(&kept)?);
        for (i, input) in inputs.enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{i}")), input)?;
        }
    }
    Ok(())
}

libfuzzer_sys::fuzz_target!(
    init: prepare().expect("folders and kept inputs"),
    |bytes: &[u8]| (chosen().run)(bytes)
);
