//! Links with the script of `cortex-m-rt` (and that of `defmt`, if chosen), and puts the memory map of the
//! chosen board where that script looks for it.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let board = env::vars()
        .find_map(|(key, _)| {
            key.strip_prefix("CARGO_FEATURE_BOARD_")
                .map(str::to_lowercase)
        })
        .expect("no board chosen: build with --features board-<name>, see src/board.rs")
        .replace('_', "-");
    let map = format!("boards/{board}.x");
    fs::copy(&map, out.join("memory.x")).unwrap_or_else(|error| panic!("{map}: {error}"));
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
    println!("cargo:rerun-if-env-changed=APLYSIA_PUBLIC_KEY");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=boards");
}
