//! The grammar of learning below the head.

use aplysia_live::adaptation::{DEEP_RAM_BYTES, DEEP_RATE};
use aplysia_shared::adapt::deep::{Deep, Feedback};
use clap::{Args, ValueEnum, value_parser};

/// Where errors below the head come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeedbackKind {
    /// Drawn from the seed.
    Random,
    /// The signs of the model's own head: only the layer below it learns.
    Signs,
}

/// Only with `--head deep`.
#[derive(Args)]
pub(crate) struct DeepArgs {
    /// RAM for the layers below the head that learn: as many as fit, from the last on.
    #[arg(long, value_name = "BYTES", default_value_t = DEEP_RAM_BYTES, requires = "head")]
    pub(crate) deep_ram: u32,
    /// Their learning rate in 1/65536.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEEP_RATE,
        value_parser = value_parser!(u16).range(1..),
        requires = "head"
    )]
    pub(crate) deep_rate: u16,
    /// Where their errors come from.
    #[arg(long, value_enum, default_value_t = FeedbackKind::Signs, requires = "head")]
    pub(crate) deep_feedback: FeedbackKind,
}

impl DeepArgs {
    /// What learns below the head.
    pub(crate) fn deep(&self) -> Deep {
        Deep {
            ram_bytes: self.deep_ram,
            rate: self.deep_rate,
            feedback: match self.deep_feedback {
                FeedbackKind::Random => Feedback::Random,
                FeedbackKind::Signs => Feedback::Signs,
            },
        }
    }
}
