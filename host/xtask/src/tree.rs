//! Where things are: the checkout, the target folder, the firmware. Builds and changes nothing.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The checkout this program was started from and the folder its builds go to.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    target: PathBuf,
}

/// The cargo that started this program.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

impl Tree {
    /// Finds the checkout through cargo's environment.
    ///
    /// # Errors
    /// If the program was not started by cargo.
    pub(crate) fn find() -> Result<Tree> {
        let package = env::var_os("CARGO_MANIFEST_DIR").context("start me as `cargo xtask`")?;
        let root = Path::new(&package)
            .ancestors()
            .nth(2)
            .context("xtask is expected two folders below the checkout")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir).context("CARGO_TARGET_DIR")?,
            None => root.join("target"),
        };
        Ok(Tree { root, target })
    }

    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The firmware's workspace.
    pub(crate) fn firmware(&self) -> PathBuf {
        self.root.join("firmware")
    }

    pub(crate) fn firmware_manifest(&self) -> PathBuf {
        self.firmware().join("Cargo.toml")
    }

    pub(crate) fn has_firmware(&self) -> bool {
        self.firmware_manifest().is_file()
    }

    /// Target folder of the firmware, apart from the host's because its toolchain may differ.
    pub(crate) fn firmware_target(&self) -> PathBuf {
        self.target.join("firmware")
    }

    /// Target folder of the fuzzer, which is built by another toolchain with other flags; it also holds
    /// what the fuzzer finds.
    pub(crate) fn fuzz_target(&self) -> PathBuf {
        self.target.join("fuzz")
    }

    /// The program of the bench of training.
    pub(crate) fn train_bench(&self) -> PathBuf {
        self.target.join("release/aplysia-bench")
    }

    /// The virtual environment that holds PyTorch, for the bench of training.
    pub(crate) fn pytorch(&self) -> PathBuf {
        self.target.join("pytorch")
    }

    /// File in which set-up records the route of the firmware build.
    pub(crate) fn route_file(&self) -> PathBuf {
        self.firmware_target().join("route")
    }
}

/// Whether a program of this name is in one of the folders of `PATH`.
pub(crate) fn on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
