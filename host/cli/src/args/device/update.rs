//! The grammar of `aplysia device update`.

use super::BoardArgs;
use clap::Args;
use std::path::PathBuf;

pub(crate) const HELP: &str = "Examples:
  aplysia device update new.blob --flash board.flash --built-in old.blob
  aplysia device update new.blob --connect board.sock

The model in use stays until the new one has started and computes what the host computes. Whatever was cut \
(line, power, this command), the same command goes on where it was: what the device holds is not sent again.";

#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// The new model's blob; signed, if the device was built with a public key.
    pub(crate) blob: PathBuf,
    #[command(flatten)]
    pub(crate) board: BoardArgs,
    /// The blob that an emulated board was made with: it runs while no slot holds another one.
    #[arg(long, value_name = "BLOB", conflicts_with = "connect")]
    pub(crate) built_in: Option<PathBuf>,
}
