//! `--ram-bytes` and `--flash-bytes` of `aplysia export` and `aplysia import`.

use aplysia_deploy::cascade::describe;
use aplysia_deploy::{Export, winograd};
use aplysia_shared::adapt::Config;
use aplysia_shared::{Model, Op};
use clap::Args;

/// How little RAM a blob is to need, and how much flash it may take for speed.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct MemoryArgs {
    /// Most bytes of the arena, or `least`: as many layers as it takes run together, some rows at a time, with the same
    /// bits in more instructions. Of these layers none learns on the device, but for the statistics of the first
    /// [default: each on its own, the fastest].
    #[arg(long, value_name = "BYTES|least", value_parser = bytes_or::<LEAST>)]
    ram_bytes: Option<Limit>,

    /// Most bytes of the blob, or `most`: 3×3 convolutions with stride 1 get Winograd's form, with the same bits in
    /// about half of their instructions and 3.6 times their bytes, those first that gain most a byte: of 4, 8, 12 to 64
    /// input channels, a multiple of 4 of output channels, and 2×4 outputs or more. Layers that run together or keep
    /// statistics on the device stay as they are. For processors with the DSP extension (M4, M7, M33); it runs on the
    /// others, with the same bits, but slowly [default: the smallest blob].
    #[arg(long, value_name = "BYTES|most", value_parser = bytes_or::<MOST>)]
    pub(crate) flash_bytes: Option<Limit>,
}

/// A number of bytes; none for the one that has a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(Option<usize>);

/// Which of the [`NAMES`].
const LEAST: usize = 0;
const MOST: usize = 1;
const NAMES: [&str; 2] = ["least", "most"];

fn bytes_or<const NAME: usize>(text: &str) -> Result<Limit, String> {
    if text == NAMES[NAME] {
        return Ok(Limit(None));
    }
    let bytes = text.parse().map(|bytes| Limit(Some(bytes)));
    bytes.map_err(|_| format!("a number of bytes, or `{}`", NAMES[NAME]))
}

impl Limit {
    fn flag(self, flag: &str, name: usize) -> String {
        match self.0 {
            Some(bytes) => format!("{flag} {bytes}"),
            None => format!("{flag} {}", NAMES[name]),
        }
    }
}

impl MemoryArgs {
    /// `made` as the flags have it, where layers that learn by `learning` stay apart.
    ///
    /// # Errors
    /// It needs more.
    pub(crate) fn apply(&self, made: Export, learning: Option<&Config>) -> anyhow::Result<Export> {
        let alone = made.costs;
        let made = match self.ram_bytes {
            None => made,
            Some(limit) => made.within(limit.0, learning)?,
        };
        let together = made.costs;
        if together != alone {
            say!(
                "{}an arena of {} bytes in place of {}, {}",
                describe(&Model::parse(&made.blob)?),
                together.ram_bytes,
                alone.ram_bytes,
                change([alone.instructions, together.instructions])
            );
        }
        let Some(limit) = self.flash_bytes else {
            return Ok(made);
        };
        let made = made.in_flash(limit.0)?;
        let model = Model::parse(&made.blob)?;
        let fast = (0..model.n_layers()).filter(|&i| {
            let op = model.layer(i).map(|layer| layer.op);
            matches!(op, Some(Op::WinogradConv2d(_)))
        });
        let fast: Vec<String> = fast.map(|i| (i + 1).to_string()).collect();
        match fast.as_slice() {
            [] if winograd::is_for(&model) => {
                say!(
                    "no layer got Winograd's form: {} bytes have no room for one",
                    made.blob.len()
                );
            }
            [] => say!("no layer can have Winograd's form: `--help` says which can"),
            fast => say!(
                "Winograd's form of layer {}: a blob of {} bytes in place of {}, {}",
                fast.join(", "),
                made.costs.flash_bytes,
                together.flash_bytes,
                change([together.instructions, made.costs.instructions])
            ),
        }
        Ok(made)
    }

    /// The flags again, those that were given.
    pub(crate) fn flags(&self) -> impl Iterator<Item = String> {
        let ram = self.ram_bytes.map(|limit| limit.flag("--ram-bytes", LEAST));
        let flash = self.flash_bytes;
        let flash = flash.map(|limit| limit.flag("--flash-bytes", MOST));
        ram.into_iter().chain(flash)
    }
}

/// By how much the second number of instructions is more or fewer.
fn change([before, after]: [u64; 2]) -> String {
    let percent = 100.0 * (after as f64 / before as f64 - 1.0);
    let word = if percent < 0.0 { "fewer" } else { "more" };
    format!("{:.1} % {word} instructions, as predicted", percent.abs())
}
