//! Sets `cfg(dsp)` where the target has the DSP extension: stable Rust does not report that target
//! feature. Of the Thumb targets, `thumbv7em` (Cortex-M4 and M7) has it by definition.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(dsp)");
    if std::env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv7em")) {
        println!("cargo:rustc-cfg=dsp");
    }
}
