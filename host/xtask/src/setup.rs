//! Brings what is missing on a fresh machine. Asks nothing, changes nothing that is there already,
//! and says each command before it runs it. Where it may not install (not Debian, not root), it
//! fails with the line that the user has to run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::command;
use crate::firmware::{CHECK_TARGETS, Route, TARGET, has_core};
use crate::options::Options;
use crate::report::Report;
use crate::tree::{Tree, on_path};

/// Where Debian's package puts the dataset.
const DATA_DIR: &str = "/usr/share/datasets/fashion-mnist";

const DATA_FILES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// Programs needed on the PATH, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 2] = [("qemu-system-arm", "qemu-system-arm"), ("cc", "gcc")];

const DEBIAN_RUST: [&str; 4] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "binutils-arm-none-eabi",
];

/// Sets up the ARM toolchain, the emulator, the dataset and the C compiler, one step each.
pub(crate) fn run(tree: &Tree, options: &Options, report: &mut Report) {
    report.step("set-up: ARM toolchain", || {
        arm_toolchain(tree, options.force_debian_rust)
    });
    report.step("set-up: emulator, dataset, C compiler", || {
        host_packages(options)
    });
}

/// Formatter and lints of the toolchain in use, needed by the test run only.
pub(crate) fn lints() -> Result<()> {
    if on_path("rustup") && !(has_tool("fmt") && has_tool("clippy")) {
        command::run(Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]))?;
    }
    if !(has_tool("fmt") && has_tool("clippy")) {
        bail!("cargo fmt and cargo clippy are missing: install rustfmt and clippy");
    }
    Ok(())
}

fn has_tool(subcommand: &str) -> bool {
    command::output(Command::new("cargo").args([subcommand, "--version"])).is_ok()
}

fn arm_toolchain(tree: &Tree, force_debian: bool) -> Result<()> {
    let route = match Route::recorded(tree).filter(|route| route.complete()) {
        Some(Route::Debian) => {
            eprintln!(
                "the firmware is built with Debian's Rust packages, as set up before \
                 (remove {} to choose anew)",
                tree.route_file().display()
            );
            Route::Debian
        }
        _ if !force_debian && rustup_targets() => {
            eprintln!("the firmware is built with the `core` for {TARGET} of the toolchain in use");
            Route::Prebuilt
        }
        _ => {
            debian_rust()?;
            Route::Debian
        }
    };
    route.record(tree)
}

/// Adds the targets if any is missing; true if the firmware's is there afterwards.
fn rustup_targets() -> bool {
    let missing: Vec<_> = [TARGET]
        .into_iter()
        .chain(CHECK_TARGETS)
        .filter(|target| !has_core(target))
        .collect();
    if !missing.is_empty() && on_path("rustup") {
        eprintln!("adding {} targets to the Rust toolchain", missing.len());
        if let Err(error) = command::run(
            Command::new("rustup")
                .args(["target", "add"])
                .args(&missing),
        ) {
            eprintln!("{error:#}");
        }
    }
    Route::Prebuilt.complete()
}

fn debian_rust() -> Result<()> {
    if !Route::Debian.complete() {
        eprintln!("installing Debian's Rust, with the sources of `core` and an ARM linker");
        install(&DEBIAN_RUST)
            .with_context(|| format!("make `rustup target add {TARGET}` work, or else"))?;
    }
    if !Route::Debian.complete() {
        bail!(
            "the packages {} are installed, yet rustc, its sources or ld is missing",
            DEBIAN_RUST.join(" ")
        );
    }
    Ok(())
}

fn host_packages(options: &Options) -> Result<()> {
    let data = data_dir(options);
    let mut packages = Vec::new();
    for (program, package) in PROGRAMS {
        if !on_path(program) {
            packages.push(package);
        }
    }
    if missing_data(&data).is_some() && data == Path::new(DATA_DIR) {
        packages.push("dataset-fashion-mnist");
    }
    if !packages.is_empty() {
        install(&packages)?;
    }
    for (program, package) in PROGRAMS {
        if !on_path(program) {
            bail!("the package {package} is installed, yet no {program} is on the PATH");
        }
    }
    if let Some(file) = missing_data(&data) {
        bail!(
            "{} does not exist: put {} of Fashion-MNIST there, or name another folder with --data",
            file.display(),
            DATA_FILES.join(", ")
        );
    }
    eprintln!(
        "emulator and C compiler are on the PATH, the dataset is in {}",
        data.display()
    );
    Ok(())
}

/// The folder from `--data`, else from `APLYSIA_DATA`, else Debian's.
fn data_dir(options: &Options) -> PathBuf {
    let variable = || env::var_os("APLYSIA_DATA").filter(|value| !value.is_empty());
    let named = options
        .data
        .clone()
        .or_else(|| variable().map(PathBuf::from));
    named.unwrap_or_else(|| DATA_DIR.into())
}

fn missing_data(dir: &Path) -> Option<PathBuf> {
    DATA_FILES
        .into_iter()
        .map(|file| dir.join(file))
        .find(|file| !file.is_file())
}

/// Installs Debian packages without a question.
fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !on_path("apt-get") || !fs::exists("/etc/debian_version")? {
        bail!("missing here: what Debian calls {list}; install it with your system's own means");
    }
    if !is_root()? {
        bail!(
            "run this as root, then start me again:\n\
             apt-get update && apt-get install -y --no-install-recommends {list}"
        );
    }
    eprintln!("installing the Debian packages {list}");
    command::run(&mut apt_get(&["update"]))?;
    let install = ["install", "-y", "--no-install-recommends"];
    let plan = command::output(apt_get(&install).arg("--simulate").args(packages))?;
    let removed: Vec<_> = plan.lines().filter_map(removed_package).collect();
    if !removed.is_empty() {
        eprintln!("this removes {}, in conflict with them", removed.join(", "));
    }
    command::run(apt_get(&install).args(packages))
}

/// The package that a line of `apt-get --simulate` says would be removed.
fn removed_package(line: &str) -> Option<&str> {
    line.strip_prefix("Remv ")?.split(' ').next()
}

/// `apt-get` that never asks and waits up to two minutes for another one to end.
fn apt_get(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-o", "DPkg::Lock::Timeout=120"]).args(args);
    command
}

fn is_root() -> Result<bool> {
    Ok(command::output(Command::new("id").arg("-u"))? == "0")
}
