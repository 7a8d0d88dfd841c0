//! Sets `cfg(dsp)` where the target has the DSP extension: stable Rust does not report that target
//! feature. Of the Thumb targets, `thumbv7em` (Cortex-M4 and M7) has it by definition; with
//! `thumbv8m.main` it is an option, which a Cortex-M33 named by `-Ctarget-cpu` is taken to have. `DSP_CPU`
//! is a processor that the assembler knows to have it.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo:rustc-check-cfg=cfg(dsp)");
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let armv8m = target.starts_with("thumbv8m.main") && flags.contains("target-cpu=cortex-m33");
    let cpu = match (target.starts_with("thumbv7em"), armv8m) {
        (true, _) => "cortex-m4",
        (_, true) => "cortex-m33",
        _ => return,
    };
    println!("cargo:rustc-cfg=dsp");
    println!("cargo:rustc-env=DSP_CPU={cpu}");
}
