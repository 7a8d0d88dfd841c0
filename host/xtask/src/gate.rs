//! Every check of the repository, in one run: format, lints, links of the documentation, tests on the host and under
//! emulation, and whether the device code compiles for the other cores. Continuous integration
//! runs exactly this.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;
use crate::firmware::{self, CHECK_TARGETS, Route, has_core};
use crate::options::Options;
use crate::report::Report;
use crate::setup;
use crate::tree::{Tree, cargo};

/// Runs all steps; what failed is in the report, and only there.
///
/// # Errors
/// The folder of `--data` cannot be made absolute.
pub(crate) fn run(tree: &Tree, options: &Options, report: &mut Report) -> Result<()> {
    let data = options
        .data
        .as_ref()
        .map(std::path::absolute)
        .transpose()
        .context("--data")?;
    setup::run(tree, options, report);
    report.step("set-up: rustfmt, clippy", setup::lints);

    report.step("format", || {
        command::run(in_root(tree).args(["fmt", "--all", "--check"]))
    });
    let elf = if tree.has_firmware() {
        report.step("firmware", || {
            firmware::build_other_forms(tree)?;
            firmware::build(tree)
        })
    } else {
        report.skip("firmware", "firmware/Cargo.toml does not exist");
        None
    };
    if tree.has_firmware() {
        firmware_lints(tree, report);
    }
    cross_checks(tree, report);
    report.step("lints", || {
        let args = [
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        command::run(in_root(tree).args(args))
    });
    // No GPU is needed to compile its kernels and their tests.
    report.step("lints of the GPU code", || {
        let tests = [
            "clippy",
            "--release",
            "--package",
            "aplysia-tests",
            "--tests",
        ];
        let features = ["--features", "cuda,wgpu", "--", "-D", "warnings"];
        command::run(in_root(tree).args(tests).args(features))
    });
    report.step("documentation", || {
        // Links of private items, too; they may name private items, public ones among them.
        let flags = "-D warnings -A rustdoc::private_intra_doc_links";
        let doc = [
            "doc",
            "--release",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ];
        command::run(in_root(tree).args(doc).env("RUSTDOCFLAGS", flags))
    });
    report.step("tests", || {
        host_tests(tree, elf.as_deref(), data.as_deref())
    });
    Ok(())
}

fn in_root(tree: &Tree) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(tree.root());
    command
}

fn host_tests(tree: &Tree, elf: Option<&Path>, data: Option<&Path>) -> Result<()> {
    // With the targets of the tests, so that the tool is built from the same artifacts as they are.
    let build = ["build", "--release", "--workspace", "--bins", "--tests"];
    command::run(in_root(tree).args(build))?;
    let mut command = in_root(tree);
    command.args(["test", "--release", "--workspace"]);
    if let Some(elf) = elf {
        command.env("APLYSIA_FIRMWARE", elf);
    }
    if let Some(data) = data {
        command.env("APLYSIA_DATA", data);
    }
    command::run(&mut command)
}

fn firmware_lints(tree: &Tree, report: &mut Report) {
    report.step("firmware format", || {
        command::run(
            in_root(tree)
                .current_dir(tree.firmware())
                .args(["fmt", "--check"]),
        )
    });
    if Route::recorded(tree) != Some(Route::Prebuilt) {
        return report.skip(
            "firmware lints",
            "no prebuilt `core` for clippy (rustup's route has it)",
        );
    }
    report.step("firmware lints", || {
        for log in [&[][..], &["--features", "defmt"], &firmware::ALONE] {
            let mut command = firmware::cargo_in_firmware(tree, Route::Prebuilt);
            command.args(["clippy", "--release", "--target", firmware::TARGET]);
            command::run(command.args(log).args(["--", "-D", "warnings"]))?;
        }
        Ok(())
    });
}

/// Compiles the device code for the other cores, and builds the program that counts instructions there.
fn cross_checks(tree: &Tree, report: &mut Report) {
    for target in CHECK_TARGETS {
        let name = format!("check for {target}");
        if !has_core(target) {
            report.skip(&name, "its `core` is not installed (rustup's route has it)");
            continue;
        }
        report.step(&name, || {
            let check = ["check", "--release", "--target", target];
            command::run(
                in_root(tree)
                    .args(check)
                    .args(["--package", "aplysia-shared"]),
            )?;
            if tree.has_firmware() {
                command::run(firmware::cargo_in_firmware(tree, Route::Prebuilt).args(check))?;
                firmware::build_others(tree, target)?;
            }
            Ok(())
        });
    }
}
