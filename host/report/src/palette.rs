//! Colours: one per learning rule, the same in every figure, told apart by the colour-blind too.
//!
//! Seven are Okabe and Ito's (2008, *Color Universal Design*), without their yellow, which is unreadable
//! on white; wine and olive for the local rules are from Tol's *muted* scheme (2021). Back-propagation
//! is grey: it is what the others are compared with. Colour is never the only sign: every mark that
//! carries a rule's colour has its name beside it or in its legend.

use aplysia_space::Rule;
use std::fmt::Write as _;

/// The colour of a rule on a light and on a dark page.
fn colours(rule: Rule) -> [&'static str; 2] {
    match rule {
        Rule::Bp => ["#5f6670", "#a9b1bc"],
        Rule::Fa => ["#e69f00", "#f0b429"],
        Rule::Usf => ["#0072b2", "#3b9fe0"],
        Rule::Brsf => ["#d55e00", "#f07a2b"],
        Rule::Frsf => ["#009e73", "#1fbf92"],
        Rule::Dfa => ["#cc79a7", "#dc93bc"],
        Rule::Kp => ["#56b4e9", "#8fd0f5"],
        Rule::Hebb => ["#882255", "#c2568e"],
        Rule::SoftHebb => ["#8a8a2a", "#c0c05a"],
    }
}

/// The style sheet of all figures.
pub fn style() -> String {
    let mut light = String::from(include_str!("figure.css"));
    let mut dark = String::from(include_str!("figure-dark.css"));
    for rule in Rule::ALL {
        for (sheet, colour) in [&mut light, &mut dark].into_iter().zip(colours(rule)) {
            // Writing to a String cannot fail.
            let _ = writeln!(
                sheet,
                ".fill-{rule}{{fill:{colour}}}.line-{rule}{{stroke:{colour}}}\
                 .tint-{rule}{{fill:{colour};fill-opacity:.16;stroke:{colour}}}"
            );
        }
    }
    format!("{light}@media (prefers-color-scheme: dark){{\n{dark}}}\n")
}
