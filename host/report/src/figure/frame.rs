//! The frame of a chart: two axes with ticks, names and units.

use crate::scale::Scale;
use crate::svg::{Anchor, Figure};

/// Pixels kept free around the plot: left, top, right, bottom.
pub(crate) const MARGIN: [f64; 4] = [56.0, 44.0, 16.0, 46.0];

/// Pixels between which the horizontal axis of a chart lies.
pub(crate) fn horizontal(width: f64) -> [f64; 2] {
    [MARGIN[0], width - MARGIN[2]]
}

/// Pixels between which the vertical axis lies, upwards.
pub(crate) fn vertical(height: f64) -> [f64; 2] {
    [height - MARGIN[3], MARGIN[1]]
}

/// Draws grid, ticks and names.
pub(crate) fn draw(figure: &mut Figure, x: &Scale, y: &Scale, names: [&str; 2]) {
    let ([left, right], [bottom, top]) = (horizontal(figure.width), vertical(figure.height));
    for (value, text) in y.ticks() {
        let at = y.at(value);
        figure.line("grid", [left, at], [right, at]);
        figure.text("tick", [left - 8.0, at + 4.0], Anchor::End, &text);
    }
    for (value, text) in x.ticks() {
        let at = x.at(value);
        figure.line("axis", [at, bottom], [at, bottom + 4.0]);
        figure.text("tick", [at, bottom + 18.0], Anchor::Middle, &text);
    }
    figure.line("axis", [left, bottom], [right, bottom]);
    let below = [(left + right) / 2.0, bottom + 38.0];
    figure.text("name", below, Anchor::Middle, names[0]);
    figure.upward_text("name", [15.0, (bottom + top) / 2.0], names[1]);
}

/// Draws an arrow into the corner of the plot that is better: up, and to the left if `leftwards`.
pub(crate) fn arrow_to_better(figure: &mut Figure, leftwards: bool) {
    let ([left, _], y) = (horizontal(figure.width), 8.0);
    let x = left + 2.0;
    let (d, text) = if leftwards {
        let (right, low) = (x + 13.0, y + 13.0);
        let head = format!("M{:.1} {y:.1}H{x:.1}V{:.1}", x + 8.0, y + 8.0);
        (
            format!("M{right:.1} {low:.1}L{x:.1} {y:.1}{head}"),
            "better: cheaper and more accurate",
        )
    } else {
        let (middle, low) = (x + 6.0, y + 14.0);
        let (a, b) = (middle - 5.0, middle + 5.0);
        let wing = y + 6.0;
        (
            format!(
                "M{middle:.1} {low:.1}V{y:.1}M{a:.1} {wing:.1}L{middle:.1} {y:.1}L{b:.1} {wing:.1}"
            ),
            "better",
        )
    };
    figure.path("arrow", &d);
    figure.text("better", [x + 20.0, y + 11.0], Anchor::Start, text);
}
