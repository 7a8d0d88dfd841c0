//! Sets `cfg(dsp)` where the target has the DSP extension: stable Rust does not report that target
//! feature. Of the Thumb targets, `thumbv7em` (Cortex-M4 and M7) has it by definition; with
//! `thumbv8m.main` it is an option, which a Cortex-M33 named by `-Ctarget-cpu` is taken to have. `DSP_CPU`
//! is a processor that the assembler knows to have it. On the other Thumb targets sets `cfg(multiply)`, and
//! `cfg(armv7m)` where there is an MLA.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo:rustc-check-cfg=cfg(dsp, multiply, armv7m)");
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let armv8m = target.starts_with("thumbv8m.main");
    let cpu = match target.starts_with("thumbv7em") {
        true => Some("cortex-m4"),
        false => Some("cortex-m33").filter(|_| armv8m && flags.contains("target-cpu=cortex-m33")),
    };
    if let Some(cpu) = cpu {
        println!("cargo:rustc-cfg=dsp");
        println!("cargo:rustc-env=DSP_CPU={cpu}");
    } else if target.starts_with("thumbv") {
        println!("cargo:rustc-cfg=multiply");
        if target.starts_with("thumbv7m") || armv8m {
            println!("cargo:rustc-cfg=armv7m");
        }
    }
}
