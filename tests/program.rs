//! Where the built programs are: the command line tool and the firmware. Knows paths only.

use std::env;
use std::path::{Path, PathBuf};

/// The tool `aplysia` as the same cargo profile built it: `APLYSIA_BINARY`, else beside the tests.
pub(crate) fn aplysia_binary() -> PathBuf {
    let tests = env::current_exe().unwrap();
    // <target>/release/deps/all-<hash>
    let built = tests.ancestors().nth(2).unwrap().join("aplysia");
    program("APLYSIA_BINARY", built, "cargo build --release -p aplysia")
}

/// The device program: `APLYSIA_FIRMWARE`, else where `cargo xtask firmware` puts it.
pub(crate) fn firmware() -> PathBuf {
    let built = "../firmware/target/thumbv7em-none-eabihf/release/live";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(built);
    program("APLYSIA_FIRMWARE", built, "cargo xtask firmware")
}

/// The device program with a public key, for tests: `APLYSIA_KEYED_FIRMWARE`, else where `cargo xtask firmware` puts
/// it.
pub(crate) fn keyed_firmware() -> PathBuf {
    let built = beside("test-key");
    program("APLYSIA_KEYED_FIRMWARE", built, "cargo xtask firmware")
}

/// The device program that runs without a debugger, for tests: `APLYSIA_ALONE_FIRMWARE`, else where
/// `cargo xtask firmware` puts it.
pub(crate) fn alone_firmware() -> PathBuf {
    let built = beside("alone");
    program("APLYSIA_ALONE_FIRMWARE", built, "cargo xtask firmware")
}

/// Another form of the device program, in the target folder `name` in that of the usual form.
fn beside(name: &str) -> PathBuf {
    let route = Path::new("thumbv7em-none-eabihf/release/live");
    target_folder().join(name).join(route)
}

/// The firmware's.
fn target_folder() -> PathBuf {
    firmware().ancestors().nth(3).unwrap().to_owned()
}

/// Whether rustup's toolchain built the firmware; Debian's, another version, is the other route.
pub(crate) fn is_prebuilt() -> bool {
    let route = std::fs::read_to_string(target_folder().join("route"));
    route.unwrap_or_default().trim() != "debian"
}

fn program(variable: &str, built: PathBuf, how: &str) -> PathBuf {
    let path = env::var_os(variable).map_or(built, PathBuf::from);
    assert!(path.is_file(), "{}: build it with `{how}`", path.display());
    path
}
