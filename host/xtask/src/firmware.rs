//! Builds the device program. Knows the two routes to a `core` for the target and how cargo is
//! called on each; the linker script is the firmware crate's own business.
//!
//! Route `prebuilt`: the toolchain in use has the target's `core` (`rustup target add`) and links
//! with its `rust-lld`. Route `debian`: Debian's `rustc-web` builds `core` from `rust-web-src` and
//! links with GNU ld; for machines that reach Debian's mirrors but not rustup's server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;
use crate::tree::{Tree, cargo};

/// Target of the emulated board, a Cortex-M4 with FPU.
pub(crate) const TARGET: &str = "thumbv7em-none-eabihf";

/// Targets for which the device program is only checked and the counting program built: Cortex-M0+, M3,
/// M33.
pub(crate) const CHECK_TARGETS: [&str; 3] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv8m.main-none-eabihf",
];

/// Programs of the firmware crate: the device, the counter of instructions, inference alone.
const PROGRAM: &str = "live";
const BENCH: &str = "bench";
const INFER: &str = "infer";

/// Folder, in the firmware's target folder, of the program for [`TEST_KEY`].
const TEST_KEY_FOLDER: &str = "test-key";
/// The public key of RFC 8032, section 7.1, test 1. Its private half is printed there: for tests only.
const TEST_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
/// Folder, in the firmware's target folder, of the program that runs without a debugger.
const ALONE_FOLDER: &str = "alone";
/// What it is built with: no `semihosting`.
pub(crate) const ALONE: [&str; 3] = ["--no-default-features", "--features", "board-mps2-an386"];

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const GNU_LD: &str = "/usr/bin/arm-none-eabi-ld";

/// How the firmware gets its `core` and its linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Prebuilt,
    Debian,
}

impl Route {
    const ALL: [Route; 2] = [Route::Prebuilt, Route::Debian];

    fn name(self) -> &'static str {
        match self {
            Route::Prebuilt => "prebuilt",
            Route::Debian => "debian",
        }
    }

    /// The route that set-up recorded, if any.
    pub(crate) fn recorded(tree: &Tree) -> Option<Route> {
        let text = fs::read_to_string(tree.route_file()).ok()?;
        Route::ALL
            .into_iter()
            .find(|route| route.name() == text.trim())
    }

    /// Writes the route down for later builds.
    pub(crate) fn record(self, tree: &Tree) -> Result<()> {
        let file = tree.route_file();
        fs::create_dir_all(tree.firmware_target())
            .and_then(|()| fs::write(&file, format!("{}\n", self.name())))
            .with_context(|| format!("could not write {}", file.display()))
    }

    /// Whether everything the route needs is installed.
    pub(crate) fn complete(self) -> bool {
        match self {
            Route::Prebuilt => has_core(TARGET),
            Route::Debian => {
                [DEBIAN_CARGO, DEBIAN_RUSTC, GNU_LD]
                    .into_iter()
                    .all(|f| fs::exists(f).is_ok_and(|e| e))
                    && debian_has_source()
            }
        }
    }
}

/// Whether the toolchain in use has a compiled `core` for the target.
pub(crate) fn has_core(target: &str) -> bool {
    command::output(Command::new("rustc").args(["--print", "sysroot"])).is_ok_and(|sysroot| {
        PathBuf::from(sysroot)
            .join("lib/rustlib")
            .join(target)
            .join("lib")
            .is_dir()
    })
}

fn debian_has_source() -> bool {
    let mut rustc = Command::new(DEBIAN_RUSTC);
    rustc
        .args(["--print", "sysroot"])
        .env_remove("LD_LIBRARY_PATH");
    command::output(&mut rustc).is_ok_and(|sysroot| {
        PathBuf::from(sysroot)
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .is_file()
    })
}

/// Builds the device program, and on the prebuilt route the one of inference alone, and returns the path
/// of the device program's ELF file.
///
/// # Errors
/// No firmware in the tree, no route recorded, or the build fails.
pub(crate) fn build(tree: &Tree) -> Result<PathBuf> {
    let (route, mut cargo) = build_command(tree)?;
    command::run(&mut cargo)?;
    if route == Route::Prebuilt {
        build_infer(tree, TARGET)?;
    }
    let elf = tree
        .firmware_target()
        .join(TARGET)
        .join("release")
        .join(PROGRAM);
    if !elf.is_file() {
        bail!("the build passed but {} does not exist", elf.display());
    }
    Ok(elf)
}

/// Builds the device program in its other forms, for the tests: that which takes models signed with [`TEST_KEY`]
/// only, and that which runs without a debugger. Each in a folder of its own, since one folder would be built anew
/// for each form in turn.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_other_forms(tree: &Tree) -> Result<()> {
    let (_, mut cargo) = build_command(tree)?;
    cargo.args(["--bin", PROGRAM]);
    cargo.env("APLYSIA_PUBLIC_KEY", TEST_KEY);
    let folder = tree.firmware_target().join(TEST_KEY_FOLDER);
    command::run(cargo.env("CARGO_TARGET_DIR", folder))?;
    let (_, mut cargo) = build_command(tree)?;
    cargo.args(["--bin", PROGRAM]).args(ALONE);
    let folder = tree.firmware_target().join(ALONE_FOLDER);
    command::run(cargo.env("CARGO_TARGET_DIR", folder))
}

/// The call that builds device programs by the recorded route.
fn build_command(tree: &Tree) -> Result<(Route, Command)> {
    if !tree.has_firmware() {
        bail!("{} does not exist", tree.firmware_manifest().display());
    }
    let Some(route) = Route::recorded(tree) else {
        bail!("no route to an ARM toolchain is recorded: run `cargo xtask setup` first");
    };
    let mut cargo = cargo_in_firmware(tree, route);
    cargo.args(["build", "--release", "--target", TARGET]);
    if route == Route::Debian {
        cargo.arg("-Zbuild-std=core");
    }
    Ok((route, cargo))
}

/// Builds the counting program and that of inference alone for a target of [`CHECK_TARGETS`].
///
/// # Errors
/// The target's `core` is not installed, or the build fails.
pub(crate) fn build_others(tree: &Tree, target: &str) -> Result<()> {
    build_program(tree, target, BENCH, ",semihosting")?;
    build_infer(tree, target)
}

/// The program of inference alone says nothing, so that it links no formatting, and needs no debugger.
fn build_infer(tree: &Tree, target: &str) -> Result<()> {
    build_program(tree, target, INFER, ",silent")
}

fn build_program(tree: &Tree, target: &str, name: &str, features: &str) -> Result<()> {
    let mut cargo = cargo_in_firmware(tree, Route::Prebuilt);
    cargo.args(["build", "--release", "--bin", name, "--target", target]);
    let armv8m = target.starts_with("thumbv8m");
    // The boards of the other processors have the default board's map.
    let board = match armv8m {
        true => "board-mps2-an505",
        false => "board-mps2-an386",
    };
    cargo.args(["--no-default-features", "--features"]);
    cargo.arg(format!("{board}{features}"));
    if armv8m {
        // A Cortex-M33 with the DSP extension, which the target leaves open; the key of a target with a
        // dot in its name does not work in `.cargo/config.toml`.
        cargo.env("RUSTFLAGS", "-Ctarget-cpu=cortex-m33");
    }
    command::run(&mut cargo)
}

/// A cargo command in the firmware's workspace, set up for the route.
pub(crate) fn cargo_in_firmware(tree: &Tree, route: Route) -> Command {
    let mut command = match route {
        Route::Prebuilt => Command::new(cargo()),
        Route::Debian => {
            let mut command = Command::new(DEBIAN_CARGO);
            // The library path that cargo set for this program holds another toolchain's files.
            command
                .env_remove("LD_LIBRARY_PATH")
                .env_remove("RUSTUP_TOOLCHAIN");
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", DEBIAN_RUSTC);
            command.env("CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER", GNU_LD);
            command.env(
                "CARGO_TARGET_THUMBV7EM_NONE_EABIHF_RUSTFLAGS",
                "-Clinker-flavor=ld",
            );
            command
        }
    };
    command
        .current_dir(tree.firmware())
        .env("CARGO_TARGET_DIR", tree.firmware_target());
    command
}
