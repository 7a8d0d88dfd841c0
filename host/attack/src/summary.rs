//! What all cells together say: accuracy per cell, the worst case per strength, and how much of the
//! apparent robustness is gradient masking.

use crate::check::{self, Check, Verdict};
use crate::protocol::LIMIT_255;
use crate::{Attack, Cell, Outcome, Protocol, Route};
use serde::{Deserialize, Serialize};

/// Accuracy in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Percent of all images.
    pub accuracy_pct: f64,
}

/// What is left at one strength: percent of the images that withstand all attacks of a kind; none where no
/// such attack ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// ε in 1/255.
    pub epsilon_255: f32,
    /// All attacks along the network's own feedback, or along its exact gradient if that is the same: what
    /// a naive evaluation reports.
    pub own_pct: Option<f64>,
    /// All attacks along its exact gradient.
    pub exact_pct: Option<f64>,
    /// All attacks along the twin's gradient.
    pub transfer_pct: Option<f64>,
    /// Square.
    pub square_pct: Option<f64>,
    /// All L∞ attacks.
    pub worst_pct: f64,
    /// One-Pixel as well, which has no ε.
    pub worst_with_pixels_pct: f64,
    /// `100·(own − worst)/own`: share of the apparent robustness that is gradient masking.
    pub masked_pct: Option<f64>,
}

/// All results of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Images attacked.
    pub n_images: usize,
    /// Percent of them answered right before any attack.
    pub clean_pct: f64,
    /// Every cell of the protocol.
    pub rows: Vec<Row>,
    /// Per ε, rising.
    pub headlines: Vec<Headline>,
    /// Sanity checks.
    pub checks: Vec<Check>,
}

/// Cells of one kind seen together.
pub(crate) struct View<'a> {
    clean: &'a [bool],
    outcomes: &'a [Outcome],
}

impl View<'_> {
    /// How many images withstand every cell for which `of` holds; none if there is no such cell.
    pub(crate) fn n_left(&self, of: impl Fn(&Cell) -> bool) -> Option<usize> {
        let cells: Vec<&Outcome> = self.outcomes.iter().filter(|o| of(&o.cell)).collect();
        let withstands = |&i: &usize| self.clean[i] && cells.iter().all(|o| o.survived[i]);
        let left = (0..self.clean.len()).filter(withstands).count();
        (!cells.is_empty()).then_some(left)
    }

    /// Number of images.
    pub(crate) fn n_images(&self) -> usize {
        self.clean.len()
    }
}

impl Summary {
    /// Of the cells of `protocol` in `outcomes`; `clean` says which images were right before.
    pub fn new(protocol: &Protocol, clean: &[bool], outcomes: &[Outcome]) -> Self {
        let n = clean.len();
        let pct = |left: usize| 100.0 * left as f64 / n.max(1) as f64;
        let view = View { clean, outcomes };
        let headline = |&epsilon_255: &f32| {
            let left = |of: &dyn Fn(&Cell) -> bool| {
                view.n_left(|c| c.epsilon_255 == Some(epsilon_255) && of(c))
            };
            let by = |route| left(&|c| c.route == route);
            let exact = by(Route::Exact);
            let own = by(Route::Own).or(exact);
            let worst = left(&|_| true).unwrap_or(0);
            let all = view
                .n_left(|c| c.epsilon_255.is_none_or(|e| e == epsilon_255))
                .unwrap_or(worst);
            let masked = |own: usize| 100.0 * (own - worst) as f64 / own as f64;
            Headline {
                epsilon_255,
                own_pct: own.map(pct),
                exact_pct: exact.map(pct),
                transfer_pct: by(Route::Transfer).map(pct),
                square_pct: left(&|c| c.attack == Attack::Square).map(pct),
                worst_pct: pct(worst),
                worst_with_pixels_pct: pct(all),
                masked_pct: own.filter(|&own| own > 0).map(masked),
            }
        };
        let row = |o: &Outcome| Row {
            cell: o.cell,
            accuracy_pct: pct(o.survived.iter().filter(|&&s| s).count()),
        };
        let has_strength = |e: &&f32| view.n_left(|c| c.epsilon_255 == Some(**e)).is_some();
        Self {
            n_images: n,
            clean_pct: pct(clean.iter().filter(|&&right| right).count()),
            rows: outcomes.iter().map(row).collect(),
            headlines: protocol
                .epsilons_255
                .iter()
                .filter(has_strength)
                .map(headline)
                .collect(),
            checks: check::all(&view, &protocol.epsilons_255),
        }
    }

    /// Checks that say the evaluation itself is wrong.
    pub fn faults(&self) -> impl Iterator<Item = &Check> {
        self.of(Verdict::Fault)
    }

    /// Checks that say a gradient misleads its attacks.
    pub fn masking(&self) -> impl Iterator<Item = &Check> {
        self.of(Verdict::Masking)
    }

    fn of(&self, verdict: Verdict) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |c| c.verdict == verdict)
    }

    /// Accuracy of PGD where nothing must be left.
    pub(crate) fn at_limit(&self) -> Option<f64> {
        let limit = self
            .rows
            .iter()
            .find(|r| r.cell.epsilon_255 == Some(LIMIT_255));
        limit.map(|r| r.accuracy_pct)
    }
}
