//! What a device says of its domain slots, as text. Owns no decision.

use aplysia_shared::protocol::DomainStats;

/// Prints the slot in use, what has happened, and how far what is seen lies from it.
pub(super) fn print(domains: Option<DomainStats>) {
    let Some(DomainStats { settings, report }) = domains else {
        say!("slots         none");
        return;
    };
    let used = match report.used {
        0 if settings.sealed => "the base, sealed,".to_string(),
        0 => "the base".to_string(),
        slot => format!("slot {slot}"),
    };
    say!(
        "slots         {used} in use, {} of {} hold a state; {} domains begun, {} recalled, {} given up",
        report.held,
        settings.slots,
        report.opened,
        report.recalled,
        report.replaced
    );
    say!(
        "              distance {} of what was seen last, {} of the nearest other (a new one at {}); evidence {} of {}",
        report.distance,
        report.other,
        settings.open,
        report.evidence,
        settings.evidence
    );
}
