//! The share of weights that each rule trains, one bar per network.

use crate::svg::{Anchor, Figure, text_width};
use aplysia_space::Network;

const BAR: f64 = 26.0;

/// One bar per network, with its name above it.
pub fn bars(networks: &[(String, &Network)]) -> Figure {
    let title = "Share of weights trained by each rule";
    let width = 400.0;
    let row = BAR + 30.0;
    let height = 8.0 + row * networks.len() as f64;
    let mut figure = Figure::new("rule-share", title, width, height);
    for (i, (name, network)) in networks.iter().enumerate() {
        let y = 20.0 + row * i as f64;
        let weights = format!("{} weights", network.total_weights());
        let room = width - 12.0 - text_width(&weights, 12.0);
        figure.text("label", [4.0, y], Anchor::Start, &shortened(name, room));
        figure.text("small", [width - 4.0, y], Anchor::End, &weights);
        let mut x = 4.0;
        for (rule, share) in network.rule_share() {
            let w = share * (width - 8.0);
            let words = format!("{rule} {:.1} %", 100.0 * share);
            let frame = [x, y + 7.0, w, BAR];
            figure.rect(&format!("tint-{rule}"), frame, 0.0, &words);
            figure.rect(&format!("fill-{rule}"), [x, y + 7.0, w, 5.0], 0.0, &words);
            let short = format!("{rule} {:.0}", 100.0 * share);
            let fits = [&words, &short]
                .into_iter()
                .find(|t| text_width(t, 12.0) + 8.0 < w);
            if let Some(text) = fits {
                figure.text("small", [x + w / 2.0, y + 26.0], Anchor::Middle, text);
            }
            x += w;
        }
    }
    figure
}

/// The beginning of a text that fits into `width` pixels.
pub(crate) fn shortened(text: &str, width: f64) -> String {
    let n = (width / text_width("n", 13.0)).max(2.0) as usize;
    if text.chars().count() <= n {
        return text.into();
    }
    text.chars().take(n - 1).chain(['…']).collect()
}
