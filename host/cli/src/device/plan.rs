//! What a device says of its schedule, as text. Owns no decision.

use aplysia_deploy::energy::CHIPS;
use aplysia_shared::adapt::schedule::{Schedule, Spent, When};

/// Prints when and how much is learned, what it came to, and its energy on the chips, estimated.
pub(super) fn print(schedule: &Schedule, spent: &Spent) {
    let when = match schedule.when {
        When::Every { n } => format!("every {} images", n.max(1)),
        When::Unsure { margin } => format!("from images that lead by less than {margin}"),
        When::Asked => format!("on request, {} images left", spent.asked),
    };
    say!("schedule      {when}");
    if let Some(budget) = schedule.budget {
        say!(
            "budget        {} updates, {} instructions and {} commits in {} images; in this window {}, {}, {} in {}",
            budget.updates,
            budget.instructions,
            budget.commits,
            budget.images,
            spent.window_updates,
            spent.window_instructions,
            spent.window_commits,
            spent.window_images
        );
    }
    say!(
        "learning      {} images observed and {} labels learned of {} images; {} times not due, {} over budget",
        spent.observed,
        spent.learned,
        spent.images,
        spent.not_due,
        spent.over_budget
    );
    say!(
        "              {} commits, {} refused for the budget",
        spent.commits,
        spent.commits_refused
    );
    let energy = CHIPS.map(|chip| {
        format!(
            "{:.0} uJ on {}",
            chip.energy_uj(spent.instructions).mid,
            chip.name
        )
    });
    say!(
        "              {} instructions, estimated: {}",
        spent.instructions,
        energy.join(", ")
    );
}
