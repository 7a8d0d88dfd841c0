//! What an attacker can reach, one function from any bytes for each: the blob parser, the serial line,
//! the flash images, the import. A target returns if all is well and panics if not.
//!
//! It owns the list of targets; each file owns the properties of one. Called by the short runs
//! (`smoke.rs`), the soak of the emulated device (`soak.rs`) and the coverage-guided fuzzer (`fuzz`). It
//! must not know where the bytes come from.

#[path = "attack/blob.rs"]
pub(crate) mod blob;
#[path = "attack/flash.rs"]
pub(crate) mod flash;
#[path = "attack/import.rs"]
pub(crate) mod import;
#[path = "attack/kept.rs"]
pub(crate) mod kept;
#[path = "attack/line.rs"]
pub(crate) mod line;
#[path = "attack/protocol.rs"]
pub(crate) mod protocol;
#[path = "attack/update.rs"]
pub(crate) mod update;

/// One attacked interface.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Also of its file in `fuzz/corpus` and of its folder in `fuzz/findings`.
    pub(crate) name: &'static str,
    /// Panics if `bytes` break a promise.
    pub(crate) run: fn(&[u8]),
    /// Sound inputs to start from.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: [Target; 5] = [
    Target {
        name: "blob",
        run: blob::run,
        seeds: blob::seeds,
    },
    Target {
        name: "flash",
        run: flash::run,
        seeds: flash::seeds,
    },
    Target {
        name: "import",
        run: import::run,
        seeds: import::seeds,
    },
    Target {
        name: "protocol",
        run: protocol::run,
        seeds: protocol::seeds,
    },
    Target {
        name: "update",
        run: update::run,
        seeds: update::seeds,
    },
];

/// The target called `name`.
pub(crate) fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("no target `{name}`"))
}
