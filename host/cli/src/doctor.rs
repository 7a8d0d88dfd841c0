//! `aplysia doctor`: what is installed, what is missing, how to get it.

use crate::{Outcome, device};
use aplysia_learn::Device;
use std::process::Command;

/// One thing this machine may have.
struct Check {
    what: &'static str,
    needed_for: &'static str,
    /// All else works without it.
    optional: bool,
    /// What was found, or how to get it.
    found: Result<String, String>,
}

/// Prints the table of checks.
///
/// # Errors
/// Never; the signature is that of every command.
pub(crate) fn run() -> anyhow::Result<Outcome> {
    let checks = [
        Check {
            what: "Fashion-MNIST",
            needed_for: "search, train, evaluate, export",
            optional: false,
            found: data(),
        },
        Check {
            what: "qemu-system-arm",
            needed_for: "the emulated device",
            optional: false,
            found: version("qemu-system-arm", "apt-get install qemu-system-arm"),
        },
        Check {
            what: "ARM target",
            needed_for: "building the firmware",
            optional: false,
            found: arm_target(),
        },
        Check {
            what: "firmware",
            needed_for: "device, demo, study",
            optional: false,
            found: firmware(),
        },
        Check {
            what: "CUDA",
            needed_for: "--device cuda",
            optional: true,
            found: gpu(Device::Cuda),
        },
        Check {
            what: "Vulkan",
            needed_for: "--device wgpu",
            optional: true,
            found: gpu(Device::Wgpu),
        },
    ];
    let mut lacking = false;
    for c in &checks {
        match &c.found {
            Ok(what) => say!("ok       {:<16} {what}", c.what),
            Err(how) => {
                lacking |= !c.optional;
                let state = if c.optional { "optional" } else { "missing" };
                say!("{state:<8} {:<16} for {}: {how}", c.what, c.needed_for);
            }
        }
    }
    Ok(if lacking {
        Outcome::Lacking
    } else {
        Outcome::Done
    })
}

fn data() -> Result<String, String> {
    let dir = aplysia_data::Source::FashionMnist
        .locate(None)
        .map_err(|e| e.to_string())?;
    match aplysia_data::fashion_mnist::check(&dir) {
        Ok(()) => Ok(format!("training and test files in {}", dir.display())),
        Err(e) => Err(e.to_string()),
    }
}

fn version(program: &str, how: &str) -> Result<String, String> {
    let out = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|_| how.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().next().unwrap_or("present").to_string())
}

fn arm_target() -> Result<String, String> {
    const TARGET: &str = "thumbv7em-none-eabihf";
    let out = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let installed = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    if installed.is_ok_and(|t| t.lines().any(|l| l == TARGET)) {
        return Ok(format!("{TARGET} (rustup)"));
    }
    let debian = std::path::Path::new("/usr/lib/rustlib/src").exists();
    if debian {
        return Ok("Debian's rust-web-src (built with -Zbuild-std)".into());
    }
    Err(format!(
        "rustup target add {TARGET}, or `cargo xtask setup`"
    ))
}

fn firmware() -> Result<String, String> {
    let elf = device::firmware(None);
    match elf.is_file() {
        true => Ok(elf.display().to_string()),
        false => Err(format!(
            "no {}: cargo xtask firmware, or set $APLYSIA_FIRMWARE",
            elf.display()
        )),
    }
}

fn gpu(device: Device) -> Result<String, String> {
    device.describe().map_err(|e| e.to_string())
}
