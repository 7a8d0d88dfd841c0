//! What a study found, for people: one HTML page, its figures as SVG, an Optuna journal; the evidence for
//! mixed rules.
//!
//! Owns the figures ([`figure`]), the page around them ([`page`]), curves for terminals ([`spark`]), the journal
//! ([`optuna`]), and the evidence with its tests ([`evidence`], [`comparison`]). Figures
//! are SVG written by hand ([`svg`]): a page needs six of them, and a plotting library would bring fonts,
//! colours and scripts of its own. Invariants: nothing that is written refers to the network; every text
//! from outside (names of folders, errors) is escaped in [`svg::escape`], the only way into a page; the
//! output is a function of the input, without clocks.
//!
//! Data flow: `space`, `search` → **`report`** → `cli`.

pub mod comparison;
pub mod evidence;
pub mod figure;
pub mod findings;
pub mod optuna;
pub mod page;
pub mod palette;
pub mod scale;
pub mod spark;
pub mod svg;

pub use findings::{
    Attacked, Candidate, Epoch, Findings, Release, Run, Search, Strength, Supernet, SupernetEpoch,
};
pub use svg::Figure;
