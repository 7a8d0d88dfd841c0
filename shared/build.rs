//! Sets `cfg(dsp)` where the target has the DSP extension: stable Rust does not report that target
//! feature. Of the Thumb targets, `thumbv7em` (Cortex-M4 and M7) has it by definition; with
//! `thumbv8m.main` it is an option: `-Ctarget-feature` with `+dsp` or `-dsp` says so, else a processor of
//! [`WITH_DSP`] named by `-Ctarget-cpu` is taken to have it. `DSP_CPU` is a processor that the assembler knows to
//! have it. On the other Thumb targets sets `cfg(multiply)`, and `cfg(armv7m)` where there is an MLA.
//! `kernel::KERNELS` says what came of it.

use std::env;

/// Processors of `thumbv8m.main` that come with the extension, or almost always do.
const WITH_DSP: [&str; 5] = [
    "cortex-m33",
    "cortex-m35p",
    "cortex-m52",
    "cortex-m55",
    "cortex-m85",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo:rustc-check-cfg=cfg(dsp, multiply, armv7m)");
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let named = |words: &[&str]| flags.split(['\x1f', '=', ',']).any(|w| words.contains(&w));
    let armv8m = target.starts_with("thumbv8m.main");
    let armv8m_dsp = armv8m && !named(&["-dsp"]) && (named(&["+dsp"]) || named(&WITH_DSP));
    let cpu = match target.starts_with("thumbv7em") {
        true => Some("cortex-m4"),
        false => armv8m_dsp.then_some("cortex-m33"),
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
