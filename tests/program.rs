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
/// it, in a folder beside the other's target.
pub(crate) fn keyed_firmware() -> PathBuf {
    let device = firmware();
    let route = Path::new("thumbv7em-none-eabihf/release/live");
    let built = device
        .ancestors()
        .nth(3)
        .unwrap()
        .join("test-key")
        .join(route);
    program("APLYSIA_KEYED_FIRMWARE", built, "cargo xtask firmware")
}

fn program(variable: &str, built: PathBuf, how: &str) -> PathBuf {
    let path = env::var_os(variable).map_or(built, PathBuf::from);
    assert!(path.is_file(), "{}: build it with `{how}`", path.display());
    path
}
