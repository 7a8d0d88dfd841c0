//! `--ram-bytes` of `aplysia export` and `aplysia import`.

use aplysia_deploy::Export;
use aplysia_deploy::cascade::describe;
use aplysia_shared::Model;
use aplysia_shared::adapt::Config;
use clap::Args;

/// How little RAM a blob is to need.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct RamArgs {
    /// Most bytes of the arena, or `least`: as many layers as it takes run together, some rows at a time, with the same
    /// bits in more instructions. Of these layers none learns on the device, but for the statistics of the first
    /// [default: each on its own, the fastest].
    #[arg(long, value_name = "BYTES|least", value_parser = ram)]
    ram_bytes: Option<Ram>,
}

/// A number of bytes, or the least.
#[derive(Clone, Copy, Debug)]
enum Ram {
    Within(usize),
    Least,
}

fn ram(text: &str) -> Result<Ram, String> {
    match text {
        "least" => Ok(Ram::Least),
        bytes => {
            let bytes = bytes.parse().map(Ram::Within);
            bytes.map_err(|_| "a number of bytes, or `least`".to_owned())
        }
    }
}

impl RamArgs {
    /// `made` as the flag has it, where layers that learn by `learning` stay apart.
    ///
    /// # Errors
    /// It needs more.
    pub(crate) fn apply(&self, made: Export, learning: Option<&Config>) -> anyhow::Result<Export> {
        let alone = made.costs;
        let made = match self.ram_bytes {
            None => return Ok(made),
            Some(Ram::Within(bytes)) => made.within(Some(bytes), learning)?,
            Some(Ram::Least) => made.within(None, learning)?,
        };
        if made.costs != alone {
            let more = made.costs.instructions as f64 / alone.instructions as f64 - 1.0;
            say!(
                "{}an arena of {} bytes in place of {}, {:.1} % more instructions, as predicted",
                describe(&Model::parse(&made.blob)?),
                made.costs.ram_bytes,
                alone.ram_bytes,
                100.0 * more
            );
        }
        Ok(made)
    }

    /// The flag again, none if it was not given.
    pub(crate) fn flag(&self) -> Option<String> {
        self.ram_bytes.map(|ram| match ram {
            Ram::Within(bytes) => format!("--ram-bytes {bytes}"),
            Ram::Least => "--ram-bytes least".to_owned(),
        })
    }
}
