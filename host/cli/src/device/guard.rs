//! What a device says of its guard and its flash, as text. Owns no decision.

use aplysia_shared::protocol::GuardStats;

/// Prints what the start found, wear, limits, counters and the last rollback.
pub(super) fn print(guard: &GuardStats) {
    say!("flash         at the start: {:?}", guard.boot);
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
        "guard         every {} updates, {} samples may be lost; {} of {} right at the start, {} last",
        limits.every,
        limits.drop,
        report.start,
        report.n_samples,
        report.last
    );
    say!(
        "              {} checks, {} rollbacks, {} commits; {} instructions the last check",
        report.checks,
        report.rollbacks,
        report.commits,
        guard.check_instructions
    );
    if let Some(last) = guard.last_rollback {
        say!(
            "              last rollback: {} right, {} needed; to {:?}",
            last.score,
            last.floor,
            last.to
        );
    }
}
