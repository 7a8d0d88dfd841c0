//! The grammar of when and how much a device learns.

use super::search::chip;
use aplysia_deploy::energy::Chip;
use aplysia_live::adaptation::Plan;
use aplysia_shared::adapt::schedule::{Budget, Schedule, When};
use clap::{Args, value_parser};

/// A schedule and a budget; without flags every image is learned from.
#[derive(Args)]
pub(crate) struct PlanArgs {
    /// Learn from the first image and every N-th after it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) learn_every: u16,
    /// Learn only from images whose best score leads by fewer than M steps.
    #[arg(long, value_name = "M", conflicts_with = "learn_every")]
    pub(crate) learn_unsure: Option<u8>,
    /// Learn on request only, and request the first N images.
    #[arg(long, value_name = "N", conflicts_with_all = ["learn_every", "learn_unsure"])]
    pub(crate) learn_asked: Option<u32>,
    /// Images of a window, in which the budget holds.
    #[arg(long, value_name = "K", value_parser = value_parser!(u32).range(1..))]
    pub(crate) budget_images: Option<u32>,
    /// Most updates of a window: an image that homeostasis follows is one, a label another.
    #[arg(long, value_name = "N", requires = "budget_images")]
    pub(crate) budget_updates: Option<u32>,
    /// Most commits of a window.
    #[arg(long, value_name = "M", requires = "budget_images")]
    pub(crate) budget_commits: Option<u32>,
    /// Most microjoules that learning and the guard's checks take in a window, estimated for the chip of
    /// `--budget-chip`, kept as instructions. A check is never skipped: what it takes beyond this is missing next.
    #[arg(long, value_name = "UJ", requires_all = ["budget_images", "budget_chip"])]
    pub(crate) budget_uj: Option<f64>,
    /// The chip of `--budget-uj`: `aplysia inspect` lists them.
    #[arg(long, value_name = "NAME", requires = "budget_uj", value_parser = chip)]
    pub(crate) budget_chip: Option<Chip>,
}

impl PlanArgs {
    /// The schedule, and how many images are requested.
    pub(crate) fn plan(&self) -> Plan {
        let when = match (self.learn_unsure, self.learn_asked) {
            (Some(margin), _) => When::Unsure { margin },
            (None, Some(_)) => When::Asked,
            (None, None) => When::Every {
                n: self.learn_every,
            },
        };
        let budget = |images| {
            let energy = self.budget_chip.zip(self.budget_uj);
            Budget {
                images,
                updates: self.budget_updates.unwrap_or(u32::MAX),
                instructions: energy.map_or(u64::MAX, |(chip, uj)| chip.instructions_within(uj)),
                commits: self.budget_commits.unwrap_or(u32::MAX),
            }
        };
        Plan {
            schedule: Schedule {
                when,
                budget: self.budget_images.map(budget),
            },
            attend: self.learn_asked.unwrap_or(0),
            domains: None,
        }
    }
}
