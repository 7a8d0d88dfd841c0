//! Sanity checks: what must hold of attacks that do what they say.
//!
//! | check | along the exact gradient, by queries, all together | along own feedback or a twin's gradient |
//! |---|---|---|
//! | more ε never helps the defender | else a fault | else masking |
//! | PGD leaves no more than FGSM | else a fault | else masking (not of a twin: PGD may transfer worse) |
//! | white box leaves no more than black box (Square, transfer) | else a fault | else masking |
//! | nothing is left at ε 128/255 | else a fault | not tried |
//!
//! One image in a hundred may be on the wrong side: attacks are random.

use crate::protocol::LIMIT_255;
use crate::summary::View;
use crate::{Attack, Cell, Route};
use serde::{Deserialize, Serialize};

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Holds,
    /// The gradient of this route misleads attacks: what they leave is no robustness.
    Masking,
    /// The evaluation is not to be believed.
    Fault,
}

/// One comparison: `left` images must not exceed `bound` by more than `slack`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is compared.
    pub what: String,
    /// What came out.
    pub verdict: Verdict,
    /// Images left where there should be fewer.
    pub left: usize,
    /// Images left in the other case.
    pub bound: usize,
    /// Images that may be on the wrong side.
    pub slack: usize,
}

/// Every check that the cells allow.
pub(crate) fn all(view: &View, epsilons_255: &[f32]) -> Vec<Check> {
    let slack = view.n_images().div_ceil(100);
    let mut checks = vec![];
    let mut compare = |what: String, route: Option<Route>, left: Option<usize>, bound| {
        let (Some(left), Some(bound)) = (left, bound) else {
            return;
        };
        let verdict = match route {
            _ if left <= bound + slack => Verdict::Holds,
            Some(Route::Own | Route::Transfer) => Verdict::Masking,
            _ => Verdict::Fault,
        };
        checks.push(Check {
            what,
            verdict,
            left,
            bound,
            slack,
        });
    };
    let kinds = kinds();
    for pair in epsilons_255.windows(2) {
        let what = |name: &str| {
            format!(
                "{name}: {}/255 leaves no more than {}/255",
                pair[1], pair[0]
            )
        };
        for &(attack, route) in &kinds {
            let at = |e: f32| view.n_left(|c| is(c, attack, route) && c.epsilon_255 == Some(e));
            let name = format!("{attack} ({})", route.name());
            compare(what(&name), Some(route), at(pair[1]), at(pair[0]));
        }
        let at = |e: f32| view.n_left(|c| c.epsilon_255 == Some(e));
        compare(what("worst case"), None, at(pair[1]), at(pair[0]));
    }
    for &e in epsilons_255 {
        let at = |of: &dyn Fn(&Cell) -> bool| view.n_left(|c| c.epsilon_255 == Some(e) && of(c));
        for route in [Route::Exact, Route::Own] {
            let name = route.name();
            compare(
                format!("{e}/255: pgd ({name}) leaves no more than fgsm ({name})"),
                Some(route),
                at(&|c| is(c, Attack::Pgd, route)),
                at(&|c| is(c, Attack::Fgsm, route)),
            );
            let white = at(&|c| c.route == route);
            compare(
                format!("{e}/255: white box ({name}) leaves no more than square"),
                Some(route),
                white,
                at(&|c| c.attack == Attack::Square),
            );
            compare(
                format!("{e}/255: white box ({name}) leaves no more than transfer"),
                Some(route),
                white,
                at(&|c| c.route == Route::Transfer),
            );
        }
    }
    let limit = view.n_left(|c| c.epsilon_255 == Some(LIMIT_255));
    compare(
        format!("pgd (exact) leaves nothing at {LIMIT_255}/255"),
        None,
        limit,
        Some(0),
    );
    checks
}

fn is(cell: &Cell, attack: Attack, route: Route) -> bool {
    cell.attack == attack && cell.route == route
}

/// Every attack with an ε and every route it may have.
fn kinds() -> Vec<(Attack, Route)> {
    let routes = |attack: Attack| match attack.has_gradient() {
        true => vec![Route::Exact, Route::Own, Route::Transfer],
        false => vec![Route::Queries],
    };
    let pairs = |attack| routes(attack).into_iter().map(move |r| (attack, r));
    Attack::ALL.into_iter().flat_map(pairs).collect()
}
