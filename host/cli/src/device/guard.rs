//! What a device says of its guard and its flash, as text. Owns no decision.

use aplysia_shared::adapt::guard::{Commit, Restored, Rollback};
use aplysia_shared::protocol::{Boot, GuardStats, MAX_FAILED_STARTS};

/// What became of a commit.
pub(super) fn print_commit(commit: &Commit) {
    let told = match commit {
        Commit::Done(record) => format!(
            "number {}, {} bytes; {} bytes written and {} pages erased by all so far",
            record.sequence, record.bytes, record.written_bytes, record.erased_pages
        ),
        Commit::TooSoon { missing } => format!("none: {missing} updates too soon"),
        Commit::OverBudget { images } => {
            format!("none: the budget is spent for {images} more images")
        }
        Commit::RolledBack(rollback) => format!("none: {}", taken_back(rollback)),
    };
    say!("commit        {told}");
}

fn taken_back(rollback: &Rollback) -> String {
    let to = match rollback.to {
        Restored::Committed { sequence } => format!("commit {sequence}"),
        Restored::Base => "the base model".into(),
    };
    let Rollback { score, floor, .. } = rollback;
    format!("{score} right, {floor} needed; back to {to}")
}

fn found(boot: Boot) -> String {
    match boot {
        Boot::Empty => "nothing was committed".into(),
        Boot::Restored { sequence } => format!("commit {sequence} is in place"),
        Boot::OtherModel { sequence } => {
            format!("commit {sequence} is of another model and was left out")
        }
        Boot::Unfit { sequence } => {
            format!("commit {sequence} holds no state that this program can take, and was left out")
        }
        Boot::Unreadable => "the flash could not be read".into(),
        Boot::SetAside { sequence } => format!(
            "commit {sequence} was left aside: {MAX_FAILED_STARTS} starts in a row ended in a reset with it; the base \
             model runs, and the next start tries it again once an image was classified"
        ),
    }
}

/// Prints what the start found, wear, limits, counters and the last rollback.
pub(super) fn print(guard: &GuardStats) {
    say!("flash         at the start: {}", found(guard.boot));
    if let Some(newest) = guard.newest {
        say!(
            "              commit {}, {} bytes; by all commits {} bytes written, {} pages erased",
            newest.sequence,
            newest.bytes,
            newest.written_bytes,
            newest.erased_pages
        );
    }
    let Some(limits) = guard.limits else {
        say!("guard         none");
        return;
    };
    let report = guard.report;
    say!(
        "guard         every {} updates, {} samples may be lost, {} updates between commits; {} of {} right at the start, {} last",
        limits.every,
        limits.drop,
        limits.commit_every,
        report.start,
        report.n_samples,
        report.last
    );
    say!(
        "              checks {}, rollbacks {}, commits {}; {} instructions the last check",
        report.checks,
        report.rollbacks,
        report.commits,
        guard.check_instructions
    );
    if let Some(last) = guard.last_rollback {
        say!("              last rollback: {}", taken_back(&last));
    }
}
