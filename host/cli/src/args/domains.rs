//! The grammar of domain slots.

use aplysia_live::adaptation::DOMAINS;
use aplysia_shared::adapt::domains::{Domains, MAX_SLOTS};
use clap::{Args, value_parser};

/// Without `--slots` one state learns whatever comes.
#[derive(Args)]
pub(crate) struct DomainArgs {
    /// Keep the state of N domains beside the base: one that comes back is recalled instead of learned again.
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=i64::from(MAX_SLOTS)))]
    pub(crate) slots: Option<u8>,
    /// Distance from which on a domain is a new one, in 1/256 of the deviation in training: more than what one
    /// domain's own images scatter by (10 to 25 for Fashion-MNIST).
    #[arg(
        long,
        value_name = "D",
        default_value_t = DOMAINS.open,
        value_parser = value_parser!(u16).range(1..),
        requires = "slots"
    )]
    pub(crate) slot_open: u16,
    /// Evidence at which another state is put in place: a sum of differences of distance, image by image.
    #[arg(
        long,
        value_name = "E",
        default_value_t = DOMAINS.evidence,
        value_parser = value_parser!(u16).range(1..),
        requires = "slots"
    )]
    pub(crate) slot_evidence: u16,
    /// Learn nothing from what is nearer than D to training, and go back to the base model's own state there: clean
    /// accuracy stays, and shifts that look alike to the first layer (rotation) are not learned.
    #[arg(long, requires = "slots")]
    pub(crate) seal_base: bool,
}

impl DomainArgs {
    /// None without `--slots`.
    pub(crate) fn domains(&self) -> Option<Domains> {
        Some(Domains {
            slots: self.slots?,
            open: self.slot_open,
            evidence: self.slot_evidence,
            sealed: self.seal_base,
        })
    }
}
